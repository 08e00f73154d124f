"""A whole worker in this process: store, cache, router, balancers, plugins, proxy."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from zope.interface.verify import verifyObject

from kongtx.lib.ids import is_uuid
from kongtx.runtime.interfaces import INode
from kongtx.runtime.node.declarative import DeclarativeFileError
from kongtx.runtime.node.identity import node_id
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream

Make = Callable[..., Awaitable[GatewayUnderTest]]


async def get(url: str, **headers: str) -> tuple[int, Any]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await treq.get(url, headers=names, persistent=False)
    return response.code, json.loads(await response.content())


def declared(upstream: Upstream, **route: Any) -> dict[str, Any]:
    return {
        "services": [
            {
                "name": "s",
                "url": f"{upstream.url}/base",
                "routes": [{"name": "r", "paths": ["/r"], **route}],
            }
        ]
    }


@pytest_twisted.ensureDeferred
async def test_a_request_reaches_the_service_of_its_route(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(declared(upstream))
    assert verifyObject(INode, gateway.node)
    code, told = await get(f"{gateway.url}/r/x?y=1")
    assert (code, told["target"]) == (200, "/base/x?y=1")
    assert told["headers"]["x-forwarded-prefix"] == ["/r"]
    code, error = await get(f"{gateway.url}/other")
    assert (code, error["message"]) == (404, "no Route matched with those values")


@pytest_twisted.ensureDeferred
async def test_a_change_is_in_force_when_its_write_is_over(
    gateway: GatewayUnderTest, upstream: Upstream
) -> None:
    store = gateway.store
    assert (await get(f"{gateway.url}/r"))[0] == 404
    service = await store["services"].insert({"url": upstream.url})
    route = await store["routes"].insert({"paths": ["/r"], "service": {"id": service["id"]}})
    assert (await get(f"{gateway.url}/r/1"))[1]["target"] == "/1"
    await store["services"].update(service["id"], {"path": "/moved"})
    assert (await get(f"{gateway.url}/r/2"))[1]["target"] == "/moved/2"
    await store["services"].update(service["id"], {"enabled": False})
    assert (await get(f"{gateway.url}/r/3"))[0] == 404
    await store["services"].update(service["id"], {"enabled": True})
    await store["routes"].update(route["id"], {"paths": ["/q"]})
    assert (await get(f"{gateway.url}/q/4"))[1]["target"] == "/moved/4"
    await store["routes"].delete(route["id"])
    assert (await get(f"{gateway.url}/q/5"))[0] == 404


@pytest_twisted.ensureDeferred
async def test_plugins_and_credentials_follow_their_entities(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(
        {
            **declared(upstream, plugins=[{"name": "key-auth"}]),
            "consumers": [{"username": "bob", "keyauth_credentials": [{"key": "k1"}]}],
        }
    )
    url, store = f"{gateway.url}/r", gateway.store
    assert (await get(url))[1]["message"] == "No API key found in request"
    code, told = await get(url, apikey="k1")
    assert (code, told["headers"]["x-consumer-username"]) == (200, ["bob"])
    await store["consumers"].update_by("username", "bob", {"username": "robert"})
    assert (await get(url, apikey="k1"))[1]["headers"]["x-consumer-username"] == ["robert"]
    assert (await get(url, apikey="k2"))[0] == 401
    await store["keyauth_credentials"].update_by("key", "k1", {"key": "k2"})
    assert (await get(url, apikey="k1"))[0] == 401
    assert (await get(url, apikey="k2"))[0] == 200
    await store["consumers"].delete_by("username", "robert")
    assert (await get(url, apikey="k2"))[0] == 401
    (plugin,) = [row async for row in store["plugins"].each()]
    await store["plugins"].update(plugin["id"], {"enabled": False})
    assert (await get(url))[0] == 200


@pytest_twisted.ensureDeferred
async def test_targets_follow_their_upstream(make_gateway: Make, make_upstream: Any) -> None:
    one, other = await make_upstream(), await make_upstream()
    gateway = await make_gateway(
        {
            "upstreams": [{"name": "pool", "targets": [{"target": one.host_port}]}],
            "services": [{"name": "s", "host": "pool", "routes": [{"paths": ["/"]}]}],
        }
    )
    await get(f"{gateway.url}/")
    assert (len(one.received), len(other.received)) == (1, 0)
    pool = await gateway.store["upstreams"].select_by("name", "pool")
    added = await gateway.store["targets"].insert(
        {"upstream": {"id": pool["id"]}, "target": other.host_port}
    )
    for _ in range(4):
        await get(f"{gateway.url}/")
    assert (len(one.received), len(other.received)) == (3, 2)
    await gateway.store["targets"].update(added["id"], {"weight": 0})
    for _ in range(3):
        await get(f"{gateway.url}/")
    assert (len(one.received), len(other.received)) == (6, 2)


@pytest_twisted.ensureDeferred
async def test_rate_limits_count_over_the_node(make_gateway: Make, upstream: Upstream) -> None:
    limit = {"name": "rate-limiting", "config": {"hour": 2, "policy": "local"}}
    gateway = await make_gateway(declared(upstream, plugins=[limit]))
    codes = [(await get(f"{gateway.url}/r"))[0] for _ in range(3)]
    assert codes == [200, 200, 429]


@pytest_twisted.ensureDeferred
async def test_what_was_stored_is_there_after_a_restart(
    make_gateway: Make, upstream: Upstream, tmp_path: Path
) -> None:
    prefix = str(tmp_path / "node")
    first = await make_gateway(declared(upstream), prefix=prefix)
    await first.stop(keep_prefix=True)
    second = await make_gateway(prefix=prefix)
    assert (await get(f"{second.url}/r"))[0] == 200
    assert second.node.plugin_node.node_id == first.node.plugin_node.node_id
    assert is_uuid(second.node.plugin_node.cluster_id)
    assert second.node.plugin_node.cluster_id == first.node.plugin_node.cluster_id


@pytest_twisted.ensureDeferred
async def test_a_node_without_database_serves_its_file(
    make_gateway: Make, upstream: Upstream, tmp_path: Path
) -> None:
    file, prefix = tmp_path / "kong.json", str(tmp_path / "node")
    file.write_text(json.dumps({"_format_version": "3.0", **declared(upstream)}))
    properties = {"database": "off", "prefix": prefix, "lmdb_map_size": "16m"}
    first = await make_gateway(declarative_config=str(file), **properties)
    assert (await get(f"{first.url}/r"))[0] == 200
    replaced = await first.node.declarative.load(
        {"_format_version": "3.0", **declared(upstream, paths=["/q"])}
    )
    assert sorted(replaced) == ["routes", "services"]
    assert (await get(f"{first.url}/r"))[0] == 404
    assert (await get(f"{first.url}/q"))[0] == 200
    assert "paths:\n  - /q" in await first.node.declarative.export()
    await first.stop(keep_prefix=True)
    second = await make_gateway(**properties)
    assert (await get(f"{second.url}/q"))[0] == 200


@pytest_twisted.ensureDeferred
async def test_what_a_node_without_database_exports_can_be_loaded_again(
    make_gateway: Make,
) -> None:
    gateway = await make_gateway(database="off", lmdb_map_size="16m")
    document = {
        "_format_version": "3.0",
        "parameters": [{"key": "cluster_id", "value": "x"}],
        "consumers": [
            {
                "username": "u",
                "keyauth_credentials": [{"key": "k", "ttl": 4_000_000_000}],
                "basicauth_credentials": [{"username": "u", "password": "p"}],
            }
        ],
    }
    loaded = await gateway.node.declarative.load(document)
    assert list(loaded["parameters"]) == ["cluster_id"]
    (credential,) = loaded["basicauth_credentials"].values()
    assert credential["password"] == "p"
    exported = await gateway.node.declarative.export()
    assert "ttl: 4000000000" in exported
    assert "password: p" not in exported
    await gateway.node.declarative.load(exported)
    again = await gateway.node.declarative.export()
    times = re.compile(r"updated_at: \d+")
    assert times.sub("", again) == times.sub("", exported)


@pytest_twisted.ensureDeferred
async def test_a_wrong_declarative_file_is_named_with_what_is_wrong(
    make_gateway: Make, tmp_path: Path
) -> None:
    file = tmp_path / "kong.yml"
    file.write_text("_format_version: '3.0'\nservices:\n- name: s\n")
    with pytest.raises(DeclarativeFileError) as caught:
        await make_gateway(database="off", declarative_config=str(file), lmdb_map_size="16m")
    assert str(caught.value).startswith(f"error parsing declarative config file {file}:\n")
    assert "in 'host': required field missing" in str(caught.value)
    with pytest.raises(DeclarativeFileError, match=r"cannot read .*gone\.yml: No such file"):
        await make_gateway(database="off", declarative_config=str(tmp_path / "gone.yml"))


class Named:
    """A configuration with a prefix."""

    def __init__(self, prefix: Path, node_id: str | None = None) -> None:
        self.node_id = node_id
        self._prefix = prefix

    def prefixed(self, name: str) -> str:
        return str(self._prefix / name)


def test_a_node_keeps_its_id(tmp_path: Path) -> None:
    conf: Any = Named(tmp_path)
    made = node_id(conf)
    assert node_id(conf) == made
    assert sorted(each.name for each in tmp_path.iterdir()) == ["node.id"]
    given = "4b1b701d-de2b-4588-9aa2-3b97061d9f52"
    assert node_id(Named(tmp_path, given)) == given  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_a_target_that_refuses_connections_is_left_out_by_passive_checks(
    make_gateway: Make, make_upstream: Any
) -> None:
    alive, dead = await make_upstream(), await make_upstream()
    targets = [{"target": each.host_port} for each in (alive, dead)]
    await dead.stop()
    passive = {"unhealthy": {"tcp_failures": 1}}
    gateway = await make_gateway(
        {
            "upstreams": [
                {"name": "pool", "targets": targets, "healthchecks": {"passive": passive}}
            ],
            "services": [{"name": "s", "host": "pool", "routes": [{"paths": ["/"]}]}],
        }
    )
    codes = [(await get(f"{gateway.url}/"))[0] for _ in range(6)]
    assert codes == [200] * 6
    pool = await gateway.store["upstreams"].select_by("name", "pool")
    rows = [row async for row in gateway.store["targets"].each()]
    health = gateway.node.health.upstream_health(pool["id"], rows)
    assert {each["target"]: each["health"] for each in health} == {
        alive.host_port: "HEALTHY",
        targets[1]["target"]: "UNHEALTHY",
    }


async def call(method: str, url: str, data: Any = None) -> tuple[int, Any]:
    body = {} if data is None else {"json": data}
    response = await treq.request(method, url, persistent=False, **body)
    content = await response.content()
    return response.code, json.loads(content) if content else None


@pytest_twisted.ensureDeferred
async def test_the_admin_api_changes_what_is_proxied(
    gateway: GatewayUnderTest, upstream: Upstream
) -> None:
    admin = gateway.admin_url
    code, service = await call("POST", f"{admin}/services", {"name": "s", "url": upstream.url})
    assert (code, service["host"]) == (201, "127.0.0.1")
    code, route = await call("POST", f"{admin}/services/s/routes", {"paths": ["/r"]})
    assert code == 201
    assert (await get(f"{gateway.url}/r"))[0] == 200
    assert (await call("DELETE", f"{admin}/routes/{route['id']}"))[0] == 204
    assert (await get(f"{gateway.url}/r"))[0] == 404


@pytest_twisted.ensureDeferred
async def test_the_node_tells_about_itself(make_gateway: Make, upstream: Upstream) -> None:
    gateway = await make_gateway(declared(upstream))
    await get(f"{gateway.url}/r")
    code, about = await call("GET", f"{gateway.admin_url}/")
    assert code == 200
    assert about["version"] == "3.9.1"
    assert about["configuration"]["database"] == "sqlite"
    assert about["plugins"]["available_on_server"]["key-auth"]["priority"] == 1250
    assert about["pids"]["workers"]
    for url in (gateway.admin_url, gateway.status_url):
        code, status = await call("GET", f"{url}/status")
        assert (code, status["database"]) == (200, {"reachable": True})
        assert status["server"]["total_requests"] == 1
    assert await call("GET", f"{gateway.status_url}/status/ready") == (200, {"message": "ready"})
    code, explained = await call(
        "GET", f"{gateway.admin_url}/routes/explain?url=http://h/r&method=GET"
    )
    assert (code, explained["route"]["name"]) == (200, "r")
    code, answer = await call("PUT", f"{gateway.admin_url}/debug/node/log-level/debug")
    assert (code, answer) == (200, {"message": "log level changed"})


@pytest_twisted.ensureDeferred
async def test_the_health_of_targets_is_shown_and_set(
    make_gateway: Make, upstream: Upstream
) -> None:
    passive = {"unhealthy": {"tcp_failures": 1}}
    gateway = await make_gateway(
        {
            "upstreams": [
                {
                    "name": "pool",
                    "targets": [{"target": upstream.host_port}],
                    "healthchecks": {"passive": passive},
                }
            ],
            "services": [{"name": "s", "host": "pool", "routes": [{"paths": ["/"]}]}],
        }
    )
    pool = f"{gateway.admin_url}/upstreams/pool"
    code, health = await call("GET", f"{pool}/health")
    assert (code, [row["health"] for row in health["data"]]) == (200, ["HEALTHY"])
    assert (await call("PUT", f"{pool}/targets/{upstream.host_port}/unhealthy"))[0] == 204
    code, error = await get(f"{gateway.url}/")
    assert (code, error["message"]) == (503, "failure to get a peer from the ring-balancer")
    assert (await call("PUT", f"{pool}/targets/{upstream.host_port}/healthy"))[0] == 204
    assert (await get(f"{gateway.url}/"))[0] == 200


@pytest_twisted.ensureDeferred
async def test_a_declarative_configuration_is_posted(
    make_gateway: Make, upstream: Upstream
) -> None:
    gateway = await make_gateway(database="off", lmdb_map_size="16m")
    document = {"_format_version": "3.0", **declared(upstream)}
    code, entities = await call("POST", f"{gateway.admin_url}/config", document)
    assert (code, sorted(entities)) == (201, ["routes", "services"])
    assert (await get(f"{gateway.url}/r"))[0] == 200
    code, error = await call("POST", f"{gateway.admin_url}/services", {"url": "http://h"})
    assert (code, error["code"]) == (405, 12)


@pytest_twisted.ensureDeferred
async def test_the_openness_of_the_admin_api_is_looked_at(
    make_gateway: Make, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def look(settings: Any, addresses: Any, mutual_tls: bool) -> bool:
        seen.append((settings.auth, list(addresses), mutual_tls))
        return False

    monkeypatch.setattr("kongtx.runtime.node.composition.warn_when_open", look)
    gateway = await make_gateway(declared(upstream))
    hosts = [listen.host for listen in gateway.node.conf.admin_listeners]
    assert seen == [("off", hosts, False)]
