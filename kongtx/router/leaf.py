"""Entries that share their hosts and path prefix, split further when there are many. Hot path."""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Iterable
from typing import TypeAlias

from kongtx.router.conditions import Keys
from kongtx.router.facts import Facts, lower_text
from kongtx.router.model import Entry
from kongtx.router.sieve import FEW, Sieve

Edit: TypeAlias = object

SMALL = 8
"""How many entries are looked at one by one before it pays to split them."""

MANY = 1024
"""How many entries whose patterns alone differ are kept in one list."""

_SPREAD = 64

_HEADER, _SNI, _METHOD, _PORT, _SOURCE, _HASH, _LAST = range(7)
_PLAIN_SCHEMES = frozenset({b"http", b"tcp", b"udp"})


def _entry_keys(level: int, keys: Keys) -> Iterable[Hashable] | None:
    if level == _HEADER:
        if keys.header is None:
            return None
        name, values = keys.header
        return [(name, value) for value in values]
    if level == _SNI:
        return keys.snis
    if level == _METHOD:
        return keys.methods
    return keys.ports if level == _PORT else keys.sources


def _is_full(level: int, count: int) -> bool:
    if level < _HASH:
        return count > SMALL
    # Lists that a sieve looks through; several, so that an edit makes one sieve anew.
    return level == _HASH and count > MANY


def _descending(entry: Entry) -> int:
    return -entry.rank


class Leaf:
    """A list of entries, highest first; a table of smaller leaves once there are many.

    The table splits by one kind of key, given by the level; entries without such a key go to a
    leaf of the next level. A list that nothing splits any more has a sieve for its path patterns.

    @ivar top: no entry here has a higher rank.
    """

    __slots__ = ("_entries", "_level", "_names", "_rest", "_sieve", "_table", "edit", "top")

    def __init__(self, level: int, edit: Edit) -> None:
        self._level = level
        self.edit = edit
        self.top = -1
        self._entries: list[Entry] | None = []
        self._table: dict[Hashable, Leaf] | None = None
        self._rest: Leaf | None = None
        self._names: frozenset[bytes] = frozenset()
        self._sieve: Sieve | None = None

    def own(self, edit: Edit) -> Leaf:
        """Give this leaf to an edit: itself when the edit made it, else a copy."""
        if self.edit is edit:
            return self
        copy = Leaf(self._level, edit)
        copy.top = self.top
        copy._entries = None if self._entries is None else list(self._entries)
        copy._table = None if self._table is None else dict(self._table)
        copy._rest = self._rest
        copy._names = self._names
        return copy

    def add(self, entry: Entry, keys: Keys, edit: Edit) -> Leaf:
        """Put an entry in."""
        leaf = self.own(edit)
        leaf.top = max(leaf.top, entry.rank)
        if leaf._entries is None:
            leaf._file(entry, keys, edit)
            return leaf
        leaf._sieve = None
        insort(leaf._entries, entry, key=_descending)
        if _is_full(leaf._level, len(leaf._entries)):
            entries, leaf._entries = leaf._entries, None
            for each in entries:
                leaf._file(each, each.keys(), edit)
        return leaf

    def _file(self, entry: Entry, keys: Keys, edit: Edit) -> None:
        found = self._table_keys(entry, keys)
        if found is None:
            rest = self._rest if self._rest is not None else Leaf(self._level + 1, edit)
            self._rest = rest.add(entry, keys, edit)
            return
        if self._level == _HEADER and keys.header is not None:
            self._names |= {keys.header[0]}
        if self._table is None:
            self._table = {}
        for key in found:
            below = self._table.get(key) or Leaf(self._level + 1, edit)
            self._table[key] = below.add(entry, keys, edit)

    def _table_keys(self, entry: Entry, keys: Keys) -> Iterable[Hashable] | None:
        if self._level == _HASH:
            return (hash(entry.route["id"]) % _SPREAD,)
        return _entry_keys(self._level, keys)

    def discard(self, entry: Entry, keys: Keys, edit: Edit) -> Leaf | None:
        """Take an entry out; L{None} when nothing is left."""
        leaf = self.own(edit)
        if leaf._entries is not None:
            leaf._sieve = None
            leaf._entries = [each for each in leaf._entries if each is not entry]
            return leaf if leaf._entries else None
        found = leaf._table_keys(entry, keys)
        if found is None:
            if leaf._rest is not None:
                leaf._rest = leaf._rest.discard(entry, keys, edit)
        elif leaf._table is not None:
            for key in found:
                below = leaf._table.get(key)
                left = None if below is None else below.discard(entry, keys, edit)
                if left is not None:
                    leaf._table[key] = left
                else:
                    leaf._table.pop(key, None)
        return leaf if leaf._table or leaf._rest is not None else None

    def search(self, facts: Facts, best: Entry | None) -> Entry | None:
        """Find an entry that holds and outranks C{best}; else give C{best} back."""
        entries = self._entries
        if entries is not None:
            if len(entries) >= FEW:
                return self._search_sieved(entries, facts, best)
            floor = -1 if best is None else best.rank
            for entry in entries:
                if entry.rank <= floor:
                    return best
                if entry.holds(facts):
                    return entry
            return best
        for leaf in () if self._table is None else self._fitting(facts, self._table):
            if best is None or leaf.top > best.rank:
                best = leaf.search(facts, best)
        rest = self._rest
        if rest is not None and (best is None or rest.top > best.rank):
            best = rest.search(facts, best)
        return best

    def _search_sieved(
        self, entries: list[Entry], facts: Facts, best: Entry | None
    ) -> Entry | None:
        sieve = self._sieve
        if sieve is None:
            sieve = self._sieve = Sieve(entries)
        floor = -1 if best is None else best.rank
        for place in sieve.pick(facts.path):
            entry = entries[place]
            if entry.rank <= floor:
                return best
            if entry.holds(facts):
                return entry
        return best

    def collect(self, facts: Facts, found: set[Entry]) -> None:
        """Gather every entry that holds."""
        if self._entries is not None:
            found.update(entry for entry in self._entries if entry.holds(facts))
            return
        for leaf in () if self._table is None else self._fitting(facts, self._table):
            leaf.collect(facts, found)
        if self._rest is not None:
            self._rest.collect(facts, found)

    def _fitting(self, facts: Facts, table: dict[Hashable, Leaf]) -> Iterable[Leaf]:
        level = self._level
        if level == _HASH:
            return table.values()
        if level == _HEADER:
            return self._fitting_headers(facts, table)
        if level == _SNI:
            # Server names say nothing about what comes without TLS.
            if facts.scheme in _PLAIN_SCHEMES:
                return table.values()
            found = table.get(facts.sni)
        elif level == _METHOD:
            found = table.get(facts.method)
        elif level == _PORT:
            found = table.get(facts.destination_port)
        else:
            found = table.get(facts.source_ip)
        return () if found is None else (found,)

    def _fitting_headers(self, facts: Facts, table: dict[Hashable, Leaf]) -> Iterable[Leaf]:
        facts.beyond = True
        leaves = []
        for name, value in facts.request.headers:
            dashed = name.replace(b"_", b"-")
            if dashed in self._names:
                leaf = table.get((dashed, lower_text(value)))
                if leaf is not None:
                    leaves.append(leaf)
        return leaves
