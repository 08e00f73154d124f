"""The snapshot of the configuration that requests are served from, kept in step with the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.balancer.balancers import Balancers
from kongtx.balancer.interfaces import IBalancer
from kongtx.db.errors import DatabaseError
from kongtx.db.store import Store
from kongtx.errors import KongtxError
from kongtx.pdk.node import Node
from kongtx.plugins.interfaces import IPlugin
from kongtx.plugins.iterator import PluginIterator
from kongtx.proxy.interfaces import ISnapshot
from kongtx.router import Router, build_router
from kongtx.router.errors import RouterError
from kongtx.router.router import paused_collector, validate_route
from kongtx.runtime.heap import set_aside, settle

Entity = dict[str, Any]
Rows = dict[str, dict[str, Entity]]
Follower = Callable[[Rows, Mapping[str, set[str]]], object]
#: A changed entity: its schema's name and its id.
Changed = tuple[str, str]

#: From so many changed routes on the next router is made in a thread, as it takes a while.
MANY_ROUTES = 2000

#: From so many changes on everything is read instead, if they are a good part of it.
MANY_CHANGES = 200
#: Seconds after which a change is taken over again that could not be read.
RETRY_SECONDS = 1.0

#: Schemas whose entities the data plane holds; all others are looked up when they are needed.
HELD = (
    "services",
    "routes",
    "plugins",
    "upstreams",
    "targets",
    "certificates",
    "snis",
    "ca_certificates",
    "vaults",
)


@implementer(ISnapshot)
@attrs.frozen
class Snapshot:
    """One configuration."""

    router: Router
    plugins: PluginIterator
    balancers: Balancers

    def balancer_for(self, service: Mapping[str, Any]) -> IBalancer:
        """See L{ISnapshot.balancer_for}."""
        return self.balancers.for_host(service["host"], service["port"])


class SnapshotKeeper:
    """Builds snapshots: one at first, then one after each change.

    Changes that come while one is being built are taken together into the next. What is wrong with
    one entity is logged and leaves the others in force.

    @param apply: takes each new snapshot.
    @param followers: called before that with all rows, by schema and id, and the ids of those that
        may have changed, by schema.
    @ivar current: the snapshot in force.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        plugins: Mapping[str, IPlugin],
        node: Node,
        balancers: Balancers,
        flavor: str,
        apply: Callable[[Snapshot], object],
        followers: Sequence[Follower] = (),
    ) -> None:
        self._store = store
        self._plugins = plugins
        self._node = node
        self._balancers = balancers
        self._apply = apply
        self._followers = followers
        self._rows: Rows = {name: {} for name in HELD}
        self._pending: set[Changed] = set()
        self._reload = False
        self._waiting: list[Deferred[None]] = []
        self._working = False
        self._tells_plugins = False
        self._is_begun = False
        self._is_loaded = False
        self._retry: IDelayedCall | None = None
        self._has_failed = False
        self.current = Snapshot(
            build_router(flavor, [], {}), PluginIterator([], plugins, node), balancers
        )

    def has_upstream(self, name: str) -> bool:
        """Whether there is an upstream of a name."""
        return any(row["name"] == name for row in self._rows["upstreams"].values())

    def targets_of(self, upstream_id: str) -> list[Entity]:
        """The targets of an upstream."""
        targets = self._rows["targets"].values()
        return [row for row in targets if row["upstream"]["id"] == upstream_id]

    def routes_and_services(self) -> tuple[list[Entity], dict[str, Entity]]:
        """All routes, and all services by id."""
        return list(self._rows["routes"].values()), dict(self._rows["services"])

    def counts(self) -> dict[str, int]:
        """How many entities of each schema are held."""
        return {name: len(rows) for name, rows in self._rows.items()}

    async def load(self) -> None:
        """Read everything and make the first snapshot.

        @raise StoreError: if the store cannot be read.
        @raise PluginError: if a plugin is configured that is not loaded.
        """
        # Changes that come meanwhile are taken over afterwards: what was read may be from before.
        self._is_begun = self._working = True
        self._pending, self._reload = set(), False
        await self._read_all()
        await self._build({name: set(rows) for name, rows in self._rows.items()})
        self._is_loaded = True
        settle(sum(self.counts().values()))
        if not self._rows["plugins"]:
            self.current.plugins.configure()
        ensureDeferred(self._work())

    def configure(self) -> None:
        """Tell plugins which configurations are in force, now and after each change."""
        self._tells_plugins = True
        self.current.plugins.configure()

    def changed(self, changes: Iterable[Changed]) -> Deferred[None]:
        """Take some changes over.

        @return: a Deferred that fires when the snapshot in force has them.
        """
        held = [change for change in changes if change[0] in HELD]
        self._pending.update(held)
        return self._in_force()

    def reload(self) -> Deferred[None]:
        """Read everything again.

        @return: a Deferred that fires when the snapshot in force has it.
        """
        self._reload = True
        return self._in_force()

    def _in_force(self) -> Deferred[None]:
        if not self._is_begun:
            # Everything is still to be read, which would undo what was taken over meanwhile.
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if not self._working:
            self._working = True
            ensureDeferred(self._work())
        return done

    async def _work(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await self._take_over()
            except Exception as error:
                self._try_again(error)
            for done in waiting:
                done.callback(None)
        self._working = False

    def _try_again(self, error: Exception) -> None:
        """Take over later what could not be now."""
        if not isinstance(error, DatabaseError):
            self._log.failure("a configuration change could not be taken over")
            return
        if not self._has_failed:
            self._has_failed = True
            self._log.warn(
                "a configuration change will be taken over when the database answers: {error}",
                error=error.message,
            )
        if self._retry is None:
            self._retry = self._node.clock.callLater(RETRY_SECONDS, self._retried)

    def _retried(self) -> None:
        self._retry = None
        self._in_force()

    def stop(self) -> None:
        """Try nothing any more that failed."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    async def _take_over(self) -> None:
        pending, self._pending = self._pending, set()
        reload, self._reload = self._reload or self._are_many(pending), False
        try:
            await self._take(pending, reload)
            self._has_failed = False
        except Exception:  # the next change tries again, or the time if the database is away
            self._pending |= pending
            self._reload |= reload
            raise

    def _are_many(self, pending: set[Changed]) -> bool:
        """Whether reading all takes fewer questions than reading these."""
        return len(pending) > MANY_CHANGES and len(pending) * 10 > sum(self.counts().values())

    async def _take(self, pending: set[Changed], reload: bool) -> None:
        if reload:
            await self._renew()
            return
        if not pending:
            return
        touched: dict[str, set[str]] = {name: set() for name in HELD}
        for name, key in pending:
            entity = await self._store[name].select(key)
            if entity is None:
                self._rows[name].pop(key, None)
            else:
                self._rows[name][key] = entity
            touched[name].add(key)
        await self._build(touched)

    async def _renew(self) -> None:
        """Take everything from the store."""
        before = self._rows
        await self._read_all()
        try:
            await self._build({name: {*before[name], *rows} for name, rows in self._rows.items()})
        except Exception:
            self._rows = before  # what the store has no longer is still to be taken out
            raise
        settle(sum(self.counts().values()))

    async def _read_all(self) -> None:
        rows: Rows = {}
        for name in HELD:
            rows[name] = {row["id"]: row async for row in self._store[name].each()}
        self._rows = rows

    async def _build(self, touched: Mapping[str, set[str]]) -> None:
        rows = self._rows
        router = await self._route(touched)
        if touched["upstreams"] or touched["targets"]:
            self._balancers.update(rows["upstreams"].values(), rows["targets"].values())
        for follow in self._followers:
            follow(rows, touched)
        plugins = self.current.plugins
        if touched["plugins"] or touched["vaults"]:
            plugins = self._iterate(plugins, secrets_changed=bool(touched["vaults"]))
            if self._tells_plugins:
                plugins.configure()
        self.current = Snapshot(router, plugins, self._balancers)
        self._apply(self.current)

    async def _route(self, touched: Mapping[str, set[str]]) -> Router:
        routes, services = self._rows["routes"], self._rows["services"]
        keys = set(touched["routes"])
        if touched["services"]:
            keys |= {
                key
                for key, route in routes.items()
                if route["service"] and route["service"]["id"] in touched["services"]
            }
        router = self.current.router
        if not keys:
            return router
        changed = [
            (route, services.get(route["service"]["id"]) if route["service"] else None)
            for key in keys
            if (route := routes.get(key)) is not None
        ]
        # A route whose service has not been seen yet comes with the service.
        whole = [(route, s) for route, s in changed if s is not None or not route["service"]]
        removed = keys - {route["id"] for route, _ in whole}
        if len(whole) < MANY_ROUTES:
            router, wrong = _updated(router, whole, removed)
        else:
            # Routers do not change, so requests go on by the one before.
            router, wrong = await deferToThread(_updated_aside, router, whole, removed)
        for key, problem in wrong:
            self._log.error("route {route} is left out: {error}", route=key, error=problem)
        return router

    def _iterate(self, before: PluginIterator, secrets_changed: bool) -> PluginIterator:
        """The iterator of the rows there are now; if it cannot be made, the one before stays.

        There is none before at the start: then the worker must not serve, since a request that
        should be refused would pass (Kong: the same).
        """
        rows = list(self._rows["plugins"].values())
        try:
            return PluginIterator(rows, self._plugins, self._node, before, secrets_changed)
        except Exception as error:
            if not self._is_loaded:
                raise
            if isinstance(error, KongtxError):
                template = "the plugins' configurations stay as they were: {error}"
                self._log.error(template, error=str(error))
            else:
                self._log.failure("the plugins' configurations stay as they were")
            return before


def _updated_aside(
    router: Router, changed: Sequence[tuple[Entity, Entity | None]], removed: set[str]
) -> tuple[Router, list[tuple[str, str]]]:
    """The same as L{_updated}, out of the collector's way before it runs again."""
    with paused_collector():
        updated = _updated(router, changed, removed)
        set_aside(len(changed))
    return updated


def _updated(
    router: Router, changed: Sequence[tuple[Entity, Entity | None]], removed: set[str]
) -> tuple[Router, list[tuple[str, str]]]:
    """The next router, without the routes that are wrong: their ids, and what is wrong."""
    try:
        return router.updated(changed, removed), []
    except RouterError:
        pass
    good, wrong = [], []
    for route, service in changed:
        problem = validate_route(router.flavor.name, route)
        if problem is None:
            good.append((route, service))
        else:
            wrong.append((route["id"], problem))
    return router.updated(good, removed | {key for key, _ in wrong}), wrong
