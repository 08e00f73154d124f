"""Entities with ways of their own, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
import trustme

from tests.admin.support import Client, FakeNode
from tests.db.conformance import uid


@pytest.fixture(scope="module")
def pair() -> dict[str, str]:
    issued = trustme.CA().issue_cert("example.test")
    return {
        "cert": issued.cert_chain_pems[0].bytes().decode(),
        "key": issued.private_key_pem.bytes().decode(),
    }


@pytest_twisted.ensureDeferred
async def test_certificates_answer_to_their_names(client: Client, pair: dict[str, str]) -> None:
    made = await client.make("/certificates", {**pair, "snis": ["b.test", "a.test"]})
    assert made["snis"] == ["a.test", "b.test"]
    for key in (made["id"], "a.test", "b.test"):
        assert (await client.get(f"/certificates/{key}")).json == made
    changed = await client.patch("/certificates/a.test", {"snis": ["a.test", "c.test"]})
    assert changed.json["snis"] == ["a.test", "c.test"]
    names = [sni["name"] for sni in (await client.get("/certificates/c.test/snis")).json["data"]]
    assert sorted(names) == ["a.test", "c.test"]
    replaced = await client.put("/certificates/a.test", {**pair, "snis": ["d.test"]})
    assert (replaced.json["id"], replaced.json["snis"]) == (made["id"], ["a.test", "d.test"])
    replaced = await client.put(f"/certificates/{made['id']}", {**pair, "snis": "e.test"})
    assert replaced.json["snis"] == ["e.test"]
    replaced = await client.put(f"/certificates/{made['id']}", pair)
    assert replaced.json["snis"] == []
    created = await client.put("/certificates/new.test", pair)
    assert (created.status, created.json["snis"]) == (200, ["new.test"])
    assert (await client.delete("/certificates/new.test")).status == 204
    assert (await client.get("/snis")).json["data"] == []


@pytest_twisted.ensureDeferred
async def test_missing_certificates_have_their_own_answers(client: Client) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        reply = await client.ask(method, "/certificates/a.test", {} if method == "PATCH" else None)
        assert (reply.status, reply.json) == (404, {"message": "SNI not found"})
    reply = await client.get(f"/certificates/{uid(1)}")
    assert (reply.status, reply.json["code"], reply.json["fields"]) == (404, 6, {"id": uid(1)})
    reply = await client.get(f"/certificates/{uid(1)}/snis")
    assert (reply.status, reply.json) == (404, {"message": "Not found"})
    assert (await client.delete(f"/certificates/{uid(1)}")).status == 204


@pytest_twisted.ensureDeferred
async def test_forms_may_name_one_sni(client: Client, pair: dict[str, str]) -> None:
    def part(name: str, text: str) -> str:
        return f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'

    raw = "".join(part(name, text) for name, text in {**pair, "snis": "a.test"}.items())
    reply = await client.post(
        "/certificates",
        raw=f"{raw}--B--\r\n".encode(),
        headers={"Content-Type": "multipart/form-data; boundary=B"},
    )
    assert (reply.status, reply.json["snis"]) == (201, ["a.test"])


@pytest_twisted.ensureDeferred
async def test_names_of_others_are_refused(client: Client, pair: dict[str, str]) -> None:
    made = await client.make("/certificates", {**pair, "snis": ["a.test"]})
    for snis in (["a.test"], ["b.test", "b.test"], "a.test", ["x y"], [1], [None], {"a": 1}):
        reply = await client.post("/certificates", {**pair, "snis": snis})
        assert (reply.status, reply.json["code"]) == (400, 2), snis
    assert [row["id"] for row in (await client.get("/certificates")).json["data"]] == [made["id"]]


@pytest_twisted.ensureDeferred
async def test_consumers_are_found_by_custom_id(client: Client) -> None:
    made = await client.make("/consumers", {"custom_id": "x y"})
    found = (await client.get("/consumers?custom_id=x%20y")).json
    assert found == {"data": [made], "next": None}
    assert (await client.get("/consumers?custom_id=z")).json == {"data": [], "next": None}
    for query in ("custom_id=", "custom_id", "custom_id=a&custom_id=b"):
        reply = await client.get(f"/consumers?{query}")
        assert (reply.status, reply.json) == (
            400,
            {"message": "custom_id must be an unempty string"},
        )


@pytest_twisted.ensureDeferred
async def test_targets_live_below_their_upstream(client: Client) -> None:
    for name in ("u", "v"):
        await client.make("/upstreams", {"name": name})
    made = await client.make("/upstreams/u/targets", {"target": "h.test"})
    assert (made["target"], made["weight"]) == ("h.test:8000", 100)
    for key in (made["id"], "h.test:8000"):
        path = f"/upstreams/u/targets/{key}"
        assert (await client.get(path)).json["id"] == made["id"]
        assert (await client.patch(path, {"weight": 7})).json["weight"] == 7
        assert (await client.put(path, {"weight": 100})).json["id"] == made["id"]
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            data = {} if method in ("PATCH", "PUT") else None
            reply = await client.ask(method, f"/upstreams/v/targets/{key}", data)
            assert (reply.status, reply.json) == (404, {"message": "Not found"})
    missing = await client.put(f"/upstreams/u/targets/{uid(1)}", {"target": "i"})
    assert missing.status == 404
    again = await client.post("/upstreams/u/targets", {"target": "h.test:8000"})
    assert (again.status, again.json["code"]) == (409, 5)
    bad = await client.post("/upstreams/u/targets", {"target": "not a host", "weight": -1})
    assert (bad.status, bad.json["fields"]) == (
        400,
        {"target": "Invalid target; not a valid hostname or ip address"},
    )
    assert (await client.delete("/upstreams/u/targets/h.test:8000")).status == 204
    assert (await client.delete("/upstreams/u/targets/h.test:8000")).status == 404


@pytest_twisted.ensureDeferred
async def test_targets_are_paged_newest_first(client: Client) -> None:
    await client.make("/upstreams", {"name": "u"})
    for number in range(3):
        await client.make("/upstreams/u/targets", {"target": f"h{number}.test"})
    first = (await client.get("/upstreams/u/targets?size=2")).json
    assert [row["target"] for row in first["data"]] == ["h2.test:8000", "h1.test:8000"]
    assert (first["offset"], first["next"]) == ("2", "/upstreams/u/targets?offset=2")
    assert len((await client.get("/upstreams/u/targets?size=5000")).json["data"]) == 3
    everything = (await client.get("/upstreams/u/targets/all?size=2")).json
    assert everything["next"].startswith("/upstreams/u/targets/all?offset=")
    assert len((await client.get(everything["next"])).json["data"]) == 1
    for query in ("offset=x", "size=0", "offset=-1"):
        assert (await client.get(f"/upstreams/u/targets?{query}")).status == 400


@pytest_twisted.ensureDeferred
async def test_the_health_of_targets_is_shown(client: Client, node: FakeNode) -> None:
    upstream = await client.make("/upstreams", {"name": "u"})
    for name in ("a", "b", "c", "d"):
        await client.make("/upstreams/u/targets", {"target": name})

    def known(*states: str) -> dict[str, Any]:
        return {"host": "h", "addresses": [{"health": state} for state in states]}

    node.health = {
        "a:8000": known("UNHEALTHY", "HEALTHY"),
        "b:8000": known("UNHEALTHY"),
        "c:8000": known("HEALTHCHECKS_OFF"),
    }
    body = (await client.get("/upstreams/u/health")).json
    shown = {row["target"]: row["health"] for row in body["data"]}
    assert shown == {
        "a:8000": "HEALTHY",
        "b:8000": "UNHEALTHY",
        "c:8000": "HEALTHCHECKS_OFF",
        "d:8000": "DNS_ERROR",
    }
    assert (body["next"], body["node_id"]) == (None, FakeNode.node_id)
    whole = (await client.get("/upstreams/u/health?balancer_health=1")).json
    assert whole["data"] == {"health": "HEALTHY", "id": upstream["id"]}
    assert (await client.get("/upstreams/v/health")).status == 404


@pytest_twisted.ensureDeferred
async def test_the_health_of_targets_is_set(client: Client, node: FakeNode) -> None:
    for name in ("u", "unchecked"):
        await client.make("/upstreams", {"name": name})
        await client.make(f"/upstreams/{name}/targets", {"target": "a"})
    for path, healthy in (("a:8000/healthy", True), ("a:8000/10.0.0.1:80/unhealthy", False)):
        reply = await client.put(f"/upstreams/u/targets/{path}")
        assert (reply.status, reply.raw) == (204, b"")
        assert node.posted[-1][3] is healthy
    assert node.posted[1] == ("u", "a:8000", "10.0.0.1:80", False)
    reply = await client.put("/upstreams/unchecked/targets/a:8000/healthy")
    assert (reply.status, reply.json) == (400, {"message": "no healthchecker found for unchecked"})
    assert (await client.put("/upstreams/u/targets/b:8000/healthy")).status == 404
    assert (await client.put("/upstreams/u/targets/a:8000/%FF/healthy")).status == 400
    assert (await client.post("/upstreams/u/targets/a:8000/healthy", {})).status == 405


@pytest_twisted.ensureDeferred
async def test_groups_can_be_named_below_a_consumer(client: Client) -> None:
    await client.make("/consumers", {"username": "bob"})
    put = await client.put("/consumers/bob/acls/admins", {})
    assert (put.status, put.json["group"]) == (200, "admins")
    again = await client.put("/consumers/bob/acls/admins", {"tags": ["t"]})
    assert (again.json["id"], again.json["tags"]) == (put.json["id"], ["t"])
    for key in ("admins", put.json["id"]):
        assert (await client.get(f"/consumers/bob/acls/{key}")).json == again.json
    changed = await client.patch("/consumers/bob/acls/admins", {"group": "users"})
    assert changed.json["group"] == "users"
    assert (await client.get("/consumers/bob/acls/admins")).status == 404
    assert (await client.get("/consumers/eve/acls/admins")).status == 404
    assert (await client.patch(f"/acls/{put.json['id']}", {"tags": None})).json["tags"] is None
    missing = await client.patch(f"/acls/{uid(1)}", {"group": "x"})
    assert (missing.status, missing.json["code"]) == (404, 6)
    assert (await client.delete("/consumers/bob/acls/users")).status == 204
    assert (await client.get("/acls")).json["data"] == []


@pytest_twisted.ensureDeferred
async def test_passwords_can_be_changed_below_a_consumer_only(client: Client) -> None:
    await client.make("/consumers", {"username": "bob"})
    made = await client.make("/consumers/bob/basic-auth", {"username": "u", "password": "p"})
    assert made["password"] != "p"
    changed = await client.patch("/consumers/bob/basic-auth/u", {"password": "q"})
    assert changed.status == 200
    assert changed.json["password"] not in ("q", made["password"])
    refused = await client.patch("/basic-auths/u", {"password": "q"})
    assert (refused.status, refused.json["code"]) == (400, 2)


@pytest_twisted.ensureDeferred
async def test_tags_are_listed(client: Client) -> None:
    ids = [(await client.make("/services", {"host": "h", "tags": ["a b"]}))["id"] for _ in range(3)]
    rows = (await client.get("/tags/a%20b?size=2")).json
    assert [row["entity_id"] for row in rows["data"]] == sorted(ids)[:2]
    assert rows["next"].startswith("/tags/a%20b?offset=")
    assert len((await client.get(rows["next"])).json["data"]) == 1
    assert len((await client.get("/tags")).json["data"]) == 3
    for path in ("/tags/%FF", "/tags/a,b"):
        reply = await client.get(path)
        assert (reply.status, reply.json["code"], reply.json["name"]) == (
            400,
            10,
            "invalid unique tag",
        )
    reply = await client.post("/tags", {})
    assert (reply.status, reply.json["fields"]) == (
        400,
        {"tags": "does not support insert/upsert/update/delete operations"},
    )
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await client.ask(method, "/tags/x", {})).status == 400
