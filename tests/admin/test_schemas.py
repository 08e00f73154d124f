"""Schemas are shown and can be used to check data."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.admin.support import Client, registry
from tests.db.conformance import uid


@pytest_twisted.ensureDeferred
async def test_every_schema_is_shown(client: Client) -> None:
    for name, schema in registry().items():
        reply = await client.get(f"/schemas/{name}")
        assert (reply.status, sorted(reply.json)) == (200, ["entity_checks", "fields"])
        assert [next(iter(field)) for field in reply.json["fields"]] == list(schema.fields)
    for kind in ("plugins", "vaults"):
        for name in registry()[kind].subschemas:
            reply = await client.get(f"/schemas/{kind}/{name}")
            assert reply.status == 200
            assert "config" in [next(iter(field)) for field in reply.json["fields"]]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/schemas/x", "No entity named 'x'"),
        ("/schemas/plugins/x", "No plugin named 'x'"),
        ("/schemas/vaults/x", "No vault named 'x'"),
        ("/schemas/filters/x", "Filter 'x' not found"),
        ("/plugins/schema/x", "No plugin named 'x'"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_not_known_is_not_found(client: Client, path: str, text: str) -> None:
    reply = await client.get(path)
    assert (reply.status, reply.json) == (404, {"message": text})


@pytest_twisted.ensureDeferred
async def test_data_is_checked_and_not_kept(client: Client) -> None:
    good = {"host": "h", "client_certificate": {"id": uid(1)}, "protocol": "https"}
    reply = await client.post("/schemas/services/validate", good)
    assert (reply.status, reply.json) == (200, {"message": "schema validation successful"})
    reply = await client.post("/schemas/services/validate", {"port": -1})
    assert (reply.status, reply.json["code"], sorted(reply.json["fields"])) == (
        400,
        2,
        ["host", "port"],
    )
    reply = await client.post("/schemas/plugins/validate", {"name": "cors"})
    assert reply.status == 200
    reply = await client.post("/schemas/plugins/validate", {"name": "nothing"})
    assert reply.json["fields"] == {
        "name": "plugin 'nothing' not enabled; add it to the 'plugins' configuration property"
    }
    form = "name=rate-limiting&config.minute=5"
    assert (await client.post("/schemas/plugins/validate", form=form)).status == 200
    assert (await client.post("/schemas/vaults/validate", {"name": "env"})).status == 400
    assert (await client.post("/schemas/x/validate", {})).status == 404
    for path in ("/services", "/plugins"):
        assert (await client.get(path)).json["data"] == []


@pytest_twisted.ensureDeferred
async def test_plugins_are_told(client: Client) -> None:
    assert (await client.get("/plugins/enabled")).json == {"enabled_plugins": ["cors", "key-auth"]}
    old = (await client.get("/plugins/schema/cors")).json
    new = (await client.get("/schemas/plugins/cors")).json
    config = next(field["config"] for field in new["fields"] if "config" in field)
    assert old["fields"] == config["fields"]
