"""Properties of vaults, of routing and rebuilding, and what does not fit elsewhere."""

from kongtx.conf.properties.model import (
    Mark,
    Property,
    Section,
    array,
    between,
    boolean,
    enumeration,
    greater_than_zero,
    integer,
    number,
    string,
    tls_versions,
)

VAULTS = Section(
    "Vaults",
    "Any value may be a reference, such as ``{vault://env/pg-password}``: what is kept there "
    "takes its place. Settings of a vault are named ``vault_VAULT_SETTING``.",
    (
        string(
            "vault_env_prefix",
            None,
            """What the names of environment variables begin with, for references to the
            ``env`` vault.""",
        ),
    ),
)


def _parsing_limit(name: str, what: str) -> Property:
    return integer(
        name,
        "100",
        f"{what} that plugins are given at most, from 1 to 1000.",
        check=between(1, 1000, "must be an integer between 1 and 1000"),
    )


TUNING = Section(
    "Tuning and behaviour",
    "How changes reach the workers, and how routes are matched.",
    (
        enumeration(
            "worker_consistency",
            "eventual",
            ("strict", "eventual"),
            """Whether Kong's requests wait for a change to be in force (``strict``, deprecated).
            Here none waits: the worker that answered serves by it, and the others follow at
            once.""",
            mark=Mark.NGINX,
        ),
        enumeration(
            "router_consistency",
            "eventual",
            ("strict", "eventual"),
            "Former name of ``worker_consistency``.",
            alias_of="worker_consistency",
            deprecated_for="worker_consistency",
            hidden=True,
        ),
        number(
            "worker_state_update_frequency",
            "5",
            """Seconds between Kong's looks whether router and balancers must be rebuilt. Workers
            of kongtx are told.""",
            check=greater_than_zero,
            mark=Mark.NGINX,
        ),
        enumeration(
            "router_flavor",
            "traditional_compatible",
            ("traditional", "traditional_compatible", "expressions"),
            """How routes are matched: ``traditional_compatible`` and ``traditional`` by their
            hosts, paths, methods and so on, ``expressions`` also by an expression.""",
        ),
        _parsing_limit("lua_max_req_headers", "Request headers"),
        _parsing_limit("lua_max_resp_headers", "Response headers"),
        _parsing_limit("lua_max_uri_args", "Query arguments"),
        _parsing_limit("lua_max_post_args", "Form arguments"),
    ),
)

MISCELLANEOUS = Section(
    "Miscellaneous",
    "Outgoing TLS keeps Kong's names, which begin with ``lua_``.",
    (
        array(
            "lua_ssl_trusted_certificate",
            "system",
            """Certificate authorities that outgoing TLS connections (database, plugins, control
            plane) trust: paths, PEM texts, or ``system`` for those of the operating
            system.""",
        ),
        integer(
            "lua_ssl_verify_depth",
            "1",
            "Longest chain of certificates of a server that is trusted.",
        ),
        string(
            "lua_ssl_protocols",
            "TLSv1.2 TLSv1.3",
            "Protocol versions of outgoing TLS connections, separated by blanks.",
            check=tls_versions,
            copied_to=("nginx_http_lua_ssl_protocols", "nginx_stream_lua_ssl_protocols"),
        ),
        string(
            "nginx_http_lua_ssl_protocols",
            None,
            "As ``lua_ssl_protocols``.",
            check=tls_versions,
            hidden=True,
        ),
        string(
            "nginx_stream_lua_ssl_protocols",
            None,
            "As ``lua_ssl_protocols``.",
            check=tls_versions,
            hidden=True,
        ),
        string(
            "lua_package_path",
            "./?.lua;./?/init.lua;",
            "Where Lua modules are sought.",
            mark=Mark.NGINX,
            required=False,
        ),
        string("lua_package_cpath", None, "Where binary Lua modules are sought.", mark=Mark.NGINX),
        integer(
            "lua_socket_pool_size",
            "256",
            "Idle connections that Lua code keeps.",
            mark=Mark.NGINX,
        ),
        enumeration(
            "untrusted_lua",
            "sandbox",
            ("on", "off", "sandbox"),
            """Whether code that administrators put into plugins is run: ``on`` with all
            rights, ``sandbox`` with a few, ``off`` not at all. The code is Python here, not
            Lua, and Python has no sandbox that holds: only ``on`` runs it.""",
        ),
        array(
            "untrusted_lua_sandbox_requires",
            None,
            "Lua modules that sandboxed code may load.",
            mark=Mark.NGINX,
        ),
        array(
            "untrusted_lua_sandbox_environment",
            None,
            "Lua globals that sandboxed code may see.",
            mark=Mark.NGINX,
        ),
        boolean(
            "kic",
            "off",
            "Says that Kong's ingress controller runs the node.",
            mark=Mark.NGINX,
            hidden=True,
        ),
    ),
)
