"""The partition as a commit sees it: what was read, and on top what the commit changes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import attrs

from kongtx.db.cassandra.layout import Address, Place, entity_at
from kongtx.db.clusterlog import Broadcast
from kongtx.db.tables import Entity


class Missing(Exception):
    """Rows and places that have to be read before the plan can be made."""

    def __init__(self, addresses: Iterable[Address], places: Iterable[Place]) -> None:
        super().__init__()
        self.addresses = frozenset(addresses)
        self.places = frozenset(places)


@attrs.define
class Known:
    """What was read of one version of the partition.

    @ivar rows: the value of each row that was asked for; L{None} if it is not there.
    @ivar places: the keys of each place that was read as a whole.
    """

    rows: dict[Address, str | None] = attrs.field(factory=dict)
    places: dict[Place, set[str]] = attrs.field(factory=dict)


@attrs.frozen
class Announced:
    """An event that a commit leaves.

    @ivar node_id: whom it is from.
    @ivar lives: seconds for which it is kept at least.
    """

    event: Broadcast
    node_id: str
    lives: float


class _Undo(NamedTuple):
    address: Address
    was_changed: bool
    value: str | None


class View:
    """Reads through the changes; changes can be taken back to a mark.

    @ivar events: what the commit announces.
    @ivar layout: which definitions of tables hold after it, if it changes them.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._changes: dict[Address, str | None] = {}
        self._by_place: dict[Place, set[str]] = {}
        self._journal: list[_Undo] = []
        self.events: list[Announced] = []
        self.layout: str | None = None

    def need(self, addresses: Iterable[Address] = (), places: Iterable[Place] = ()) -> None:
        """Make sure that some rows and places can be read.

        @raise Missing: some have not been, as yet.
        """
        rows, read = self._known.rows, self._known.places
        absent = [each for each in addresses if each not in rows and each not in self._changes]
        unread = [each for each in places if each not in read]
        if absent or unread:
            raise Missing(absent, unread)

    def get(self, address: Address) -> str | None:
        """A row's value; L{None} if it is not there."""
        if address in self._changes:
            return self._changes[address]
        if address not in self._known.rows:
            raise Missing([address], [])
        return self._known.rows[address]

    def keys(self, place: Place) -> list[str]:
        """The keys of all rows in a place, in order."""
        if place not in self._known.places:
            raise Missing([], [place])
        found = set(self._known.places[place])
        for key in self._by_place.get(place, ()):
            if self._changes.get(Address(*place, key)) is None:
                found.discard(key)
            else:
                found.add(key)
        return sorted(found)

    def entity(self, table: str, key: str) -> Entity | None:
        """An entity; L{None} if it is not there."""
        text = self.get(entity_at(table, key))
        return None if text is None else json.loads(text)

    def put(self, address: Address, value: str) -> None:
        """Add or replace a row."""
        self._change(address, value)

    def remove(self, address: Address) -> None:
        """Take a row away."""
        self._change(address, None)

    def _change(self, address: Address, value: str | None) -> None:
        before = self._changes.get(address)
        self._journal.append(_Undo(address, address in self._changes, before))
        self._changes[address] = value
        self._by_place.setdefault(Place(address.kind, address.place), set()).add(address.key)

    def mark(self) -> int:
        """Where the changes stand, to go back to."""
        return len(self._journal)

    def back_to(self, mark: int) -> None:
        """Undo the changes since a mark."""
        while len(self._journal) > mark:
            undo = self._journal.pop()
            if undo.was_changed:
                self._changes[undo.address] = undo.value
            else:
                del self._changes[undo.address]
                self._by_place[Place(undo.address.kind, undo.address.place)].discard(
                    undo.address.key
                )

    def difference(self) -> dict[Address, str | None]:
        """The rows that are otherwise than they were read; L{None} for those that go."""
        unknown = object()
        return {
            address: value
            for address, value in self._changes.items()
            if self._known.rows.get(address, unknown) != value
        }
