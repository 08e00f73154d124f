"""Tables grow with the schemas, hold any text, and serve a user who may do no more than needed."""

from __future__ import annotations

import random
import string

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor

from kongtx.db import errors, migrations
from kongtx.db.paging import Query
from kongtx.db.postgres import Endpoint, PostgresConnector, layout
from kongtx.db.tables import Catalogue, Reference, Table
from kongtx.db.writes import Delete, Insert, Update
from tests.db.conformance import (
    CATALOGUE,
    CHILDREN,
    EXTRAS,
    PARENTS,
    child,
    extra,
    numbers,
    parent,
    uid,
)
from tests.db.postgres.conftest import Open
from tests.postgres_server import Database

#: Nothing that could be compressed to fit into an index.
NOISE = "".join(random.Random(7).choices(string.printable, k=20_000))


@pytest_twisted.ensureDeferred
async def test_new_search_fields_are_filled_from_the_rows_that_exist(opened: Open) -> None:
    before = Catalogue.of([Table("parents"), Table("children")])
    first = await opened(before)
    await first.apply(
        [
            Insert(before["parents"], parent(1, "a", ["t"])),
            Insert(before["parents"], parent(2, NOISE)),
            Insert(before["children"], child(1, of=1, name='it\'s "x"')),
        ]
    )
    second = await opened()
    assert (await second.select_by(PARENTS, "name", "a"))["id"] == uid(1)
    assert (await second.select_by(PARENTS, "name", NOISE))["id"] == uid(2)
    assert (await second.select_by(CHILDREN, "name", 'it\'s "x"'))["id"] == uid(1)
    page = await second.page(CHILDREN, Query(10, reference=("parent", uid(1))))
    assert len(page.rows) == 1
    with pytest.raises(errors.ForeignKeyViolationError):
        await second.apply([Delete(PARENTS, {"id": uid(1)})])


@pytest_twisted.ensureDeferred
async def test_rows_of_a_plugin_that_is_off_still_go_with_their_parent(opened: Open) -> None:
    first = await opened()
    await first.apply([Insert(PARENTS, parent(1)), Insert(EXTRAS, extra(1, "x", 1))])
    without = await opened(Catalogue.of([PARENTS]))
    await without.apply([Delete(PARENTS, {"id": uid(1)})])
    assert await numbers(first, EXTRAS) == []


@pytest_twisted.ensureDeferred
async def test_rows_of_a_plugin_that_is_off_keep_the_parent_that_they_need(opened: Open) -> None:
    first = await opened()
    await first.apply([Insert(PARENTS, parent(1)), Insert(CHILDREN, child(1, 1))])
    without = await opened(Catalogue.of([PARENTS]))
    with pytest.raises(errors.ForeignKeyViolationError) as caught:
        await without.apply([Delete(PARENTS, {"id": uid(1)})])
    assert caught.value.fields == {"@referenced_by": "children"}


@pytest_twisted.ensureDeferred
async def test_a_plugin_that_is_turned_on_later_gets_its_tables_at_start(opened: Open) -> None:
    first = await opened(Catalogue.of([PARENTS]))
    await first.record("core", "000_base", False)
    later = PostgresConnector(first._endpoint, reactor)
    await later.start(CATALOGUE)
    await migrations.prepare(later, CATALOGUE, reactor)
    assert await numbers(later, EXTRAS) == []
    await later.stop()


@pytest_twisted.ensureDeferred
async def test_long_texts_are_unique_and_found(connector: PostgresConnector) -> None:
    await connector.apply([Insert(PARENTS, parent(1, NOISE)), Insert(EXTRAS, extra(1, NOISE))])
    with pytest.raises(errors.UniqueViolationError):
        await connector.apply([Insert(PARENTS, parent(2, NOISE))])
    with pytest.raises(errors.UniqueViolationError):
        await connector.apply([Insert(EXTRAS, extra(2, NOISE))])
    assert await connector.select_by(PARENTS, "name", NOISE) == parent(1, NOISE)
    assert await connector.select_together(EXTRAS, extra(9, NOISE)) == extra(1, NOISE)
    await connector.apply([Update(PARENTS, parent(1, NOISE + "x"))])
    assert await connector.select_by(PARENTS, "name", NOISE) is None


@pytest.mark.parametrize(
    "text", ["a\0b", "100%", "%s %(a)s %%", "\\x41 'q' $1 ;--", "\u00e9\U0001f600"]
)
@pytest_twisted.ensureDeferred
async def test_any_text_is_kept_and_found(connector: PostgresConnector, text: str) -> None:
    assert await connector.select_by(PARENTS, "name", text) is None
    assert await connector.select(PARENTS, {"id": text}) is None
    await connector.apply([Insert(PARENTS, parent(1, text))])
    assert await connector.select_by(PARENTS, "name", text) == parent(1, text)
    await connector.apply([Update(PARENTS, {**parent(1, text), "note": text})])
    assert (await connector.select(PARENTS, {"id": uid(1)}))["note"] == text


@pytest_twisted.ensureDeferred
async def test_half_a_surrogate_pair_is_a_database_error(connector: PostgresConnector) -> None:
    with pytest.raises(errors.DatabaseError, match="half a surrogate pair"):
        await connector.apply([Insert(PARENTS, parent(1, "\ud800"))])
    assert await connector.select_by(PARENTS, "name", "\ud800") is None
    assert await numbers(connector, PARENTS) == []


@pytest_twisted.ensureDeferred
async def test_names_that_are_too_long_for_the_database_do_not_meet(opened: Open) -> None:
    long = "a_table_with_a_name_that_is_longer_than_identifiers_may_be_"
    fields = [f"a_field_with_a_name_that_is_longer_than_identifiers_may_be_{end}" for end in "xy"]
    tables = [Table(long + end, unique=tuple(fields)) for end in "xy"]
    connector = await opened(Catalogue.of(tables))
    for number, table in enumerate(tables):
        row = {"id": uid(number), fields[0]: "a", fields[1]: "b"}
        await connector.apply([Insert(table, row)])
        assert await connector.select_by(table, fields[1], "a") is None
        assert await connector.select_by(table, fields[1], "b") == row
        with pytest.raises(errors.UniqueViolationError) as caught:
            await connector.apply([Insert(table, {**row, "id": uid(9), fields[0]: "c"})])
        assert caught.value.fields == {fields[1]: "b"}


def test_short_names_stay_and_long_ones_end_in_a_digest() -> None:
    assert layout.bare_name("services") == "kongtx_entity_services"
    name = layout.shortened("\u00e9" * 60)
    assert len(name.encode()) <= 63
    assert name != layout.shortened("\u00e9" * 61)


@pytest_twisted.ensureDeferred
async def test_a_reference_to_an_unknown_table_is_not_enforced(opened: Open) -> None:
    table = Table("orphans", references=(Reference("parent", "nowhere"),))
    connector = await opened(Catalogue.of([table]))
    row = {"id": uid(1), "parent": {"id": uid(9)}}
    await connector.apply([Insert(table, row)])
    assert await connector.select(table, {"id": uid(1)}) == row


@pytest_twisted.ensureDeferred
async def test_the_owner_of_the_database_may_do_all_of_it(
    endpoint: Endpoint, postgres_database: Database
) -> None:
    postgres_database.run("DROP ROLE IF EXISTS plain")
    postgres_database.run("CREATE ROLE plain LOGIN")
    postgres_database.run(f"ALTER DATABASE {postgres_database.name} OWNER TO plain")
    plain = attrs.evolve(endpoint, user="plain", schema="its_own")
    for each in (attrs.evolve(plain, schema=None), plain):
        connector = PostgresConnector(each, reactor, replica=each)
        await connector.start(CATALOGUE)
        async with migrations.locked(connector, reactor, 5):
            await migrations.up(connector, CATALOGUE)
        await connector.apply([Insert(PARENTS, parent(1, "a"))])
        await connector.apply([Delete(PARENTS, {"id": uid(1)})])
        await connector.replica().page(PARENTS, Query(10))
        await connector.purge_expired()
        await connector.reset()
        await connector.stop()


@pytest_twisted.ensureDeferred
async def test_who_may_not_make_tables_is_told(
    endpoint: Endpoint, postgres_database: Database
) -> None:
    postgres_database.run("DROP ROLE IF EXISTS nobody_much")
    postgres_database.run("CREATE ROLE nobody_much LOGIN")
    connector = PostgresConnector(attrs.evolve(endpoint, user="nobody_much"), reactor)
    await connector.start(CATALOGUE)
    with pytest.raises(errors.DatabaseError, match="permission denied for schema public"):
        await connector.create(CATALOGUE)
    await connector.stop()


@pytest_twisted.ensureDeferred
async def test_who_may_only_use_the_tables_can_run_a_node(
    endpoint: Endpoint, postgres_database: Database, opened: Open
) -> None:
    owner = await opened()
    await owner.record("core", "000_base", False)
    postgres_database.run("DROP ROLE IF EXISTS worker")
    postgres_database.run("CREATE ROLE worker LOGIN")
    postgres_database.run(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO worker"
    )
    connector = PostgresConnector(attrs.evolve(endpoint, user="worker"), reactor)
    await connector.start(CATALOGUE)
    await migrations.prepare(connector, CATALOGUE, reactor)
    await connector.apply([Insert(PARENTS, parent(1, "a", ["t"]))])
    await connector.append_events([], "node", 60)
    assert await connector.acquire("l", "one", 10)
    await connector.stop()
    postgres_database.run("DROP OWNED BY worker")
