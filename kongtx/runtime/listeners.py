"""Listening sockets: opened by the master, inherited by workers, kept over reloads.

With C{reuseport} there is a socket for each worker and the kernel spreads connections over them;
without, all workers accept from one. The master keeps every socket open, so connections that came
while a worker is replaced wait in its socket's queue and are not lost.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen
from twisted.internet.interfaces import IListeningPort

from kongtx.conf import Configuration, KeepAlive, Listen
from kongtx.net.listeners import adopt_listener
from kongtx.runtime.errors import ListenError

#: Kinds of listeners; the property C{KIND_listen} holds the addresses of each.
KINDS = ("proxy", "admin", "status")
#: Waiting connections when nothing is said, as in nginx.
DEFAULT_BACKLOG = 511


@frozen(eq=False)
class Listener:
    """One address of the configuration, as a worker sees it.

    @ivar kind: a key of L{KINDS}.
    @ivar listen: how to speak there: C{ssl}, C{http2}, C{proxy_protocol}.
    @ivar sockets: usually one; more when there are fewer workers than there were.
    """

    kind: str
    listen: Listen
    sockets: tuple[socket.socket, ...]

    @property
    def address(self) -> Any:
        """Where it really listens, as C{getsockname} says: with the port that 0 became."""
        return self.sockets[0].getsockname()

    def adopt(
        self,
        reactor: Any,
        factory: Any,
        context: ssl.SSLContext | None = None,
        handshake_timeout: float = 60.0,
    ) -> list[IListeningPort]:
        """Accept connections and give them to a protocol factory, once they have shaken hands.

        @param reactor: provides C{IReactorSocket}.
        @param context: for those that speak TLS.
        @param handshake_timeout: seconds for TLS, and before it for a PROXY protocol header.
        @return: ports whose C{stopListening} ends that, for this process alone.
        """
        return [
            adopt_listener(
                reactor,
                each.fileno(),
                each.family,
                factory,
                context,
                proxy_protocol=self.listen.proxy_protocol,
                handshake_timeout=handshake_timeout,
            )
            for each in self.sockets
        ]


@frozen(eq=False)
class Bound:
    """One address of the configuration, as the master holds it."""

    kind: str
    listen: Listen
    sockets: tuple[socket.socket, ...]

    def of_worker(self, worker_id: int, worker_count: int) -> tuple[socket.socket, ...]:
        """The sockets that a worker accepts from: its own, and those of workers there are no more;
        when there are too few, as after a reload with more workers, it shares another's."""
        mine = self.sockets[worker_id::worker_count]
        return mine or (self.sockets[worker_id % len(self.sockets)],)

    def close(self) -> None:
        """Listen no more."""
        for each in self.sockets:
            each.close()


def wanted(conf: Configuration, kinds: Iterable[str] = KINDS) -> list[tuple[str, Listen]]:
    """What a configuration wants to listen on, by kind."""
    return [(kind, listen) for kind in kinds for listen in getattr(conf, f"{kind}_listeners")]


class ListenerSet:
    """All listening sockets of a node."""

    def __init__(self, bound: Sequence[Bound] = ()) -> None:
        self.bound = tuple(bound)

    def changed(self, wants: Sequence[tuple[str, Listen]], worker_count: int) -> ListenerSet:
        """The sockets for another configuration; those of addresses that stay are kept.

        @raise ListenError: an address cannot be listened on; what was opened is closed again.
        """
        # Port 0 names no address: each such entry takes one of the old ones, in their order.
        old: dict[tuple[str, int], list[Bound]] = {}
        for each in self.bound:
            old.setdefault((each.listen.ip, each.listen.port), []).append(each)
        result: list[Bound] = []
        try:
            for kind, listen in wants:
                kept = old.get((listen.ip, listen.port))
                sockets = kept.pop(0).sockets if kept else ()
                result.append(_bind(kind, listen, worker_count, sockets))
        except ListenError:
            _close_all(_sockets(result) - _sockets(self.bound))
            raise
        return ListenerSet(result)

    def close(self, keep: ListenerSet | None = None) -> None:
        """Close the sockets; not those that another set keeps."""
        _close_all(_sockets(self.bound) - _sockets(keep.bound if keep else ()))


def _sockets(bound: Iterable[Bound]) -> set[socket.socket]:
    return {each for entry in bound for each in entry.sockets}


def _close_all(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _bind(
    kind: str, listen: Listen, worker_count: int, kept: Sequence[socket.socket] = ()
) -> Bound:
    count = max(worker_count, 1) if listen.reuseport else 1
    sockets = list(kept)
    try:
        if listen.reuseport and listen.port and not kept:
            _check_free(listen)
        for each in sockets:
            _listen(each, listen)
        while len(sockets) < count and _may_share(sockets):
            # With port 0, all of them take the port that the first one got.
            port = sockets[0].getsockname()[1] if sockets else listen.port
            sockets.append(_open(listen, port))
    except OSError as error:
        for each in sockets[len(kept) :]:
            each.close()
        raise ListenError(
            f"cannot listen on {listen.address} ({kind}_listen): {error.strerror or error}"
        ) from error
    return Bound(kind, listen, tuple(sockets))


def _may_share(sockets: Sequence[socket.socket]) -> bool:
    """Whether more sockets can be bound to the address of these."""
    return not sockets or bool(sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))


def _check_free(listen: Listen) -> None:
    """Fail when somebody listens there: with reuseport the system would let both have it, and deal
    the connections out between two nodes that know nothing of each other."""
    _open(attrs.evolve(listen, reuseport=False), listen.port).close()


def _open(listen: Listen, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(
        listen.ip, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, kind, proto)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if listen.reuseport:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # nginx: an IPv6 address takes IPv4 connections only when told so.
            only = listen.ipv6only is not False
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        opened.bind(address)
        _listen(opened, listen)
    except OSError:
        opened.close()
        raise
    return opened


def _listen(opened: socket.socket, listen: Listen) -> None:
    """Set what may change over a reload; accepted connections inherit it (Linux)."""
    opened.setblocking(False)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, int(listen.deferred))
    keepalive = listen.so_keepalive
    if keepalive is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, keepalive.enabled)
        for option, value in (
            (socket.TCP_KEEPIDLE, keepalive.idle_s),
            (socket.TCP_KEEPINTVL, keepalive.interval_s),
            (socket.TCP_KEEPCNT, keepalive.count),
        ):
            if value is not None:
                opened.setsockopt(socket.IPPROTO_TCP, option, value)
    opened.listen(listen.backlog or DEFAULT_BACKLOG)


# How a worker is told which descriptor is which.


def describe(bound: Sequence[Bound], fds: Mapping[socket.socket, int], worker: Any) -> list[Any]:
    """The listeners of a worker for its launch description.

    @param fds: the descriptor that each socket has in the worker.
    @param worker: C{(worker_id, worker_count)}.
    """
    return [
        {
            "kind": each.kind,
            "listen": attrs.asdict(each.listen),
            "fds": [fds[mine] for mine in each.of_worker(*worker)],
        }
        for each in bound
    ]


def inherit(description: Sequence[Mapping[str, Any]]) -> list[Listener]:
    """The listeners of a worker, from its launch description."""
    return [
        Listener(
            each["kind"],
            _read_listen(each["listen"]),
            tuple(_take(fd) for fd in each["fds"]),
        )
        for each in description
    ]


def _take(fd: int) -> socket.socket:
    # No program that a plugin starts should hold the gateway's ports.
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)


def _read_listen(fields: Mapping[str, Any]) -> Listen:
    keepalive = fields["so_keepalive"]
    return Listen(**{**fields, "so_keepalive": KeepAlive(**keepalive) if keepalive else None})
