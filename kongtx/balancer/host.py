"""Balancers for hosts that are no upstream: names in the DNS, and addresses. Hot path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kongtx.balancer.errors import BalancerError, NameResolutionFailed, ResolverFailed
from kongtx.balancer.interfaces import IBalancer, IBalanceRequest, IPeer
from kongtx.balancer.peer import Peer
from kongtx.dns.choice import Turn
from kongtx.dns.errors import DNSError, NameUnknown
from kongtx.dns.interfaces import IAnswer, IResolver


@implementer(IBalancer)
class AddressBalancer:
    """Always the same address.

    @param address: an IP literal without brackets.
    @param port: the service's port.
    @param host: the Host header.
    """

    client_certificate: Mapping[str, Any] | None = None

    def __init__(self, address: str, port: int, host: bytes) -> None:
        self._peer = Peer(address, port, host)

    def pick(self, request: IBalanceRequest, failed: Sequence[IPeer]) -> IPeer:
        """See L{IBalancer}."""
        return self._peer

    def started(self, peer: IPeer) -> None:
        """See L{IBalancer}; nothing to do."""

    def finished(self, peer: IPeer, outcome: int | str, seconds: float) -> None:
        """See L{IBalancer}; nothing to do."""


@implementer(IBalancer)
class NameBalancer:
    """The addresses of a name in turn, SRV records by priority and weight.

    @param name: the service's host.
    @param port: the service's port; an SRV record's own replaces it.
    @param resolver: finds the addresses.
    @param random: where the turn begins, so that workers do not march in step.
    """

    client_certificate: Mapping[str, Any] | None = None
    _log = Logger()

    def __init__(self, name: str, port: int, resolver: IResolver, random: Random) -> None:
        self._name = name
        self._port = port
        self._host = name.encode("latin-1", "replace")
        self._resolver = resolver
        self._answer: IAnswer | None = None
        self._turn: Turn | None = None
        self._taken = random.randrange(2**16)
        self._peers: dict[Any, Peer] = {}

    def pick(self, request: IBalanceRequest, failed: Sequence[IPeer]) -> IPeer | Deferred[IPeer]:
        """See L{IBalancer}."""
        try:
            answer = self._resolver.resolve(self._name, self._port)
        except DNSError as error:
            raise self._explain(error) from error
        if isinstance(answer, Deferred):
            return answer.addCallbacks(self._choose, self._fail, (failed,))
        return self._choose(answer, failed)

    def started(self, peer: IPeer) -> None:
        """See L{IBalancer}; nothing to do."""

    def finished(self, peer: IPeer, outcome: int | str, seconds: float) -> None:
        """See L{IBalancer}; nothing to do."""

    def _choose(self, answer: IAnswer, failed: Sequence[IPeer]) -> IPeer:
        if answer is not self._answer or self._turn is None:
            self._answer = answer
            # A new answer, perhaps one for each request (ttl 0), goes on where the last ended.
            self._turn = Turn(answer.records, self._taken)
            known = {(peer.address, peer.port): peer for peer in self._peers.values()}
            self._peers = {
                record: known.get((record.address, record.port))
                or Peer(record.address, record.port, self._host)
                for record in answer.records
            }
        self._taken += 1
        if not failed:
            return self._peers[self._turn.take()]
        # Those of the next priorities come when all of the first have failed (RFC 2782).
        others = [record for record in answer.records if self._peers[record] not in failed]
        return self._peers[Turn(others).take() if others else self._turn.take()]

    def _fail(self, failure: Failure) -> IPeer:
        failure.trap(DNSError)
        assert isinstance(failure.value, DNSError)
        raise self._explain(failure.value) from failure.value

    def _explain(self, error: DNSError) -> BalancerError:
        self._log.error(
            "DNS resolution failed: {error}. Tried: {tried}", error=error, tried=list(error.tried)
        )
        if isinstance(error, NameUnknown):
            return NameResolutionFailed()
        return ResolverFailed(str(error))
