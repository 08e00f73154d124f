"""curl and a browser's requests, to an application of Starlette and to go-httpbin."""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import evolve

from tests.acceptance.comparing import ADDED, Answer, curl
from tests.acceptance.conftest import LARGE, Setup

pytestmark = pytest.mark.long

REQUESTS: dict[str, list[str]] = {
    "a page": ["/page"],
    "a page packed": ["/page", "-H", "Accept-Encoding: gzip"],
    "a large page packed as it comes": ["/chunks", "-H", "Accept-Encoding: gzip"],
    "what the application packs itself": ["/packed"],
    "and unpacked by the client": ["/packed", "--compressed"],
    "HEAD": ["/page", "-I"],
    "HEAD of a large file": ["/files/large.bin", "-I"],
    "HEAD where there is nothing": ["/nowhere", "-I"],
    "OPTIONS": ["/echo", "-X", "OPTIONS"],
    "a wrong method": ["/page", "-X", "DELETE"],
    "PATCH with a body": ["/echo", "-X", "PATCH", "-d", "a=1"],
    "DELETE with a body": ["/echo", "-X", "DELETE", "-d", "x"],
    "GET with a body": ["/echo", "-X", "GET", "-d", "x"],
    "an empty POST": ["/echo", "-X", "POST"],
    "a query": ["/echo?a=1&a=2&b=%20+%2F%c3%bc&&=&empty="],
    "a path with escapes": ["/echo/a%20b/%C3%BC/c%2Fd/e+f;g=h,i/~j"],
    "headers": ["/echo", "-H", "X-Test-A: 1", "-H", "X-Test-A: 2", "-H", "X-Test-B;"],
    "credentials": ["/echo", "-u", "me:secret"],
    "a form": ["/echo", "-d", "a=1", "-d", "b=%20"],
    "an upload with a length": ["/upload", "-T", "{large}"],
    "an upload in chunks": ["/upload", "-T", "{large}", "-H", "Transfer-Encoding: chunked"],
    "an upload that is asked for": ["/upload", "-T", "{large}", "-H", "Expect: 100-continue"],
    "a download": ["/files/large.bin"],
    "a part": ["/files/large.bin", "-r", "1000-1999"],
    "the last part": ["/files/large.bin", "-r", "-5"],
    "several parts": ["/files/text.txt", "-r", "0-4,10-14"],
    "a part that is not there": ["/files/text.txt", "-r", "999999999-"],
    "a part of what has changed": ["/files/text.txt", "-r", "0-9", "-H", 'If-Range: "other"'],
    "a static page": ["/static/"],
    "a slash that is missing": ["/static"],
    "chunks": ["/chunks"],
    "chunks for HTTP/1.0": ["/chunks", "--http1.0"],
    "cookies": ["/cookies", "-b", "a=1; b=2"],
    "new cookies": ["/cookies/set"],
    "a redirect to a path": ["/redirect?to=/elsewhere"],
    "a redirect elsewhere": ["/redirect?to=https://example.com/x&as=301"],
    "a redirect of a form": ["/redirect?to=/x&as=303", "-d", "a=1"],
    "no content": ["/status/204"],
    "not modified": ["/status/304"],
    "a status nobody knows": ["/status/299"],
    "a teapot": ["/status/418"],
    "an error of its own": ["/status/503"],
    "a fault": ["/fault"],
    "nowhere": ["/nowhere"],
}


def ask(url: str, options: list[str], setup: Setup) -> Answer:
    path, *rest = [
        option.replace("{large}", str(setup.files / "files/large.bin")) for option in options
    ]
    return curl(url + path, *rest)


@pytest.mark.parametrize("name", REQUESTS)
def test_the_application_is_the_same_through_the_gateway(setup: Setup, name: str) -> None:
    direct, through = (ask(url, REQUESTS[name], setup) for url in setup.application.both())
    assert through.without_added() == direct.without_added()
    assert through.added() == set(ADDED)
    assert direct.added() == set()


@pytest.mark.parametrize("name", ["a page", "an upload with a length", "chunks", "a part", "HEAD"])
def test_it_is_the_same_over_http_2(setup: Setup, name: str) -> None:
    options = [*REQUESTS[name]]
    direct = ask(setup.application.direct, options, setup)
    through = ask(setup.application.through, [*options, "--http2-prior-knowledge"], setup)
    assert through.version == "HTTP/2"
    status, _, headers, body = direct.without_added()
    assert through.without_added() == (status, "", headers, body)


def test_a_path_is_written_anew_as_kong_does(setup: Setup) -> None:
    """The one difference in what is asked for: empty segments and the case of escapes."""
    direct, through = (
        json.loads(curl(f"{url}/echo//a///%c3%bc/../b/").body)["path"]
        for url in setup.application.both()
    )
    assert direct == "/echo//a///%c3%bc/../b/"
    assert through == "/echo/a/b/"


def test_what_a_client_has_is_not_sent_again(setup: Setup) -> None:
    for url in setup.application.both():
        first = curl(f"{url}/files/text.txt")
        fields = dict(first.headers)
        for condition in (
            f"If-None-Match: {fields['etag']}",
            f"If-Modified-Since: {fields['last-modified']}",
        ):
            again = curl(f"{url}/static/text.txt", "-H", condition)
            assert (again.status, again.body) == (304, b"")


def test_a_body_that_is_cut_short_is_cut_short_for_the_client(setup: Setup) -> None:
    for url in setup.application.both():
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        connection.request("GET", f"{parts.path}/cut")
        reply = connection.getresponse()
        assert (reply.status, reply.headers["content-length"]) == (200, "10")
        with pytest.raises(http.client.IncompleteRead) as caught:
            reply.read()
        assert caught.value.partial == b"some"


def test_events_come_one_by_one(setup: Setup) -> None:
    for name, url in zip(("direct", "through"), setup.application.both(), strict=True):
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        connection.request("GET", f"{parts.path}/events?id={name}")
        reply = connection.getresponse()
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reply.readline() + reply.readline() == b"retry: 1000\n\n"
        for what in ("one", "two", "three"):
            # The next event is made when the one before has come: nothing may be held back.
            curl(f"{url}/next?id={name}&what={what}")
            assert reply.readline() + reply.readline() == b"data: %b\n\n" % what.encode()
        curl(f"{url}/next?id={name}&what=end")
        assert reply.read() == b""


def test_a_slow_client_gets_all_of_a_download(setup: Setup) -> None:
    def fetch(url: str) -> Answer:
        return curl(f"{url}/files/large.bin", "--limit-rate", "20M")

    begun = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        direct, through = pool.map(fetch, setup.application.both())
    assert time.monotonic() - begun > 1
    assert len(direct.body) == LARGE
    assert through.without_added() == direct.without_added()


HTTPBIN: dict[str, list[str]] = {
    "get": ["/get?a=1"],
    "post": ["/post", "-d", "a=1"],
    "json": ["/post", "-d", '{"a": [1]}', "-H", "Content-Type: application/json"],
    "files": ["/post", "-F", "f=@{text};type=text/plain", "-H", "Accept: application/json"],
    "gzip": ["/gzip", "--compressed"],
    "deflate": ["/deflate", "--compressed"],
    "encoding": ["/encoding/utf8"],
    "image": ["/image/png"],
    "base64": ["/base64/aGVsbG8="],
    "bytes": ["/bytes/100000?seed=1"],
    "stream of bytes": ["/stream-bytes/100000?seed=1&chunk_size=777"],
    "range": ["/range/5000", "-r", "100-299"],
    "etag": ["/etag/tag", "-H", 'If-None-Match: "tag"'],
    "etag of another": ["/etag/tag", "-H", 'If-Match: "other"'],
    "cache": ["/cache/60"],
    "drip": ["/drip?duration=1&numbytes=5&delay=0"],
    "cookies": ["/cookies", "-b", "k=v"],
    "setting cookies": ["/cookies/set?k=v"],
    "redirects": ["/redirect/3", "-L"],
    "relative redirect": ["/relative-redirect/1"],
    "basic": ["/basic-auth/u/p", "-u", "u:p"],
    "basic refused": ["/basic-auth/u/p"],
    "bearer": ["/bearer", "-H", "Authorization: Bearer x"],
    "digest": ["/digest-auth/auth/u/p", "-u", "u:p", "--digest"],
    "response headers": ["/response-headers?X-One=1&X-One=2&X-Two=%C3%BC"],
    "statuses": ["/status/429"],
    "trailers": ["/trailers?X-Sum=9", "-H", "TE: trailers"],
    "deny": ["/deny"],
    "robots": ["/robots.txt"],
    "anything": ["/anything/a/b?c=d", "-X", "PUT", "-d", "x"],
}
#: What go-httpbin says of who asked: a gateway is somebody else, and tells of the client.
ASKED = ("Connection", "Via", "X-Kong-Request-Id", "X-Real-Ip")


def told(body: bytes) -> object:
    """What go-httpbin has said in JSON, but for what a gateway adds to a request."""
    value = json.loads(body)
    value.pop("origin", None)
    headers = value.get("headers") or {}
    for name in list(headers):
        if name in ASKED or name.startswith("X-Forwarded-"):
            del headers[name]
    return value


@pytest.mark.parametrize("name", HTTPBIN)
def test_httpbin_is_the_same_through_the_gateway(setup: Setup, name: str) -> None:
    def ask(url: str) -> tuple[object, ...]:
        path, *options = [
            option.replace("{text}", str(setup.files / "files/text.txt"))
            for option in HTTPBIN[name]
        ]
        if "-F" in options:
            options += ["-H", "Content-Type: multipart/form-data; boundary=fixed"]
        answer = curl(url + path, "-H", "Host: httpbin.test", *options)
        if dict(answer.headers).get("content-type", "").startswith("application/json"):
            fields = [each for each in answer.headers if each[0] != "content-length"]
            answer = evolve(answer, headers=tuple(fields))
            return *evolve(answer, body=b"").without_added(), told(answer.body)
        return answer.without_added()

    direct, through = map(ask, setup.httpbin.both())
    assert through == direct
