"""C{routes explain} and C{routes lint}."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Run, failure
from tests.router.support import route, service

DOCUMENT = {
    "_format_version": "3.0",
    "services": [
        {
            "name": "s",
            "url": "http://example.com/base",
            "routes": [
                {"name": "prefixes", "paths": ["/a", "/a/b/c"]},
                {"name": "regex", "paths": ["~/a/b"]},
                {"name": "tiered", "paths": ["/t"], "headers": {"x-tier": ["gold"]}},
            ],
        }
    ],
}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "routes.json"
    path.write_text(json.dumps(DOCUMENT))
    return str(path)


def test_a_request_is_explained_from_a_file(run: Run, file: str) -> None:
    result = run("routes", "explain", "GET", "http://a.test/a/b/c", "--file", file)

    lines = [line.partition(" (")[0] for line in result.output.splitlines()]
    assert (result.exit_code, lines) == (
        0,
        [
            "GET http://a.test/a/b/c",
            "gets the route regex",
            "  of the service s",
            "  since it has path matching /a/b",
            "  and asks the upstream for /base/c",
            "would take it too:",
            "  prefixes",
        ],
    )
    assert result.output.endswith(": the other goes first: a regex path\n")


@pytest.mark.parametrize(
    ("headers", "name"),
    [((), None), (("-H", "X-Tier: gold"), "tiered"), (("-H", "x-tier:tin"), None)],
)
def test_headers_count(run: Run, file: str, headers: tuple[str, ...], name: str | None) -> None:
    result = run("routes", "explain", "GET", "/t", *headers, "--json", "--file", file)

    answer = json.loads(result.output)
    assert (answer["route"] and answer["route"]["name"]) == name
    assert [each["route"]["name"] for each in answer["near_misses"]] == ([] if name else ["tiered"])


def test_what_is_no_header_is_refused(run: Run, file: str) -> None:
    result = run("routes", "explain", "GET", "/t", "-H", "gold", "--file", file)

    assert (result.exit_code, result.stderr) == (
        1,
        failure("'gold' is no header: expected 'Name: value'"),
    )


def test_mistakes_are_found_in_a_file(run: Run, file: str) -> None:
    result = run("routes", "lint", "--file", file)

    assert (result.exit_code, result.output) == (
        1,
        "shadowed: prefixes: every request for path beginning with /a/b/c gets regex: "
        "a regex path\n"
        "  for example GET http://example.com/a/b/c\n",
    )


def test_a_file_without_mistakes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(
        json.dumps({"_format_version": "3.0", "routes": [{"name": "r", "paths": ["/"]}]})
    )

    result = run("routes", "lint", "--file", "one.json")

    assert (result.exit_code, result.output) == (0, "nothing found\n")


def test_the_configured_file_is_the_default(run: Run, file: str) -> None:
    result = run("routes", "lint", "--json", KONG_DATABASE="off", KONG_DECLARATIVE_CONFIG=file)

    assert [each["route"]["name"] for each in json.loads(result.output)] == ["prefixes"]


def test_without_any_routes_to_look_at(run: Run) -> None:
    result = run("routes", "lint")

    assert (result.exit_code, result.stderr) == (
        1,
        failure("no declarative_config is configured: name --file FILE or --admin URL"),
    )


ROUTES = [
    route(1, paths=["/a"], service={"id": service()["id"]}),
    route(2, paths=["/a"], hosts=["a.test"]),
    route(3, paths=["/b"]),
]


class Admin(BaseHTTPRequestHandler):
    """Answers as an Admin API does, with one route a page."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        at = int(url.query.partition("offset=")[2] or 0)
        body = {
            "/": {"configuration": {"router_flavor": "traditional"}},
            "/services": {"data": [service()], "next": None},
            "/routes": {
                "data": ROUTES[at : at + 1],
                "next": f"/routes?offset={at + 1}" if at + 1 < len(ROUTES) else None,
            },
            "/other/": {"message": "Not an Admin API"},
        }[url.path]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def admin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Admin)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_is_explained_from_an_admin_api(run: Run, admin: str) -> None:
    result = run("routes", "explain", "GET", "http://a.test/a", "--json", "--admin", admin)

    answer = json.loads(result.output)
    assert (answer["route"]["name"], answer["service"]) == ("route-2", None)
    assert [each["route"]["name"] for each in answer["outranked"]] == ["route-1"]


def test_what_is_no_admin_api(run: Run, admin: str) -> None:
    result = run("routes", "lint", "--admin", f"{admin}/other")

    assert (result.exit_code, result.stderr) == (
        1,
        failure(f"{admin}/other does not answer as an Admin API does: no 'configuration'"),
    )


def test_a_url_that_is_none(run: Run) -> None:
    result = run("routes", "lint", "--admin", "file:///etc/passwd")

    assert result.exit_code == 1
    assert "is no URL of an Admin API" in result.stderr
