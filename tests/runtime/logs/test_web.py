"""The access log of twisted.web sites."""

import json
import time

import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from kongtx.runtime.logs.service import Logs, LogSettings
from kongtx.runtime.logs.web import log_site


class Hello(Resource):
    isLeaf = True

    def render_POST(self, request):
        request.started = time.monotonic() - 2
        request.setHeader(b"x-a", b"1")
        request.setResponseCode(201)
        return b"hello"


async def lines(tmp_path, **settings):
    """The access log after one POST with a body of three bytes."""
    logs = Logs(LogSettings(str(tmp_path), error_log="off", **settings), reactor)
    logs.startService()
    site = Site(Hello())
    log_site(site, logs.access_log("admin_access.log"))
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    number = port.getHost().port
    url = f"http://127.0.0.1:{number}/x?y=1"
    response = await treq.post(url, data=b"abc", persistent=False, auth=("bob", "pw"))
    assert await response.content() == b"hello"
    await port.stopListening()
    logs.stopService()
    return (tmp_path / "admin_access.log").read_text(), number


@pytest_twisted.ensureDeferred
async def test_a_request_gets_a_line_with_what_is_known_of_it(tmp_path):
    written, port = await lines(
        tmp_path,
        access_log_format=(
            "$remote_addr $remote_user $request $status $body_bytes_sent $request_length $args "
            "$sent_http_x_a $http_content_length $host $server_port $scheme $upstream_addr "
            "$request_time"
        ),
    )
    rest, _, took = written.rstrip("\n").rpartition(" ")
    assert rest == f"127.0.0.1 bob POST /x?y=1 HTTP/1.1 201 5 3 y=1 1 3 127.0.0.1 {port} http -"
    assert 2.0 <= float(took) < 60.0


@pytest_twisted.ensureDeferred
async def test_or_a_json_line(tmp_path):
    written, _ = await lines(tmp_path, log_format="json")
    entry = json.loads(written)
    assert (entry["method"], entry["uri"], entry["status"]) == ("POST", "/x?y=1", 201)
    assert entry["upstream_status"] is None
