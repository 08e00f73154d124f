"""What the resolver counts, name by name, for the Admin API's C{/status/dns}."""

from __future__ import annotations

from collections import Counter

from kongtx.dns.lru import LRU
from kongtx.dns.records import TYPE_NAMES, is_service_name


class Statistics:
    """Counters by name and type; as many names as the cache holds."""

    def __init__(self, size: int) -> None:
        self._counters: LRU[str, Counter[str]] = LRU(size)

    def of_name(self, name: str) -> Counter[str]:
        """The counters of a name's resolutions: runs, hit_lru, hit_stale, miss, stale, fail."""
        return self._of(f"{name}|{'SRV' if is_service_name(name) else 'A/AAAA'}")

    def of_query(self, name: str, rtype: int) -> Counter[str]:
        """The counters of the queries put to servers: query, query_succ, query_fail:…"""
        return self._of(f"{name}|{TYPE_NAMES[rtype]}")

    def emit(self) -> dict[str, dict[str, int]]:
        """From C{name|type} to its counters (Kong: the C{stats} object of C{GET /status/dns})."""
        return {key: dict(counter) for key, counter in self._counters.items() if counter}

    def _of(self, key: str) -> Counter[str]:
        counter = self._counters.get(key)
        if counter is None:
            counter = Counter()
            self._counters.put(key, counter)
        return counter
