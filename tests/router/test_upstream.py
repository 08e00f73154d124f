"""The path asked of the upstream: the observed table, and v1 where it still means something."""

from __future__ import annotations

import pytest

from kongtx.router.router import build_router
from tests.router.path_table import TABLE
from tests.router.support import request_for, route, service


def _proxied(flavor, service_path, route_path, target, strip, handling):
    owner = service(path=None if service_path == "-" else service_path)
    entity = route(
        paths=[route_path],
        strip_path=strip,
        path_handling=handling,
        service={"id": owner["id"]},
    )
    router = build_router(flavor, [entity], {owner["id"]: owner})
    request = request_for("GET", target)
    match = router.match(request)
    assert match is not None
    query = b"?" + request.query if request.query else b""
    return (match.upstream_path + query).decode(), match.prefix.decode()


@pytest.mark.parametrize("handling", ["v0", "v1"])
@pytest.mark.parametrize(
    ("service_path", "route_path", "target", "stripped", "kept", "prefix"), TABLE
)
def test_paths_are_joined_as_observed(
    service_path, route_path, target, stripped, kept, prefix, handling
):
    flavor = "traditional_compatible"
    removed = "" if prefix == "-" else prefix

    assert _proxied(flavor, service_path, route_path, target, True, handling) == (
        stripped,
        removed,
    )
    assert _proxied(flavor, service_path, route_path, target, False, handling) == (kept, "")


@pytest.mark.parametrize(
    ("service_path", "route_path", "target", "stripped", "kept", "prefix"), TABLE
)
def test_v0_is_the_same_in_the_traditional_flavor(
    service_path, route_path, target, stripped, kept, prefix
):
    removed = "" if prefix == "-" else prefix

    assert _proxied("traditional", service_path, route_path, target, True, "v0") == (
        stripped,
        removed,
    )
    assert _proxied("traditional", service_path, route_path, target, False, "v0") == (kept, "")


@pytest.mark.parametrize(
    ("service_path", "route_path", "target", "stripped", "kept"),
    [
        ("/", "/", "/", "/", "/"),
        ("/", "/api", "/api", "/", "/api"),
        ("/", "/api", "/api/v", "/v", "/api/v"),
        ("/base", "/", "/", "/base", "/base"),
        ("/base", "/", "/a", "/basea", "/basea"),
        ("/base", "/api", "/api", "/base", "/baseapi"),
        ("/base", "/api", "/api/", "/base/", "/baseapi/"),
        ("/base", "/api", "/api/v", "/base/v", "/baseapi/v"),
        ("/base", "/api", "/apiv", "/basev", "/baseapiv"),
        ("/base", "/api/", "/api/v", "/basev", "/baseapi/v"),
        ("/base/", "/", "/", "/base/", "/base/"),
        ("/base/", "/", "/a", "/base/a", "/base/a"),
        ("/base/", "/api", "/api", "/base/", "/base/api"),
        ("/base/", "/api", "/api/", "/base/", "/base/api/"),
        ("/base/", "/api", "/api/v", "/base/v", "/base/api/v"),
        ("/base/", "/api", "/apiv", "/base/v", "/base/apiv"),
        ("/base/", "/api/", "/api/v", "/base/v", "/base/api/v"),
    ],
)
def test_v1_appends_without_a_slash_in_the_traditional_flavor(
    service_path, route_path, target, stripped, kept
):
    flavor = "traditional"

    assert _proxied(flavor, service_path, route_path, target, True, "v1")[0] == stripped
    assert _proxied(flavor, service_path, route_path, target, False, "v1")[0] == kept


def test_a_route_without_paths_keeps_the_whole_path():
    owner = service(path="/base")
    entity = route(hosts=["a.example"], service={"id": owner["id"]})
    router = build_router("traditional_compatible", [entity], {owner["id"]: owner})

    match = router.match(request_for("GET", "http://a.example/x/y"))

    assert match is not None
    assert (match.upstream_path, match.prefix) == (b"/base/x/y", b"")


def test_a_decision_without_paths_serves_each_path_its_own_upstream_path():
    router = build_router("traditional", [route(hosts=["a.example"])], {})

    paths = [
        router.match(request_for("GET", f"http://a.example{path}")).upstream_path
        for path in ("/x", "/y", "/x")
    ]

    assert paths == [b"/x", b"/y", b"/x"]


@pytest.mark.parametrize(
    ("target", "upstream"), [("/api./x", b"/x"), ("/api../x", b"/x"), ("/api.", b"/")]
)
def test_stripping_leaves_no_dot_segment_behind(target, upstream):
    router = build_router("traditional_compatible", [route(paths=["/api"])], {})

    match = router.match(request_for("GET", target))

    assert match is not None
    assert match.upstream_path == upstream
