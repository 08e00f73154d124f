"""The index finds what trying every route finds, however it came to be."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.router.oracle import decide, fits
from tests.router.strategies import http_requests, http_routes, stream_requests, stream_routes
from tests.router.support import FLAVORS, router_of

# Drawn rather than parametrized: pytest-twisted wraps a hypothesis test once for each parameter.
_FLAVOR = st.sampled_from(FLAVORS)
_SLOW_DATA = [HealthCheck.too_slow, HealthCheck.data_too_large]


def _chosen(router, request):
    match = router.match(request)
    return None if match is None else match.route["id"]


def _check_http(flavor, data):
    routes = data.draw(http_routes(flavor))
    requests = data.draw(st.lists(http_requests(), min_size=1, max_size=6))
    router = router_of(flavor, *routes)
    for request in requests:
        expected = decide(flavor, routes, request)
        assert _chosen(router, request) == expected
        assert _chosen(router, request) == expected  # as remembered
        fitting = [entry.route["id"] for entry in router.fitting(request)]
        assert set(fitting) == {route["id"] for route in fits(flavor, routes, request)}
        assert fitting[:1] == ([] if expected is None else [expected])


def _check_stream(flavor, data):
    routes = data.draw(stream_routes(flavor))
    requests = data.draw(st.lists(stream_requests(), min_size=1, max_size=6))
    router = router_of(flavor, *routes)
    for request in requests:
        assert _chosen(router, request) == decide(flavor, routes, request)


def _check_edits(flavor, data):
    before = data.draw(http_routes(flavor))
    after = data.draw(http_routes(flavor))
    for kept, new in zip(before, after, strict=False):
        if data.draw(st.booleans()) and kept["id"] not in {route["id"] for route in after}:
            new["id"] = kept["id"]
    request = data.draw(http_requests())
    old = router_of(flavor, *before)
    expected_before = decide(flavor, before, request)

    router = old
    for route in before:
        if route["id"] not in {new["id"] for new in after}:
            router = router.remove(route["id"])
    for route in after:
        router = router.replace(route, None)

    assert _chosen(router, request) == decide(flavor, after, request)
    assert _chosen(old, request) == expected_before
    assert len(router) == len(after)


class TestAgainstTheOracle:
    @settings(max_examples=40, suppress_health_check=_SLOW_DATA)
    @given(flavor=_FLAVOR, data=st.data())
    def test_http_routes(self, flavor, data):
        _check_http(flavor, data)

    @settings(max_examples=40, suppress_health_check=_SLOW_DATA)
    @given(flavor=_FLAVOR, data=st.data())
    def test_stream_routes(self, flavor, data):
        _check_stream(flavor, data)

    @settings(max_examples=15, suppress_health_check=_SLOW_DATA)
    @given(flavor=_FLAVOR, data=st.data())
    def test_edited_routes(self, flavor, data):
        _check_edits(flavor, data)

    @pytest.mark.long
    @settings(max_examples=6000, suppress_health_check=_SLOW_DATA)
    @given(flavor=_FLAVOR, data=st.data())
    def test_http_routes_at_length(self, flavor, data):
        _check_http(flavor, data)

    @pytest.mark.long
    @settings(max_examples=3000, suppress_health_check=_SLOW_DATA)
    @given(flavor=_FLAVOR, data=st.data())
    def test_stream_routes_at_length(self, flavor, data):
        _check_stream(flavor, data)

    @pytest.mark.long
    @settings(max_examples=1000, suppress_health_check=_SLOW_DATA)
    @given(flavor=_FLAVOR, data=st.data())
    def test_edited_routes_at_length(self, flavor, data):
        _check_edits(flavor, data)
