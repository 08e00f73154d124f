"""What every answer has, and what becomes of bad requests."""

from __future__ import annotations

import gzip
import json
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol

from kongtx._version import KONG_VERSION
from kongtx.admin.context import AdminContext
from kongtx.admin.settings import AdminSettings
from kongtx.admin.site import endpoints_of, make_admin_site
from kongtx.db.errors import EntityNotFoundError
from tests.admin.support import Client, FakeNode, serving

FORM = "application/x-www-form-urlencoded"


class _Collector(Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.done.callback(self.data)


async def raw_exchange(client: Client, sent: bytes) -> bytes:
    """What comes back for some bytes until the connection ends."""
    endpoint = HostnameEndpoint(reactor, "127.0.0.1", client.port)
    collector = await connectProtocol(endpoint, _Collector())
    collector.transport.write(sent)
    return await collector.done


@pytest_twisted.ensureDeferred
async def test_every_answer_has_the_same_headers(client: Client) -> None:
    for method, path in (("GET", "/services"), ("GET", "/nowhere"), ("POST", "/services")):
        reply = await client.ask(method, path, {} if method == "POST" else None)
        assert reply.headers["content-type"] == "application/json; charset=utf-8"
        assert reply.headers["content-length"] == str(len(reply.raw))
        assert reply.headers["server"] == f"kong/{KONG_VERSION}"
        assert reply.headers["x-kong-admin-latency"].isdigit()
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-credentials"] == "true"
        assert "date" in reply.headers


@pytest_twisted.ensureDeferred
async def test_json_is_compact_and_unicode(client: Client) -> None:
    await client.make("/consumers", {"username": "\u00e9"})
    reply = await client.get("/consumers")
    assert b'"username":"\xc3\xa9"' in reply.raw
    assert (await client.get("/routes")).raw == b'{"data":[],"next":null}'


@pytest_twisted.ensureDeferred
async def test_head_is_get_without_body(client: Client) -> None:
    got, head = await client.get("/services"), await client.ask("HEAD", "/services")
    assert (head.status, head.raw) == (200, b"")
    sent = b"HEAD /services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    length = got.headers["content-length"].encode()
    assert b"\r\nContent-Length: " + length + b"\r\n" in await raw_exchange(client, sent)
    missing = await client.ask("HEAD", "/nowhere")
    assert (missing.status, missing.raw) == (404, b"")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/services", "GET, HEAD, OPTIONS, POST"),
        ("/services/x", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/services/x/routes/y", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_options_tell_the_methods(client: Client, path: str, allowed: str) -> None:
    headers = {"Access-Control-Request-Headers": "X-A", "Origin": "http://o"}
    reply = await client.ask("OPTIONS", path, headers=headers)
    assert (reply.status, reply.raw) == (204, b"")
    assert reply.headers["allow"] == allowed
    assert reply.headers["access-control-allow-methods"] == allowed
    assert reply.headers["access-control-allow-headers"] == "X-A"
    assert reply.headers["access-control-allow-origin"] == "http://o"
    bare = await client.ask("OPTIONS", path)
    assert bare.headers["access-control-allow-headers"] == "Content-Type"


@pytest_twisted.ensureDeferred
async def test_unknown_paths_and_methods(client: Client) -> None:
    for method in ("GET", "POST", "OPTIONS", "FOO"):
        data = {} if method == "POST" else None
        reply = await client.ask(method, "/nowhere", data)
        assert (reply.status, reply.json) == (404, {"message": "Not found"})
    for method, path in (("DELETE", "/services"), ("POST", "/services/x"), ("FOO", "/services")):
        data = {} if method == "POST" else None
        reply = await client.ask(method, path, data)
        assert (reply.status, reply.json) == (405, {"message": "Method not allowed"})


@pytest_twisted.ensureDeferred
async def test_robots_are_sent_away(client: Client) -> None:
    reply = await client.get("/robots.txt")
    assert (reply.status, reply.raw) == (200, b"User-agent: *\nDisallow: /")


class TestOrigins:
    """Browsers may come from the Manager's pages alone when those are known."""

    @pytest.fixture
    def settings(self) -> AdminSettings:
        return AdminSettings(origins=("http://a:8002", "https://b"), server=None, latency=False)

    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [("https://b", "https://b"), ("http://evil", "http://a:8002"), (None, "http://a:8002")],
    )
    @pytest_twisted.ensureDeferred
    async def test_the_origin_is_echoed_only_if_known(
        self, client: Client, origin: str | None, allowed: str
    ) -> None:
        headers = {} if origin is None else {"Origin": origin}
        reply = await client.get("/services", headers=headers)
        assert reply.headers["access-control-allow-origin"] == allowed

    @pytest_twisted.ensureDeferred
    async def test_tokens_can_be_left_out(self, client: Client) -> None:
        reply = await client.get("/services")
        assert "server" not in reply.headers
        assert "x-kong-admin-latency" not in reply.headers


@pytest_twisted.ensureDeferred
async def test_large_answers_are_compressed_when_asked(client: Client) -> None:
    await client.store.add({"services": [{"host": "h"} for _ in range(20)]})
    plain = await client.get("/services")
    packed = await client.get("/services", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.raw) == plain.raw
    refused = await client.get("/services", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x",
        b"{",
        b"[]",
        b'"text"',
        b"1",
        b"null",
        b'{"host":"h",}',
        b"{'host':'h'}",
        b'{"host":"h"} x',
        b'{"host":"a","host":"b"}',
        b'{"healthchecks":{"a":1,"a":2}}',
        b'{"port":NaN}',
        b'{"port":1e999}',
        b'{"port":' + b"9" * 5000 + b"}",
        b'{"host":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a":' * 100_000,
        b"[" * 100_000,
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_json_object_is_refused(client: Client, raw: bytes) -> None:
    for method, path in (("POST", "/services"), ("PUT", "/services/x"), ("PATCH", "/services/x")):
        headers = {"Content-Type": "application/json"}
        reply = await client.ask(method, path, raw=raw, headers=headers)
        assert (reply.status, reply.json) == (400, {"message": "Cannot parse JSON body"})
    assert (await client.get("/services")).json["data"] == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "application/yaml", "Application/json", "", "x"]
)
@pytest_twisted.ensureDeferred
async def test_other_types_are_not_spoken(client: Client, kind: str) -> None:
    reply = await client.post("/services", raw=b"{}", headers={"Content-Type": kind})
    assert reply.status == 415


@pytest_twisted.ensureDeferred
async def test_a_body_needs_a_type_but_nothing_does_not(client: Client) -> None:
    head = "POST /services HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
    reply = await raw_exchange(client, f"{head}2\r\n\r\n{{}}".encode())
    assert reply.startswith(b"HTTP/1.1 415 ")
    reply = await raw_exchange(client, f"{head}0\r\n\r\n".encode())
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"schema violation (host: required field missing)" in reply


@pytest.mark.parametrize("kind", [FORM, "multipart/form-data", "multipart/form-data; boundary=B"])
@pytest_twisted.ensureDeferred
async def test_an_empty_form_says_nothing(client: Client, kind: str) -> None:
    reply = await client.post("/consumers", raw=b"", headers={"Content-Type": kind})
    assert (reply.status, reply.json["fields"]) == (
        400,
        {"@entity": ["at least one of these fields must be non-empty: 'custom_id', 'username'"]},
    )


@pytest_twisted.ensureDeferred
async def test_a_child_can_leave_its_parent(client: Client) -> None:
    await client.make("/services", {"name": "s", "host": "h"})
    made = await client.make("/services/s/plugins", {"name": "cors"})
    left = await client.patch(f"/services/s/plugins/{made['id']}", {"service": None})
    assert (left.status, left.json["service"]) == (200, None)
    assert (await client.get(f"/services/s/plugins/{made['id']}")).status == 404


@pytest_twisted.ensureDeferred
async def test_json_values_keep_their_types(client: Client) -> None:
    reply = await client.post("/services", {"host": "h", "port": "80"})
    assert (reply.status, reply.json) == (
        400,
        {
            "code": 2,
            "name": "schema violation",
            "message": "schema violation (port: expected an integer)",
            "fields": {"port": "expected an integer"},
        },
    )


WRONG: list[Any] = [
    {"host": None},
    {"host": 1},
    {"host": ""},
    {"host": "a\0b"},
    {"host": "\ud800"},
    {"host": []},
    {"host": {}},
    {"host": "h", "port": -1},
    {"host": "h", "port": 2**70},
    {"host": "h", "port": 1.5},
    {"host": "h", "port": True},
    {"host": "h", "name": "a b"},
    {"host": "h", "name": "\0"},
    {"host": "h", "id": "x"},
    {"host": "h", "id": 1},
    {"host": "h", "id": None, "created_at": "x"},
    {"host": "h", "tags": "x"},
    {"host": "h", "tags": ["a,b"]},
    {"host": "h", "tags": [None]},
    {"host": "h", "tags": {"a": 1}},
    {"host": "h", "client_certificate": "x"},
    {"host": "h", "client_certificate": {}},
    {"host": "h", "client_certificate": {"id": "x"}},
    {"host": "h", "client_certificate": {"id": 1}},
    {"host": "h", "client_certificate": []},
    {"host": "h", "unknown": 1},
    {"host": "h", "\0": 1},
    {"host": "h", "\ud800": 1},
    {"host": "h", "ws_id": "x"},
    {"host": "h", "ttl": 1},
    {"url": 1},
    {"url": "\0"},
]


@pytest.mark.parametrize("data", WRONG, ids=ascii)
@pytest_twisted.ensureDeferred
async def test_wrong_fields_are_schema_violations(client: Client, data: Any) -> None:
    reply = await client.post("/services", data)
    assert (reply.status, reply.json["code"]) == (400, 2)
    assert reply.json["name"] == "schema violation"
    assert set(reply.json) == {"code", "name", "message", "fields"}
    assert (await client.get("/services")).json["data"] == []


@pytest_twisted.ensureDeferred
async def test_forms_have_the_types_of_the_schema(client: Client) -> None:
    form = "host=h&port=81&tags[]=a&tags[]=b&enabled=false&path=&name=s%C3%A9"
    reply = await client.post("/services", form=form)
    entity = reply.json
    assert reply.status == 201
    assert (entity["port"], entity["tags"], entity["enabled"]) == (81, ["a", "b"], False)
    assert (entity["path"], entity["name"]) == (None, "s\u00e9")
    changed = await client.patch(f"/services/{entity['id']}", form="tags=x&name=")
    assert (changed.json["tags"], changed.json["name"]) == (["x"], None)
    nested = f"service.id={entity['id']}&paths[1]=/a&headers[x-a]=1"
    assert (await client.post("/routes", form=nested)).json["headers"] == {"x-a": ["1"]}
    for bad in ("host=h&port=x", "host=%FF", "host=a%00", "host=h&enabled=1", "a[b[c=1", "=&&"):
        assert (await client.post("/services", form=bad)).status == 400, bad


@pytest_twisted.ensureDeferred
async def test_plugin_forms_follow_the_plugin(client: Client) -> None:
    made = await client.post("/plugins", form="name=rate-limiting&config.minute=5")
    assert (made.status, made.json["config"]["minute"]) == (201, 5)
    changed = await client.patch(f"/plugins/{made.json['id']}", form="config.hour=9&enabled=false")
    config = changed.json["config"]
    assert (config["minute"], config["hour"], changed.json["enabled"]) == (5, 9, False)


@pytest_twisted.ensureDeferred
async def test_multipart_forms_are_forms(client: Client) -> None:
    def part(disposition: str, text: str) -> str:
        return f"--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{text}\r\n"

    parts = [
        part('name="host"', "h"),
        part('name="port"; filename="p.txt"', "81"),
        part('name="tags[]"', "a"),
        part('name="tags[]"', "b"),
    ]
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    raw = ("".join(parts) + "--B--\r\n").encode()
    reply = await client.post("/services", raw=raw, headers=headers)
    assert reply.status == 201, reply.raw
    assert (reply.json["port"], reply.json["tags"]) == (81, ["a", "b"])
    for bad_type, bad in (
        ("multipart/form-data", raw),
        ("multipart/form-data; boundary=", raw),
        ("multipart/form-data; boundary=C", raw),
        ("multipart/form-data; boundary=B", raw[:-10]),
        ("multipart/form-data; boundary=B", b"--B\r\n\r\n\r\n--B--\r\n"),
        ("multipart/form-data; boundary=B", raw.replace(b"81", b"\xff")),
    ):
        reply = await client.post("/services", raw=bad, headers={"Content-Type": bad_type})
        assert (reply.status, "message" in reply.json) == (400, True), (bad_type, bad)


@pytest_twisted.ensureDeferred
async def test_arguments_are_counted(client: Client) -> None:
    many = "&".join(f"a{number}=1" for number in range(1001))
    for reply in (await client.post("/services", form=many), await client.get(f"/services?{many}")):
        assert (reply.status, reply.json) == (400, {"message": "Too many arguments"})


class TestLargeBodies:
    """Bodies have a limit."""

    @pytest.fixture
    def settings(self) -> AdminSettings:
        return AdminSettings(body_limit=1000)

    @pytest_twisted.ensureDeferred
    async def test_a_body_at_the_limit_is_read(self, client: Client) -> None:
        raw = json.dumps({"host": "h"}).encode()
        raw += b" " * (1000 - len(raw))
        headers = {"Content-Type": "application/json"}
        assert (await client.post("/services", raw=raw, headers=headers)).status == 201
        reply = await client.post("/services", raw=raw + b" ", headers=headers)
        assert (reply.status, reply.json) == (413, {"message": "Request Entity Too Large"})

    @pytest_twisted.ensureDeferred
    async def test_a_chunked_body_is_counted_too(self, client: Client) -> None:
        chunk = b"100\r\n" + b" " * 256 + b"\r\n"
        head = (
            b"POST /services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        reply = await raw_exchange(client, head + chunk * 5 + b"0\r\n\r\n")
        assert reply.startswith(b"HTTP/1.1 413 ")
        assert await raw_exchange(client, head + chunk * 100) == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_http_is_refused(client: Client, sent: bytes) -> None:
    reply = await raw_exchange(client, sent)
    assert reply.startswith(b"HTTP/1.1 400 ") or reply == b""


@pytest_twisted.ensureDeferred
async def test_a_database_that_fails_is_a_500_without_details(client: Client) -> None:
    await client.store.stop()
    reply = await client.get("/services")
    assert (reply.status, reply.json) == (500, {"message": "An unexpected error occurred"})


@attrs.frozen
class _Auth:
    mode: str
    good: str
    bad: tuple[str | None, ...]


@pytest.mark.parametrize(
    "case",
    [
        _Auth(
            "basic",
            "Basic dXNlcjpzZWNyZXQ=",
            (None, "", "Basic", "Basic x", "Basic dXNlcjpvdGhlcg==", "Bearer secret", "Basic /w=="),
        ),
        _Auth("token", "Bearer secret", (None, "Bearer", "Bearer ", "Bearer other", "secret")),
    ],
    ids=["basic", "token"],
)
class TestAuth:
    """Who is asked for credentials has to have them."""

    @pytest.fixture
    def settings(self, case: _Auth) -> AdminSettings:
        return AdminSettings(auth=case.mode, users={"user": "secret"}, tokens={"ci": "secret"})

    @pytest_twisted.ensureDeferred
    async def test_only_the_right_credentials_open(self, client: Client, case: _Auth) -> None:
        for header in case.bad:
            headers = {} if header is None else {"Authorization": header}
            reply = await client.get("/services", headers=headers)
            assert (reply.status, reply.json) == (401, {"message": "Unauthorized"}), header
            assert (
                reply.headers["www-authenticate"]
                .lower()
                .startswith({"basic": "basic", "token": "bearer"}[case.mode])
            )
        reply = await client.get("/services", headers={"Authorization": case.good})
        assert reply.status == 200
        assert (await client.ask("OPTIONS", "/services")).status == 204


@pytest_twisted.ensureDeferred
async def test_text_beyond_ascii_has_to_be_encoded(client: Client) -> None:
    made = await client.make("/consumers", {"username": "\u00e9", "tags": ["\u00e9"]})
    assert (await client.get("/consumers/%C3%A9")).json == made
    assert (await client.get("/consumers?tags=%C3%A9")).json["data"] == [made]
    for target in ("/consumers/\u00e9", "/consumers?tags=\u00e9"):
        sent = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        assert (await raw_exchange(client, sent)).startswith(b"HTTP/1.1 400 ")


@pytest_twisted.ensureDeferred
async def test_plugins_add_endpoints(client: Client, node: FakeNode) -> None:
    class Adding:
        def admin_endpoints(self, node: object) -> Any:
            async def show(call: Any) -> Any:
                if call.parameter("key") == "missing":
                    raise EntityNotFoundError.by_key({"key": "missing"})
                return 200, {"key": call.parameter("key"), "node": node}, {"X-Mine": "1"}

            async def refuse(call: Any) -> Any:
                return int(call.parameter("status")), None, {}

            return {
                "/mine/{key}": {"GET": show},
                "/refuse/{status}": {"GET": refuse},
                "/services/{services}": {"POST": show},
            }

    extra = endpoints_of([Adding(), object()], "admin_endpoints", "n")
    site = make_admin_site(AdminContext(client.store, AdminSettings(), node), extra)
    async with serving(site, client.store) as extended:
        reply = await extended.get("/mine/a%2Fb")
        assert (reply.status, reply.json) == (200, {"key": "a/b", "node": "n"})
        assert reply.headers["x-mine"] == "1"
        assert (await extended.get("/mine/missing")).json["code"] == 6
        assert (await extended.get("/refuse/404")).json == {"message": "Not found"}
        assert (await extended.get("/refuse/403")).json == {"message": "Forbidden"}
        assert (await extended.post("/mine/x", {})).status == 405
        allowed = (await extended.ask("OPTIONS", "/services/x")).headers["allow"]
        assert allowed == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
        assert "/mine/{key}" in (await extended.get("/endpoints")).json["data"]


@pytest.mark.parametrize(
    ("method", "path", "data", "fields"),
    [
        (
            "PUT",
            "/routes/r",
            {},
            {
                "@entity": [
                    "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when "
                    "'protocols' is 'https'"
                ]
            },
        ),
        (
            "PUT",
            "/routes/r",
            {"methods": ["GET"], "protocols": ["foo", "http"]},
            {
                "protocols": [
                    "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp"
                ]
            },
        ),
        (
            "PUT",
            "/routes/r",
            {"paths": ["/"], "regex_priority": "foobar"},
            {"regex_priority": "expected an integer"},
        ),
        ("PUT", "/routes/r", {"routes": {"test": [{"test": "test"}]}, "tags": "test"}, None),
        ("PATCH", "/plugins/p", {"config": "bar"}, {"config": "expected a record"}),
        ("PATCH", "/plugins/p", {"foo": "bar"}, {"foo": "unknown field"}),
        ("POST", "/services", {"url": " "}, None),
        ("POST", "/services", {"url": ""}, None),
        ("POST", "/services/s/plugins", {}, {"name": "required field missing"}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_wrong_data_has_kongs_fields(
    client: Client, method: str, path: str, data: Any, fields: Any
) -> None:
    await client.make("/plugins", {"name": "key-auth", "instance_name": "p"})
    await client.make("/services", {"name": "s", "host": "h"})
    reply = await client.ask(method, path, data)
    assert (reply.status, reply.json["code"]) == (400, 2)
    if fields is not None:
        assert reply.json["fields"] == fields


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/cache/%FF", 404),
        ("HEAD", "/cache/%FF", 404),
        ("DELETE", "/cache/%FF", 204),
        ("GET", "/consumers?tags=%FF", 400),
        ("GET", "/consumers?size=%FF", 400),
        ("GET", "/consumers?offset=%FF", 400),
        ("GET", "/consumers?tags=%ED%A0%80", 400),
        ("GET", "/consumers/%FF", 400),
        ("GET", "/tags/%FF", 400),
        ("GET", "/upstreams/%FF/targets/%FF", 400),
        ("GET", "/upstreams/%FF/health", 400),
        ("GET", "/schemas/%FF", 404),
        ("GET", "/schemas/plugins/%FF", 404),
    ],
)
@pytest_twisted.ensureDeferred
async def test_octets_that_are_no_text_are_no_fault_of_the_gateway(
    client: Client, method: str, path: str, status: int
) -> None:
    assert (await client.ask(method, path)).status == status
