"""The resolver: cached answers at once, all else as Deferreds. Hot path: C{resolve}."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from random import Random, SystemRandom
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.dns.choice import Turn
from kongtx.dns.errors import DNSError, NameUnknown
from kongtx.dns.exchange import Exchanger
from kongtx.dns.files import WatchedFile
from kongtx.dns.flight import Flights
from kongtx.dns.hosts import parse_hosts
from kongtx.dns.interfaces import IExchanger, IResolver
from kongtx.dns.lookup import Lookup
from kongtx.dns.lru import LRU
from kongtx.dns.records import Answer, strip_brackets
from kongtx.dns.resolvconf import parse_resolv_conf
from kongtx.dns.settings import DNSSettings
from kongtx.dns.stats import Statistics


class _Entry:
    """What is cached for one name as it was spelt: an answer, or the error to raise."""

    __slots__ = (
        "answer",
        "counts",
        "error",
        "expires",
        "ports",
        "refresh_at",
        "stale_until",
        "turns",
    )

    def __init__(
        self,
        answer: Answer | None,
        error: DNSError | None,
        expires: float,
        stale_until: float,
        counts: Counter[str],
    ) -> None:
        self.answer = answer
        self.error = error
        self.expires = expires
        self.stale_until = stale_until
        self.refresh_at = expires
        self.counts = counts
        self.ports: dict[int, Answer] = {}
        self.turns: dict[int, Turn] = {}


@implementer(IResolver)
class Resolver(Service):
    """Resolves names with one cache for the process; see L{IResolver}.

    The files are read when it is made, and again when they change while the service runs.

    @param reactor: provides C{IReactorTime}, C{IReactorFDSet} and C{IReactorTCP}.
    @param settings: how to resolve.
    @param exchanger: asks the servers, in place of one made from the settings and resolv.conf.
    @param random: ids of queries, and where the turn over several records begins.
    @param environ: C{LOCALDOMAIN} and C{RES_OPTIONS} (resolv.conf(5)).
    """

    name = "dns"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: DNSSettings | None = None,
        exchanger: IExchanger | None = None,
        random: Random | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._reactor = reactor
        self._seconds = reactor.seconds
        self._settings = settings = settings or DNSSettings()
        self._random = random or SystemRandom()
        self._environ = os.environ if environ is None else environ
        self._given = exchanger
        self._statistics = Statistics(settings.cache_size)
        self._entries: LRU[str, _Entry] = LRU(settings.cache_size)
        self._flights: Flights[_Entry] = Flights()
        self._lookup = Lookup(
            settings, exchanger or Exchanger(reactor, ()), self._seconds, self._statistics
        )
        self._files = (
            WatchedFile(settings.resolv_conf, self._read_resolv_conf),
            WatchedFile(settings.hostsfile, self._read_hosts),
        )
        self._timer: IDelayedCall | None = None
        self.reread()

    def startService(self) -> None:
        """Begin to watch the files."""
        super().startService()  # type: ignore[no-untyped-call]
        self._timer = self._reactor.callLater(self._settings.reread, self._watch)

    def stopService(self) -> None:
        """Stop watching; resolving goes on working."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def resolve(self, name: str, port: int | None = None) -> Answer | Deferred[Any]:
        """See L{IResolver}."""
        entry = self._entry(name)
        if isinstance(entry, Deferred):
            return entry.addCallback(_answer_of, port)
        if port is None and entry.answer is not None:
            return entry.answer
        return _answer_of(entry, port)

    def refresh(self, name: str) -> Deferred[Any]:
        """See L{IResolver}."""
        entry = self._entries.get(name)
        if entry is not None and entry.expires > self._seconds():
            return execute(_answer_of, entry, None)
        return self._flights.join(name, lambda: self._work(name)).addCallback(_answer_of, None)

    def to_ip(self, name: str, port: int) -> tuple[str, int] | Deferred[tuple[str, int]]:
        """See L{IResolver}."""
        entry = self._entry(name)
        if isinstance(entry, Deferred):
            return entry.addCallback(self._take, port)
        return self._take(entry, port)

    def statistics(self) -> dict[str, dict[str, int]]:
        """The C{stats} object of C{GET /status/dns}."""
        return self._statistics.emit()

    def reread(self) -> None:
        """Read the hosts file and resolv.conf if they changed."""
        for file in self._files:
            file.check()

    def flush(self) -> None:
        """Forget every answer and every failure."""
        self._entries.clear()
        self._lookup.forget()

    def _watch(self) -> None:
        self._timer = self._reactor.callLater(self._settings.reread, self._watch)
        self.reread()

    def _read_hosts(self, text: str) -> None:
        self._lookup.hosts = parse_hosts(text)
        # Search suffixes, CNAMEs and SRV targets may lead to the file from any name; what the
        # servers said is still known to the lookup, so this asks nobody again.
        self._entries.clear()

    def _read_resolv_conf(self, text: str) -> None:
        settings = self._settings
        conf = parse_resolv_conf(text, self._environ)
        self._lookup.conf = conf
        if self._given is None:
            self._lookup.exchanger = Exchanger(
                self._reactor,
                settings.resolver or conf.nameservers or (("127.0.0.1", 53),),
                timeout=settings.timeout or conf.timeout or 2,
                attempts=settings.attempts or conf.attempts or 5,
                rotate=conf.rotate,
                use_tcp=conf.use_tcp,
                random=self._random,
            )
        self._lookup.forget_failures()
        for name in [name for name, entry in self._entries.items() if entry.answer is None]:
            del self._entries[name]

    def _entry(self, name: str) -> _Entry | Deferred[_Entry]:
        entry = self._entries.get(name)
        if entry is None:
            return self._miss(name)
        now = self._seconds()
        self._entries.move_to_end(name)
        counts = entry.counts
        if entry.expires > now:
            counts["runs"] += 1
            counts["hit_lru"] += 1
            return entry
        if entry.answer is None or now >= entry.stale_until:
            return self._miss(name)
        counts["runs"] += 1
        counts["hit_stale"] += 1
        if now >= entry.refresh_at and name not in self._flights:
            counts["stale"] += 1
            # Its outcome is kept or logged by _work; there is nobody to tell.
            self._flights.join(name, lambda: self._work(name)).addErrback(self._unexpected, name)
            entry = self._entries.get(name, entry)
        return entry

    def _unexpected(self, failure: Any, name: str) -> None:
        self._log.failure("refreshing {name} failed unexpectedly", failure, name=name)

    def _miss(self, name: str) -> _Entry | Deferred[_Entry]:
        canonical = _canonical(name)
        counts = self._statistics.of_name(canonical)
        counts["runs"] += 1
        counts["miss"] += 1
        known = self._lookup.known(canonical)
        if known is not None:
            entry = _Entry(known, None, known.expires, known.expires, counts)
            self._entries.put(name, entry)
            return entry
        if self._settings.no_sync:
            return Deferred.fromCoroutine(self._work(name))
        return self._flights.join(name, lambda: self._work(name))

    async def _work(self, name: str) -> _Entry:
        """Find a name's addresses and keep the outcome; never fails for a L{DNSError}."""
        settings = self._settings
        counts = self._statistics.of_name(_canonical(name))
        before = self._entries.get(name)
        try:
            answer = await self._lookup.find(_canonical(name))
        except DNSError as error:
            counts["fail"] += 1
            now = self._seconds()
            unknown = isinstance(error, NameUnknown)
            if before is not None and before.answer and now < before.stale_until and not unknown:
                before.refresh_at = now + settings.error_ttl
                self._log.debug(
                    "cannot refresh {name}, the stale answer stays in use: {error}",
                    name=name,
                    error=error,
                )
                return before
            until = now + (settings.not_found_ttl if unknown else settings.error_ttl)
            entry = _Entry(None, error, until, until, counts)
        else:
            entry = _Entry(
                answer, None, answer.expires, answer.expires + settings.stale_ttl, counts
            )
        self._entries.put(name, entry)
        return entry

    def _take(self, entry: _Entry, port: int) -> tuple[str, int]:
        turn = entry.turns.get(port)
        if turn is None:
            start = self._random.randrange(2**16)
            turn = entry.turns[port] = Turn(_answer_of(entry, port).records, start)
        record = turn.take()
        return record.address, record.port


def _canonical(name: str) -> str:
    return strip_brackets(name).lower()


def _answer_of(entry: _Entry, port: int | None) -> Answer:
    if entry.answer is None:
        assert entry.error is not None
        raise entry.error.with_traceback(None)
    if port is None:
        return entry.answer
    answer = entry.ports.get(port)
    if answer is None:
        answer = entry.ports[port] = entry.answer.with_port(port)
    return answer
