"""Properties of requests and responses: headers, client addresses, limits, upstream pool."""

from kongtx.conf.properties.model import (
    Mark,
    Section,
    array,
    boolean,
    duration,
    enumeration,
    integer,
    items,
    number,
    size,
    string,
    switch,
    words,
)
from kongtx.conf.syntax.addresses import is_ip_or_cidr
from kongtx.conf.syntax.units import buffers

#: Response headers that the gateway adds of its own, by the lower-case entry that names them.
RESPONSE_HEADERS = {
    name.lower(): name
    for name in (
        "server_tokens",
        "latency_tokens",
        "Via",
        "Server",
        "X-Kong-Proxy-Latency",
        "X-Kong-Response-Latency",
        "X-Kong-Admin-Latency",
        "X-Kong-Upstream-Latency",
        "X-Kong-Upstream-Status",
        "X-Kong-Request-Id",
    )
}
UPSTREAM_HEADERS = {"x-kong-request-id": "X-Kong-Request-Id"}
#: What the two collective entries stand for.
TOKENS = {
    "server_tokens": ("Via", "Server"),
    "latency_tokens": (
        "X-Kong-Proxy-Latency",
        "X-Kong-Response-Latency",
        "X-Kong-Admin-Latency",
        "X-Kong-Upstream-Latency",
    ),
}


def _buffers(value: str) -> str | None:
    try:
        buffers(value)
    except ValueError:
        return f" must be a number and a size, such as '4 8k', got '{value}'"
    return None


_TRUSTED = items(
    lambda item: item == "unix:" or is_ip_or_cidr(item),
    lambda item: (
        " must be a comma separated list in the form of IPv4 or IPv6 address or CIDR block or "
        f"'unix:', got '{item}'"
    ),
)

SECTION = Section(
    "Requests and responses",
    "Headers that the gateway adds, whose word it takes for the client's address, how much it "
    "reads, and how it keeps connections. Names that begin with ``nginx_`` are those of Kong; "
    "kongtx honours the ones listed here.",
    (
        array(
            "headers",
            "server_tokens, latency_tokens, X-Kong-Request-Id",
            """Headers that the gateway adds to responses: ``Server``, ``Via``,
            ``X-Kong-Proxy-Latency``, ``X-Kong-Response-Latency``, ``X-Kong-Upstream-Latency``,
            ``X-Kong-Admin-Latency``, ``X-Kong-Upstream-Status``, ``X-Kong-Request-Id``;
            ``server_tokens`` stands for the first two and ``latency_tokens`` for the four
            latencies. A list replaces the default altogether; ``off`` adds none.""",
            check=words("off", *RESPONSE_HEADERS),
        ),
        array(
            "headers_upstream",
            "X-Kong-Request-Id",
            """Headers that the gateway adds to requests for upstreams: ``X-Kong-Request-Id``,
            or ``off``.""",
            check=words("off", *UPSTREAM_HEADERS),
        ),
        array(
            "trusted_ips",
            None,
            """Addresses and blocks (``10.0.0.0/8``) of proxies in front whose
            ``X-Forwarded-*`` headers are believed; ``unix:`` means clients on UNIX sockets.
            Nobody is believed without a value; ``0.0.0.0/0, ::/0`` believes everybody.""",
            check=_TRUSTED,
        ),
        string(
            "real_ip_header",
            "X-Real-IP",
            """Header in which a trusted proxy tells the client's address, such as
            ``X-Forwarded-For``; ``proxy_protocol`` takes it from the PROXY header, for which
            the listener needs the flag of that name.""",
            alias_of="nginx_proxy_real_ip_header",
        ),
        switch(
            "real_ip_recursive",
            "off",
            """Whether the client is the last address in ``real_ip_header`` that is not trusted
            (``on``), or simply the last one (``off``).""",
            alias_of="nginx_proxy_real_ip_recursive",
        ),
        string(
            "nginx_proxy_real_ip_header",
            "X-Real-IP",
            "The same as ``real_ip_header``.",
            hidden=True,
        ),
        switch(
            "nginx_proxy_real_ip_recursive",
            "off",
            "The same as ``real_ip_recursive``.",
            hidden=True,
        ),
        enumeration(
            "error_default_type",
            "text/plain",
            ("application/json", "application/xml", "text/html", "text/plain"),
            "Media type of the gateway's own errors for clients that send no ``Accept``.",
        ),
        integer(
            "upstream_keepalive_pool_size",
            "512",
            """Idle connections that a worker keeps for each upstream address; 0 closes every
            connection after its request.""",
        ),
        integer(
            "upstream_keepalive_max_requests",
            "10000",
            "Requests after which an upstream connection is closed; 0 sets no limit.",
        ),
        number(
            "upstream_keepalive_idle_timeout",
            "60",
            "Seconds that an upstream connection may stay idle; 0 sets no limit.",
        ),
        integer(
            "upstream_max_connections",
            "0",
            """Connections that a worker has in use to one upstream address at a time; further
            requests wait for one, as long as connecting may take. 0 sets no limit. Not in
            Kong.""",
        ),
        boolean(
            "allow_debug_header",
            "off",
            """Whether a request with ``Kong-Debug: 1`` is answered with the names and ids of
            the route and service that matched.""",
        ),
        boolean(
            "request_debug",
            "on",
            """Whether ``X-Kong-Request-Debug`` in a request makes the gateway report where its
            time went. Requests that come from loopback need no token.""",
            mark=Mark.NGINX,
        ),
        string(
            "request_debug_token",
            None,
            """Token that other clients send in ``X-Kong-Request-Debug-Token``. Without a value
            Kong makes one at every start.""",
            mark=Mark.NGINX,
            sensitive=True,
            shown_default="random",
        ),
        string(
            "nginx_events_worker_connections",
            "auto",
            "Connections of an nginx worker.",
            mark=Mark.NGINX,
        ),
        switch(
            "nginx_events_multi_accept",
            "on",
            "Whether an nginx worker accepts several connections at once.",
            mark=Mark.NGINX,
        ),
        size(
            "nginx_http_client_header_buffer_size",
            "1k",
            "First buffer for a request's headers in nginx.",
            mark=Mark.NGINX,
        ),
        string(
            "nginx_http_large_client_header_buffers",
            "4 8k",
            """Limits of a request's head: one line may be as large as one buffer (else the
            answer is 414 or 400), all of it as large as all of them together.""",
            check=_buffers,
        ),
        size(
            "nginx_http_client_max_body_size",
            "0",
            "Largest body of a proxied request (else the answer is 413); 0 sets no limit.",
        ),
        size(
            "nginx_admin_client_max_body_size",
            "10m",
            "Largest body of a request to the Admin API.",
        ),
        duration(
            "nginx_http_client_header_timeout",
            "60s",
            "Time within which a request's head must arrive (else the answer is 408).",
        ),
        duration(
            "nginx_http_client_body_timeout",
            "60s",
            "Time between two arrivals of a request's body (else the answer is 408).",
        ),
        duration(
            "nginx_http_send_timeout",
            "60s",
            "Time between two parts of a response that the client takes.",
        ),
        duration(
            "nginx_http_keepalive_timeout",
            "75s",
            "Time that an idle client connection is kept; 0 closes it after each response.",
        ),
        integer(
            "nginx_http_keepalive_requests",
            "10000",
            "Requests after which a client connection is closed.",
        ),
        string(
            "nginx_http_charset",
            "UTF-8",
            "Character set that nginx adds to ``Content-Type``.",
            mark=Mark.NGINX,
        ),
        size(
            "nginx_http_client_body_buffer_size",
            "8k",
            "Part of a body that nginx keeps in memory.",
            mark=Mark.NGINX,
        ),
        size(
            "nginx_admin_client_body_buffer_size",
            "10m",
            "The same for the Admin API.",
            mark=Mark.NGINX,
        ),
        size(
            "client_body_buffer_size",
            "8k",
            "Former name of ``nginx_http_client_body_buffer_size``.",
            mark=Mark.NGINX,
            hidden=True,
        ),
        integer(
            "nginx_http_lua_regex_match_limit",
            "100000",
            """Steps after which a regular expression that backtracks gives up. Routes use an
            engine that never backtracks; this is for patterns that plugins ask for.""",
        ),
        integer(
            "nginx_http_lua_regex_cache_max_entries",
            "8192",
            "Compiled expressions that OpenResty keeps.",
            mark=Mark.NGINX,
        ),
    ),
)
