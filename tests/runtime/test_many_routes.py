"""Many routes at once are taken over in a thread, to the same end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted

from kongtx.router import build_router
from kongtx.runtime.node import snapshot
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.router.support import route

Make = Callable[..., Awaitable[GatewayUnderTest]]


@pytest.fixture(autouse=True, params=[1, 10_000], ids=["in a thread", "at once"])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MANY_ROUTES", request.param)


@pytest_twisted.ensureDeferred
async def test_a_service_changes_for_all_its_routes(make_gateway: Make, upstream: Upstream) -> None:
    routes: list[dict[str, Any]] = [{"name": f"r{n}", "paths": [f"/{n}"]} for n in range(10)]
    gateway = await make_gateway(
        {"services": [{"name": "s", "url": f"{upstream.url}/a", "routes": routes}]}
    )
    assert (await gateway.client.get("/3/x")).json["target"] == "/a/x"
    changed = await gateway.admin.patch("/services/s", json={"path": "/b"})
    assert changed.status == 200
    for number in range(10):
        assert (await gateway.client.get(f"/{number}/x")).json["target"] == "/b/x"
    assert (await gateway.admin.request("DELETE", "/routes/r3")).status == 204
    assert (await gateway.client.get("/3/x")).status == 404


def test_routes_that_are_wrong_are_left_out_alone() -> None:
    before = build_router("traditional_compatible", [route(1, paths=["/was"])], {})
    changed = [
        (route(1, paths=["~/("]), None),
        (route(2, paths=["/b"]), None),
        (route(3, paths=["~/x(?=y)"]), None),
    ]
    after, wrong = snapshot._updated(before, changed, set())
    assert [key for key, _ in wrong] == [changed[0][0]["id"], changed[2][0]["id"]]
    assert [entry.route["paths"] for entry in after.entries()] == [["/b"]]
    assert len(before) == 1


@pytest_twisted.ensureDeferred
async def test_changes_during_a_change_are_not_lost(
    gateway: GatewayUnderTest, upstream: Upstream
) -> None:
    service = await gateway.store["services"].insert({"url": upstream.url})
    owner = {"id": service["id"]}
    waiting = [
        gateway.store["routes"].insert({"paths": [f"/{n}"], "service": owner}) for n in range(20)
    ]
    for each in waiting:
        await each
    for number in range(20):
        assert (await gateway.client.get(f"/{number}")).status == 200
