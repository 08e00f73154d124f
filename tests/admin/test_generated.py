"""The endpoints that follow from the schemas, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from tests.admin.support import Client, registry
from tests.db.conformance import uid

BY_NAME = [
    ("/services", "name", {"host": "h"}),
    ("/routes", "name", {"paths": ["/"]}),
    ("/consumers", "username", {}),
    ("/upstreams", "name", {}),
    ("/key-sets", "name", {}),
    ("/vaults", "prefix", {"name": "env", "config": {"prefix": "x"}}),
]


@pytest.mark.parametrize(("path", "key", "data"), BY_NAME)
@pytest_twisted.ensureDeferred
async def test_an_entity_is_created_read_replaced_changed_and_removed(
    client: Client, path: str, key: str, data: dict[str, Any]
) -> None:
    made = await client.post(path, {**data, key: "one", "tags": ["a"]})
    assert made.status == 201
    entity = made.json
    assert entity[key] == "one"
    for name in (entity["id"], "one"):
        assert (await client.get(f"{path}/{name}")).json == entity
    listed = await client.get(path)
    assert listed.json == {"data": [entity], "next": None}
    replaced = await client.put(f"{path}/one", data)
    assert (replaced.status, replaced.json["id"], replaced.json["tags"]) == (
        200,
        entity["id"],
        None,
    )
    assert replaced.json[key] == "one"
    changed = await client.patch(f"{path}/one", {"tags": ["b"]})
    assert (changed.status, changed.json["tags"]) == (200, ["b"])
    assert (await client.patch(f"{path}/{entity['id']}", {"tags": ["c"]})).json["tags"] == ["c"]
    removed = await client.delete(f"{path}/one")
    assert (removed.status, removed.raw) == (204, b"")
    for name in (entity["id"], "one"):
        missing = await client.get(f"{path}/{name}")
        assert (missing.status, missing.json) == (404, {"message": "Not found"})
        assert (await client.delete(f"{path}/{name}")).status == 204


@pytest_twisted.ensureDeferred
async def test_put_creates_by_id_and_by_name(client: Client) -> None:
    made = await client.put(f"/services/{uid(1)}", {"host": "h", "id": uid(2)})
    assert (made.status, made.json["id"]) == (200, uid(1))
    named = await client.put("/services/s", {"host": "h", "id": uid(3), "name": "other"})
    assert (named.json["id"], named.json["name"]) == (uid(3), "s")


@pytest_twisted.ensureDeferred
async def test_missing_things_are_told_apart(client: Client) -> None:
    reply = await client.patch(f"/services/{uid(1)}", {"host": "h"})
    assert (reply.status, reply.json) == (
        404,
        {
            "code": 6,
            "name": "not found",
            "message": f"could not find the entity with primary key '{{id=\"{uid(1)}\"}}'",
            "fields": {"id": uid(1)},
        },
    )
    reply = await client.patch("/services/x", {"host": "h"})
    assert reply.json["message"] == "could not find the entity with '{name=\"x\"}'"
    for method, path in (
        ("GET", "/services/x/routes"),
        ("POST", "/services/x/routes"),
        ("GET", "/services/x/routes/y"),
        ("PUT", "/services/x/routes/y"),
        ("GET", "/routes/x/service"),
        ("PATCH", "/plugins/" + uid(1)),
    ):
        data = None if method == "GET" else {}
        reply = await client.ask(method, path, data)
        assert (reply.status, reply.json) == (404, {"message": "Not found"}), (method, path)


@pytest_twisted.ensureDeferred
async def test_keys_of_the_wrong_form_are_refused(client: Client) -> None:
    reply = await client.get("/certificates/x/upstreams")
    assert (reply.status, reply.json) == (404, {"message": "SNI not found"})
    reply = await client.get("/ca_certificates/x")
    assert (reply.status, reply.json) == (
        400,
        {
            "code": 1,
            "name": "invalid primary key",
            "message": "invalid primary key: '{id=\"expected a valid UUID\"}'",
            "fields": {"id": "expected a valid UUID"},
        },
    )
    reply = await client.get("/services/a%20b")
    assert (reply.status, reply.json["code"], reply.json["name"]) == (
        400,
        10,
        "invalid unique name",
    )
    reply = await client.get("/services/%FF")
    assert (reply.status, reply.json["code"]) == (400, 10)
    reply = await client.get("/services/a%00")
    assert (reply.status, reply.json["code"]) == (400, 10)


@pytest_twisted.ensureDeferred
async def test_names_in_paths_are_decoded(client: Client) -> None:
    made = await client.make("/consumers", {"username": "a b/c\u00e9"})
    reply = await client.get("/consumers/a%20b%2Fc%C3%A9")
    assert reply.json == made
    assert (await client.get("/consumers/a%20b%2Fc%C3%A9/")).json == made


@pytest_twisted.ensureDeferred
async def test_children_live_below_their_parent(client: Client) -> None:
    for name in ("s", "t"):
        await client.make("/services", {"name": name, "host": "h"})
    made = await client.post("/services/s/routes", {"name": "r", "paths": ["/"]})
    route = made.json
    assert (made.status, route["service"]) == (201, (await _reference(client, "/services/s")))
    assert (await client.get("/services/s/routes")).json == {"data": [route], "next": None}
    assert (await client.get("/services/t/routes")).json == {"data": [], "next": None}
    assert (await client.get("/services/s/routes/r")).json == route
    for method in ("GET", "PATCH", "DELETE"):
        data = {} if method == "PATCH" else None
        reply = await client.ask(method, "/services/t/routes/r", data)
        assert (reply.status, reply.json) == (404, {"message": "Not found"})
    changed = await client.patch("/services/s/routes/r", {"paths": ["/b"]})
    assert (changed.json["paths"], changed.json["service"]) == (["/b"], route["service"])
    stolen = await client.put("/services/t/routes/r", {"paths": ["/c"]})
    assert stolen.json["service"] == await _reference(client, "/services/t")
    moved = await client.patch("/services/t/routes/r", {"service": {"name": "s"}})
    assert moved.json["service"] == route["service"]
    assert (await client.delete("/services/s/routes/r")).status == 204
    assert (await client.delete("/services/s/routes/r")).status == 404


async def _reference(client: Client, path: str) -> dict[str, str]:
    return {"id": (await client.get(path)).json["id"]}


@pytest_twisted.ensureDeferred
async def test_a_parent_is_seen_from_its_child(client: Client) -> None:
    route = await client.make("/routes", {"name": "r", "paths": ["/"]})
    for method in ("GET", "PATCH", "DELETE"):
        data = {} if method == "PATCH" else None
        assert (await client.ask(method, "/routes/r/service", data)).status == 404
    made = await client.put("/routes/r/service", {"name": "s", "host": "h"})
    assert made.status == 200
    assert (await client.get("/routes/r")).json["service"] == {"id": made.json["id"]}
    assert (await client.get(f"/routes/{route['id']}/service")).json == made.json
    replaced = await client.put("/routes/r/service", {"host": "i"})
    assert (replaced.json["id"], replaced.json["name"]) == (made.json["id"], None)
    changed = await client.patch("/routes/r/service", {"port": 81})
    assert (changed.json["host"], changed.json["port"]) == ("i", 81)
    refused = await client.delete("/routes/r/service")
    assert (refused.status, refused.json) == (405, {"message": "Method not allowed"})


@pytest_twisted.ensureDeferred
async def test_lists_are_cut_into_pages(client: Client) -> None:
    await client.store.add(
        {"services": [{"host": "h", "name": f"s{number}", "tags": ["a b"]} for number in range(7)]}
    )
    first = (await client.get("/services?size=3&tags=a%20b")).json
    assert [len(first["data"]), sorted(first)] == [3, ["data", "next", "offset"]]
    assert first["next"] == f"/services?offset={first['offset']}&tags=a%20b&size=3"
    second = (await client.get(first["next"])).json
    third = (await client.get(second["next"])).json
    assert [len(second["data"]), len(third["data"])] == [3, 1]
    assert (third["next"], "offset" in third) == (None, False)
    names = {row["name"] for page in (first, second, third) for row in page["data"]}
    assert len(names) == 7


@pytest_twisted.ensureDeferred
async def test_nested_lists_are_cut_into_pages(client: Client) -> None:
    await client.make("/services", {"name": "s", "host": "h"})
    await client.store.add(
        {"routes": [{"paths": ["/"], "service": {"name": "s"}} for _ in range(5)]}
    )
    first = (await client.get("/services/s/routes?size=3")).json
    assert first["next"] == f"/services/s/routes?offset={first['offset']}"
    rest = (await client.get(first["next"])).json
    assert (len(rest["data"]), rest["next"]) == (2, None)


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ("size=x", 9, "size must be a number"),
        ("size=", 9, "size must be a number"),
        ("size", 9, "size must be a number"),
        ("size=0", 9, "size must be an integer between 1 and 1000"),
        ("size=1001", 9, "size must be an integer between 1 and 1000"),
        ("size=1.5", 9, "size must be an integer between 1 and 1000"),
        ("size=1e400", 9, "size must be an integer between 1 and 1000"),
        ("size=x&size=2", 9, "size must be a number"),
        ("offset=x", 7, "'x' is not a valid offset: bad base64 encoding"),
        ("offset=eHh4", 7, "'eHh4' is not a valid offset: bad json encoding"),
        ("offset=%FF", 7, None),
        ("offset=", 7, None),
        ("tags=", 11, "invalid option (tags: cannot be null)"),
        ("tags", 11, "invalid option (tags: cannot be null)"),
        ("tags=a,b/c", 11, "invalid option (tags: invalid filter syntax)"),
        ("tags=a,b,c,d,e,f", 11, "invalid option (tags: cannot query more than 5 tags)"),
        ("tags=%00", 11, "invalid option (tags: invalid filter syntax)"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bad_paging_is_refused(
    client: Client, query: str, code: int, text: str | None
) -> None:
    reply = await client.get(f"/services?{query}")
    assert (reply.status, reply.json["code"]) == (400, code)
    if text is not None:
        assert reply.json["message"] == text


@pytest_twisted.ensureDeferred
async def test_tags_filter_lists(client: Client) -> None:
    for name, tags in (("a", ["x"]), ("b", ["x", "y"]), ("c", ["z"])):
        await client.make("/services", {"name": name, "host": "h", "tags": tags})
    for query, expected in (
        ("x", "ab"),
        ("x,y", "b"),
        ("y/z", "bc"),
        ("x,", "ab"),
        ("none", ""),
        ("x&tags=z", "ab"),
    ):
        found = (await client.get(f"/services?tags={query}")).json["data"]
        assert "".join(sorted(row["name"] for row in found)) == expected, query


@pytest_twisted.ensureDeferred
async def test_the_documented_paths_exist(client: Client) -> None:
    for schema in registry().values():
        if "/" in schema.admin_path:
            continue  # written by hand
        reply = await client.ask("OPTIONS", f"/{schema.admin_path}")
        hidden = not schema.generate_admin_api or schema.name == "targets"
        assert reply.status == (404 if hidden else 204), schema.name
    for path, status in (
        ("/consumers/x/key-auth", 204),
        ("/consumers/x/basic-auth/y", 204),
        ("/consumers/x/acls/y", 204),
        ("/key-sets/x/keys", 204),
        ("/keys/x/set", 204),
        ("/plugins/x/consumer", 204),
        ("/certificates/x/upstreams/y", 204),
        ("/upstreams/x/client_certificate", 204),
        ("/oauth2/x/oauth2_tokens", 204),
        ("/snis/x/certificate", 404),
        ("/targets/x/upstream", 404),
        ("/targets/x", 404),
        ("/workspaces", 404),
        ("/consumer_groups", 404),
        ("/default/services", 404),
        ("//services", 404),
        ("/services//routes", 404),
    ):
        assert (await client.ask("OPTIONS", path)).status == status, path
