"""Properties of the node as a whole: where it keeps its files, what it logs and loads."""

import re

from kongtx.conf.properties.model import (
    Mark,
    Section,
    array,
    between,
    boolean,
    enumeration,
    number,
    string,
)

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

LOG_LEVELS = ("debug", "info", "notice", "warn", "error", "crit", "alert", "emerg")
INSTRUMENTATIONS = (
    "off",
    "request",
    "all",
    "db_query",
    "dns_query",
    "router",
    "http_client",
    "balancer",
    "plugin_rewrite",
    "plugin_access",
    "plugin_header_filter",
)


def _uuid(value: str) -> str | None:
    return None if _UUID.fullmatch(value) else " must be a valid UUID"


SECTION = Section(
    "General",
    "Where the node keeps its files, what it writes to its logs and which plugins and vaults it "
    "loads.",
    (
        string(
            "prefix",
            None,
            """Working directory of the node: process id, logs, sockets, generated certificates
            and the effective configuration. Each node needs its own. A relative path is taken
            from the directory that kongtx was started in.""",
            required=True,
            shown_default="/var/lib/kongtx for root, else ~/.local/state/kongtx",
        ),
        enumeration(
            "log_level",
            "notice",
            LOG_LEVELS,
            "Least severe level that is written to the error logs.",
        ),
        enumeration(
            "log_format",
            "text",
            ("text", "json"),
            """How log lines look: ``text`` is one line in the manner of nginx, ``json`` is one
            JSON object a line.""",
        ),
        string(
            "access_log_format",
            None,
            """Format of the access log lines, with the variables of nginx (``$remote_addr``,
            ``$request``, ``$status`` ...). Without a value the usual combined format is used.""",
        ),
        string(
            "proxy_access_log",
            "logs/access.log",
            """File for the access log of proxied requests, relative to the prefix unless it is
            absolute; ``off`` writes none. ``/dev/stdout`` and ``/dev/stderr`` work too.""",
        ),
        string(
            "proxy_error_log",
            "logs/error.log",
            "File for errors of the proxy and of the node itself, relative to the prefix.",
        ),
        string(
            "proxy_stream_access_log",
            "logs/access.log basic",
            """File for the access log of TCP, TLS and UDP sessions, optionally followed by the
            name of a format; ``off`` writes none.""",
        ),
        string(
            "proxy_stream_error_log",
            "logs/error.log",
            "File for errors of TCP, TLS and UDP sessions.",
        ),
        string(
            "admin_access_log",
            "logs/admin_access.log",
            """File for the access log of the Admin API; ``off`` writes none. On a control plane
            the connections of data planes are logged here too.""",
        ),
        string("admin_error_log", "logs/error.log", "File for errors of the Admin API."),
        string(
            "status_access_log",
            "off",
            "File for the access log of the Status API; ``off`` writes none.",
        ),
        string("status_error_log", "logs/status_error.log", "File for errors of the Status API."),
        array(
            "vaults",
            "bundled",
            """Vaults that references to secrets may use. ``bundled`` stands for those that come
            with kongtx (``env``); ``off`` loads none.""",
        ),
        array(
            "opentelemetry_tracing",
            "off",
            "Former name of ``tracing_instrumentations``.",
            alias_of="tracing_instrumentations",
            deprecated_for="tracing_instrumentations",
        ),
        array(
            "tracing_instrumentations",
            "off",
            """What is traced: ``off``, ``request`` (one span a request), ``all``, or some of
            ``db_query``, ``dns_query``, ``router``, ``http_client``, ``balancer``,
            ``plugin_rewrite``, ``plugin_access`` and ``plugin_header_filter``.""",
        ),
        number(
            "opentelemetry_tracing_sampling_rate",
            "0.01",
            "Former name of ``tracing_sampling_rate``.",
            alias_of="tracing_sampling_rate",
            deprecated_for="tracing_sampling_rate",
            check=between(0, 1, "must be between 0 and 1"),
        ),
        number(
            "tracing_sampling_rate",
            "0.01",
            "Share of the requests that are traced, from 0 to 1; 0.25 traces one in four.",
            check=between(0, 1, "must be between 0 and 1"),
        ),
        array(
            "plugins",
            "bundled",
            """Plugins that the node loads, so that they can be configured. ``bundled`` stands
            for those that come with kongtx and can be combined with names of others; names
            alone load nothing else; ``off`` loads none. A node does not start when a plugin
            that is configured is not loaded.""",
        ),
        boolean(
            "dev",
            "off",
            """Development mode, which ``kongtx start --dev`` turns on: workers are reloaded when
            the code of a plugin changes that does not come with kongtx, and answers show the
            tracebacks of plugins that fail. Never use it where strangers can reach the node.""",
        ),
        enumeration(
            "manhole",
            "off",
            ("off", "unix"),
            """Whether each worker has a Python prompt into itself, for looking at what is going
            on: ``unix`` opens a socket in the directory ``sockets`` of the prefix, for the
            node's own user and root alone. ``kongtx manhole`` connects to it.""",
        ),
        boolean(
            "dedicated_config_processing",
            "on",
            """Keeps configuration work of Kong's data planes in a process of its own. kongtx
            always works so.""",
            mark=Mark.NGINX,
        ),
        boolean(
            "privileged_worker",
            None,
            "Former name of ``dedicated_config_processing``.",
            mark=Mark.NGINX,
            alias_of="dedicated_config_processing",
            deprecated_for="dedicated_config_processing",
        ),
        array(
            "pluginserver_names",
            None,
            """Names of Kong's external plugin servers, each with ``pluginserver_NAME_socket``,
            ``pluginserver_NAME_start_cmd`` and ``pluginserver_NAME_query_cmd``. kongtx loads
            plugins as Python packages instead.""",
            mark=Mark.NGINX,
        ),
        array(
            "port_maps",
            None,
            """Ports of the outside world and the ports of kongtx that they lead to, when a load
            balancer or a container maps them: ``80:8000, 443:8443``. Forwarded headers, routing
            by destination port and logs then speak of the outer port.""",
        ),
        boolean(
            "anonymous_reports",
            "off",
            "Usage reports to the makers of Kong. kongtx never sends any.",
            mark=Mark.NGINX,
        ),
        string(
            "proxy_server",
            None,
            """URL (``http`` or ``https``) of a proxy for outgoing connections of the parts that
            are told to use one. It may hold a name and a password.""",
            mark=Mark.NGINX,
            sensitive=True,
        ),
        boolean(
            "proxy_server_ssl_verify",
            "on",
            "Whether the certificate of an ``https`` proxy server is verified.",
            mark=Mark.NGINX,
        ),
        string(
            "error_template_html",
            None,
            """File with the HTML page for errors that the gateway answers itself. The first
            ``%s`` in it becomes the message, the second the request id.""",
        ),
        string("error_template_json", None, "The same for clients that accept JSON."),
        string("error_template_xml", None, "The same for clients that accept XML."),
        string("error_template_plain", None, "The same for clients that accept plain text."),
        string(
            "node_id",
            None,
            """UUID of the node within its cluster. Without a value it is chosen at start; a
            data plane then keeps it in the prefix directory.""",
            check=_uuid,
        ),
        string(
            "node_zone",
            None,
            """Name of the zone that the node is in. Upstreams with the tag ``kongtx:zone-aware``
            prefer targets with the tag ``kongtx:zone=`` and this name.""",
        ),
    ),
)
