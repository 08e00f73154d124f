"""What one worker does about certificates: when they are asked for, kept, shown and renewed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from kongtx.cluster.events import NoClusterEvents
from kongtx.db.errors import StoreError
from kongtx.errors import KongtxError
from kongtx.pdk.node import Node
from kongtx.plugins.acme.domains import end_of, is_address, is_asked_for, is_due, is_host
from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.acme.issuing import Issuer
from kongtx.plugins.acme.settings import Settings
from kongtx.plugins.acme.storages import interfaces as names
from kongtx.plugins.acme.storages.choice import storage_of
from kongtx.plugins.acme.storages.interfaces import IStorage
from kongtx.tls.errors import TLSError
from kongtx.tls.pairs import Pair

CHANNEL = "acme"
LEASE = "acme"
TAG = "managed-by-acme"
#: Seconds between two renewals, and from the start to the first.
RENEW_EVERY = 12 * 3600.0
RENEW_FIRST = 60.0
#: Seconds after which certificates of the storage are read again, as other nodes renew them.
READ_EVERY = 3600.0
#: Seconds for which a name without certificate is not looked up again.
LOOK_AGAIN = 5.0
#: Certificates that a worker asks for at the same time.
AT_ONCE = 8
#: Seconds for which nobody else asks for a certificate, should the worker die that does.
_LOCK_LIVES = 600
_MOST_LOOKED_UP = 10_000


class Worker:
    """The certificates of one worker's configuration.

    @param now: gives seconds since 1970.
    """

    _log = Logger()

    def __init__(self, node: Node, now: Callable[[], float]) -> None:
        self._node = node
        self._now = now
        self._issuer = Issuer(node, self._prove_everywhere)
        self.settings: Settings | None = None
        self._looked_up: dict[str, float] = {}
        self._running: set[str] = set()
        self._shown: dict[str, str] = {}
        self._tasks: set[Deferred[Any]] = set()
        self._renewing = LoopingCall(self.renew_all)
        self._reading = LoopingCall(self._read_again)
        self._first: Any = None
        self._holds = False
        self._renewing.clock = self._reading.clock = node.clock
        bus: Any = node.bus
        bus.serve("acme.prove", self._asked_to_prove)
        self._endings = [
            node.bus.subscribe(CHANNEL, "issued", self._issued),
            node.cluster_events.subscribe(CHANNEL, self._told_by_node),
        ]
        node.closing.append(self.stop)
        if node.leases is None:
            self._held(True)
        else:
            self._endings.append(node.leases.hold(LEASE, self._held))

    # -- life --------------------------------------------------------------------------------
    def configure(self, settings: Settings | None) -> None:
        """Take over the configuration in force; L{None} if there is none."""
        self.settings = settings
        self._looked_up.clear()
        if settings is not None and self._keeps_certificates:
            if self._reading.running:
                self._read_again()
            else:
                self._reading.start(READ_EVERY)
            return
        if self._reading.running:
            self._reading.stop()
        for host in list(self._shown):
            self._hide(host)

    def _held(self, held: bool) -> None:
        """One worker of the node renews."""
        self._holds = held
        if held and self._first is None and not self._renewing.running:
            self._first = self._node.clock.callLater(RENEW_FIRST, self._begin_renewing)
        elif not held:
            self._cease_renewing()

    def _begin_renewing(self) -> None:
        self._first = None
        self._renewing.start(RENEW_EVERY)

    def _cease_renewing(self) -> None:
        if self._first is not None:
            self._first.cancel()
            self._first = None
        if self._renewing.running:
            self._renewing.stop()

    def stop(self) -> Deferred[Any]:
        """Leave off whatever goes on; the Deferred fires when nothing does."""
        self._cease_renewing()
        if self._reading.running:
            self._reading.stop()
        for end in self._endings:
            end()
        self._endings.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return DeferredList(tasks)

    def run(self, work: Coroutine[Deferred[Any], Any, Any]) -> None:
        """Do something that nobody waits for."""
        task = Deferred.fromCoroutine(work)
        self._tasks.add(task)

        def ended(result: Any) -> None:
            self._tasks.discard(task)
            if isinstance(result, BaseException) or hasattr(result, "check"):
                self._failed(result)

        task.addBoth(ended)

    def _failed(self, failure: Any) -> None:
        if failure.check(CancelledError):
            return
        if failure.check(KongtxError):
            self._log.error("acme: {error}", error=failure.getErrorMessage())
        else:
            self._log.failure("acme failed", failure=failure)

    # -- asking for certificates -------------------------------------------------------------
    def wanted(self, settings: Settings, host: str) -> None:
        """A client asks for a name for which there is no certificate."""
        now = self._node.clock.seconds()
        if self._looked_up.get(host, 0.0) > now or not is_host(host):
            return
        if len(self._looked_up) >= _MOST_LOOKED_UP:
            self._looked_up.clear()
        self._looked_up[host] = now + LOOK_AGAIN
        self.run(self._look_up(settings, host))

    async def _look_up(self, settings: Settings, host: str) -> None:
        found = await self.load(settings, host)
        if found is not None:
            if self._keeps_certificates:
                self._show(host, *found)
            return
        if self._node.configuration.role == "data_plane" and settings["storage"] == "kong":
            raise ACMEError(
                'a data plane cannot ask for certificates with the storage "kong"; ask for them '
                "by the Admin API, or choose another storage"
            )
        if len(self._running) >= AT_ONCE:
            self._log.debug("acme: {host} has to wait for others", host=host)
            return
        await self.update(settings, host)

    async def update(self, settings: Settings, host: str, key: str | None = None) -> bool:
        """Ask for a certificate, keep it, and have it shown.

        @param key: its private key; L{None} to make a new one.
        @return: whether that was done; L{False} if someone else is at it.
        @raise ACMEError: it cannot be had now.
        """
        if not is_asked_for(host):
            raise ACMEError(f"{host!r} is no name of a server")
        if is_address(host):
            raise ACMEError(f"{host}: clients ask for no address, so no certificate would be shown")
        storage = self.storage(settings)
        until = await storage.get(names.BACKOFF + host)
        if until is not None and (wait := float(until) - self._now()) > 0:
            raise ACMEError(
                f"please try again in {math.ceil(wait)} seconds for host {host} because of "
                "previous failure; this is configurable with config.fail_backoff_minutes"
            )
        if host in self._running or not await storage.add(
            names.LOCK + host, self._node.node_id, _LOCK_LIVES
        ):
            self._log.info("acme: a certificate for {host} is being asked for", host=host)
            return False
        self._running.add(host)
        try:
            chain, key = await self._issuer.issue(settings, storage, host, key)
            await self._keep(storage, host, chain, key)
        except KongtxError as error:
            await self._back_off(settings, storage, host)
            raise ACMEError(f"no certificate for {host}: {error}") from error
        finally:
            self._running.discard(host)
            await storage.delete(names.LOCK + host)
        self._log.info("acme: there is a new certificate for {host}", host=host)
        return True

    async def _back_off(self, settings: Settings, storage: IStorage, host: str) -> None:
        seconds = settings["fail_backoff_minutes"] * 60
        if seconds > 0:
            until = f"{math.floor(self._now() + seconds)}"
            await storage.put(names.BACKOFF + host, until, seconds)

    async def _keep(self, storage: IStorage, host: str, chain: str, key: str) -> None:
        if self._keeps_certificates:
            kept = json.dumps({"cert": chain, "key": key})
            await storage.put(names.CERTIFICATE + host, kept)
        else:
            await self._keep_in_store(host, chain, key)
        renewal = {"host": host, "expire_at": int(end_of(chain).timestamp())}
        await storage.put(names.RENEWAL + host, json.dumps(renewal))
        if self._keeps_certificates:
            await self._node.bus.publish(CHANNEL, "issued", {"host": host})
            await self._tell_nodes("issued", host)

    async def _keep_in_store(self, host: str, chain: str, key: str) -> None:
        store = self._node.store
        old = await store["snis"].select_by("name", host)
        made = await store["certificates"].insert({"cert": chain, "key": key, "tags": [TAG]})
        sni = {"certificate": {"id": made["id"]}, "tags": [TAG]}
        try:
            await store["snis"].upsert_by("name", host, sni)
        except StoreError:
            await store["certificates"].delete(made["id"])
            raise
        if old is not None:
            await self._remove_from_store(old["certificate"]["id"])

    async def _remove_from_store(self, certificate: str) -> None:
        """Remove a certificate that was made here, and is no name's any more."""
        store = self._node.store
        row = await store["certificates"].select(certificate)
        if row is None or TAG not in (row["tags"] or ()):
            return
        async for _ in store["snis"].each_for("certificate", certificate):
            return
        await store["certificates"].delete(certificate)

    # -- renewing ----------------------------------------------------------------------------
    def renew_all(self) -> None:
        """Renew what is about to expire."""
        if self.settings is not None:
            self.run(self._renew(self.settings))

    async def _renew(self, settings: Settings) -> None:
        storage = self.storage(settings)
        when = f"{self._now():.0f}"
        await storage.put(names.LAST_RUN, when)
        for host in await self.renewed_hosts(settings):
            found = await self.load(settings, host)
            if found is None:
                self._log.warn("acme: {host} has no certificate, and is not renewed", host=host)
                await storage.delete(names.RENEWAL + host)
                continue
            chain, key = found
            if not is_due(chain, settings["renew_threshold_days"], self._now()):
                self._log.info("acme: the certificate for {host} is not due", host=host)
                continue
            try:
                await self.update(settings, host, key)
            except ACMEError as error:
                self._log.error("acme: {error}", error=str(error))

    async def renewed_hosts(self, settings: Settings) -> list[str]:
        """The hosts whose certificates are renewed."""
        keys = await self.storage(settings).keys(names.RENEWAL)
        return [key.removeprefix(names.RENEWAL) for key in keys]

    async def load(self, settings: Settings, host: str) -> tuple[str, str] | None:
        """The certificate and the key that are kept for a host."""
        if self._keeps_certificates:
            return _pair_in(await self.storage(settings).get(names.CERTIFICATE + host))
        sni = await self._node.store["snis"].select_by("name", host)
        if sni is None:
            return None
        row = await self._node.store["certificates"].select(sni["certificate"]["id"])
        return None if row is None else (row["cert"], row["key"])

    def storage(self, settings: Settings) -> IStorage:
        """Where things are kept."""
        return storage_of(settings.config, self._node, self._now)

    @property
    def _keeps_certificates(self) -> bool:
        """Whether certificates are in the plugin's storage, as the store takes none."""
        is_off: bool = self._node.configuration.database == "off"
        return is_off

    # -- showing -----------------------------------------------------------------------------
    def _read_again(self) -> None:
        self.run(self._read_all())

    async def _read_all(self) -> None:
        settings = self.settings
        if settings is None:
            return
        try:
            for host in await self.renewed_hosts(settings):
                await self._read(settings, host)
        except KongtxError as error:
            self._log.error("acme: the storage cannot be read: {error}", error=str(error))

    async def _read(self, settings: Settings, host: str) -> None:
        found = await self.load(settings, host)
        if found is not None and settings.allows(host):
            self._show(host, *found)

    def _show(self, host: str, chain: str, key: str) -> None:
        shown = self._node.server_names
        if shown is None or self._shown.get(host) == chain:
            return
        try:
            shown.show(host, Pair(chain, key, f"certificate of acme for {host}"))
        except TLSError as error:
            self._log.error("acme: {error}", error=str(error))
        else:
            self._shown[host] = chain

    def _hide(self, host: str) -> None:
        if self._shown.pop(host, None) is not None and self._node.server_names is not None:
            self._node.server_names.show(host, None)

    def _issued(self, data: Any, _channel: str, _event: str, _worker: int) -> None:
        if self.settings is not None:
            self.run(self._read(self.settings, data["host"]))

    # -- proofs over TLS ---------------------------------------------------------------------
    async def _prove_everywhere(self, host: str, on: bool) -> None:
        bus: Any = self._node.bus
        for each in await bus.gather("acme.prove", {"host": host, "on": on}):
            if each["answer"] is not None:
                raise ACMEError(f"a worker cannot prove {host}: {each['answer']}")
        await self._tell_nodes("prove" if on else "proven", host)
        if on and not isinstance(self._node.cluster_events, NoClusterEvents):
            # Until then every other node has heard of it.
            await deferLater(
                self._node.clock,
                2 * self._node.configuration.db_update_frequency,
            )

    async def _asked_to_prove(self, data: Any, _peer: Any = None) -> str | None:
        try:
            await self._prove(data["host"], data["on"])
        except KongtxError as error:
            return str(error)
        return None

    async def _prove(self, host: str, on: bool) -> None:
        shown, settings = self._node.server_names, self.settings
        if shown is None:
            return
        kept = None
        if on and settings is not None:
            kept = _pair_in(await self.storage(settings).get(names.TLS_PROOF + host))
        shown.prove(host, None if kept is None else Pair(*kept, f"proof of holding {host}"))

    async def _tell_nodes(self, event: str, host: str) -> None:
        try:
            await self._node.cluster_events.broadcast(
                CHANNEL, json.dumps({"event": event, "host": host})
            )
        except StoreError as error:
            self._log.warn("acme: other nodes were not told: {error}", error=str(error))

    def _told_by_node(self, data: str) -> None:
        told = json.loads(data)
        if told["event"] == "issued":
            self._issued(told, "", "", 0)
        else:
            self.run(self._prove(told["host"], told["event"] == "prove"))


def _pair_in(kept: str | None) -> tuple[str, str] | None:
    """The certificate and the key in a value of the storage."""
    if kept is None:
        return None
    try:
        found = json.loads(kept)
        return str(found["cert"]), str(found["key"])
    except (ValueError, KeyError, TypeError):
        return None
