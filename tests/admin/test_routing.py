"""Paths find their endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from kongtx.admin.routing import Endpoint, Router, parameters


async def handler(call: Any) -> Any:
    raise AssertionError


PATHS = ["/", "/a", "/a/{x}", "/a/fixed", "/a/{x}/b", "/a/fixed/c", "/a/{x}/b/{y}", "/{any}/z"]


@pytest.fixture
def router() -> Router:
    return Router(Endpoint(path, {"GET": handler}) for path in PATHS)


@pytest.mark.parametrize(
    ("path", "found", "values"),
    [
        ("/", "/", []),
        ("/a", "/a", []),
        ("/a/", "/a", []),
        ("/a/1", "/a/{x}", ["1"]),
        ("/a/1/", "/a/{x}", ["1"]),
        ("/a/fixed", "/a/fixed", []),
        ("/a/fixed/b", "/a/{x}/b", ["fixed"]),
        ("/a/fixed/c", "/a/fixed/c", []),
        ("/a/%2F/b/2", "/a/{x}/b/{y}", ["%2F", "2"]),
        ("/q/z", "/{any}/z", ["q"]),
        ("/a/z", "/a/{x}", ["z"]),
    ],
)
def test_the_most_fixed_path_wins(router: Router, path: str, found: str, values: list[str]) -> None:
    result = router.find(path)
    assert result is not None
    assert (result[0].path, result[1]) == (found, values)


@pytest.mark.parametrize("path", ["", "x", "//", "/b", "/a//b", "/a/1/c", "/a/1/b/2/3", "//a"])
def test_other_paths_find_nothing(router: Router, path: str) -> None:
    result = router.find(path)
    assert result is None or result[0].path == "/"


def test_methods_are_added_to_a_path_and_endpoints_removed(router: Router) -> None:
    router.add(Endpoint("/a", {"POST": handler}, yaml=True))
    endpoint = next(endpoint for endpoint in router if endpoint.path == "/a")
    assert endpoint.allowed == ["GET", "HEAD", "OPTIONS", "POST"]
    assert endpoint.yaml
    router.remove("/a")
    assert router.find("/a") is None
    assert router.find("/a/1") is not None


def test_methods_without_get_have_no_head() -> None:
    assert Endpoint("/a", {"PUT": handler}).allowed == ["OPTIONS", "PUT"]


def test_parameters_are_named_in_order() -> None:
    assert parameters("/a/{x}/b/{y}") == ["x", "y"]
