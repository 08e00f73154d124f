"""Properties of listening sockets and of the processes behind them."""

from kongtx.conf.properties.model import (
    Mark,
    Section,
    array,
    boolean,
    duration,
    enumeration,
    size,
    string,
    switch,
)
from kongtx.conf.syntax.units import size_bytes


def _workers(value: str) -> str | None:
    if value == "auto" or value.isdecimal():
        return None
    return f" must be a number of processes or auto, got '{value}'"


def _limit(value: str) -> str | None:
    if value == "auto" or value.isdecimal():
        return None
    return f" must be a number of files or auto, got '{value}'"


def _cache_size(value: str) -> str | None:
    return None if size_bytes(value) >= 32 * 1024 else " must be at least 32k"


SECTION = Section(
    "Listeners and processes",
    "A ``*_listen`` value is a list of addresses with a port, each followed by flags: ``ssl`` "
    "(TLS), ``http2``, ``proxy_protocol`` (a PROXY header comes first), ``deferred`` "
    "(TCP_DEFER_ACCEPT), ``bind`` (a socket of its own even where a wildcard covers it), "
    "``reuseport`` (a socket for each worker), ``backlog=N`` (connections that may wait), "
    "``ipv6only=on|off`` and ``so_keepalive=on|off|idle:interval:count``. IPv6 addresses stand "
    "in brackets. ``off`` listens nowhere.",
    (
        array(
            "proxy_listen",
            "0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384",
            "Addresses for the traffic that is proxied.",
        ),
        array(
            "stream_listen",
            "off",
            """Addresses for TCP, TLS and UDP traffic that is proxied as it is. The flag ``udp``
            is for this list only; ``http2`` and ``deferred`` are not for it.""",
        ),
        array(
            "admin_listen",
            "127.0.0.1:8001 reuseport backlog=16384, "
            "127.0.0.1:8444 http2 ssl reuseport backlog=16384",
            """Addresses of the Admin API. Whoever reaches it rules the gateway: keep it on
            loopback or a private network, and see ``admin_auth``.""",
        ),
        array(
            "status_listen",
            "127.0.0.1:8007 reuseport backlog=16384",
            "Addresses of the Status API, which tells health and metrics and changes nothing.",
        ),
        enumeration(
            "admin_auth",
            "off",
            ("off", "basic", "token"),
            """Who may use the Admin API: anybody who reaches it (``off``), holders of a name
            and password (``basic``), or of a bearer token (``token``).""",
        ),
        string(
            "admin_auth_token",
            None,
            "The token for ``admin_auth = token``; clients send it as ``Authorization: Bearer``.",
            sensitive=True,
        ),
        boolean(
            "admin_redact_keys",
            "off",
            """Whether answers of the Admin API hide private keys: ``[redacted]`` stands for them.
            They can still be written; vault references are shown as they are.""",
        ),
        string("admin_auth_user", None, "The name for ``admin_auth = basic``."),
        string(
            "admin_auth_password",
            None,
            "The password for ``admin_auth = basic``.",
            sensitive=True,
        ),
        string(
            "nginx_user",
            "kong kong",
            """User and group of the workers when kongtx is started by root. ``nobody`` or an
            empty value changes nothing, as does the default where there is no user of that
            name.""",
            required=False,
            alias_of="nginx_main_user",
        ),
        string(
            "nginx_main_user",
            "kong kong",
            "The same as ``nginx_user``.",
            required=False,
            hidden=True,
        ),
        string(
            "nginx_worker_processes",
            "auto",
            """Number of worker processes; ``auto`` is one for each processor. ``0`` runs the
            whole gateway in one process, without a master.""",
            alias_of="nginx_main_worker_processes",
            check=_workers,
        ),
        string(
            "nginx_main_worker_processes",
            "auto",
            "The same as ``nginx_worker_processes``.",
            check=_workers,
            hidden=True,
        ),
        string(
            "workers",
            "auto",
            "A short name for ``nginx_worker_processes``.",
            alias_of="nginx_main_worker_processes",
            check=_workers,
        ),
        switch(
            "nginx_daemon",
            "on",
            """Whether ``kongtx start`` goes into the background. Containers want ``off``.""",
            alias_of="nginx_main_daemon",
        ),
        switch("nginx_main_daemon", "on", "The same as ``nginx_daemon``.", hidden=True),
        switch(
            "core_dumps",
            "off",
            """Whether a process that crashes may leave a core dump. With ``off`` it leaves none,
            and whatever the system collects of crashes gets no memory of it: there are private
            keys in it.""",
        ),
        string(
            "nginx_main_worker_rlimit_nofile",
            "auto",
            """Limit of open files of a worker; ``auto`` takes the limit that kongtx was started
            with, within 1024 and 16384.""",
            check=_limit,
        ),
        duration(
            "nginx_main_worker_shutdown_timeout",
            None,
            """Longest time that a worker which stops gracefully waits for its connections; the
            value is a duration such as ``30s``. Without a value it waits as long as they
            last.""",
        ),
        size(
            "mem_cache_size",
            "128m",
            """Size of the cache of entities that the workers share, such as ``128m``; at least
            ``32k``.""",
            check=_cache_size,
        ),
        string(
            "openresty_path",
            None,
            "Where OpenResty is installed.",
            mark=Mark.NGINX,
        ),
    ),
)
