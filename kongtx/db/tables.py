"""What a connector has to know of a schema: keys, references and indexes, no more.

Connectors store an entity as one document and keep beside it only what they search by, so a new
field of an entity needs no change of the database.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

Entity = dict[str, Any]


@attrs.frozen(cache_hash=True)
class Reference:
    """A foreign field.

    @ivar field: its name in the child.
    @ivar parent: the parent's schema name.
    @ivar cascade: whether the child goes with its parent; otherwise the parent has to stay.
    """

    field: str
    parent: str
    cascade: bool = False


@attrs.frozen(cache_hash=True)
class Table:
    """The stored form of one kind of entity.

    @ivar name: the schema's name.
    @ivar key: the fields of the primary key.
    @ivar unique: single fields whose values (other than null) must differ.
    @ivar together: fields whose values must differ as a whole, null counting as a value (Kong's
        C{cache_key} of more than one field); empty if there are none.
    @ivar lookup: fields to search by that need not be unique.
    @ivar references: the foreign fields.
    @ivar expires: whether rows can expire; their field C{ttl} then holds seconds since the epoch.
    @ivar tagged: whether entities have C{tags}.
    """

    name: str
    key: tuple[str, ...] = ("id",)
    unique: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    lookup: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    expires: bool = False
    tagged: bool = False

    def key_of(self, entity: Mapping[str, Any]) -> str:
        """The primary key as one text: the value itself, or several as JSON."""
        return key_text([entity[field] for field in self.key])

    def together_of(self, entity: Mapping[str, Any]) -> str | None:
        """The values of C{together} as one text; L{None} without such fields."""
        if not self.together:
            return None
        return json.dumps([plain(entity.get(field)) for field in self.together])


def plain(value: Any) -> Any:
    """A field's value for comparison: a reference is its id."""
    return value.get("id") if isinstance(value, Mapping) else value


def key_text(values: Sequence[Any]) -> str:
    """One text for the values of a primary key."""
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return json.dumps([plain(value) for value in values])


def index_text(value: Any) -> str | None:
    """A value as an index holds it: text; L{None} for null, which never collides."""
    value = plain(value)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


@attrs.frozen
class Catalogue:
    """All tables, with the references between them read in both directions."""

    tables: Mapping[str, Table]
    _children: Mapping[str, tuple[tuple[Table, Reference], ...]] = attrs.field(repr=False)

    @classmethod
    def of(cls, tables: Iterable[Table]) -> Catalogue:
        """Index the tables by name and by parent."""
        by_name = {table.name: table for table in tables}
        children: dict[str, list[tuple[Table, Reference]]] = {}
        for table in by_name.values():
            for reference in table.references:
                children.setdefault(reference.parent, []).append((table, reference))
        return cls(by_name, {name: tuple(found) for name, found in children.items()})

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables.values())

    def children_of(self, parent: str) -> tuple[tuple[Table, Reference], ...]:
        """The tables that refer to a table, with the field by which they do."""
        return self._children.get(parent, ())

    def parents_first(self) -> list[Table]:
        """All tables, each after those it refers to."""
        ordered: dict[str, Table] = {}

        def visit(table: Table, path: tuple[str, ...]) -> None:
            for reference in table.references:
                parent = self.tables.get(reference.parent)
                if parent is not None and parent.name not in (*path, table.name):
                    visit(parent, (*path, table.name))
            ordered.setdefault(table.name, table)

        for name in sorted(self.tables):
            visit(self.tables[name], ())
        return list(ordered.values())
