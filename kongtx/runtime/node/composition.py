"""What a worker runs: store, cache, resolver, balancers, gateway and Admin API, put together."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import defer
from twisted.internet.defer import (
    Deferred,
    DeferredList,
    gatherResults,
    maybeDeferred,
)
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.admin.auth import warn_when_open
from kongtx.admin.context import AdminContext
from kongtx.admin.site import endpoints_of, make_admin_site, make_status_site
from kongtx.balancer.balancers import Balancers
from kongtx.cache.multilevel import MultiLevelCache
from kongtx.cache.shared import SharedMemory
from kongtx.cache.values import Options
from kongtx.cluster.events import ClusterEvents
from kongtx.conf import Configuration
from kongtx.db.connectors import make_connector
from kongtx.db.errors import StoreError
from kongtx.db.interfaces import IReplicated
from kongtx.db.store import Store
from kongtx.dns.resolver import Resolver
from kongtx.dns.settings import settings_from
from kongtx.health.checks import CLUSTER_CHANNEL, HealthChecks
from kongtx.health.probes import Prober
from kongtx.pdk.handshake import HandshakeContext
from kongtx.pdk.node import Node as PluginNode
from kongtx.plugins.discovery import by_name, load
from kongtx.plugins.interfaces import IPlugin
from kongtx.proxy.gateway import Gateway
from kongtx.proxy.interfaces import ITLSConnector, IUpstreamPool
from kongtx.proxy.pools.limited import LimitedPool
from kongtx.proxy.pools.pool import UpstreamPool
from kongtx.proxy.pools.tls import UpstreamTLS
from kongtx.runtime import prefix
from kongtx.runtime.dev import CodeWatcher, ask_for_reload, code_of
from kongtx.runtime.interfaces import INode, NodeContext
from kongtx.runtime.listeners import Listener
from kongtx.runtime.logs.web import log_site
from kongtx.runtime.node.changes import STORE_CHANNEL, Changes
from kongtx.runtime.node.cluster import make_cluster_events
from kongtx.runtime.node.declarative import DeclarativeLoader
from kongtx.runtime.node.expiry import ExpiryWatch
from kongtx.runtime.node.identity import cluster_id, master_pid, node_id
from kongtx.runtime.node.nodeinfo import NodeInfo
from kongtx.runtime.node.outage import DatabaseAccess, wants_copy
from kongtx.runtime.node.schemas import make_registry
from kongtx.runtime.node.settings import admin_settings, gateway_settings
from kongtx.runtime.node.snapshot import Rows, SnapshotKeeper
from kongtx.runtime.node.tls import ListenerTLS, client_material
from kongtx.runtime.node.vaults import Vaults
from kongtx.tls.handshake import Handshake

#: Seconds that accepted connections have to become the gateway's when a worker drains.
ACCEPTED_MAY_TAKE = 0.1
#: Seconds that plugins have to send what they still hold when a worker stops.
PLUGINS_MAY_TAKE = 5.0


@implementer(INode)
class GatewayNode(MultiService):
    """All services of one worker.

    @param plugins: are loaded besides those that the configuration names.
    @ivar read_store: the store for what traffic needs, which a copy of the database may answer.
    @ivar keeper: the snapshots, in step with the store.
    @ivar gateway: serves the proxy listeners.
    """

    _log = Logger()

    def __init__(self, context: NodeContext, plugins: Sequence[IPlugin] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.context = context
        self.conf = context.conf
        self.is_serving = False
        self._ports: list[IListeningPort] = []
        self._probes = False
        self._give_up_probes: Callable[[], None] | None = None
        if self.conf.dev:
            sys.dont_write_bytecode = True  # stale within the second in which code changes twice
        began_ns = time.time_ns()
        self.plugins = {**load(self.conf.plugins), **by_name(plugins)}
        self._make_storage()
        self._make_plugin_surroundings()
        self._make_traffic_parts()
        self._watcher = self._watch_code(began_ns) if self.conf.dev else None
        if self.conf.manhole == "unix":
            # Most nodes have none, and need not load an interpreter's editor.
            from kongtx.runtime.node.manhole import Manhole  # noqa: PLC0415

            Manhole(self).setServiceParent(self)  # type: ignore[no-untyped-call]
        self.info = NodeInfo(self)
        self.changes = Changes(
            self.store, self.cache, self.keeper, context.bus, self.cluster_events
        )

    def _make_storage(self) -> None:
        """The store, its cache, and the events of other nodes."""
        conf, context = self.conf, self.context
        self.registry = make_registry(conf, self.plugins)
        self.store = Store(self.registry, make_connector(conf, context.clock), context.clock)
        self.read_store = self._make_read_store()
        self.access = DatabaseAccess(self.store, self.read_store, conf, context)
        self.memory = open_memory(conf, context.worker_id)
        self.cache = MultiLevelCache(
            "entities",
            self.memory,
            context.bus,
            context.clock,
            _cache_options(conf),
            lru_size=10_000,
        )
        self.declarative = (
            DeclarativeLoader(self.store, conf, context.generation, self._replaced)
            if conf.database == "off"
            else None
        )
        self.cluster_events = make_cluster_events(self.store, context, self._resync)

    def _make_plugin_surroundings(self) -> None:
        """What plugins are given, and the certificates that they can have a part in."""
        conf, reactor = self.conf, self.context.clock
        self.vaults = Vaults(conf.loaded_vaults, conf.vault_properties, os.environ)
        self.plugin_node = self._make_plugin_node()
        wanting = frozenset(
            name
            for name, plugin in self.plugins.items()
            if getattr(plugin, "asks_client_certificate", False)
        )
        resolve = self.plugin_node.resolve_vault
        self.listener_tls = ListenerTLS(conf, reactor, resolve, wanting)
        self.expiry = ExpiryWatch(self.listener_tls, self.context.timers)
        self.plugin_node.server_names = self.listener_tls
        self.plugin_node.certificates_in_use = self.listener_tls.in_use
        self.client_material = client_material(conf, resolve)

    def _make_traffic_parts(self) -> None:
        """From names to addresses to connections, and the gateway that uses them."""
        conf, context = self.conf, self.context
        reactor = context.clock
        self.resolver = Resolver(reactor, settings_from(conf))
        self.resolver.setServiceParent(self)  # type: ignore[no-untyped-call]
        self.balancers = Balancers(self.resolver, reactor, zone=conf.node_zone or "")
        self.health = HealthChecks(
            self.balancers,
            reactor,
            context.bus,
            prober=Prober(reactor, self.client_material.probe_context),
            probes_here=lambda: self._probes,
            broadcast=self._broadcast,
        )
        self.cluster_events.subscribe(CLUSTER_CHANNEL, self.health.from_cluster, "node")
        self.keeper = SnapshotKeeper(
            self.read_store,
            self.plugins,
            self.plugin_node,
            self.balancers,
            conf.router_flavor,
            self._apply,
            followers=[
                self.vaults.update,
                self.listener_tls.update,
                self._update_material,
                self.expiry.follow,
            ],
        )
        self.upstream_tls = UpstreamTLS(reactor, self.client_material)
        self.pool = _make_pool(conf, reactor, self.upstream_tls)
        self.gateway = Gateway(
            gateway_settings(conf),
            self.keeper.current,
            self.pool,
            reactor,
            log_sink=context.logs.access_log(conf.proxy_access_log),
            tls=self.upstream_tls,
        )

    # -- life ----------------------------------------------------------------------------------
    def startService(self) -> Deferred[None]:
        """Start everything; the Deferred fires when connections are taken."""
        super().startService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        await self.access.open()
        if self.declarative is not None:
            await self.declarative.load_configured()
        self.plugin_node.cluster_id = await self._cluster_id()
        if isinstance(self.cluster_events, ClusterEvents):
            # Before the configuration is read, so that no change falls between.
            await self.cluster_events.begin()
        await self.keeper.load()
        if isinstance(self.cluster_events, ClusterEvents):
            self.cluster_events.startService()
        self.access.when_back(self._online)
        self.health.startService()
        self._give_up_probes = self.context.leases.hold("health", self._hold_probes)
        for name, plugin in self.plugins.items():
            start = getattr(plugin, "init_worker", None)
            if start is not None:
                try:
                    start(self.plugin_node)
                except Exception:
                    self._log.failure("plugin {plugin}: init_worker failed", plugin=name)
        self.keeper.configure()
        await self.info.start()
        if self.context.worker_id == 0:
            verified = self.conf.nginx_admin_ssl_verify_client == "on"
            # Those with TLS are closed to whoever has no certificate.
            open_to_all = [
                each for each in self.conf.admin_listeners if not (verified and each.ssl)
            ]
            hosts = [listen.host for listen in open_to_all]
            warn_when_open(admin_settings(self.conf), hosts, mutual_tls=not hosts)
        self._listen()
        self.expiry.start()
        if not self.store.connector.read_only:
            interval = self.conf._debug_pg_ttl_cleanup_interval
            self.context.timers.every(
                "database: expired rows", interval, self._purge_expired, scope="node"
            )
        if self.access.copy is not None:
            self.context.bus.subscribe(STORE_CHANNEL, None, self.access.changed)
            self.context.timers.every(
                "database: local copy", 1.0, self.access.copy_if_changed, first=0.5, scope="node"
            )
        self.is_serving = True

    async def _cluster_id(self) -> str | None:
        return await cluster_id(self.read_store if self.access.is_offline else self.store)

    async def _online(self) -> None:
        """The database has taken the place of its copy."""
        self.plugin_node.cluster_id = await self._cluster_id()
        await self.cache.expire()
        await self.keeper.reload()

    async def _purge_expired(self) -> None:
        try:
            await self.store.connector.purge_expired()
        except StoreError as error:
            self._log.warn("expired rows could not be removed: {error}", error=error.message)

    def _listen(self) -> None:
        for listener in self.context.listeners:
            self._ports += listener.adopt(
                self.context.clock,
                self._factory_of(listener),
                self.listener_tls.context_for(listener),
                self.conf.nginx_http_client_header_timeout_seconds,
            )

    def _factory_of(self, listener: Listener) -> Any:
        """What serves the connections of a listener."""
        if listener.kind == "proxy":
            return self.gateway.listener_factory(listener.listen)
        context = AdminContext(self.store, admin_settings(self.conf), self.info, self.declarative)
        plugins = self.plugins.values()
        if listener.kind == "admin":
            given = endpoints_of(plugins, "admin_endpoints", self.plugin_node)
            site, path = make_admin_site(context, given), self.conf.admin_access_log
        else:
            given = endpoints_of(plugins, "status_endpoints", self.plugin_node)
            site, path = make_status_site(context, given), self.conf.status_access_log
        log_site(site, self.context.logs.access_log(path))
        return site

    def drain(self) -> Deferred[None]:
        """See L{INode.drain}."""
        return Deferred.fromCoroutine(self._drain())

    def _watch_code(self, since_ns: int) -> CodeWatcher | None:
        """In development mode one worker looks for changed code."""
        if self.context.worker_id != 0:
            return None
        self._log.warn("development mode: answers show tracebacks, and changed code is loaded")
        ask = partial(ask_for_reload, self.context.bus, self.plugins)
        watcher = CodeWatcher(code_of(self.plugins), ask, self.context.clock, since_ns)
        watcher.setServiceParent(self)  # type: ignore[no-untyped-call]
        return watcher

    async def _drain(self) -> None:
        if self._watcher is not None:
            self._watcher.stopService()
        await self._stop_listening()
        # What was just accepted is no connection of the gateway's before the next turn of the
        # reactor, and in TLS before the handshake; gone unseen, it would be reset.
        await deferLater(self.context.clock, ACCEPTED_MAY_TAKE)
        await self.gateway.drain()

    async def stopService(self) -> None:
        """Stop everything, at once."""
        await self._stop_listening()
        self.info.stop()
        self.changes.stop()
        self.keeper.stop()
        if isinstance(self.cluster_events, ClusterEvents):
            self.cluster_events.stopService()
        if self._give_up_probes is not None:
            self._give_up_probes()
            self.health.stopService()
        self.balancers.stop()
        await self._close_plugins()
        self.listener_tls.stop()
        await DeferredList([self.pool.close()], consumeErrors=True)
        self.cache.close()
        await self.access.close()
        await self.store.stop()
        self.memory.close()
        stopping = super().stopService()  # type: ignore[no-untyped-call]
        if stopping is not None:
            await stopping

    async def _close_plugins(self) -> None:
        """Let plugins send what they still have, for a while."""
        closing = [maybeDeferred(close) for close in self.plugin_node.closing]
        self.plugin_node.closing.clear()
        sent = DeferredList(closing, consumeErrors=True)
        sent.addTimeout(PLUGINS_MAY_TAKE, self.context.clock)
        try:
            await sent
        except defer.TimeoutError:
            self._log.warn(
                "plugins have not sent everything within {seconds} s", seconds=PLUGINS_MAY_TAKE
            )

    async def _stop_listening(self) -> None:
        ports, self._ports = self._ports, []
        stopping = [port.stopListening() for port in ports]
        await gatherResults([each for each in stopping if isinstance(each, Deferred)])

    # -- configuration changes -----------------------------------------------------------------
    def _apply(self, snapshot: Any) -> None:
        self.gateway.snapshot = snapshot
        handlers = snapshot.plugins.global_handlers
        has_phase = any(handler.certificate is not None for handler in handlers)
        self.listener_tls.set_hook(self._run_certificate_phase, has_phase)

    def _run_certificate_phase(self, handshake: Handshake) -> None:
        context: HandshakeContext | None = None
        for handler in self.keeper.current.plugins.global_handlers:
            if handler.certificate is not None:
                if context is None:
                    context = HandshakeContext(handshake)
                handler.certificate(context)

    def _update_material(self, rows: Rows, touched: Mapping[str, set[str]]) -> None:
        if touched["certificates"] or touched["ca_certificates"]:
            self.client_material.update(rows["certificates"], rows["ca_certificates"])

    def _replaced(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.changes.replaced())

    def _resync(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.changes.resync())

    def _broadcast(self, channel: str, data: str) -> None:
        """Tell other nodes, without waiting for it."""
        self.cluster_events.broadcast(channel, data).addErrback(
            lambda failure: self._log.warn(
                "other nodes could not be told of {channel}: {reason}",
                channel=channel,
                reason=failure.getErrorMessage(),
            )
        )

    def _hold_probes(self, held: bool) -> None:
        """One worker of the node makes the active health checks."""
        self._probes = held

    def _upstream_health(self) -> list[tuple[str, list[dict[str, Any]]]]:
        return [
            (each.name, self.health.upstream_health(each.id, self.keeper.targets_of(each.id)))
            for each in self.balancers.upstreams()
        ]

    def _statistics(self) -> Mapping[str, int]:
        return self.gateway.statistics()

    def _has_upstream(self, name: str) -> bool:
        return self.keeper.has_upstream(name)

    # -- parts ---------------------------------------------------------------------------------
    def _make_read_store(self) -> Store:
        connector: Any = self.store.connector
        if IReplicated.providedBy(connector):
            connector.share_knowledge(prefix.shared_position(self.conf, master_pid(self.conf)))
        read_store = self.store.at_replica()
        if read_store is self.store and wants_copy(self.conf, self.store):
            read_store = self.store.reading_from(connector)
        return read_store

    def _make_plugin_node(self) -> PluginNode:
        conf, context = self.conf, self.context
        return PluginNode(
            node_id=node_id(conf),
            worker_id=context.worker_id,
            configuration=conf,
            cache=self.cache,
            store=self.read_store,
            memory=self.memory,
            bus=context.bus,
            clock=context.clock,
            reactor=context.clock,
            is_trusted=lambda address: address in self.gateway.trusted_peers,
            has_upstream=self._has_upstream,
            resolve_vault=self.vaults.resolve,
            statistics=self._statistics,
            upstream_health=self._upstream_health,
            cluster_events=self.cluster_events,
            leases=context.leases,
        )


def build_node(context: NodeContext) -> GatewayNode:
    """The node of a worker; what the runtime calls."""
    return GatewayNode(context)


def open_memory(conf: Configuration, worker_id: int) -> SharedMemory:
    """The memory that the workers of this node share, for as long as their master lives."""
    master = master_pid(conf)
    if worker_id == 0:
        prefix.remove_shared_memory(conf, but=master)
    return SharedMemory(prefix.shared_memory(conf, master), conf.mem_cache_size_bytes)


def _make_pool(conf: Configuration, reactor: Any, tls: ITLSConnector) -> IUpstreamPool:
    pool = UpstreamPool(
        reactor,
        tls,
        size=conf.upstream_keepalive_pool_size,
        max_requests=conf.upstream_keepalive_max_requests,
        idle_timeout=conf.upstream_keepalive_idle_timeout,
    )
    if conf.upstream_max_connections:
        return LimitedPool(pool, conf.upstream_max_connections, reactor)
    return pool


def _cache_options(conf: Configuration) -> Options:
    neg_ttl = conf.db_cache_neg_ttl
    return Options(
        ttl=conf.db_cache_ttl,
        neg_ttl=conf.db_cache_ttl if neg_ttl is None else neg_ttl,
        resurrect_ttl=conf.db_resurrect_ttl,
    )
