"""From a name to its addresses: record types, search suffixes, CNAME and SRV, in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from kongtx.dns.errors import (
    DNSError,
    EmptyAnswer,
    InvalidName,
    NameNotFound,
    RecursionDetected,
    ServerFailed,
    ServersUnreachable,
)
from kongtx.dns.flight import Flights
from kongtx.dns.interfaces import IExchanger
from kongtx.dns.lru import LRU
from kongtx.dns.message import MAX_CHAIN, Data, Response, follow
from kongtx.dns.records import (
    CNAME,
    SRV,
    TYPE_CODES,
    TYPE_NAMES,
    Answer,
    Record,
    candidates,
    ip_version,
    is_name,
    is_service_name,
)
from kongtx.dns.resolvconf import ResolvConf
from kongtx.dns.settings import DNSSettings
from kongtx.dns.stats import Statistics

Hosts = Mapping[str, Mapping[int, str]]
_FAMILY = {"A": 4, "AAAA": 6}


@attrs.frozen(slots=True)
class RecordSet:
    """What is known about one name and type: records, or an error code (101: no record)."""

    data: tuple[Data, ...]
    code: int
    expires: float
    alias: str = ""

    def error(self, tried: list[tuple[str, str]]) -> DNSError:
        """The error that the code stands for."""
        if self.code == 3:
            return NameNotFound(tried)
        if self.code == 101:
            return EmptyAnswer(tried)
        return ServerFailed(self.code, tried)


class Lookup:
    """Finds the addresses of names; keeps record sets, found or not, for their time to live.

    @ivar hosts: the hosts file's table.
    @ivar conf: resolv.conf's C{search} and C{ndots}.
    @ivar exchanger: puts questions to servers.
    """

    def __init__(
        self,
        settings: DNSSettings,
        exchanger: IExchanger,
        seconds: Callable[[], float],
        statistics: Statistics,
    ) -> None:
        self.hosts: Hosts = {}
        self.conf = ResolvConf()
        self.exchanger = exchanger
        self._settings = settings
        self._seconds = seconds
        self._statistics = statistics
        self._sets: LRU[tuple[str, int], RecordSet] = LRU(settings.cache_size)
        self._flights: Flights[RecordSet] = Flights()
        self._last: LRU[str, str] = LRU(settings.cache_size)

    def known(self, name: str) -> Answer | None:
        """The answer for a literal or a name of the hosts file; L{None} for all others.

        @param name: lower case, without brackets.
        """
        version = ip_version(name)
        if version:
            return Answer((Record(name, name=name),), math.inf, "A" if version == 4 else "AAAA")
        found = self.hosts.get(name.rstrip("."))
        if not found:
            return None
        preferred = [_FAMILY[kind] for kind in self._settings.order if kind in _FAMILY]
        version = next((family for family in preferred if family in found), min(found))
        record = Record(found[version], name=name)
        return Answer((record,), math.inf, "A" if version == 4 else "AAAA")

    def forget_failures(self) -> None:
        """Drop what is known not to work: the servers may be others now."""
        for key in [key for key, found in self._sets.items() if found.code]:
            del self._sets[key]

    def forget(self) -> None:
        """Drop everything that is known."""
        self._sets.clear()
        self._last.clear()

    async def find(self, name: str) -> Answer:
        """The addresses of a name.

        @param name: lower case.
        @raise DNSError: that of the last thing tried (Kong: the same).
        """
        tried: list[tuple[str, str]] = []
        try:
            return await self._find(name, tried, ())
        except ServersUnreachable as error:
            raise ServersUnreachable(str(error), tried) from None

    async def _find(
        self, name: str, tried: list[tuple[str, str]], chain: tuple[str, ...]
    ) -> Answer:
        known = self.known(name)
        if known is not None:
            return known
        if not is_name(name):
            raise InvalidName(f"dns client error: '{name}' is not a valid name or address", tried)
        if name in chain or len(chain) > MAX_CHAIN:
            raise RecursionDetected(tried)
        error: DNSError = EmptyAnswer(tried)
        for kind in self._kinds(name):
            for qname in candidates(name, self.conf.ndots, self.conf.search):
                if not is_name(qname):
                    continue  # a suffix made it too long
                try:
                    answer = await self._find_kind(qname, TYPE_CODES[kind], tried, (*chain, name))
                except ServersUnreachable:
                    raise
                except DNSError as problem:
                    error = problem
                else:
                    self._last.put(name, kind)
                    return answer
        raise error

    def _kinds(self, name: str) -> list[str]:
        order = list(self._settings.order)
        if self._settings.srv_by_name:
            service = is_service_name(name) and "SRV" in order
            return ["SRV"] if service else [kind for kind in order if kind in _FAMILY]
        last = self._last.get(name)
        replaced = [last if kind == "LAST" else kind for kind in order]
        return list(dict.fromkeys(kind for kind in replaced if kind))

    async def _find_kind(
        self, qname: str, rtype: int, tried: list[tuple[str, str]], chain: tuple[str, ...]
    ) -> Answer:
        known = self.known(qname)
        if known is not None:
            return known
        found = await self._record_set(qname, rtype, tried)
        if found.code:
            raise found.error(tried)
        if rtype == CNAME:
            tried.append((f"{qname}:CNAME", f"dereferencing {found.alias}"))
            # An alias is an absolute name: no suffixes.
            answer = await self._find(f"{found.alias}.", tried, chain)
            return attrs.evolve(answer, expires=min(answer.expires, found.expires))
        if rtype == SRV:
            return await self._find_services(qname, found, tried)
        records = tuple(Record(data.value, name=chain[0]) for data in found.data)
        return Answer(records, found.expires, TYPE_NAMES[rtype])

    async def _find_services(
        self, qname: str, found: RecordSet, tried: list[tuple[str, str]]
    ) -> Answer:
        """The addresses behind SRV records; targets without any are left out."""
        services = [data for data in found.data if data.value]  # "." offers no service
        if services and all(data.value == qname for data in services):
            raise RecursionDetected(tried)
        names = list(dict.fromkeys(data.value for data in services))
        # Yielding to one DeferredList asks for all targets at once.
        outcomes = await DeferredList(
            [Deferred.fromCoroutine(self._find_target(name, tried)) for name in names],
            consumeErrors=True,
        )
        by_name = dict(zip(names, outcomes, strict=True))
        records: list[Record] = []
        expires = found.expires
        error: object = None
        for data in services:
            ok, outcome = by_name[data.value]
            if not ok:
                error = outcome
                continue
            addresses, until = outcome
            expires = min(expires, until)
            records.extend(
                Record(address, data.port, data.priority, data.weight / len(addresses), data.value)
                for address in addresses
            )
        if not records:
            if isinstance(error, Failure):
                error.raiseException()
            raise EmptyAnswer(tried)
        return Answer(tuple(records), expires, "SRV")

    async def _find_target(
        self, name: str, tried: list[tuple[str, str]]
    ) -> tuple[tuple[str, ...], float]:
        known = self.known(name)
        if known is not None:
            return tuple(record.address for record in known.records), known.expires
        families = [kind for kind in self._settings.order if kind in _FAMILY] or ["A", "AAAA"]
        error: DNSError = EmptyAnswer(tried)
        for kind in dict.fromkeys(families):
            found = await self._record_set(name, TYPE_CODES[kind], tried)
            if not found.code:
                return tuple(data.value for data in found.data), found.expires
            error = found.error(tried)
        raise error

    async def _record_set(self, qname: str, rtype: int, tried: list[tuple[str, str]]) -> RecordSet:
        key = (qname, rtype)
        found = self._sets.get(key)
        if found is None or found.expires <= self._seconds():
            if self._settings.no_sync:
                found = await self._ask(qname, rtype)
            else:
                found = await self._flights.join(key, lambda: self._ask(qname, rtype))
        else:
            self._sets.move_to_end(key)
        label = f"{qname}:{TYPE_NAMES[rtype]}"
        tried.append((label, str(found.error([])) if found.code else "found"))
        return found

    async def _ask(self, qname: str, rtype: int) -> RecordSet:
        counts = self._statistics.of_query(qname, rtype)
        counts["query"] += 1
        began = self._seconds()
        name, ttls, aliases = qname, [float(2**32)], 0
        try:
            while True:
                response = await self.exchanger.ask(name, rtype)
                data, end, ttl = follow(response.answers, name, rtype)
                if ttl is not None:
                    ttls.append(ttl)
                # A server that does not follow its CNAMEs leaves that to the client.
                aliases += 1
                if data or end == name or response.code or aliases > MAX_CHAIN or rtype == CNAME:
                    break
                name = end
        except ServersUnreachable:
            counts["query_fail_nameserver"] += 1
            raise
        finally:
            counts["query_last_time"] = int((self._seconds() - began) * 1000)
        found = self._record_set_of(response, data, min(ttls))
        failed = str(found.error([])).partition(": ")[2].partition(" ")[2] if found.code else ""
        counts[f"query_fail:{failed}" if failed else "query_succ"] += 1
        self._sets.put((qname, rtype), found)
        return found

    def _record_set_of(self, response: Response, data: tuple[Data, ...], ttl: float) -> RecordSet:
        now, settings = self._seconds(), self._settings
        if response.code and not data:
            negative = settings.not_found_ttl if response.code == 3 else settings.error_ttl
            return RecordSet((), response.code, now + negative)
        if not data:
            return RecordSet((), 101, now + settings.not_found_ttl)
        ttl = ttl if settings.valid_ttl is None else settings.valid_ttl
        alias = data[0].value if data[0].rtype == CNAME else ""
        return RecordSet(data, 0, now + ttl, alias)
