"""Name servers made of a table."""

from __future__ import annotations

from collections import Counter

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from kongtx.dns.errors import ServersUnreachable
from kongtx.dns.interfaces import IExchanger
from kongtx.dns.message import Data, Response
from kongtx.dns.records import AAAA, CNAME, SRV, A

NXDOMAIN = Response(3)
EMPTY = Response(0)
SERVFAIL = Response(2)


def a(name: str, *addresses: str, ttl: int = 60) -> Response:
    return Response(0, answers=tuple(Data(name, A, ttl, address) for address in addresses))


def aaaa(name: str, *addresses: str, ttl: int = 60) -> Response:
    return Response(0, answers=tuple(Data(name, AAAA, ttl, address) for address in addresses))


def srv(name: str, *services: tuple[int, int, int, str], ttl: int = 60) -> Response:
    """Services are C{(priority, weight, port, target)}, as in a zone file."""
    return Response(
        0,
        answers=tuple(
            Data(name, SRV, ttl, target, port, priority, weight)
            for priority, weight, port, target in services
        ),
    )


def cname(name: str, target: str, *more: Data, ttl: int = 60) -> Response:
    return Response(0, answers=(Data(name, CNAME, ttl, target), *more))


@implementer(IExchanger)
class FakeServers:
    """Answers from C{table}; NXDOMAIN for all else; holds answers back while C{held} is a list."""

    def __init__(self, table: dict[tuple[str, int], Response] | None = None) -> None:
        self.table = table or {}
        self.asked: Counter[tuple[str, int]] = Counter()
        self.order: list[tuple[str, int]] = []
        self.down = False
        self.held: list[Deferred[Response]] | None = None

    def ask(self, name: str, rtype: int) -> Deferred[Response]:
        self.asked[name, rtype] += 1
        self.order.append((name, rtype))
        if self.down:
            return fail(ServersUnreachable("dns server error: no answer: timeout"))
        response = self.table.get((name, rtype), NXDOMAIN)
        if self.held is None:
            return succeed(response)
        waiting: Deferred[Response] = Deferred()
        self.held.append(waiting)
        return waiting.addCallback(lambda _: self.table.get((name, rtype), NXDOMAIN))

    def release(self) -> None:
        held, self.held = self.held or [], None
        for waiting in held:
            waiting.callback(EMPTY)
