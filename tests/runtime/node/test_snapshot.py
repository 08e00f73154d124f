"""Snapshots that follow what is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.logger import capturedLogs

from kongtx.balancer.balancers import Balancers
from kongtx.db.errors import DatabaseError
from kongtx.runtime.node import snapshot
from kongtx.runtime.node.snapshot import SnapshotKeeper
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.runtime.fleets import status, until

ABSENT = "00000000-0000-4000-8000-000000000000"
Make = Callable[..., Awaitable[GatewayUnderTest]]


class HeldStore:
    """A store whose lists end when they are told to.

    @ivar lists: by schema name, what ends a list that waits for it.
    @ivar selected: the ids that were asked for.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._name = ""
        self.lists: dict[str, Deferred[None]] = {}
        self.selected: list[str] = []

    def __getitem__(self, name: str) -> HeldStore:
        self._name = name
        made = HeldStore(self._store)
        made._name, made.lists, made.selected = name, self.lists, self.selected
        return made

    async def each(self) -> AsyncIterator[Any]:
        rows = [row async for row in self._store[self._name].each()]
        if self._name in self.lists:
            await self.lists[self._name]
        for row in rows:
            yield row

    async def select(self, key: str) -> Any:
        self.selected.append(key)
        return await self._store[self._name].select(key)


def keeper_of(
    gateway: GatewayUnderTest, *followers: Callable[..., object]
) -> tuple[SnapshotKeeper, HeldStore]:
    node = gateway.node
    store: Any = HeldStore(gateway.store)
    balancers = Balancers(node.resolver, node.context.clock)
    return (
        SnapshotKeeper(
            store,
            node.plugins,
            node.plugin_node,
            balancers,
            "traditional",
            lambda _: None,
            followers,
        ),
        store,
    )


@pytest_twisted.ensureDeferred
async def test_what_changes_before_anything_was_read_is_read_with_the_rest(
    gateway: GatewayUnderTest,
) -> None:
    keeper, store = keeper_of(gateway)
    route = await gateway.store["routes"].insert({"paths": ["/a"]})
    assert keeper.changed([("routes", route["id"])]).called
    assert keeper.reload().called
    await keeper.load()
    assert store.selected == []
    assert keeper.counts()["routes"] == 1


@pytest_twisted.ensureDeferred
async def test_what_changes_while_everything_is_read_is_taken_over_afterwards(
    gateway: GatewayUnderTest,
) -> None:
    keeper, store = keeper_of(gateway)
    first = await gateway.store["routes"].insert({"paths": ["/a"]})
    # It was told of before, and would be under way.
    keeper.changed([("routes", first["id"])])
    end = store.lists["plugins"] = Deferred()
    loading = ensureDeferred(keeper.load())
    second = await gateway.store["routes"].insert({"paths": ["/b"]})
    taken_over = keeper.changed([("routes", second["id"])])
    end.callback(None)
    await loading
    await taken_over
    assert store.selected == [second["id"]]
    assert {route["id"] for route in keeper.routes_and_services()[0]} == {
        first["id"],
        second["id"],
    }


@pytest.mark.parametrize("whole", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_change_that_failed_is_taken_over_with_the_next(
    gateway: GatewayUnderTest, whole: bool
) -> None:
    failing: list[Exception] = []

    def follow(*_: object) -> None:
        if failing:
            raise failing.pop()

    keeper, _ = keeper_of(gateway, follow)
    routes = gateway.store["routes"]
    old = await routes.insert({"paths": ["/old"]})
    await keeper.load()
    new = await routes.insert({"paths": ["/new"]})
    await routes.delete(old["id"])
    failing.append(RuntimeError("broken"))
    with capturedLogs() as logged:
        if whole:
            await keeper.reload()
        else:
            await keeper.changed([("routes", old["id"]), ("routes", new["id"])])
    assert [event["log_format"] for event in logged if "log_failure" in event] == [
        "a configuration change could not be taken over"
    ]
    assert paths_of(keeper) == ["/old"]
    await keeper.changed([("services", ABSENT)])
    assert paths_of(keeper) == ["/new"]


def paths_of(keeper: SnapshotKeeper) -> list[str]:
    """The paths of the routes in force."""
    return [path for entry in keeper.current.router.entries() for path in entry.route["paths"]]


@pytest_twisted.ensureDeferred
async def test_a_change_that_could_not_be_read_is_taken_over_later(
    gateway: GatewayUnderTest, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "RETRY_SECONDS", 0.05)
    with monkeypatch.context() as away:
        away.setattr(
            gateway.store.connector, "select", lambda *_: fail(DatabaseError("it is away"))
        )
        service = await gateway.store["services"].insert({"url": upstream.url})
        await gateway.store["routes"].insert({"paths": ["/r"], "service": service})
        assert await status(gateway, "/r") == 404

    async def is_served() -> bool:
        return await status(gateway, "/r") == 200

    await until(is_served)
