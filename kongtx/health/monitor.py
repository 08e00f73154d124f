"""The health of one upstream's addresses in this worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from kongtx.balancer.peer import Peer
from kongtx.balancer.upstream import UpstreamBalancer
from kongtx.dns.records import canonical
from kongtx.health.interfaces import IProber
from kongtx.health.machine import Health, Limits, Outcome, Status, uses_checks
from kongtx.health.outliers import Tally, judge
from kongtx.health.probes import Probe
from kongtx.health.schedule import Rounds

Key = tuple[str, int, str]
"""IP address, port, and the target's name."""

Told = Callable[["Monitor", Key, str, Outcome], None]


class Monitor:
    """Counts what happens to an upstream's peers and tells its balancer which are available.

    @param upstream: the balancer.
    @param reactor: for the time.
    @param prober: makes active checks.
    @param probes_here: whether this worker makes the node's active checks at the moment.
    @param counted: called with this, a key, C{"active"} or C{"passive"} and the outcome, when a
        report from this worker counted for something.
    @param turned: called with this, a key, the new L{Status}, and whether the others have to be
        told: whether reports made or broke the circuit here; when a status changed.
    """

    _log = Logger(namespace="kongtx.health")

    def __init__(
        self,
        upstream: UpstreamBalancer,
        reactor: IReactorTime,
        prober: IProber,
        probes_here: Callable[[], bool],
        *,
        counted: Told,
        turned: Callable[[Monitor, Key, Status, bool], None],
    ) -> None:
        self.upstream = upstream
        self.on = False
        self._reactor = reactor
        self._prober = prober
        self._probes_here = probes_here
        self._counted = counted
        self._turned = turned
        self._peers: dict[Key, list[Peer]] = {}
        self._health: dict[Key, Health] = {}
        self._limits: dict[str, Limits] = {}
        self._checks: Mapping[str, Any] | None = None
        self._rounds: list[Rounds] = []
        self._tallies: dict[Peer, Tally] = {}
        self._ejections: dict[Peer, int] = {}
        self._returns: dict[Peer, IDelayedCall] = {}
        self._judging: IDelayedCall | None = None

    def configure(self) -> None:
        """Take over the upstream's configuration and peers; statuses of peers that stay are kept
        (Kong: the same)."""
        checks = self.upstream.entity.get("healthchecks") or {}
        self._peers = {}
        for peer in self.upstream.peers:
            self._peers.setdefault(key_of(peer), []).append(peer)
        self.on = uses_checks(checks)
        before, self._health = self._health, {}
        if self.on:
            self._health = {key: before.get(key) or Health() for key in self._peers}
        for key, peers in self._peers.items():
            health = self._health.get(key)
            for peer in peers:
                self.upstream.set_available(peer, health is None or health.status.passes)
        if checks != self._checks:
            self._checks = checks
            self._limits = {kind: Limits.of(checks.get(kind) or {}) for kind in _KINDS}
            self._restart_rounds(checks.get("active") or {})
        self._watch_outliers()
        passive = self._limits["passive"]
        counts = self.on and (passive.any_failures or passive.successes)
        self.upstream.watched = bool(counts or self.upstream.extras.outliers)

    def stop(self) -> None:
        """End all checks."""
        self.upstream.watched = False
        for rounds in self._rounds:
            rounds.stop()
        self._rounds = []
        if self._judging is not None:
            self._judging.cancel()
            self._judging = None
        for call in self._returns.values():
            call.cancel()
        self._returns.clear()

    def finished(self, peer: Peer, outcome: Outcome, seconds: float) -> None:
        """An attempt of a request ended."""
        tally = self._tallies.get(peer)
        if tally is not None:
            tally.add(outcome, seconds)
        if self.on:
            self.report(key_of(peer), "passive", outcome)

    def report(self, key: Key, kind: str, outcome: Outcome, own: bool = True) -> None:
        """Count an outcome.

        @param kind: C{"active"} or C{"passive"}.
        @param own: whether this worker saw it, rather than heard of it.
        """
        health = self._health.get(key)
        if health is None:
            return
        before = health.status
        if not health.report(self._limits[kind], outcome):
            return
        if own:
            self._counted(self, key, kind, outcome)
        if health.status is not before:
            self._log.debug(
                "[healthchecks] {upstream}: {target} is {status} after {kind} {outcome}",
                upstream=self.upstream.name,
                target=show_key(key),
                status=health.status.value,
                kind=kind,
                outcome=outcome,
            )
            self._apply(key, before, health.status, reported=True)

    def force(self, key: Key, status: Status) -> None:
        """Set a status by hand."""
        health = self._health.get(key)
        if health is not None:
            before = health.status
            health.force(status)
            self._log.warn(
                "[healthchecks] {upstream}: {status} forced for {target}",
                upstream=self.upstream.name,
                status=status.value,
                target=show_key(key),
            )
            self._apply(key, before, status)

    def adopt(self, key: Key, status: Status) -> None:
        """Take over a status that another worker arrived at."""
        health = self._health.get(key)
        if health is not None and health.status.passes is not status.passes:
            before = health.status
            health.force(status)
            self._apply(key, before, status)

    def dump(self) -> list[list[Any]]:
        """What is not as it began: C{[ip, port, hostname, *dump]} of each address."""
        fresh = Health().dump()
        return [
            [*key, *health.dump()] for key, health in self._health.items() if health.dump() != fresh
        ]

    def load(self, key: Key, dumped: list[Any]) -> None:
        """Take over an address's health from another worker, unless there is news here."""
        health = self._health.get(key)
        if health is not None and health.dump() == Health().dump():
            before = health.status
            health.load(dumped)
            self._apply(key, before, health.status)

    def keys_of(self, name: str, port: int, address: tuple[str, int] | None) -> list[Key]:
        """The keys of a target's addresses.

        @param name: the target's name, IPv6 in brackets.
        @param port: the target's port.
        @param address: one of its addresses; L{None} for all.
        """
        found = []
        wanted = None if address is None else (canonical(address[0]), address[1])
        for key, peers in self._peers.items():
            if key[2] != name or (wanted is not None and (canonical(key[0]), key[1]) != wanted):
                continue
            if any(peer.target and peer.target.port == port for peer in peers) or address:
                found.append(key)
        return found

    def _apply(self, key: Key, before: Status, status: Status, reported: bool = False) -> None:
        turned = before.passes is not status.passes
        if turned:
            was_healthy = self.upstream.healthy
            for peer in self._peers[key]:
                self.upstream.set_available(peer, status.passes)
            self._log.warn(
                "[healthchecks] {upstream}: target {target} is {health}",
                upstream=self.upstream.name,
                target=show_key(key),
                health="healthy" if status.passes else "unhealthy",
            )
            if self.upstream.healthy is not was_healthy:
                self._log.warn(
                    "[healthchecks] balancer {upstream} reported health status changed to {health}",
                    upstream=self.upstream.name,
                    health="HEALTHY" if self.upstream.healthy else "UNHEALTHY",
                )
        self._turned(self, key, status, reported and turned)

    def _restart_rounds(self, active: Mapping[str, Any]) -> None:
        for rounds in self._rounds:
            rounds.stop()
        self._rounds = []
        for side, passes in (("healthy", True), ("unhealthy", False)):
            interval = float((active.get(side) or {}).get("interval") or 0)
            if interval > 0:
                self._rounds.append(
                    Rounds(
                        self._reactor,
                        interval,
                        int(active.get("concurrency") or 10),
                        lambda passes=passes: self._to_check(passes),  # type: ignore[misc]
                        self._check,
                    )
                )

    def _to_check(self, passes: bool) -> list[Peer]:
        if not self._probes_here():
            return []
        return [
            self._peers[key][0]
            for key, health in self._health.items()
            if health.status.passes is passes
        ]

    def _check(self, peer: Peer) -> Deferred[None]:
        key = key_of(peer)
        probe = Probe(self.upstream.entity, peer.address, peer.port, peer.host.decode("latin-1"))
        return self._prober.check(probe).addCallback(
            lambda outcome: self.report(key, "active", outcome)
        )

    def _watch_outliers(self) -> None:
        rules = self.upstream.extras.outliers
        if not rules:
            self._tallies = {}
            if self._judging is not None:
                self._judging.cancel()
                self._judging = None
            for peer in list(self._returns):
                self._returns.pop(peer).cancel()
                self.upstream.set_ejected(peer, False)
            return
        self._tallies = {peer: self._tallies.get(peer) or Tally() for peer in self.upstream.peers}
        gone = [peer for peer in self._returns if peer not in self._tallies]
        for peer in gone:
            self._returns.pop(peer).cancel()
        self._ejections = {p: n for p, n in self._ejections.items() if p in self._tallies}
        if self._judging is None:
            self._judging = self._reactor.callLater(rules.interval, self._judge)

    def _judge(self) -> None:
        rules = self.upstream.extras.outliers
        self._judging = self._reactor.callLater(rules.interval, self._judge)
        tallies = {peer: tally for peer, tally in self._tallies.items() if not peer.ejected}
        worst = judge(tallies, rules, len(self._tallies), len(self._returns))
        for peer, tally in tallies.items():
            if peer in worst:
                self._eject(peer, tally, rules.ejection)
            elif tally.attempts >= rules.requests:
                self._ejections.pop(peer, None)
        self._tallies = {peer: Tally() for peer in self._tallies}

    def _eject(self, peer: Peer, tally: Tally, ejection: float) -> None:
        times = self._ejections[peer] = self._ejections.get(peer, 0) + 1
        self._log.warn(
            "[healthchecks] {upstream}: {target} is ejected for {seconds} s: {failures} of "
            "{attempts} attempts failed, {mean:.3f} s each",
            upstream=self.upstream.name,
            target=show_key(key_of(peer)),
            seconds=times * ejection,
            failures=tally.failures,
            attempts=tally.attempts,
            mean=tally.seconds / tally.attempts,
        )
        self._returns[peer] = self._reactor.callLater(times * ejection, self._readmit, peer)
        self.upstream.set_ejected(peer, True)

    def _readmit(self, peer: Peer) -> None:
        del self._returns[peer]
        self.upstream.set_ejected(peer, False)


_KINDS = ("active", "passive")


def key_of(peer: Peer) -> Key:
    """What identifies a peer on every worker."""
    return peer.address, peer.port, peer.target.name if peer.target is not None else peer.address


def show_key(key: Key) -> str:
    """C{name (ip:port)}, as in Kong's logs."""
    address, port, name = key
    shown = f"[{address}]" if ":" in address else address
    return f"{name} ({shown}:{port})"
