"""What every connector has to do, whatever database is behind it.

A test module derives from these classes and gives two fixtures: C{connector}, started with
L{CATALOGUE} and empty, and C{fill}, an async function that puts in the rows it is given by table.
Rows that expire are judged by the fixture C{clock}, a L{twisted.internet.task.Clock} standing at
L{NOW}.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import DeferredList, gatherResults
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.db import errors
from kongtx.db.interfaces import IConnector
from kongtx.db.paging import Query, Tags
from kongtx.db.tables import Catalogue, Entity, Reference, Table
from kongtx.db.writes import Change, Delete, Increment, Insert, Update, Upsert, Write

NOW = 1_700_000_000.0

PARENTS = Table("parents", unique=("name",), tagged=True)
CHILDREN = Table(
    "children",
    unique=("name",),
    references=(Reference("parent", "parents"),),
    tagged=True,
)
EXTRAS = Table(
    "extras",
    together=("kind", "parent", "child"),
    references=(
        Reference("parent", "parents", cascade=True),
        Reference("child", "children", cascade=True),
    ),
    tagged=True,
)
LEAVES = Table("leaves", references=(Reference("extra", "extras", cascade=True),))
TOKENS = Table("tokens", unique=("token",), expires=True, tagged=True)
USES = Table("uses", references=(Reference("token", "tokens"),))
COUNTS = Table("counts", key=("period", "number"))
CATALOGUE = Catalogue.of([COUNTS, USES, TOKENS, LEAVES, EXTRAS, CHILDREN, PARENTS])

Fill = Callable[[Mapping[str, Sequence[Entity]]], Awaitable[object]]


def uid(number: int) -> str:
    """The id with a number; ids sort as their numbers do."""
    return f"00000000-0000-4000-8000-{number:012d}"


def parent(number: int, name: str | None = None, tags: list[str] | None = None) -> Entity:
    return {"id": uid(number), "name": name, "tags": tags, "note": None}


def child(number: int, of: int | None, name: str | None = None) -> Entity:
    reference = None if of is None else {"id": uid(of)}
    return {"id": uid(number), "name": name, "parent": reference, "tags": None}


def extra(number: int, kind: str, of: int | None = None, child: int | None = None) -> Entity:
    return {
        "id": uid(number),
        "kind": kind,
        "parent": None if of is None else {"id": uid(of)},
        "child": None if child is None else {"id": uid(child)},
        "tags": None,
    }


def token(number: int, text: str, ttl: float | None, tags: list[str] | None = None) -> Entity:
    return {"id": uid(number), "token": text, "ttl": ttl, "tags": tags}


async def numbers(connector: Any, table: Table, **query: Any) -> list[int]:
    """The numbers of the rows of all pages."""
    size, found, offset = query.pop("size", 100), [], None
    while True:
        page = await connector.page(table, Query(size, offset, **query))
        found += [int(row["id"][-12:]) for row in page.rows]
        if page.offset is None:
            return found
        assert len(page.rows) == size
        offset = page.offset


def filling(connector: Any) -> Fill:
    """What the fixture C{fill} gives for a connector that can be written to."""

    async def filled(rows: Mapping[str, Sequence[Entity]]) -> None:
        writes: list[Write] = [
            Insert(table, row)
            for table in CATALOGUE.parents_first()
            for row in rows.get(table.name, ())
        ]
        await connector.apply(writes)

    return filled


class ReadConformance:
    """Reading; for every connector."""

    def test_it_provides_the_interface(self, connector: Any) -> None:
        assert verifyObject(IConnector, connector)

    @pytest_twisted.ensureDeferred
    async def test_it_answers(self, connector: Any) -> None:
        assert await connector.ping() is None

    @pytest_twisted.ensureDeferred
    async def test_a_row_comes_back_as_it_was_given(self, connector: Any, fill: Fill) -> None:
        row = {
            "id": uid(1),
            "name": "na\u00efve \u65e5\u672c \U0001f600 \"'\\ %",
            "tags": ["b", "a"],
            "note": {"empty": {}, "list": [], "null": None, "float": 1485523507.446, "deep": [[1]]},
            "large": 2**53 - 1,
            "false": False,
        }
        await fill({"parents": [row]})
        found = await connector.select(PARENTS, {"id": uid(1)})
        assert found == row
        assert list(found) == list(row)
        assert await connector.select_by(PARENTS, "name", row["name"]) == row

    @pytest_twisted.ensureDeferred
    async def test_what_is_not_there_is_none(self, connector: Any, fill: Fill) -> None:
        await fill({"parents": [parent(1, None)]})
        assert await connector.select(PARENTS, {"id": uid(2)}) is None
        assert await connector.select_by(PARENTS, "name", "x") is None
        assert await connector.select_by(PARENTS, "name", None) is None

    @pytest_twisted.ensureDeferred
    async def test_names_differ_by_case_and_spaces(self, connector: Any, fill: Fill) -> None:
        await fill({"parents": [parent(1, "Name"), parent(2, "name"), parent(3, "name ")]})
        found = await connector.select_by(PARENTS, "name", "name")
        assert found["id"] == uid(2)

    @pytest_twisted.ensureDeferred
    async def test_rows_are_found_by_values_that_differ_together(
        self, connector: Any, fill: Fill
    ) -> None:
        await fill({"parents": [parent(1)], "extras": [extra(1, "x"), extra(2, "x", of=1)]})
        found = await connector.select_together(EXTRAS, extra(9, "x", of=1))
        assert found == extra(2, "x", of=1)
        assert await connector.select_together(EXTRAS, extra(9, "y")) is None

    @pytest_twisted.ensureDeferred
    async def test_a_key_may_have_several_fields(self, connector: Any, fill: Fill) -> None:
        rows = [{"period": "a", "number": number, "value": number} for number in (1, 2, 11)]
        await fill({"counts": rows})
        assert await connector.select(COUNTS, {"period": "a", "number": 11}) == rows[2]
        assert await connector.select(COUNTS, {"period": "b", "number": 1}) is None

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 100])
    @pytest_twisted.ensureDeferred
    async def test_pages_cover_all_rows_once_in_order(
        self, connector: Any, fill: Fill, size: int
    ) -> None:
        await fill({"parents": [parent(number) for number in (5, 3, 1, 7, 2, 6, 4)]})
        assert await numbers(connector, PARENTS, size=size) == [1, 2, 3, 4, 5, 6, 7]

    @pytest_twisted.ensureDeferred
    async def test_the_last_page_has_no_offset(self, connector: Any, fill: Fill) -> None:
        await fill({"parents": [parent(1), parent(2)]})
        assert (await connector.page(PARENTS, Query(2))).offset is None
        assert (await connector.page(EXTRAS, Query(2))).rows == []

    @pytest.mark.parametrize(
        ("offset", "reason"),
        [
            ("x", "bad base64 encoding"),
            ("*", "bad base64 encoding"),
            ("\u00e9", "bad base64 encoding"),
            ("eHh4", "bad json encoding"),
            ("MQ", "bad json encoding"),
            ("W10", "bad json encoding"),
            ("WzFd", "bad json encoding"),
            ("WyJcdTAwMDAiXQ", "bad json encoding"),
            ("WyJcdWQ4MDAiXQ", "bad json encoding"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_an_offset_made_elsewhere_is_refused(
        self, connector: Any, offset: str, reason: str
    ) -> None:
        with pytest.raises(errors.InvalidOffsetError, match=reason):
            await connector.page(PARENTS, Query(10, offset))
        with pytest.raises(errors.InvalidOffsetError, match=reason):
            await connector.page_tags(None, 10, offset)

    @pytest.mark.parametrize("size", [1, 2, 100])
    @pytest_twisted.ensureDeferred
    async def test_children_are_paged_by_parent(
        self, connector: Any, fill: Fill, size: int
    ) -> None:
        await fill(
            {
                "parents": [parent(1), parent(2)],
                "children": [child(4, 1), child(2, 2), child(3, 1), child(1, None), child(5, 1)],
            }
        )
        for number, expected in ((1, [3, 4, 5]), (2, [2]), (3, [])):
            reference = ("parent", uid(number))
            found = await numbers(connector, CHILDREN, size=size, reference=reference)
            assert found == expected

    @pytest.mark.parametrize(
        ("tags", "expected"),
        [
            (Tags(("a",)), [1, 2, 4]),
            (Tags(("a", "b")), [2, 4]),
            (Tags(("a", "a")), [1, 2, 4]),
            (Tags(("b", "c"), any_of=True), [2, 3, 4]),
            (Tags(("a", "none")), []),
            (Tags(("a", "none"), any_of=True), [1, 2, 4]),
            (Tags(("A",)), []),
        ],
    )
    @pytest.mark.parametrize("size", [1, 2, 100])
    @pytest_twisted.ensureDeferred
    async def test_rows_are_filtered_by_tags(
        self, connector: Any, fill: Fill, size: int, tags: Tags, expected: list[int]
    ) -> None:
        rows = [
            parent(1, tags=["a"]),
            parent(2, tags=["b", "a"]),
            parent(3, tags=["c"]),
            parent(4, tags=["a", "b", "c"]),
            parent(5),
            parent(6, tags=[]),
        ]
        await fill({"parents": rows, "children": [{**child(7, 1), "tags": ["a"]}]})
        assert await numbers(connector, PARENTS, size=size, tags=tags) == expected

    @pytest.mark.parametrize("size", [1, 2, 100])
    @pytest_twisted.ensureDeferred
    async def test_uses_of_tags_are_paged_by_entity(
        self, connector: Any, fill: Fill, size: int
    ) -> None:
        await fill(
            {
                "parents": [parent(2, tags=["b", "a"])],
                "extras": [{**extra(1, "x"), "tags": ["a"]}],
                "tokens": [token(3, "t", NOW + 10, tags=["a"])],
            }
        )

        async def uses(tag: str | None) -> list[tuple[str, str, str]]:
            found, offset = [], None
            while True:
                page = await connector.page_tags(tag, size, offset)
                found += [(row["entity_id"], row["entity_name"], row["tag"]) for row in page.rows]
                offset = page.offset
                if offset is None:
                    return found

        assert await uses(None) == [
            (uid(1), "extras", "a"),
            (uid(2), "parents", "a"),
            (uid(2), "parents", "b"),
            (uid(3), "tokens", "a"),
        ]
        assert await uses("b") == [(uid(2), "parents", "b")]
        assert await uses("none") == []

    @pytest_twisted.ensureDeferred
    async def test_rows_vanish_when_their_time_is_over(
        self, connector: Any, fill: Fill, clock: Clock
    ) -> None:
        rows = [
            token(1, "soon", NOW + 10, ["t"]),
            token(2, "never", None),
            token(3, "late", NOW + 20),
        ]
        await fill({"tokens": rows})
        assert await connector.select(TOKENS, {"id": uid(1)}) == rows[0]
        assert await numbers(connector, TOKENS) == [1, 2, 3]
        clock.advance(10)
        assert await connector.select(TOKENS, {"id": uid(1)}) is None
        assert await connector.select_by(TOKENS, "token", "soon") is None
        assert await connector.select_by(TOKENS, "token", "late") == rows[2]
        assert await numbers(connector, TOKENS) == [2, 3]
        assert (await connector.page_tags("t", 10, None)).rows == []


class WriteConformance(ReadConformance):
    """Reading and writing; for every connector that is not read only."""

    @pytest_twisted.ensureDeferred
    async def test_an_insert_tells_what_is_new(self, connector: Any) -> None:
        changes = await connector.apply([Insert(PARENTS, parent(1, "a"))])
        assert changes == [[Change(PARENTS, parent(1, "a"), None)]]

    @pytest_twisted.ensureDeferred
    async def test_an_existing_key_is_not_inserted_again(self, connector: Any) -> None:
        await connector.apply([Insert(PARENTS, parent(1, "a"))])
        with pytest.raises(errors.PrimaryKeyViolationError) as caught:
            await connector.apply([Insert(PARENTS, parent(1, "b"))])
        assert caught.value.fields == {"id": uid(1)}
        assert await connector.select(PARENTS, {"id": uid(1)}) == parent(1, "a")

    @pytest.mark.parametrize("write", [Insert, Upsert])
    @pytest_twisted.ensureDeferred
    async def test_a_unique_value_is_taken_once(self, connector: Any, write: Any) -> None:
        await connector.apply([Insert(PARENTS, parent(1, "a"))])
        with pytest.raises(errors.UniqueViolationError) as caught:
            await connector.apply([write(PARENTS, parent(2, "a"))])
        assert caught.value.fields == {"name": "a"}
        assert await numbers(connector, PARENTS) == [1]

    @pytest_twisted.ensureDeferred
    async def test_an_update_cannot_take_anothers_value_but_keep_its_own(
        self, connector: Any
    ) -> None:
        await connector.apply([Insert(PARENTS, parent(1, "a")), Insert(PARENTS, parent(2, "b"))])
        with pytest.raises(errors.UniqueViolationError):
            await connector.apply([Update(PARENTS, parent(2, "a"))])
        await connector.apply([Update(PARENTS, parent(2, "b", ["t"]))])
        assert await connector.select_by(PARENTS, "name", "b") == parent(2, "b", ["t"])

    @pytest_twisted.ensureDeferred
    async def test_a_freed_value_can_be_taken(self, connector: Any) -> None:
        await connector.apply([Insert(PARENTS, parent(1, "a"))])
        await connector.apply([Update(PARENTS, parent(1, "b")), Insert(PARENTS, parent(2, "a"))])
        await connector.apply([Delete(PARENTS, {"id": uid(1)}), Insert(PARENTS, parent(3, "b"))])
        assert (await connector.select_by(PARENTS, "name", "a"))["id"] == uid(2)
        assert (await connector.select_by(PARENTS, "name", "b"))["id"] == uid(3)

    @pytest_twisted.ensureDeferred
    async def test_a_number_is_added_to(self, connector: Any) -> None:
        def add(amount: int, note: str) -> Increment:
            row = {"period": "a", "number": 1, "value": amount, "note": note}
            return Increment(COUNTS, row, "value")

        (first,), (second,) = await connector.apply([add(2, "first"), add(3, "second")])
        rows = [{"period": "a", "number": 1, "value": value, "note": "first"} for value in (2, 5)]
        assert first == Change(COUNTS, rows[0], None)
        assert second == Change(COUNTS, rows[1], rows[0])
        assert await connector.select(COUNTS, {"period": "a", "number": 1}) == rows[1]

    @pytest_twisted.ensureDeferred
    async def test_no_addition_is_lost(self, connector: Any) -> None:
        row = {"period": "a", "number": 1, "value": 1}
        changes = await gatherResults(
            [connector.apply([Increment(COUNTS, row, "value")]) for _ in range(20)]
        )
        values = [change.new["value"] for ((change,),) in changes]
        assert sorted(values) == list(range(1, 21))

    @pytest_twisted.ensureDeferred
    async def test_a_number_whose_time_is_over_begins_anew(
        self, connector: Any, clock: Clock
    ) -> None:
        def add(ttl: float) -> Increment:
            return Increment(TOKENS, {**token(1, "t", ttl), "value": 1}, "value")

        ((one,), (two,)) = await connector.apply([add(NOW + 10), add(NOW + 99)])
        assert (one.new["value"], two.new["value"], two.new["ttl"]) == (1, 2, NOW + 10)
        clock.advance(10)
        ((three,),) = await connector.apply([add(NOW + 20)])
        assert (three.new["value"], three.new["ttl"]) == (1, NOW + 20)

    @pytest_twisted.ensureDeferred
    async def test_null_is_never_taken(self, connector: Any) -> None:
        await connector.apply([Insert(PARENTS, parent(1)), Insert(PARENTS, parent(2))])
        assert await numbers(connector, PARENTS) == [1, 2]

    @pytest_twisted.ensureDeferred
    async def test_values_that_differ_together_count_null_as_a_value(self, connector: Any) -> None:
        await connector.apply(
            [
                Insert(PARENTS, parent(1)),
                Insert(EXTRAS, extra(1, "x")),
                Insert(EXTRAS, extra(2, "x", of=1)),
                Insert(EXTRAS, extra(3, "y")),
            ]
        )
        with pytest.raises(errors.UniqueViolationError) as caught:
            await connector.apply([Insert(EXTRAS, extra(4, "x"))])
        assert caught.value.fields == {"kind": "x", "parent": None, "child": None}
        with pytest.raises(errors.UniqueViolationError) as caught:
            await connector.apply([Update(EXTRAS, extra(1, "x", of=1))])
        assert caught.value.fields == {"kind": "x", "parent": {"id": uid(1)}, "child": None}

    @pytest_twisted.ensureDeferred
    async def test_a_parent_has_to_exist(self, connector: Any) -> None:
        with pytest.raises(errors.ForeignKeyViolationError) as caught:
            await connector.apply([Insert(CHILDREN, child(1, of=9))])
        assert caught.value.fields == {"parent": {"id": uid(9)}}
        assert "existing 'parents' entity" in caught.value.message
        await connector.apply([Insert(PARENTS, parent(1)), Insert(CHILDREN, child(1, of=1))])
        with pytest.raises(errors.ForeignKeyViolationError):
            await connector.apply([Update(CHILDREN, child(1, of=9))])

    @pytest_twisted.ensureDeferred
    async def test_a_parent_stays_while_a_child_refers_to_it(self, connector: Any) -> None:
        await connector.apply(
            [
                Insert(PARENTS, parent(1)),
                Insert(EXTRAS, extra(1, "x", of=1)),
                Insert(CHILDREN, child(1, of=1)),
            ]
        )
        with pytest.raises(errors.ForeignKeyViolationError) as caught:
            await connector.apply([Delete(PARENTS, {"id": uid(1)})])
        assert caught.value.fields == {"@referenced_by": "children"}
        assert await numbers(connector, EXTRAS) == [1]
        await connector.apply([Delete(CHILDREN, {"id": uid(1)}), Delete(PARENTS, {"id": uid(1)})])
        assert await numbers(connector, PARENTS) == []

    @pytest_twisted.ensureDeferred
    async def test_cascading_children_go_with_their_parent(self, connector: Any) -> None:
        rows = [extra(1, "x", of=1), extra(2, "y", of=1), extra(3, "x")]
        leaf = {"id": uid(1), "extra": {"id": uid(2)}}
        await connector.apply(
            [
                Insert(PARENTS, parent(1, "a", ["t"])),
                *(Insert(EXTRAS, {**row, "tags": ["t"]}) for row in rows),
                Insert(LEAVES, leaf),
            ]
        )
        [changes] = await connector.apply([Delete(PARENTS, {"id": uid(1)})])
        assert changes[0] == Change(PARENTS, None, parent(1, "a", ["t"]))
        gone = sorted((change.table.name, change.old["id"]) for change in changes[1:])
        assert gone == [("extras", uid(1)), ("extras", uid(2)), ("leaves", uid(1))]
        assert all(change.new is None for change in changes)
        assert await numbers(connector, EXTRAS) == [3]
        assert await numbers(connector, LEAVES) == []
        found = await connector.page_tags("t", 10, None)
        assert [row["entity_id"] for row in found.rows] == [uid(3)]

    @pytest_twisted.ensureDeferred
    async def test_deleting_nothing_changes_nothing(self, connector: Any) -> None:
        assert await connector.apply([Delete(PARENTS, {"id": uid(1)})]) == [[]]

    @pytest_twisted.ensureDeferred
    async def test_an_update_needs_a_row_and_tells_what_was(self, connector: Any) -> None:
        with pytest.raises(errors.EntityNotFoundError):
            await connector.apply([Update(PARENTS, parent(1, "a"))])
        await connector.apply([Insert(PARENTS, parent(1, "a"))])
        changes = await connector.apply([Update(PARENTS, parent(1, "b"))])
        assert changes == [[Change(PARENTS, parent(1, "b"), parent(1, "a"))]]
        assert await connector.select_by(PARENTS, "name", "a") is None

    @pytest_twisted.ensureDeferred
    async def test_a_row_changed_since_it_was_read_is_not_overwritten(self, connector: Any) -> None:
        await connector.apply([Insert(PARENTS, parent(1, "a"))])
        await connector.apply([Update(PARENTS, parent(1, "b"), was=parent(1, "a"))])
        with pytest.raises(errors.ConflictError):
            await connector.apply([Update(PARENTS, parent(1, "c"), was=parent(1, "a"))])
        assert await connector.select(PARENTS, {"id": uid(1)}) == parent(1, "b")

    @pytest_twisted.ensureDeferred
    async def test_an_upsert_adds_or_replaces(self, connector: Any) -> None:
        first = await connector.apply([Upsert(PARENTS, parent(1, "a", ["t"]))])
        second = await connector.apply([Upsert(PARENTS, parent(1, "b"))])
        assert first == [[Change(PARENTS, parent(1, "a", ["t"]), None)]]
        assert second == [[Change(PARENTS, parent(1, "b"), parent(1, "a", ["t"]))]]
        assert (await connector.page_tags("t", 10, None)).rows == []

    @pytest_twisted.ensureDeferred
    async def test_several_writes_are_kept_together_or_not_at_all(self, connector: Any) -> None:
        await connector.apply([Insert(PARENTS, parent(1, "a"))])
        with pytest.raises(errors.UniqueViolationError):
            await connector.apply(
                [
                    Insert(PARENTS, parent(2, "b", ["t"])),
                    Update(PARENTS, parent(1, "c")),
                    Delete(PARENTS, {"id": uid(1)}),
                    Insert(PARENTS, parent(3, "b")),
                ]
            )
        assert await numbers(connector, PARENTS) == [1]
        assert await connector.select_by(PARENTS, "name", "a") == parent(1, "a")
        assert (await connector.page_tags("t", 10, None)).rows == []

    @pytest_twisted.ensureDeferred
    async def test_a_refused_write_leaves_those_made_at_the_same_time(self, connector: Any) -> None:
        await connector.apply([Insert(PARENTS, parent(1, "taken"))])
        names = ["a", "taken", "b", "taken", "c"]
        writes = [
            connector.apply([Insert(PARENTS, parent(number, name))])
            for number, name in enumerate(names, 2)
        ]
        outcomes = await gatherResults(
            [write.addCallbacks(lambda _: "kept", lambda failure: failure.type) for write in writes]
        )
        refused = errors.UniqueViolationError
        assert outcomes == ["kept", refused, "kept", refused, "kept"]
        assert await numbers(connector, PARENTS) == [1, 2, 4, 6]

    @pytest_twisted.ensureDeferred
    async def test_racing_inserts_of_one_name_give_one_row(self, connector: Any) -> None:
        writes = [connector.apply([Insert(PARENTS, parent(number, "one"))]) for number in range(9)]
        kept = await gatherResults(
            [write.addCallbacks(lambda _: 1, lambda failure: 0) for write in writes]
        )
        assert sum(kept) == 1
        assert len(await numbers(connector, PARENTS)) == 1

    @pytest_twisted.ensureDeferred
    async def test_rows_added_or_removed_meanwhile_do_not_disturb_paging(
        self, connector: Any, fill: Fill
    ) -> None:
        await fill({"parents": [parent(number) for number in (2, 4, 6, 8)]})
        first = await connector.page(PARENTS, Query(2))
        await connector.apply(
            [
                Insert(PARENTS, parent(1)),
                Insert(PARENTS, parent(5)),
                Delete(PARENTS, {"id": uid(4)}),
                Delete(PARENTS, {"id": uid(6)}),
            ]
        )
        second = await connector.page(PARENTS, Query(2, first.offset))
        assert [row["id"] for row in second.rows] == [uid(5), uid(8)]

    @pytest_twisted.ensureDeferred
    async def test_tags_follow_their_entity(self, connector: Any) -> None:
        await connector.apply([Insert(PARENTS, parent(1, tags=["a", "b"]))])
        await connector.apply([Update(PARENTS, parent(1, tags=["b", "c"]))])
        found = await connector.page_tags(None, 10, None)
        assert [row["tag"] for row in found.rows] == ["b", "c"]
        await connector.apply([Delete(PARENTS, {"id": uid(1)})])
        assert (await connector.page_tags(None, 10, None)).rows == []

    @pytest_twisted.ensureDeferred
    async def test_an_expired_row_gives_way_to_a_new_one(
        self, connector: Any, clock: Clock
    ) -> None:
        await connector.apply([Insert(TOKENS, token(1, "same", NOW + 1))])
        with pytest.raises(errors.UniqueViolationError):
            await connector.apply([Insert(TOKENS, token(2, "same", None))])
        clock.advance(1)
        await connector.apply([Insert(TOKENS, token(2, "same", None))])
        assert await numbers(connector, TOKENS) == [2]

    @pytest_twisted.ensureDeferred
    async def test_expired_rows_are_purged(self, connector: Any, clock: Clock) -> None:
        await connector.apply(
            [Insert(TOKENS, token(number, str(number), NOW + number)) for number in (1, 2, 3)]
        )
        assert await connector.purge_expired() == 0
        clock.advance(2)
        assert await connector.purge_expired() == 2
        assert await connector.purge_expired() == 0
        assert await numbers(connector, TOKENS) == [3]

    @pytest_twisted.ensureDeferred
    async def test_an_expired_row_that_others_need_hinders_nobody(
        self, connector: Any, clock: Clock
    ) -> None:
        use = {"id": uid(1), "token": {"id": uid(1)}}
        await connector.apply([Insert(TOKENS, token(1, "a", NOW + 1)), Insert(USES, use)])
        clock.advance(1)
        assert await connector.purge_expired() == 0
        await connector.apply([Insert(PARENTS, parent(1))])
        assert await numbers(connector, TOKENS) == []
        await connector.apply([Delete(USES, {"id": uid(1)})])
        assert await connector.purge_expired() == 1

    @pytest_twisted.ensureDeferred
    async def test_large_rows_are_kept(self, connector: Any) -> None:
        row = {**parent(1, "n" * 100_000), "note": "\u00e9" * 1_000_000}
        await connector.apply([Insert(PARENTS, row)])
        assert await connector.select_by(PARENTS, "name", "n" * 100_000) == row


class RaceConformance:
    """Several nodes at once; for connectors of databases that nodes share.

    The fixture C{opened} makes another connector that uses the same database.
    """

    @pytest_twisted.ensureDeferred
    async def test_one_of_two_nodes_gets_the_name_and_the_other_the_reason(
        self, opened: Any
    ) -> None:
        nodes = [await opened(), await opened()]
        for number in range(20):
            outcomes = await DeferredList(
                [
                    node.apply([Insert(PARENTS, parent(2 * number + side, f"n{number}"))])
                    for side, node in enumerate(nodes)
                ],
                consumeErrors=True,
            )
            assert sorted(kept for kept, _ in outcomes) == [False, True]
            [failure] = [result for kept, result in outcomes if not kept]
            assert failure.check(errors.UniqueViolationError), failure
            assert failure.value.fields == {"name": f"n{number}"}
        assert len(await numbers(nodes[0], PARENTS)) == 20
