"""Access log lines."""

import json
import os
import time

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.proxy.interfaces import ILogSink
from kongtx.runtime.errors import LogFormatError
from kongtx.runtime.logs.access import (
    NoAccessLog,
    compile_format,
    json_format,
    renderer_for,
    split_access_log,
)
from kongtx.runtime.logs.service import Logs, LogSettings

#: 2026-03-04 05:06:07 UTC
NOW = 1772600767.25


@define
class Connection:
    local: tuple = ("192.0.2.1", 8000)
    serial: int = 7
    requests: int = 2


@define
class Try:
    address: str
    port: int


@define
class Request:
    """What an access log reads of an L{kongtx.proxy.interfaces.IRequestContext}."""

    source: tuple = ("203.0.113.9", 5000)
    client_port: int = 5000
    raw_method: bytes = b"GET"
    target: bytes = b"/a?b=1"
    path: bytes = b"/a"
    query: bytes = b"b=1"
    http_version: bytes = b"1.1"
    host: bytes = b"example.com"
    scheme: bytes = b"http"
    sni: bytes = b""
    status: int = 200
    body_bytes_sent: int = 512
    response_size: int = 700
    request_size: int = 90
    total_ms: int = 12
    proxy_latency_ms: int = 3
    upstream_latency_ms: int = 8
    upstream_status: int = 200
    request_id: bytes = b"0123456789abcdef0123456789abcdef"
    headers: dict = field(factory=dict)
    response_headers: list = field(factory=list)
    connection: Connection = field(factory=Connection)
    tries: list = field(factory=list)
    route: dict | None = None
    service: dict | None = None
    consumer: dict | None = None

    def get_header(self, name):
        return self.headers.get(name)


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def render(template, request=None):
    return compile_format(template, lambda: NOW)(request or Request()).decode()


def test_the_default_line_is_kongs():
    request = Request(headers={b"user-agent": b"curl/8", b"referer": b"http://x/"})
    line = renderer_for(None, None, "text", lambda: NOW)(request)
    assert line == (
        b'203.0.113.9 - - [04/Mar/2026:05:06:07 +0000] "GET /a?b=1 HTTP/1.1" 200 512 '
        b'"http://x/" "curl/8" kong_request_id: "0123456789abcdef0123456789abcdef"\n'
    )


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("$remote_addr:$remote_port", "203.0.113.9:5000"),
        ("$time_iso8601", "2026-03-04T05:06:07+00:00"),
        ("$msec", "1772600767.250"),
        ("$request_method $request_uri $uri $args", "GET /a?b=1 /a b=1"),
        ("$server_protocol", "HTTP/1.1"),
        ("$status/$body_bytes_sent/$bytes_sent/$request_length", "200/512/700/90"),
        ("$request_time", "0.012"),
        ("$upstream_response_time $kong_proxy_latency", "0.008 3"),
        ("$host $scheme $ssl_server_name", "example.com http -"),
        ("$server_addr:$server_port $connection/$connection_requests", "192.0.2.1:8000 7/2"),
        ("${status}ms 100% %d", "200ms 100% %d"),
        ("$upstream_addr $upstream_status", "- 200"),
        ("$route $service $consumer", "- - -"),
        ("no variables", "no variables"),
    ],
)
def test_variables(template, line):
    assert render(template) == line + "\n"


def test_entities_are_shown_by_name_else_by_id():
    request = Request(
        route={"id": "r-id", "name": None},
        service={"id": "s-id", "name": "svc"},
        consumer={"id": "c-id", "username": "bob"},
    )
    assert render("$route $service $consumer", request) == "r-id svc bob\n"


def test_headers_either_way():
    request = Request(
        headers={b"x-a": b"1"}, response_headers=[(b"Set-Cookie", b"a"), (b"set-cookie", b"b")]
    )
    assert render("$http_x_a $http_x_b $sent_http_set_cookie", request) == "1 - a, b\n"


@pytest.mark.parametrize(
    ("value", "user"),
    [
        (b"Basic dXNlcjpwYXNz", "user"),
        (b"basic dXNlcg==", "user"),
        (b"Bearer x", "-"),
        (b"Basic !", "-"),
        (b"Basic dTpz", "u"),
    ],
)
def test_the_user_of_basic_authentication_without_the_password(value, user):
    assert render("$remote_user", Request(headers={b"authorization": value})) == user + "\n"


def test_upstreams_are_shown_in_the_order_they_were_tried():
    request = Request(tries=[Try("10.0.0.1", 80), Try("10.0.0.2", 81)])
    assert render("$upstream_addr", request) == "10.0.0.1:80, 10.0.0.2:81\n"


def test_without_an_upstreams_answer_its_time_is_a_dash():
    request = Request(upstream_latency_ms=-1, upstream_status=0)
    assert render("$upstream_response_time $upstream_status", request) == "- -\n"


@given(st.binary(), st.binary())
def test_no_client_can_forge_a_line_or_a_field(target, agent):
    line = compile_format('"$request" "$http_user_agent"')(
        Request(target=target, headers={b"user-agent": agent})
    )
    assert line.count(b"\n") == 1
    assert line.count(b'"') == 4
    assert line.isascii()


def test_an_unknown_variable_is_named_with_the_known_ones():
    with pytest.raises(LogFormatError, match=r"no variable \$remote_adr; there are \$args"):
        compile_format("$remote_adr")


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("logs/access.log", ("logs/access.log", None)),
        ("logs/access.log combined", ("logs/access.log", "combined")),
        ("/my logs/access.log json", ("/my logs/access.log", "json")),
        ("/my logs/access.log", ("/my logs/access.log", None)),
        ("off", ("off", None)),
    ],
)
def test_a_format_may_be_named_after_the_path(value, parts):
    assert split_access_log(value) == parts


def test_the_nearest_setting_decides_the_format():
    request = Request()
    assert renderer_for(None, "$status", "json")(request) == b"200\n"
    assert renderer_for("combined", "$status", "text", lambda: NOW)(request).endswith(b'"-"\n')
    assert json.loads(renderer_for(None, None, "json")(request))["status"] == 200
    assert json.loads(renderer_for("json", "$status", "text")(request))["status"] == 200


def test_json_lines():
    request = Request(
        route={"id": "r", "name": None},
        tries=[Try("10.0.0.1", 80)],
        headers={b"user-agent": b'"\n\xff'},
    )
    assert json.loads(json_format(lambda: NOW)(request)) == {
        "time": "2026-03-04T05:06:07+00:00",
        "remote_addr": "203.0.113.9",
        "method": "GET",
        "uri": "/a?b=1",
        "protocol": "HTTP/1.1",
        "host": "example.com",
        "status": 200,
        "body_bytes_sent": 512,
        "request_length": 90,
        "request_time_ms": 12,
        "referer": None,
        "user_agent": '"\n\\xff',
        "upstream": "10.0.0.1:80",
        "upstream_status": 200,
        "upstream_latency_ms": 8,
        "route_id": "r",
        "service_id": None,
        "consumer_id": None,
        "request_id": "0123456789abcdef0123456789abcdef",
    }


def test_a_zone_west_of_greenwich(monkeypatch):
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    assert render("$time_local $time_iso8601") == (
        "04/Mar/2026:01:36:07 -0330 2026-03-04T01:36:07-03:30\n"
    )


def test_lines_are_written_soon_and_when_the_logs_stop(tmp_path):
    clock = Clock()
    logs = Logs(LogSettings(str(tmp_path), error_log="off", access_log_format="$status"), clock)
    logs.startService()
    sink = logs.access_log("access.log")
    verifyObject(ILogSink, sink)
    sink.log(Request(status=201))
    sink.log(Request(status=404))
    clock.advance(1)
    assert (tmp_path / "access.log").read_text() == "201\n404\n"
    sink.log(Request(status=500))
    logs.stopService()
    assert (tmp_path / "access.log").read_text() == "201\n404\n500\n"


def test_an_access_log_that_is_off_makes_no_file(tmp_path):
    logs = Logs(LogSettings(str(tmp_path), error_log="off"), Clock())
    for value in ("off", None):
        sink = logs.access_log(value)
        assert isinstance(sink, NoAccessLog)
        verifyObject(ILogSink, sink)
        sink.log(Request())
    assert os.listdir(tmp_path) == []
