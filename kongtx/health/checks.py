"""Health checks of all upstreams, shared by the workers of a node."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.balancer.balancers import Balancers
from kongtx.balancer.interfaces import IPeerObserver
from kongtx.balancer.peer import Peer
from kongtx.balancer.target import split_target
from kongtx.balancer.upstream import UpstreamBalancer
from kongtx.dns.records import strip_brackets
from kongtx.events.interfaces import IEventBus
from kongtx.events.link import BUS_CHANNEL
from kongtx.health import report
from kongtx.health.errors import HealthError
from kongtx.health.interfaces import IHealthChecker, IProber
from kongtx.health.machine import Outcome, Status
from kongtx.health.monitor import Key, Monitor

CHANNEL = "healthchecks"
CLUSTER_CHANNEL = "balancer:post_health"
BATCH = 0.02  # seconds for which reports wait for more to travel together

Listener = Callable[[str, str, int, str, str], object]


@implementer(IHealthChecker, IPeerObserver)
class HealthChecks(Service):
    """The health of all upstreams in this worker; see L{IHealthChecker}.

    Each worker counts what it sees at once, and tells the others what counted and which statuses
    changed, so all come to the same statuses without waiting for each other. Where they differ for
    a moment, the bus decides: all see its events in the same order, and the last status holds. One
    worker makes the active checks. A worker that starts asks the others for their statuses.

    It makes itself the observer of C{balancers}; start it after their first update.

    @param balancers: whose upstreams are watched.
    @param reactor: for the time.
    @param bus: the workers' event bus.
    @param prober: makes active checks.
    @param probes_here: whether this worker makes them at the moment.
    @param broadcast: tells other nodes: called with L{CLUSTER_CHANNEL} and a packet, which their
        L{from_cluster} takes; L{None} if there are none.
    """

    name = "healthchecks"
    _log = Logger()

    def __init__(
        self,
        balancers: Balancers,
        reactor: IReactorTime,
        bus: IEventBus,
        *,
        prober: IProber,
        probes_here: Callable[[], bool] = lambda: True,
        broadcast: Callable[[str, str], object] | None = None,
    ) -> None:
        self._balancers = balancers
        self._reactor = reactor
        self._bus = bus
        self._prober = prober
        self._probes_here = probes_here
        self._broadcast = broadcast
        self._me = uuid.uuid4().hex
        self._monitors: dict[UpstreamBalancer, Monitor] = {}
        self._listeners: list[Listener] = []
        self._waiting: list[list[Any]] = []
        # Statuses told by this worker that the bus has not brought back yet: until it does, what
        # others tell came before them.
        self._told: Counter[tuple[str, Key]] = Counter()
        self._timer: IDelayedCall | None = None
        self._endings: list[Callable[[], None]] = []
        balancers.observer = self

    def startService(self) -> None:
        """Join the other workers."""
        super().startService()  # type: ignore[no-untyped-call]
        handlers = {
            "reports": self._on_reports,
            "hello": self._on_hello,
            "state": self._on_state,
        }
        for event, handler in handlers.items():
            self._endings.append(self._bus.subscribe(CHANNEL, event, self._handler(handler)))
        for event in ("status", "set"):
            self._endings.append(self._bus.subscribe(CHANNEL, event, self._on_told))
        self._endings.append(self._bus.subscribe(BUS_CHANNEL, "reconnected", self._reconnected))
        self._publish("hello", {})

    def stopService(self) -> None:
        """End all checks and leave the others."""
        super().stopService()  # type: ignore[no-untyped-call]
        for end in self._endings:
            end()
        self._endings = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for monitor in self._monitors.values():
            monitor.stop()

    # IPeerObserver

    def peers_changed(self, upstream: UpstreamBalancer) -> None:
        """See L{IPeerObserver}."""
        monitor = self._monitors.get(upstream)
        if monitor is None:
            monitor = self._monitors[upstream] = Monitor(
                upstream,
                self._reactor,
                self._prober,
                self._probes_here,
                counted=self._counted,
                turned=self._turned,
            )
        monitor.configure()

    def removed(self, upstream: UpstreamBalancer) -> None:
        """See L{IPeerObserver}."""
        monitor = self._monitors.pop(upstream, None)
        if monitor is not None:
            monitor.stop()

    def finished(
        self, upstream: UpstreamBalancer, peer: Peer, outcome: Outcome, seconds: float
    ) -> None:
        """See L{IPeerObserver}."""
        monitor = self._monitors.get(upstream)
        if monitor is not None:
            monitor.finished(peer, outcome, seconds)

    # IHealthChecker

    def upstream_health(
        self, upstream_id: str, targets: Iterable[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """See L{IHealthChecker}."""
        monitor = self._monitor(upstream_id)
        return report.targets_health(monitor.upstream, targets, monitor.on)

    def balancer_health(self, upstream_id: str) -> dict[str, Any]:
        """See L{IHealthChecker}."""
        monitor = self._monitor(upstream_id)
        return report.balancer_health(monitor.upstream, monitor.on)

    def set_health(
        self, upstream_id: str, target: Mapping[str, Any], address: str | None, healthy: bool
    ) -> None:
        """See L{IHealthChecker}."""
        monitor = self._monitor(upstream_id)
        if not monitor.on:
            raise HealthError(f"no healthchecker found for {monitor.upstream.name}")
        name, port = split_target(str(target["target"]))
        ip = ""
        if address is not None:
            found, port = split_target(address if ":" in address else f"{address}:8000")
            ip = strip_brackets(found)
        self._set(upstream_id, name, ip, port, healthy)
        if self._broadcast is not None:
            packet = (name, ip, str(port), "1" if healthy else "0", upstream_id)
            self._broadcast(CLUSTER_CHANNEL, "|".join((*packet, monitor.upstream.name)))

    def from_cluster(self, packet: str) -> None:
        """Take a status that was set by hand on another node.

        @param packet: C{hostname|ip|port|health|upstream id|upstream name} (Kong: the same).
        """
        try:
            name, ip, port, health, upstream_id, _ = packet.split("|", 5)
            number = int(port)
        except ValueError:
            self._log.error("a packet that makes no sense came over the cluster: {p}", p=packet)
            return
        self._set(upstream_id, name, strip_brackets(ip), number, health == "1")

    def subscribe(self, callback: Listener) -> Callable[[], None]:
        """See L{IHealthChecker}."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    # between workers

    def _counted(self, monitor: Monitor, key: Key, kind: str, outcome: Outcome) -> None:
        self._waiting.append([monitor.upstream.id, *key, kind, outcome])
        if self._timer is None:
            self._timer = self._reactor.callLater(BATCH, self._send_reports)

    def _send_reports(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._publish("reports", {"reports": waiting})

    def _turned(self, monitor: Monitor, key: Key, status: Status, tell: bool) -> None:
        if status not in (Status.HEALTHY, Status.UNHEALTHY):
            return
        upstream_id = monitor.upstream.id
        if tell:
            # The reports that led to it first, so that nobody counts them afterwards.
            self._send_reports()
            self._tell("status", [(upstream_id, key)], status.value)
        for listener in list(self._listeners):
            try:
                listener(upstream_id, *key, status.value)
            except Exception:
                self._log.failure("a listener to health checks failed")

    def _tell(self, event: str, keys: list[tuple[str, Key]], status: str) -> None:
        if keys and self.running:
            self._told.update(keys)
            self._publish(event, {"keys": keys, "status": status}, keys)

    def _publish(
        self, event: str, data: dict[str, Any], keys: Iterable[tuple[str, Key]] = ()
    ) -> None:
        def failed(failure: Failure) -> None:
            self._came_back(keys)
            self._log.warn(
                "cannot tell other workers of {event}: {reason}",
                event=event,
                reason=failure.getErrorMessage(),
            )

        self._bus.publish(CHANNEL, event, {"from": self._me, **data}).addErrback(failed)

    def _came_back(self, keys: Iterable[tuple[str, Key]]) -> None:
        for told in keys:
            self._told[told] -= 1
            if self._told[told] <= 0:
                del self._told[told]

    def _reconnected(self, *event: object) -> None:
        # While the link was down, what the others said was missed, perhaps what came back too.
        self._told.clear()
        self._publish("hello", {})

    def _handler(self, handle: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
        def handle_others(data: dict[str, Any], channel: str, event: str, worker: int) -> None:
            if data["from"] != self._me:
                handle(data)

        return handle_others

    def _on_reports(self, data: dict[str, Any]) -> None:
        for upstream_id, ip, port, hostname, kind, outcome in data["reports"]:
            monitor = self._by_id(upstream_id)
            if monitor is not None:
                monitor.report((ip, port, hostname), kind, outcome, own=False)

    def _on_told(self, data: dict[str, Any], channel: str, event: str, worker: int) -> None:
        """Statuses that a worker came to (C{status}) or that were set by hand (C{set})."""
        status = Status(data["status"])
        keys = [
            (upstream_id, (ip, port, hostname))
            for upstream_id, (ip, port, hostname) in data["keys"]
        ]
        if data["from"] == self._me:
            self._came_back(keys)
            return
        for upstream_id, key in keys:
            monitor = self._by_id(upstream_id)
            if monitor is None or (upstream_id, key) in self._told:
                continue
            if event == "set":
                monitor.force(key, status)
            else:
                monitor.adopt(key, status)

    def _on_hello(self, data: dict[str, Any]) -> None:
        state = {monitor.upstream.id: monitor.dump() for monitor in self._monitors.values()}
        known = {upstream_id: dumped for upstream_id, dumped in state.items() if dumped}
        if known:
            self._publish("state", {"to": data["from"], "state": known})

    def _on_state(self, data: dict[str, Any]) -> None:
        if data["to"] != self._me:
            return
        for upstream_id, dumped in data["state"].items():
            monitor = self._by_id(upstream_id)
            if monitor is not None:
                for ip, port, hostname, *health in dumped:
                    monitor.load((ip, port, hostname), health)

    def _set(self, upstream_id: str, name: str, ip: str, port: int, healthy: bool) -> None:
        monitor = self._by_id(upstream_id)
        if monitor is None:
            return
        status = Status.HEALTHY if healthy else Status.UNHEALTHY
        keys = monitor.keys_of(name, port, (ip, port) if ip else None)
        for key in keys:
            monitor.force(key, status)
        self._tell("set", [(upstream_id, key) for key in keys], status.value)

    def _by_id(self, upstream_id: str) -> Monitor | None:
        upstream = self._balancers.upstream(upstream_id)
        return self._monitors.get(upstream) if upstream is not None else None

    def _monitor(self, upstream_id: str) -> Monitor:
        monitor = self._by_id(upstream_id)
        if monitor is None:
            raise HealthError(f"Upstream {upstream_id} has no balancer")
        return monitor
