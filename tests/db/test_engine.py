"""The SQLite engine does what a few dictionaries do, whatever is asked of it in whatever order."""

from __future__ import annotations

import sqlite3
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kongtx.db import errors
from kongtx.db.paging import Query, Tags
from kongtx.db.sqlite import bookkeeping
from kongtx.db.sqlite.engine import Engine
from kongtx.db.tables import Entity, Table
from kongtx.db.writes import Change, Delete, Insert, Update, Upsert, Write
from tests.db.conformance import CATALOGUE, CHILDREN, EXTRAS, PARENTS, child, extra, parent, uid

numbers = st.integers(1, 4)
names = st.sampled_from([None, "a", "b", "c"])
tags = st.sampled_from([None, [], ["x"], ["x", "y"]])
maybe = st.none() | numbers

rows = st.one_of(
    st.builds(lambda *parts: (PARENTS, parent(*parts)), numbers, names, tags),
    st.builds(lambda *parts: (CHILDREN, child(*parts)), numbers, maybe, names),
    st.builds(lambda *parts: (EXTRAS, extra(*parts)), numbers, st.sampled_from("kl"), maybe, maybe),
)
keys = st.tuples(st.sampled_from([PARENTS, CHILDREN, EXTRAS]), numbers)
writes = st.one_of(
    st.builds(lambda kind, row: kind(*row), st.sampled_from([Insert, Update, Upsert]), rows),
    st.builds(lambda key: Delete(key[0], {"id": uid(key[1])}), keys),
)

State = dict[str, dict[str, Entity]]


class Refused(Exception):
    """The model does not accept a write."""


class Model:
    """Tables as dictionaries; a write is tried on a copy."""

    def __init__(self) -> None:
        self.state: State = {table.name: {} for table in CATALOGUE}

    def apply(self, batch: list[Write]) -> list[list[Change]] | type[Exception]:
        """The changes, or the type of the error that keeps them from being made."""
        before = {name: dict(table) for name, table in self.state.items()}
        try:
            return [self._write(write) for write in batch]
        except Refused as refused:
            self.state = before
            error: type[Exception] = refused.args[0]
            return error

    def _write(self, write: Write) -> list[Change]:
        table = write.table
        if isinstance(write, Delete):
            return self._delete(table, write.key["id"])
        entity, found = write.entity, self.state[table.name]
        old = found.get(entity["id"])
        if isinstance(write, Insert) and old is not None:
            raise Refused(errors.PrimaryKeyViolationError)
        if isinstance(write, Update) and old is None:
            raise Refused(errors.EntityNotFoundError)
        for other in found.values():
            if other["id"] != entity["id"] and self._collide(table, entity, other):
                raise Refused(errors.UniqueViolationError)
        for reference in table.references:
            target = entity[reference.field]
            if target is not None and target["id"] not in self.state[reference.parent]:
                raise Refused(errors.ForeignKeyViolationError)
        found[entity["id"]] = entity
        return [Change(table, entity, old)]

    @staticmethod
    def _collide(table: Table, one: Entity, other: Entity) -> bool:
        if any(one[name] is not None and one[name] == other[name] for name in table.unique):
            return True
        return bool(table.together) and all(one[name] == other[name] for name in table.together)

    def _delete(self, table: Table, key: str) -> list[Change]:
        old = self.state[table.name].get(key)
        if old is None:
            return []
        changes = [Change(table, None, old)]
        for child_table, reference in CATALOGUE.children_of(table.name):
            for row in list(self.state[child_table.name].values()):
                if (row.get(reference.field) or {}).get("id") == key:
                    if not reference.cascade:
                        raise Refused(errors.ForeignKeyViolationError)
                    changes += self._delete(child_table, row["id"])
        self.state[table.name].pop(key, None)
        return changes


class EngineMachine(RuleBasedStateMachine):
    """Runs every batch on both."""

    def __init__(self) -> None:
        super().__init__()
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.execute("PRAGMA foreign_keys=ON")
        self.engine = Engine(connection, CATALOGUE, lambda: 0.0)
        bookkeeping.create(self.engine, CATALOGUE)
        self.model = Model()

    def teardown(self) -> None:
        self.engine.connection.close()

    @rule(batches=st.lists(st.lists(writes, min_size=1, max_size=4), min_size=1, max_size=3))
    def apply(self, batches: list[list[Write]]) -> None:
        results = self.engine.apply_all(batches)
        for batch, result in zip(batches, results, strict=True):
            expected = self.model.apply(batch)
            if isinstance(expected, type):
                assert type(result) is expected, (batch, result)
            else:
                assert not isinstance(result, Exception), (batch, result)
                assert [_sorted(found) for found in result] == [
                    _sorted(found) for found in expected
                ]

    @invariant()
    def all_rows_are_the_same(self) -> None:
        for table in (PARENTS, CHILDREN, EXTRAS):
            expected = sorted(self.model.state[table.name].values(), key=lambda row: row["id"])
            assert self.engine.page(table, Query(100)).rows == expected
            for row in expected:
                assert self.engine.select(table, row) == row
                if row.get("name") is not None:
                    assert self.engine.select_by(table, "name", row["name"]) == row

    @invariant()
    def references_and_tags_are_the_same(self) -> None:
        for number in range(1, 5):
            found = self.engine.page(EXTRAS, Query(100, reference=("parent", uid(number)))).rows
            assert found == [
                row
                for _, row in sorted(self.model.state["extras"].items())
                if row["parent"] == {"id": uid(number)}
            ]
        found = self.engine.page(PARENTS, Query(100, tags=Tags(("x", "y")))).rows
        parents = sorted(self.model.state["parents"].items())
        assert found == [row for _, row in parents if row["tags"] == ["x", "y"]]
        uses = self.engine.page_tags(None, 100, None).rows
        assert [(use["entity_id"], use["tag"]) for use in uses] == [
            (key, tag) for key, row in parents for tag in row["tags"] or ()
        ]


def _sorted(changes: list[Change]) -> list[Any]:
    """Changes in an order that does not depend on how children were found."""
    return sorted(
        (change.table.name, (change.old or change.new or {})["id"], repr(change))
        for change in changes
    )


TestEngine = EngineMachine.TestCase
TestEngine.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
