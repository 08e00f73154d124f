"""The access log. Hot path: a format becomes one function once; benchmarks/access_log.py.

The variables are nginx's (https://nginx.org/en/docs/varindex.html), where they mean something here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from zope.interface import implementer

from kongtx.proxy.interfaces import ILogSink
from kongtx.runtime.errors import LogFormatError
from kongtx.runtime.logs.files import LogFile

#: Makes a line, with its end, of a request (L{kongtx.proxy.interfaces.IRequestContext}).
Renderer = Callable[[Any], bytes]

COMBINED = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent"'
)
#: Formats that can be named.
FORMATS: Mapping[str, str] = {
    "combined": COMBINED,
    "kong_log_format": COMBINED + ' kong_request_id: "$request_id"',
}
DEFAULT_FORMAT = "kong_log_format"

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_UNSAFE = re.compile(rb'[\x00-\x1f"\\\x7f-\xff]')
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _escape(value: bytes | None) -> bytes:
    """As nginx's default escaping: bytes that could end a field, or a line, become C{\\xXX}."""
    if not value:
        return b"-"
    if _UNSAFE.search(value) is None:
        return value
    return _UNSAFE.sub(lambda match: b"\\x%02X" % match[0][0], value)


def _text(value: object) -> bytes:
    return _escape(str(value).encode("utf-8", "backslashreplace")) if value else b"-"


class _Now:
    """The time in the forms of a log, made once a second."""

    __slots__ = ("_second", "iso8601", "local")

    def __init__(self) -> None:
        self._second = 0
        self.local = self.iso8601 = b""

    def at(self, now: float) -> _Now:
        second = int(now)
        if second != self._second:
            self._second = second
            there = time.localtime(second)
            sign, offset = (
                ("-", -there.tm_gmtoff) if there.tm_gmtoff < 0 else ("+", there.tm_gmtoff)
            )
            zone = f"{sign}{offset // 3600:02}", f"{offset % 3600 // 60:02}"
            month = _MONTHS[there.tm_mon - 1]
            self.local = time.strftime(f"%d/{month}/%Y:%H:%M:%S ", there).encode()
            self.local += "".join(zone).encode()
            self.iso8601 = time.strftime("%Y-%m-%dT%H:%M:%S", there).encode()
            self.iso8601 += ":".join(zone).encode()
        return self


def _user(request: Any) -> bytes:
    """The user name of basic authentication."""
    value = request.get_header(b"authorization")
    if value is None or value[:6].lower() != b"basic ":
        return b"-"
    try:
        return _escape(base64.b64decode(value[6:]).partition(b":")[0])
    except (binascii.Error, ValueError):
        return b"-"


def _sent(request: Any, name: bytes) -> bytes:
    values = [value for key, value in request.response_headers if key.lower() == name]
    return _escape(b", ".join(values))


def _upstream_addresses(request: Any) -> bytes:
    return b", ".join(b"%s:%d" % (t.address.encode(), t.port) for t in request.tries) or b"-"


#: Variables as expressions of C{r}, the request; a C{%d} or C{%.3f} form where one is given.
_EXPRESSIONS: Mapping[str, tuple[str, str]] = {
    "remote_addr": ("%b", "text(r.source[0])"),
    "remote_port": ("%d", "r.client_port"),
    "remote_user": ("%b", "user(r)"),
    "time_local": ("%b", "now.at(clock()).local"),
    "time_iso8601": ("%b", "now.at(clock()).iso8601"),
    "msec": ("%.3f", "clock()"),
    "request": ("%b", "escape(b'%b %b HTTP/%b' % (r.raw_method, r.target, r.http_version))"),
    "request_method": ("%b", "escape(r.raw_method)"),
    "request_uri": ("%b", "escape(r.target)"),
    "uri": ("%b", "escape(r.path)"),
    "args": ("%b", "escape(r.query)"),
    "query_string": ("%b", "escape(r.query)"),
    "server_protocol": ("%b", "b'HTTP/' + r.http_version"),
    "status": ("%d", "r.status"),
    "body_bytes_sent": ("%d", "r.body_bytes_sent"),
    "bytes_sent": ("%d", "r.response_size"),
    "request_length": ("%d", "r.request_size"),
    "request_time": ("%.3f", "r.total_ms / 1000"),
    "request_id": ("%b", "escape(r.request_id)"),
    "host": ("%b", "escape(r.host)"),
    "scheme": ("%b", "escape(r.scheme)"),
    "server_addr": ("%b", "text(r.connection.local[0])"),
    "server_port": ("%d", "r.connection.local[1]"),
    "ssl_server_name": ("%b", "escape(r.sni)"),
    "connection": ("%d", "r.connection.serial"),
    "connection_requests": ("%d", "r.connection.requests"),
    "upstream_addr": ("%b", "upstream_addresses(r)"),
    "upstream_status": ("%b", "text(r.upstream_status)"),
    "upstream_response_time": (
        "%b",
        "b'%.3f' % (r.upstream_latency_ms / 1000) if r.upstream_latency_ms >= 0 else b'-'",
    ),
    "kong_proxy_latency": ("%d", "r.proxy_latency_ms"),
    "route": ("%b", "text(r.route and (r.route['name'] or r.route['id']))"),
    "service": ("%b", "text(r.service and (r.service['name'] or r.service['id']))"),
    "consumer": ("%b", "text(r.consumer and (r.consumer['username'] or r.consumer['id']))"),
}


def _variable(name: str) -> tuple[str, str]:
    if name.startswith("http_"):
        header = name[5:].replace("_", "-").encode()
        return "%b", f"escape(r.get_header({header!r}))"
    if name.startswith("sent_http_"):
        header = name[10:].replace("_", "-").encode()
        return "%b", f"sent(r, {header!r})"
    try:
        return _EXPRESSIONS[name]
    except KeyError:
        raise LogFormatError(
            f"the access log format has no variable ${name}; there are "
            f"{', '.join('$' + known for known in sorted(_EXPRESSIONS))}, $http_NAME and "
            "$sent_http_NAME"
        ) from None


def compile_format(template: str, clock: Callable[[], float] = time.time) -> Renderer:
    """A function that makes a line of a request.

    @param template: text with C{$variables} (or C{${variables}}).
    @param clock: seconds since the epoch.
    @raise LogFormatError: there is no such variable.
    """
    expressions: list[str] = []

    def place(match: re.Match[str]) -> str:
        form, expression = _variable((match[1] or match[2]).lower())
        expressions.append(expression)
        return form

    parts: list[str] = []
    end = 0
    for match in _VARIABLE.finditer(template):
        parts += [template[end : match.start()].replace("%", "%%"), place(match)]
        end = match.end()
    parts += [template[end:].replace("%", "%%"), "\n"]
    line = "".join(parts).encode()
    # Only expressions from the table above and header names made of word characters get here.
    source = f"lambda r: {line!r} % ({''.join(each + ', ' for each in expressions)})"
    renderer: Renderer = eval(source, _namespace(clock))
    return renderer


def _namespace(clock: Callable[[], float]) -> dict[str, Any]:
    return {
        "escape": _escape,
        "text": _text,
        "user": _user,
        "sent": _sent,
        "upstream_addresses": _upstream_addresses,
        "now": _Now(),
        "clock": clock,
    }


def _plain(value: bytes | None) -> str | None:
    return value.decode("utf-8", "backslashreplace") if value else None


def json_format(clock: Callable[[], float] = time.time) -> Renderer:
    """A function that makes a JSON line of a request."""
    now = _Now()

    def render(r: Any) -> bytes:
        entry = {
            "time": now.at(clock()).iso8601.decode(),
            "remote_addr": r.source[0],
            "method": _plain(r.raw_method),
            "uri": _plain(r.target),
            "protocol": "HTTP/" + r.http_version.decode(),
            "host": _plain(r.host),
            "status": r.status,
            "body_bytes_sent": r.body_bytes_sent,
            "request_length": r.request_size,
            "request_time_ms": r.total_ms,
            "referer": _plain(r.get_header(b"referer")),
            "user_agent": _plain(r.get_header(b"user-agent")),
            "upstream": _plain(_upstream_addresses(r)),
            "upstream_status": r.upstream_status or None,
            "upstream_latency_ms": r.upstream_latency_ms if r.upstream_latency_ms >= 0 else None,
            "route_id": r.route["id"] if r.route else None,
            "service_id": r.service["id"] if r.service else None,
            "consumer_id": r.consumer["id"] if r.consumer else None,
            "request_id": _plain(r.request_id),
        }
        return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    return render


def split_access_log(value: str) -> tuple[str, str | None]:
    """A configured access log as path and name of a format, as in C{logs/access.log combined}."""
    path, _, name = value.strip().rpartition(" ")
    if path and name in (*FORMATS, "json"):
        return path.rstrip(), name
    return value.strip(), None


def renderer_for(
    name: str | None, template: str | None, log_format: str, clock: Callable[[], float] = time.time
) -> Renderer:
    """The renderer that a configuration asks for.

    @param name: of a format beside the path; wins.
    @param template: C{access_log_format}.
    @param log_format: C{text} or C{json}.
    """
    if name == "json" or (name is None and template is None and log_format == "json"):
        return json_format(clock)
    return compile_format(FORMATS[name] if name else template or FORMATS[DEFAULT_FORMAT], clock)


@implementer(ILogSink)
class AccessLog:
    """Writes a line for each request."""

    __slots__ = ("_render", "_write")

    def __init__(self, file: LogFile, render: Renderer) -> None:
        self._render = render
        self._write = file.write_later

    def log(self, request: Any) -> None:
        """See L{ILogSink.log}."""
        self._write(self._render(request))


@implementer(ILogSink)
class NoAccessLog:
    """An access log that is off."""

    __slots__ = ()

    def log(self, request: Any) -> None:
        """See L{ILogSink.log}."""
