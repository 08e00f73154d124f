"""The Admin API describes itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted

from kongtx.admin.settings import AdminSettings
from tests.admin.support import Client, registry


@pytest_twisted.ensureDeferred
async def test_every_path_is_described(client: Client) -> None:
    reply = await client.get("/openapi.json")
    document = reply.json
    assert document["openapi"] == "3.1.0"
    paths = (await client.get("/endpoints")).json["data"]
    assert list(document["paths"]) == paths
    operations = [
        operation
        for item in document["paths"].values()
        for name, operation in item.items()
        if name != "parameters"
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert operation["responses"]


@pytest_twisted.ensureDeferred
async def test_every_reference_leads_somewhere(client: Client) -> None:
    document = (await client.get("/openapi.json")).json
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            found = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return found.union(*map(references, value.values()))
        if isinstance(value, list):
            return set().union(*map(references, value))
        return set()

    assert references(document) <= known
    assert {f"#/components/schemas/{name}" for name in registry()} <= known


@pytest_twisted.ensureDeferred
async def test_constraints_are_told(client: Client) -> None:
    schemas = (await client.get("/openapi.json")).json["components"]["schemas"]
    write = schemas["services.write"]
    assert write["required"] == ["host"]
    assert write["properties"]["port"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 65535,
        "default": 80,
    }
    assert write["properties"]["url"]["type"] == ["string", "null"]
    assert "url" not in schemas["services"]["properties"]
    assert schemas["services"]["properties"]["name"] == {"type": ["string", "null"]}
    assert json.dumps(schemas).count('"tls_passthrough"') > 0


class TestWithCredentials:
    """Clients are told what they need."""

    @pytest.fixture
    def settings(self) -> AdminSettings:
        return AdminSettings(auth="token", tokens={"ci": "secret"})

    @pytest_twisted.ensureDeferred
    async def test_credentials_are_described(self, client: Client) -> None:
        reply = await client.get("/openapi.json", headers={"Authorization": "Bearer secret"})
        document = reply.json
        assert document["security"] == [{"token": []}]
        assert document["components"]["securitySchemes"] == {
            "token": {"type": "http", "scheme": "bearer"}
        }
        assert "401" in document["paths"]["/services"]["get"]["responses"]
