"""The store's rules, over SQLite and PostgreSQL and with all schemas."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import Clock

from kongtx.db import errors, migrations
from kongtx.db.paging import Tags
from kongtx.db.postgres import Endpoint, PostgresConnector
from kongtx.db.sqlite import SQLiteConnector
from kongtx.db.store import ChangeEvent, Store
from kongtx.entities import DEFAULT_WORKSPACE
from kongtx.plugins.schemas import full_registry
from tests.db.conformance import NOW, uid
from tests.postgres_server import Database


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.advance(NOW)
    return made


@pytest.fixture(params=["sqlite", "postgres"])
def connector(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Any:
    if request.param == "sqlite":
        return SQLiteConnector(str(tmp_path / "db"), reactor, clock.seconds)
    database: Database = request.getfixturevalue("postgres_database")
    endpoint = Endpoint(database.server.host, database.server.port, database=database.name)
    return PostgresConnector(endpoint, reactor, clock.seconds)


@pytest_twisted.async_yield_fixture
async def store(connector: Any, clock: Clock) -> AsyncIterator[Store]:
    made = Store(full_registry(), connector, reactor, clock.seconds)
    if not connector.automatic:
        await connector.start(made.catalogue)
        await migrations.up(connector, made.catalogue)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def events(store: Store) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []
    store.subscribe(
        lambda changes: seen.extend((change.operation, change.schema) for change in changes)
    )
    return seen


@pytest.fixture(scope="module")
def pair() -> dict[str, str]:
    issued = trustme.CA().issue_cert("example.test")
    return {
        "cert": issued.cert_chain_pems[0].bytes().decode(),
        "key": issued.private_key_pem.bytes().decode(),
    }


async def everything(store: Store, name: str) -> list[dict[str, Any]]:
    return [entity async for entity in store[name].each()]


@pytest_twisted.ensureDeferred
async def test_every_table_can_be_read_and_the_workspace_is_there(store: Store) -> None:
    for name in store:
        if name != "tags":
            expected = [DEFAULT_WORKSPACE] if name == "workspaces" else []
            assert [row["id"] for row in await everything(store, name)] == expected


@pytest_twisted.ensureDeferred
async def test_a_second_start_finds_what_the_first_left(tmp_path: Path) -> None:
    for _ in range(2):
        store = Store(full_registry(), SQLiteConnector(str(tmp_path / "db"), reactor), reactor)
        await store.start()
        await store["services"].upsert_by("name", "s", {"host": "h"})
        assert len(await everything(store, "services")) == 1
        await store.stop()


@pytest_twisted.ensureDeferred
async def test_an_insert_gives_the_whole_entity(store: Store) -> None:
    made = await store["services"].insert({"name": "s", "host": "example.test", "tags": ["t"]})
    assert made == {
        "id": made["id"],
        "created_at": int(NOW),
        "updated_at": int(NOW),
        "name": "s",
        "retries": 5,
        "protocol": "http",
        "host": "example.test",
        "port": 80,
        "path": None,
        "connect_timeout": 60000,
        "write_timeout": 60000,
        "read_timeout": 60000,
        "tags": ["t"],
        "client_certificate": None,
        "tls_verify": None,
        "tls_verify_depth": None,
        "ca_certificates": None,
        "enabled": True,
    }
    assert await store["services"].select(made["id"]) == made
    assert await store["services"].select({"id": made["id"].upper()}) == made
    assert await store["services"].select_by("name", "s") == made


@pytest_twisted.ensureDeferred
async def test_bad_data_is_refused_with_its_fields(store: Store) -> None:
    with pytest.raises(errors.SchemaViolationError) as caught:
        await store["services"].insert({"host": "h", "port": "80", "foo": 1})
    assert caught.value.fields == {"port": "expected an integer", "foo": "unknown field"}
    assert await everything(store, "services") == []


@pytest.mark.parametrize("key", ["", "x", {"id": 1}, {}, {"id": uid(1), "name": "x"}])
@pytest_twisted.ensureDeferred
async def test_a_key_of_the_wrong_form_is_refused(store: Store, key: Any) -> None:
    with pytest.raises(errors.InvalidPrimaryKeyError):
        await store["services"].select(key)
    with pytest.raises(errors.InvalidPrimaryKeyError):
        await store["services"].delete(key)


@pytest_twisted.ensureDeferred
async def test_a_name_of_the_wrong_form_is_refused(store: Store) -> None:
    with pytest.raises(errors.InvalidUniqueError) as caught:
        await store["services"].select_by("name", "a b")
    assert caught.value.name == "invalid unique name"


@pytest_twisted.ensureDeferred
async def test_a_parent_can_be_named(store: Store) -> None:
    service = await store["services"].insert({"name": "s", "host": "h"})
    route = await store["routes"].insert({"paths": ["/"], "service": {"name": "s"}})
    assert route["service"] == {"id": service["id"]}
    other = {"id": service["id"].upper(), "name": "ignored"}
    route = await store["routes"].update(route["id"], {"service": other})
    assert route["service"] == {"id": service["id"]}
    with pytest.raises(errors.ForeignKeysUnresolvedError) as caught:
        await store["routes"].insert({"paths": ["/"], "service": {"name": "nobody"}})
    assert list(caught.value.fields or {}) == ["service"]


@pytest_twisted.ensureDeferred
async def test_a_parent_by_id_has_to_exist(store: Store) -> None:
    with pytest.raises(errors.ForeignKeyViolationError) as caught:
        await store["routes"].insert({"paths": ["/"], "service": {"id": uid(1)}})
    assert caught.value.fields == {"service": {"id": uid(1)}}


@pytest_twisted.ensureDeferred
async def test_updates_merge_records_and_replace_lists(store: Store) -> None:
    made = await store["upstreams"].insert({"name": "u", "tags": ["a", "b"]})
    changed = await store["upstreams"].update(
        made["id"], {"healthchecks": {"active": {"healthy": {"interval": 3}}}, "tags": ["c"]}
    )
    assert changed["healthchecks"]["active"]["healthy"] == {
        **made["healthchecks"]["active"]["healthy"],
        "interval": 3,
    }
    assert changed["healthchecks"]["passive"] == made["healthchecks"]["passive"]
    assert changed["tags"] == ["c"]


@pytest_twisted.ensureDeferred
async def test_an_update_refuses_another_id_but_not_the_same(store: Store) -> None:
    made = await store["services"].insert({"name": "s", "host": "h"})
    same = await store["services"].update(made["id"], {"id": made["id"].upper(), "port": 81})
    assert (same["id"], same["port"]) == (made["id"], 81)
    with pytest.raises(errors.SchemaViolationError):
        await store["services"].update(made["id"], {"id": uid(1)})


@pytest_twisted.ensureDeferred
async def test_an_update_of_nothing_is_not_found(store: Store) -> None:
    with pytest.raises(errors.EntityNotFoundError) as caught:
        await store["services"].update(uid(1), {"port": 1})
    assert caught.value.fields == {"id": uid(1)}
    with pytest.raises(errors.EntityNotFoundError) as caught:
        await store["services"].update_by("name", "x", {"port": 1})
    assert caught.value.fields == {"name": "x"}


@pytest_twisted.ensureDeferred
async def test_updates_at_the_same_time_keep_each_others_fields(store: Store) -> None:
    made = await store["services"].insert({"name": "s", "host": "h"})
    changes: list[dict[str, Any]] = [
        {"port": 81},
        {"retries": 7},
        {"path": "/p"},
        {"connect_timeout": 9},
    ]
    await gatherResults(
        [ensureDeferred(store["services"].update(made["id"], change)) for change in changes]
    )
    found = await store["services"].select(made["id"])
    assert found is not None
    for change in changes:
        assert change.items() <= found.items()


@pytest_twisted.ensureDeferred
async def test_an_upsert_replaces_the_whole_entity(store: Store, clock: Clock) -> None:
    made = await store["services"].upsert(uid(7), {"name": "s", "host": "h", "port": 81})
    clock.advance(5)
    again = await store["services"].upsert(uid(7), {"host": "i"})
    assert (made["id"], again["id"]) == (uid(7), uid(7))
    assert (again["name"], again["port"], again["created_at"]) == (None, 80, int(NOW) + 5)


@pytest_twisted.ensureDeferred
async def test_an_upsert_by_name_keeps_the_id(store: Store) -> None:
    made = await store["services"].upsert_by("name", "s", {"host": "h"})
    again = await store["services"].upsert_by("name", "s", {"host": "i", "name": "ignored"})
    assert (again["id"], again["name"], again["host"]) == (made["id"], "s", "i")


@pytest_twisted.ensureDeferred
async def test_an_upsert_by_name_takes_nobody_elses_id(store: Store) -> None:
    made = await store["services"].insert({"name": "s", "host": "h"})
    with pytest.raises(errors.PrimaryKeyViolationError):
        await store["services"].upsert_by("name", "other", {"host": "h", "id": made["id"]})
    assert await store["services"].select(made["id"]) == made


@pytest_twisted.ensureDeferred
async def test_upserts_of_one_name_at_the_same_time_make_one_entity(store: Store) -> None:
    made = await gatherResults(
        [
            ensureDeferred(store["services"].upsert_by("name", "s", {"host": f"h{number}"}))
            for number in range(5)
        ]
    )
    assert len({entity["id"] for entity in made}) == 1
    assert len(await everything(store, "services")) == 1


@pytest_twisted.ensureDeferred
async def test_what_is_restored_is_found_whatever_its_case(store: Store) -> None:
    service = await store["services"].insert({"name": "s", "host": "h"})
    route = await store["routes"].insert({"paths": ["/"], "service": {"id": service["id"]}})
    rows = {
        name: [row async for row in store[name].each_stored()] for name in ("services", "routes")
    }
    await store["routes"].delete(route["id"])
    await store["services"].delete(service["id"])
    upper = [
        ("services", {**rows["services"][0], "id": service["id"].upper()}),
        ("routes", {**rows["routes"][0], "service": {"id": service["id"].upper()}}),
    ]
    assert await store.restore(upper) == 2
    assert await store["services"].select_by("name", "s") == service
    assert [row["id"] async for row in store["routes"].each_for("service", service["id"])] == [
        route["id"]
    ]


@pytest_twisted.ensureDeferred
async def test_unique_values_collide_with_kongs_message(store: Store) -> None:
    await store["services"].insert({"name": "s", "host": "h"})
    with pytest.raises(errors.UniqueViolationError) as caught:
        await store["services"].insert({"name": "s", "host": "h"})
    assert caught.value.message == "UNIQUE violation detected on '{name=\"s\"}'"
    await store["plugins"].insert({"name": "key-auth"})
    with pytest.raises(errors.UniqueViolationError) as caught:
        await store["plugins"].insert({"name": "key-auth"})
    assert caught.value.fields == {
        "name": "key-auth",
        "route": None,
        "service": None,
        "consumer": None,
    }


@pytest_twisted.ensureDeferred
async def test_a_service_stays_while_it_has_routes_but_plugins_go(
    store: Store, events: list[tuple[str, str]]
) -> None:
    service = await store["services"].insert({"name": "s", "host": "h"})
    route = await store["routes"].insert({"paths": ["/"], "service": {"id": service["id"]}})
    await store["plugins"].insert({"name": "cors", "service": {"id": service["id"]}})
    with pytest.raises(errors.ForeignKeyViolationError) as caught:
        await store["services"].delete(service["id"])
    assert caught.value.fields == {"@referenced_by": "routes"}
    assert await store["routes"].delete(route["id"])
    assert await store["services"].delete_by("name", "s")
    assert not await store["services"].delete(service["id"])
    assert await everything(store, "plugins") == []
    assert events == [
        ("create", "services"),
        ("create", "routes"),
        ("create", "plugins"),
        ("delete", "routes"),
        ("delete", "services"),
        ("delete", "plugins"),
    ]


@pytest_twisted.ensureDeferred
async def test_subscribers_see_both_states_and_are_waited_for(store: Store) -> None:
    seen: list[ChangeEvent] = []
    gate: Deferred[None] = Deferred()

    def wait(changes: Any) -> Deferred[None]:
        seen.extend(changes)
        return gate

    def fail(changes: Any) -> None:
        raise RuntimeError("subscriber")

    end_failing = store.subscribe(fail)
    end = store.subscribe(wait)
    insert = ensureDeferred(store["services"].insert({"name": "s", "host": "h"}))
    done: list[Any] = []
    insert.addCallback(done.append)
    while not seen:
        tick: Deferred[None] = Deferred()
        reactor.callLater(0.001, tick.callback, None)  # type: ignore[attr-defined]
        await tick
    assert done == []
    gate.callback(None)
    await insert
    end_failing()
    await store["services"].update_by("name", "s", {"port": 81})
    end()
    await store["services"].delete_by("name", "s")
    old, new = seen[1].old_entity, seen[1].entity
    assert old is not None
    assert (seen[1].operation, old["port"], new["port"]) == ("update", 80, 81)
    assert len(seen) == 2


@pytest.mark.parametrize("size", [0, 1001, 1.5, -1, float("nan"), float("inf")])
@pytest_twisted.ensureDeferred
async def test_a_page_has_bounds(store: Store, size: float) -> None:
    with pytest.raises(errors.InvalidSizeError) as caught:
        await store["services"].page(size)
    assert caught.value.message == "size must be an integer between 1 and 1000"


@pytest_twisted.ensureDeferred
async def test_pages_are_cut_at_the_size_and_follow_the_offset(store: Store) -> None:
    services = [{"host": "h", "tags": ["t"] if number % 2 else []} for number in range(205)]
    await store.add({"services": services})
    assert len((await store["services"].page()).rows) == 100
    first = await store["services"].page(200)
    second = await store["services"].page(200, first.offset)
    assert [len(first.rows), len(second.rows), second.offset] == [200, 5, None]
    assert len({row["id"] for row in first.rows + second.rows}) == 205
    assert len((await store["services"].page(1000, tags=Tags(("t",)))).rows) == 102
    with pytest.raises(errors.InvalidOptionsError):
        await store["services"].page(tags=Tags(tuple("abcdef")))


@pytest_twisted.ensureDeferred
async def test_what_is_added_together_is_kept_together(store: Store) -> None:
    with pytest.raises(errors.UniqueViolationError):
        await store.add({"services": [{"host": "h", "name": "a"}, {"host": "h", "name": "a"}]})
    assert await everything(store, "services") == []


@pytest_twisted.ensureDeferred
async def test_credentials_expire(store: Store, clock: Clock) -> None:
    consumer = await store["consumers"].insert({"username": "bob"})
    keys = store["keyauth_credentials"]
    owner = {"consumer": {"id": consumer["id"]}}
    made = await keys.insert({**owner, "key": "k", "ttl": 10})
    lasting = await keys.insert(owner)
    assert (made["ttl"], lasting["ttl"], len(lasting["key"])) == (10, None, 32)
    clock.advance(4)
    assert (await keys.update(made["id"], {"tags": ["t"]}))["ttl"] == 6
    clock.advance(6)
    assert await keys.select(made["id"]) is None
    assert await everything(store, "keyauth_credentials") == [lasting]
    renewed = await keys.upsert(lasting["id"], {**owner, "key": "k", "ttl": 5})
    assert renewed["ttl"] == 5
    assert (await keys.upsert(lasting["id"], {**owner, "key": "k"}))["ttl"] is None


@pytest.mark.parametrize("ttl", [-1, 1.5, 100000001, "10", True, [], float("nan")])
@pytest_twisted.ensureDeferred
async def test_a_time_to_live_has_bounds(store: Store, ttl: Any) -> None:
    await store["consumers"].insert({"username": "bob"})
    with pytest.raises(errors.InvalidOptionsError) as caught:
        await store["keyauth_credentials"].insert({"consumer": {"username": "bob"}, "ttl": ttl})
    assert caught.value.fields == {"ttl": "must be an integer between 0 and 100000000"}


@pytest_twisted.ensureDeferred
async def test_certificates_keep_their_names_as_snis(store: Store, pair: dict[str, str]) -> None:
    certificates = store["certificates"]
    made = await certificates.insert({**pair, "snis": ["b.test", "a.test"]})
    assert made["snis"] == ["a.test", "b.test"]
    assert await certificates.select(made["id"]) == made
    changed = await certificates.update(made["id"], {"snis": ["b.test", "c.test"]})
    assert changed["snis"] == ["b.test", "c.test"]
    assert (await certificates.update(made["id"], {"tags": ["t"]}))["snis"] == ["b.test", "c.test"]
    assert [row["snis"] for row in (await certificates.page()).rows] == [["b.test", "c.test"]]
    names = sorted(sni["name"] for sni in await everything(store, "snis"))
    assert names == ["b.test", "c.test"]
    replaced = await certificates.upsert(made["id"], {**pair, "snis": None})
    assert replaced["snis"] == []
    await certificates.update(made["id"], {"snis": ["z.test"]})
    assert await certificates.delete(made["id"])
    assert await everything(store, "snis") == []


@pytest_twisted.ensureDeferred
async def test_a_name_belongs_to_one_certificate(store: Store, pair: dict[str, str]) -> None:
    certificates = store["certificates"]
    made = await certificates.insert({**pair, "snis": ["a.test"]})
    for snis, text in (
        (
            ["b.test", "a.test"],
            f"a.test already associated with existing certificate '{made['id']}'",
        ),
        (["b.test", "b.test"], "b.test is duplicated"),
    ):
        with pytest.raises(errors.SchemaViolationError) as caught:
            await certificates.insert({**pair, "snis": snis})
        assert caught.value.fields == {"snis": text}
    with pytest.raises(errors.SchemaViolationError):
        await certificates.insert({**pair, "snis": ["not a name"]})
    assert len(await everything(store, "certificates")) == 1


@pytest_twisted.ensureDeferred
async def test_a_certificate_in_use_stays_with_its_names(
    store: Store, pair: dict[str, str]
) -> None:
    made = await store["certificates"].insert({**pair, "snis": ["a.test"]})
    data = {"url": "https://h", "client_certificate": {"id": made["id"]}}
    await store["services"].insert(data)
    with pytest.raises(errors.ForeignKeyViolationError):
        await store["certificates"].delete(made["id"])
    assert len(await everything(store, "snis")) == 1


@pytest_twisted.ensureDeferred
async def test_a_ca_certificate_in_use_stays(store: Store) -> None:
    text = trustme.CA().cert_pem.bytes().decode()
    made = await store["ca_certificates"].insert({"cert": text})
    named = [made["id"].upper()]
    service = await store["services"].insert({"url": "https://h", "ca_certificates": named})
    assert service["ca_certificates"] == [made["id"]]
    with pytest.raises(errors.ReferencedByOthersError) as caught:
        await store["ca_certificates"].delete(made["id"].upper())
    assert caught.value.message == (
        f"ca certificate {made['id']} is still referenced by services (id = {service['id']})"
    )
    await store["services"].delete(service["id"])
    assert await store["ca_certificates"].delete(made["id"])


@pytest_twisted.ensureDeferred
async def test_a_plugin_speaks_a_protocol_of_its_route(store: Store) -> None:
    service = await store["services"].insert({"host": "h"})
    route = await store["routes"].insert(
        {"protocols": ["http"], "paths": ["/"], "service": {"id": service["id"]}}
    )
    for parent, text in (
        ({"route": {"id": route["id"]}}, "must match the associated route's protocols"),
        (
            {"service": {"id": service["id"]}},
            "must match the protocols of at least one route pointing to this Plugin's service",
        ),
    ):
        with pytest.raises(errors.SchemaViolationError) as caught:
            await store["plugins"].insert({"name": "cors", "protocols": ["grpc"], **parent})
        assert caught.value.fields == {"protocols": text}
        made = await store["plugins"].insert({"name": "cors", "protocols": ["http"], **parent})
        with pytest.raises(errors.SchemaViolationError):
            await store["plugins"].update(made["id"], {"protocols": ["grpcs"]})


@pytest_twisted.ensureDeferred
async def test_targets_are_shown_newest_first_and_once(store: Store, clock: Clock) -> None:
    upstream = await store["upstreams"].insert({"name": "u"})
    targets: Any = store["targets"]
    for address in ("a", "b", "c"):
        await targets.insert({"upstream": {"name": "u"}, "target": address})
        clock.advance(1)
    with pytest.raises(errors.UniqueViolationError) as caught:
        await targets.insert({"upstream": {"name": "u"}, "target": "a:8000"})
    assert caught.value.fields == {"upstream": {"id": upstream["id"]}, "target": "a:8000"}
    page = await targets.page_active(upstream["id"], 2)
    assert [row["target"] for row in page.rows] == ["c:8000", "b:8000"]
    last = await targets.page_active(upstream["id"], 2, page.offset)
    assert ([row["target"] for row in last.rows], last.offset) == (["a:8000"], None)
    assert (await targets.select_in(upstream["id"], "b:8000"))["target"] == "b:8000"
    assert await targets.select_in(upstream["id"], "b") is None
    with pytest.raises(errors.InvalidOffsetError):
        await targets.page_active(upstream["id"], 2, "x")


@pytest_twisted.ensureDeferred
async def test_tags_are_a_view(store: Store) -> None:
    made = await store["services"].insert({"host": "h", "tags": ["b", "a"]})
    tags: Any = store["tags"]
    assert (await tags.page()).rows == [
        {"tag": tag, "entity_name": "services", "entity_id": made["id"]} for tag in ("a", "b")
    ]
    assert len((await tags.page_by_tag("a")).rows) == 1
    with pytest.raises(errors.InvalidUniqueError):
        await tags.page_by_tag("a,b")
    for write in (tags.insert({}), tags.update("a", {}), tags.upsert("a", {}), tags.delete("a")):
        with pytest.raises(errors.SchemaViolationError):
            await write


@pytest_twisted.ensureDeferred
async def test_entities_are_found_by_their_cache_key(store: Store) -> None:
    made = await store["plugins"].insert({"name": "cors"})
    found = await store["plugins"].select_by_cache_key({"name": "cors", "route": None})
    assert found == made
    bob = await store["consumers"].insert({"username": "bob"})
    key = await store["keyauth_credentials"].insert({"consumer": {"id": bob["id"]}, "key": "k"})
    assert await store["keyauth_credentials"].select_by_cache_key({"key": "k"}) == key


@pytest_twisted.ensureDeferred
async def test_deleting_a_consumer_takes_its_credentials(store: Store) -> None:
    await store["consumers"].insert({"username": "bob"})
    kinds = {
        "keyauth_credentials": {"key": "k"},
        "basicauth_credentials": {"username": "u", "password": "p"},
        "hmacauth_credentials": {"username": "u"},
        "jwt_secrets": {},
        "acls": {"group": "g"},
    }
    for name, data in kinds.items():
        await store[name].insert({"consumer": {"username": "bob"}, **data})
    await store["consumers"].delete_by("username", "bob")
    left = [await everything(store, name) for name in kinds]
    assert list(itertools.chain(*left)) == []
