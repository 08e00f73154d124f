"""What writes do to the partition, decided in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from kongtx.db import errors
from kongtx.db.cassandra import layout
from kongtx.db.cassandra.layout import Address, Place, entity_at
from kongtx.db.cassandra.view import View
from kongtx.db.tables import Catalogue, Entity, Table, key_text, plain
from kongtx.db.writes import Change, Delete, Increment, Insert, Update, Upsert, Write


def wanted(writes: Iterable[Write], catalogue: Catalogue) -> tuple[set[Address], set[Place]]:
    """The rows and places that are going to be asked for, so that they are read at once."""
    addresses: set[Address] = set()
    places: set[Place] = set()
    for write in writes:
        table = _stored(write, catalogue)
        if isinstance(write, Delete):
            key = key_text([write.key[field] for field in table.key])
            places.update(_children(table, [key], catalogue))
        else:
            key = table.key_of(write.entity)
            places.update(_claims(table, write.entity))
            addresses.update(_parents(table, write.entity, catalogue))
        addresses.add(entity_at(table.name, key))
    return addresses, places


def apply(view: View, writes: Sequence[Write], catalogue: Catalogue) -> list[list[Change]]:
    """Do all of some writes, or raise and leave the view as it was.

    @return: as L{IConnector.apply}.
    @raise Missing: more has to be read first.
    """
    mark = view.mark()
    try:
        return [_write(view, write, catalogue) for write in writes]
    except BaseException:
        view.back_to(mark)
        raise


def purge(view: View, due: Sequence[tuple[str, str]], catalogue: Catalogue) -> int:
    """Remove entities whose time is over, but for those that others still refer to.

    @param due: names of tables, and keys.
    @return: how many were removed, with all that went along.
    """
    removed = 0
    for name, key in due:
        table = catalogue.tables.get(name)
        if table is None:
            continue
        mark = view.mark()
        try:
            removed += len(_delete(view, table, [key], catalogue))
        except errors.ForeignKeyViolationError:
            view.back_to(mark)
    return removed


def redefine(view: View, tables: Iterable[Table], known: Mapping[str, Table]) -> None:
    """Bring the rows of tables to their present indexes.

    @param tables: as they are now.
    @param known: as they were when rows were last written, by name.
    """
    for table in tables:
        before = known.get(table.name)
        if before == table:
            continue
        if before is not None:
            _index_again(view, before, table)
        view.put(Address(layout.TABLE, "", table.name), layout.to_json(table))


def _index_again(view: View, before: Table, table: Table) -> None:
    keys = view.keys(Place(layout.ENTITY, table.name))
    view.need(entity_at(table.name, key) for key in keys)
    for key in keys:
        entity = view.entity(table.name, key)
        _replace(view, layout.rows_of(before, key, entity), layout.rows_of(table, key, entity))


def _write(view: View, write: Write, catalogue: Catalogue) -> list[Change]:
    table = _stored(write, catalogue)
    if isinstance(write, Delete):
        key = key_text([write.key[field] for field in table.key])
        return _delete(view, table, [key], catalogue)
    key = table.key_of(write.entity)
    old = view.entity(table.name, key)
    entity = resulting(write, old)
    _check(view, table, entity, key, catalogue)
    _replace(view, layout.rows_of(table, key, old), layout.rows_of(table, key, entity))
    return [Change(table, entity, old)]


def _stored(write: Write, catalogue: Catalogue) -> Table:
    """A write's table as rows are indexed, which another node may know better."""
    return catalogue.tables.get(write.table.name, write.table)


def resulting(write: Insert | Update | Upsert | Increment, old: Entity | None) -> Entity:
    """The row that a write makes of one that is there or not.

    @raise StoreError: the write does not fit it.
    """
    table, entity = write.table, write.entity
    named = {field: entity[field] for field in table.key}
    if isinstance(write, Increment) and old is not None:
        return {**old, write.field: old[write.field] + entity[write.field]}
    if isinstance(write, Insert) and old is not None:
        raise errors.PrimaryKeyViolationError(named)
    if isinstance(write, Update):
        if old is None:
            raise errors.EntityNotFoundError.by_key(named)
        if write.was is not None and write.was != old:
            raise errors.ConflictError(
                f"the {table.name} entity {table.key_of(entity)} was changed by someone else "
                "meanwhile"
            )
    return entity


def _replace(view: View, before: layout.Rows, after: layout.Rows) -> None:
    for address in before:
        if address not in after:
            view.remove(address)
    for address, value in after.items():
        if before.get(address) != value:
            view.put(address, value)


def _check(view: View, table: Table, entity: Entity, key: str, catalogue: Catalogue) -> None:
    """Uniqueness and references."""
    view.need(_parents(table, entity, catalogue), _claims(table, entity))
    for field in table.unique:
        place = layout.index_of(table.name, field, entity.get(field))
        if place is not None and any(other != key for other in view.keys(place)):
            raise errors.UniqueViolationError({field: entity[field]})
    place = layout.together_of(table, entity)
    if place is not None and any(other != key for other in view.keys(place)):
        raise errors.UniqueViolationError({item: entity.get(item) for item in table.together})
    for reference in table.references:
        parent_key = plain(entity.get(reference.field))
        if parent_key is None or reference.parent not in catalogue.tables:
            continue
        if view.get(entity_at(reference.parent, parent_key)) is None:
            raise errors.ForeignKeyViolationError.dangling(
                reference.field, entity[reference.field], reference.parent
            )


def _delete(view: View, table: Table, keys: Sequence[str], catalogue: Catalogue) -> list[Change]:
    """Remove entities of one table and all that go with them.

    They are taken together, so that what is to be read for a level of a cascade is asked for at
    once.
    """
    view.need((entity_at(table.name, key) for key in keys), _children(table, keys, catalogue))
    changes = []
    for key in keys:
        old = view.entity(table.name, key)
        if old is not None:
            changes.append(Change(table, None, old))
            _replace(view, layout.rows_of(table, key, old), {})
    if not changes:
        return []
    for child, reference in catalogue.children_of(table.name):
        found: dict[str, None] = {}
        for key in keys:
            place = layout.index_of(child.name, reference.field, key)
            if place is not None:
                found.update(dict.fromkeys(view.keys(place)))
        if found and not reference.cascade:
            raise errors.ForeignKeyViolationError.restricted(table.name, child.name)
        if found:
            changes += _delete(view, child, list(found), catalogue)
    return changes


def _claims(table: Table, entity: Entity) -> Iterator[Place]:
    """Where to look for others with the same values."""
    for field in table.unique:
        place = layout.index_of(table.name, field, entity.get(field))
        if place is not None:
            yield place
    place = layout.together_of(table, entity)
    if place is not None:
        yield place


def _parents(table: Table, entity: Entity, catalogue: Catalogue) -> Iterator[Address]:
    for reference in table.references:
        parent_key = plain(entity.get(reference.field))
        if parent_key is not None and reference.parent in catalogue.tables:
            yield entity_at(reference.parent, parent_key)


def _children(table: Table, keys: Iterable[str], catalogue: Catalogue) -> Iterator[Place]:
    """Where those that refer to some entities are listed."""
    keys = list(keys)
    for child, reference in catalogue.children_of(table.name):
        for key in keys:
            place = layout.index_of(child.name, reference.field, key)
            if place is not None:
                yield place
