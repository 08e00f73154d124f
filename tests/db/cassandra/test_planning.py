"""Plans do to the partition what a few dictionaries do, and read all that they decide by."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kongtx.db import errors
from kongtx.db.cassandra import layout, planning
from kongtx.db.cassandra.layout import Address, Place
from kongtx.db.cassandra.view import Known, Missing, View
from kongtx.db.tables import Catalogue, Reference, Table
from kongtx.db.writes import Change, Delete, Insert, Update, Write
from tests.db.conformance import (
    CATALOGUE,
    CHILDREN,
    COUNTS,
    EXTRAS,
    NOW,
    PARENTS,
    TOKENS,
    child,
    extra,
    parent,
    token,
    uid,
)
from tests.db.test_engine import Model, _sorted, writes


class Partition:
    """Rows in a dictionary, of which a view knows only what it was given."""

    def __init__(self) -> None:
        self.rows: dict[Address, str] = {}
        self.reads = 0

    def know(self, known: Known, addresses: Any, places: Any) -> None:
        assert addresses or places
        self.reads += 1
        for address in addresses:
            known.rows[address] = self.rows.get(address)
        for place in places:
            known.places[place] = {row.key for row in self.rows if row[:2] == place}

    def run(self, work: Any, known: Known | None = None) -> Any:
        known = known or Known()
        while True:
            view = View(known)
            try:
                result = work(view)
            except Missing as missing:
                self.know(known, missing.addresses, missing.places)
                continue
            for address, value in view.difference().items():
                if value is None:
                    self.rows.pop(address, None)
                else:
                    self.rows[address] = value
            return result

    def apply(self, *batch: Write, catalogue: Catalogue = CATALOGUE) -> list[list[Change]]:
        known = Known()
        self.know(known, *planning.wanted(batch, catalogue))
        result: list[list[Change]] = self.run(
            lambda view: planning.apply(view, batch, catalogue), known
        )
        return result

    def of(self, kind: str) -> list[tuple[str, str]]:
        return sorted(row[1:] for row in self.rows if row.kind == kind)


class PlanningMachine(RuleBasedStateMachine):
    """Runs batches, several in one view, on both."""

    def __init__(self) -> None:
        super().__init__()
        self.partition = Partition()
        self.model = Model()

    @rule(batches=st.lists(st.lists(writes, min_size=1, max_size=4), min_size=1, max_size=3))
    def apply(self, batches: list[list[Write]]) -> None:
        def work(view: View) -> list[Any]:
            results: list[Any] = []
            for batch in batches:
                try:
                    results.append(planning.apply(view, batch, CATALOGUE))
                except errors.StoreError as error:
                    results.append(error)
            return results

        for batch, result in zip(batches, self.partition.run(work), strict=True):
            expected = self.model.apply(batch)
            if isinstance(expected, type):
                assert type(result) is expected, (batch, result)
            else:
                assert not isinstance(result, Exception), (batch, result)
                assert [_sorted(found) for found in result] == [
                    _sorted(found) for found in expected
                ]

    @invariant()
    def there_is_what_entities_consist_of_and_no_more(self) -> None:
        expected: dict[Address, str] = {}
        for name, rows in self.model.state.items():
            for key, row in rows.items():
                expected |= layout.rows_of(CATALOGUE[name], key, row)
        assert self.partition.rows == expected


TestPlanning = PlanningMachine.TestCase
TestPlanning.settings = settings(max_examples=80, stateful_step_count=15, deadline=None)


def test_what_is_asked_for_in_advance_is_enough_for_writes() -> None:
    partition = Partition()
    partition.apply(Insert(PARENTS, parent(1, "a", ["t"])))
    assert partition.reads == 1
    partition.apply(Insert(CHILDREN, child(1, 1, "c")), Update(PARENTS, parent(1, "b")))
    assert partition.reads == 2


def test_a_cascade_reads_a_level_at_a_time() -> None:
    partition = Partition()
    partition.apply(Insert(PARENTS, parent(1)))
    for number in range(50):
        leaf = {"id": uid(number), "extra": {"id": uid(number)}}
        rows = Insert(EXTRAS, extra(number, str(number), 1)), Insert(CATALOGUE["leaves"], leaf)
        partition.apply(*rows)
    partition.reads = 0
    [changes] = partition.apply(Delete(PARENTS, {"id": uid(1)}))
    assert (len(changes), partition.rows) == (101, {})
    assert partition.reads <= 4


def test_an_expired_entity_gives_its_values_free() -> None:
    partition = Partition()
    partition.apply(Insert(TOKENS, token(1, "same", NOW + 1, ["t"])))
    [(place, key)] = partition.of(layout.EXPIRY)
    assert (place, layout.parted(key)[1:]) == ("", ["tokens", uid(1)])

    def work(view: View) -> Any:
        removed = planning.purge(view, [("tokens", uid(1)), ("gone", "x")], CATALOGUE)
        return removed, planning.apply(view, [Insert(TOKENS, token(2, "same", None))], CATALOGUE)

    removed, [[change]] = partition.run(work)
    assert (removed, change.old) == (1, None)
    assert partition.of(layout.ENTITY) == [("tokens", uid(2))]
    assert partition.of(layout.EXPIRY) == partition.of(layout.TAG) == []


def test_new_indexes_are_filled_and_old_ones_removed() -> None:
    before = Catalogue.of([Table("parents", lookup=("note",))])
    partition = Partition()
    for number in (1, 2):
        row = {**parent(number, f"n{number}", ["t"]), "note": "x"}
        partition.apply(Insert(before["parents"], row), catalogue=before)
    partition.run(lambda view: planning.redefine(view, [PARENTS], {"parents": before["parents"]}))
    assert partition.of(layout.INDEX) == [
        ("parents.name=n1", uid(1)),
        ("parents.name=n2", uid(2)),
    ]
    assert partition.of(layout.TAG) == [("t", f"{uid(1)}\0parents"), ("t", f"{uid(2)}\0parents")]
    [definition] = [row for address, row in partition.rows.items() if address.kind == layout.TABLE]
    assert layout.from_json(definition) == PARENTS


@pytest.mark.parametrize("table", list(CATALOGUE), ids=lambda table: table.name)
def test_a_table_is_remembered_as_it_is(table: Table) -> None:
    assert layout.from_json(layout.to_json(table)) == table


@pytest.mark.parametrize(
    ("table", "alone"),
    [
        (COUNTS, True),
        (Table("metrics", key=("a", "b"), expires=True), True),
        (Table("nodes", expires=True), True),
        (Table("plain"), False),
        (TOKENS, False),
        (Table("tagged", expires=True, tagged=True), False),
        (Table("child", expires=True, references=(Reference("of", "parents"),)), False),
    ],
)
def test_rows_stand_alone_when_nothing_ties_them(table: Table, alone: bool) -> None:
    assert layout.stands_alone(table) is alone


@given(st.lists(st.tuples(st.text(alphabet="\x01ab\u00e9\U0001f600"), st.text(alphabet="ab"))))
def test_joined_keys_sort_as_their_parts(pairs: list[tuple[str, str]]) -> None:
    by_key = sorted(pairs, key=lambda pair: layout.joined(*pair).encode())
    assert by_key == sorted(pairs)
    assert all(tuple(layout.parted(layout.joined(*pair))) == pair for pair in pairs)


@given(st.floats(0, 1e11), st.floats(0, 1e11))
def test_moments_sort_as_numbers(one: float, other: float) -> None:
    assert (layout.moment(one) <= layout.moment(other)) or one > other


def test_long_values_have_short_places_of_their_own() -> None:
    long, longer = (layout.index_of("t", "f", "x" * count) for count in (300, 301))
    assert long is not None
    assert longer is not None
    assert long != longer
    assert len(long.place) < 100
    assert layout.index_of("t", "f", long.place.partition("=")[2]) != long
    assert layout.index_of("t", "f", None) is None
    assert layout.index_of("t", "f", {"id": "x"}) == Place(layout.INDEX, "t.f=x")
