"""The requests that declarative clients make: PUT with ids, lists by tags, defaults from schemas.

decK and its library compute what an entity will look like from C{/schemas}, and take every other
difference for a change to make; so what comes back has to be that, for every kind of entity.
"""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
import trustme

from tests.admin.support import Client, registry
from tests.db.conformance import uid

TAGS = ["team-a", "managed"]


def with_defaults(data: dict[str, Any], fields: list[dict[str, Any]]) -> dict[str, Any]:
    """Data with the defaults of a schema as C{/schemas} shows it; what stays unset is left out."""
    out: dict[str, Any] = {}
    for entry in fields:
        [(name, field)] = entry.items()
        value = data.get(name)
        if value is None and "default" in field:
            value = field["default"]
        if field["type"] == "record" and (isinstance(value, dict) or field.get("required")):
            value = with_defaults(value or {}, field.get("fields", []))
        if field["type"] == "foreign" and value:
            value = {"id": value["id"]}
        if value is not None:
            out[name] = value
    return out


def stripped(value: Any) -> Any:
    """Without nulls and what the gateway fills in."""
    if isinstance(value, dict):
        return {
            key: stripped(item)
            for key, item in value.items()
            if item is not None and key not in ("created_at", "updated_at")
        }
    if isinstance(value, list):
        return [stripped(item) for item in value]
    return value


async def put_and_compare(client: Client, path: str, schema: str, data: dict[str, Any]) -> Any:
    """Put an entity twice; it has to be what the schema says, and stay so."""
    data = {**data, "tags": TAGS}
    fields = (await client.get(f"/schemas/{schema}")).json["fields"]
    expected = stripped(with_defaults(data, fields))
    for _ in range(2):
        reply = await client.put(f"{path}/{data['id']}", data)
        assert reply.status == 200, reply.raw
        assert stripped(reply.json) == expected
        assert reply.json == (await client.get(f"{path}/{data['id']}")).json
    listed = (await client.get(f"{path}?size=1000&tags=team-a,managed")).json
    assert data["id"] in [row["id"] for row in listed["data"]]
    assert "offset" not in listed
    return reply.json


@pytest_twisted.ensureDeferred
async def test_entities_are_what_their_schemas_say(client: Client) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("secure.test")
    certificate = {
        "id": uid(1),
        "cert": issued.cert_chain_pems[0].bytes().decode(),
        "key": issued.private_key_pem.bytes().decode(),
    }
    made = await client.put(f"/certificates/{uid(1)}", {**certificate, "tags": TAGS})
    assert (made.status, made.json["snis"]) == (200, [])
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("/services", "services", {"id": uid(1), "name": "s", "host": "h", "retries": 3}),
        (
            "/services",
            "services",
            {
                "id": uid(2),
                "name": "t",
                "host": "h",
                "protocol": "https",
                "client_certificate": {"id": uid(1)},
                "tls_verify": True,
                "ca_certificates": [uid(1)],
            },
        ),
        (
            "/routes",
            "routes",
            {
                "id": uid(1),
                "name": "r",
                "paths": ["/a", "~/b\\d"],
                "headers": {"x-a": ["1"]},
                "service": {"id": uid(1), "name": "s"},
            },
        ),
        ("/routes", "routes", {"id": uid(2), "hosts": ["a.test"], "protocols": ["https"]}),
        ("/consumers", "consumers", {"id": uid(1), "username": "bob", "custom_id": "1"}),
        (
            "/upstreams",
            "upstreams",
            {
                "id": uid(1),
                "name": "u",
                "healthchecks": {"active": {"healthy": {"interval": 5}}, "threshold": 10},
            },
        ),
        ("/snis", "snis", {"id": uid(1), "name": "a.test", "certificate": {"id": uid(1)}}),
        ("/vaults", "vaults", {"id": uid(1), "name": "env", "prefix": "p-a", "config": {}}),
        ("/key-sets", "key_sets", {"id": uid(1), "name": "k"}),
    ]
    for path, schema, data in cases:
        await put_and_compare(client, path, schema, data)
    text = authority.cert_pem.bytes().decode()
    made = await client.put(f"/ca_certificates/{uid(1)}", {"cert": text, "tags": TAGS})
    assert (made.status, len(made.json["cert_digest"])) == (200, 64)


#: What plugins cannot be without.
NEEDED: dict[str, dict[str, Any]] = {
    "acl": {"allow": ["a"]},
    "acme": {"account_email": "a@b.test"},
    "azure-functions": {"appname": "a", "functionname": "f"},
    "file-log": {"path": "/tmp/log"},
    "http-log": {"http_endpoint": "http://h.test/log"},
    "ip-restriction": {"allow": ["10.0.0.0/8"]},
    "ldap-auth": {"attribute": "cn", "base_dn": "dc=a", "ldap_host": "h.test"},
    "loggly": {"key": "k"},
    "mtls-auth": {"ca_certificates": [uid(1)]},
    "oauth2": {"enable_client_credentials": True},
    "opentelemetry": {"traces_endpoint": "http://h.test/v1/traces"},
    "post-function": {"log": ["x"]},
    "pre-function": {"access": ["x"]},
    "proxy-cache": {"strategy": "memory"},
    "rate-limiting": {"minute": 5},
    "redirect": {"location": "http://h.test"},
    "response-ratelimiting": {"limits": {"video": {"minute": 5}}},
    "tcp-log": {"host": "h.test", "port": 1},
    "udp-log": {"host": "h.test", "port": 1},
}


@pytest.mark.parametrize("name", sorted(registry()["plugins"].subschemas))
@pytest_twisted.ensureDeferred
async def test_plugins_are_what_their_schemas_say(client: Client, name: str) -> None:
    data = {"name": name, "enabled": True, "tags": TAGS, "config": NEEDED.get(name, {})}
    if name == "standard-webhooks":
        data["config"] = {"secret_v1": "c2VjcmV0"}
    reply = await client.put(f"/plugins/{uid(1)}", data)
    assert reply.status == 200, reply.raw
    base = (await client.get("/schemas/plugins")).json["fields"]
    own = {
        field: definition
        for entry in (await client.get(f"/schemas/plugins/{name}")).json["fields"]
        for field, definition in entry.items()
    }
    fields = [{key: own.get(key, item)} for entry in base for key, item in entry.items()]
    got = stripped(reply.json)
    assert got.pop("id") == uid(1)
    for echo in own["config"].get("shorthand_fields", []):
        got["config"].pop(next(iter(echo)), None)
    _drop_echoes(got["config"], own["config"]["fields"])
    expected = stripped(with_defaults(data, fields))
    if name == "response-ratelimiting":
        # Defaults inside maps are for clients to leave alone.
        expected["config"]["limits"] = got["config"]["limits"]
    if name == "oauth2":
        assert len(got["config"].pop("provision_key")) == 32
    assert got == expected


def _drop_echoes(config: dict[str, Any], fields: list[dict[str, Any]]) -> None:
    """Deprecated names that are shown beside what has replaced them; clients know them."""
    for entry in fields:
        [(name, field)] = entry.items()
        value = config.get(name)
        if field["type"] == "record" and isinstance(value, dict):
            for echo in field.get("shorthand_fields", []):
                value.pop(next(iter(echo)), None)
            _drop_echoes(value, field.get("fields", []))


@pytest_twisted.ensureDeferred
async def test_credentials_are_put_below_their_consumer(client: Client) -> None:
    await client.put(f"/consumers/{uid(1)}", {"username": "bob"})
    for path, data in (
        ("key-auth", {"key": "k"}),
        ("basic-auth?skip_hash=true", {"username": "u", "password": "p"}),
        ("hmac-auth", {"username": "u", "secret": "s"}),
        ("jwt", {"key": "i", "secret": "s", "algorithm": "HS256"}),
        ("acls", {"group": "g"}),
        (
            "oauth2",
            {
                "name": "n",
                "client_id": "c",
                "client_secret": "s",
                "redirect_uris": ["https://a.test"],
            },
        ),
    ):
        name, _, query = path.partition("?")
        target = f"/consumers/{uid(1)}/{name}/{uid(9)}" + (f"?{query}" if query else "")
        for _ in range(2):
            reply = await client.put(target, {**data, "id": uid(9), "tags": TAGS})
            assert (reply.status, reply.json["id"]) == (200, uid(9)), reply.raw
            assert reply.json["consumer"] == {"id": uid(1)}
        listed = (await client.get(f"/consumers/bob/{name}?size=1000")).json
        assert [row["id"] for row in listed["data"]] == [uid(9)]
        assert (await client.delete(f"/consumers/bob/{name}/{uid(9)}")).status == 204


@pytest_twisted.ensureDeferred
async def test_targets_are_tried_by_put_and_made_by_post(client: Client) -> None:
    await client.put(f"/upstreams/{uid(1)}", {"name": "u"})
    data = {"id": uid(2), "target": "10.0.0.1:80", "weight": 7, "tags": TAGS}
    assert (await client.put(f"/upstreams/u/targets/{uid(2)}", data)).status == 404
    made = await client.post("/upstreams/u/targets", data)
    assert (made.status, made.json["id"]) == (201, uid(2))
    again = await client.put(f"/upstreams/u/targets/{uid(2)}", {**data, "weight": 8})
    assert (again.status, again.json["weight"]) == (200, 8)
    assert isinstance(made.json["created_at"], float)


@pytest.mark.parametrize(
    "path",
    [
        "/consumer_groups",
        "/licenses",
        "/partials",
        "/custom-plugins",
        "/cloned-plugins",
        "/rbac/roles",
        "/workspaces/default",
        "/default/kong",
        "/kong",
        "/admins",
        "/degraphql_routes",
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_the_enterprise_has_is_not_found(client: Client, path: str) -> None:
    reply = await client.get(f"{path}?size=1000")
    assert (reply.status, reply.json) == (404, {"message": "Not found"})
