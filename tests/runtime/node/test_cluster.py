"""Nodes that share a database: what one writes, the others serve by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from kongtx.cluster.events import ClusterEvents
from kongtx.db.errors import DatabaseUnavailableError
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.postgres_server import Database
from tests.runtime.fleets import asked, set_up, status, until

Make = Callable[..., Awaitable[GatewayUnderTest]]
Pair = tuple[GatewayUnderTest, GatewayUnderTest]


@pytest.fixture
def pair(make_gateway: Make, postgres_database: Database) -> Pair:
    """Two nodes that poll so seldom that only being woken counts."""

    async def start() -> Pair:
        properties = {**postgres_database.properties(), "db_update_frequency": "600"}
        await set_up(properties)
        return await make_gateway(**properties), await make_gateway(**properties)

    return pytest_twisted.blockon(ensureDeferred(start()))


@pytest_twisted.ensureDeferred
async def test_a_change_reaches_the_other_node_within_150_ms(
    pair: Pair, upstream: Upstream
) -> None:
    one, other = pair
    service = await one.store["services"].insert({"url": upstream.url})
    took = []
    for number in range(21):
        path = f"/r{number}"
        route = await one.store["routes"].insert({"paths": [path], "service": service})

        async def is_served(path: str = path) -> bool:
            return await status(other, path) == 200

        took.append(await until(is_served))
        await one.store["routes"].delete(route["id"])
    assert sorted(took)[10] <= 0.15, took


@pytest_twisted.ensureDeferred
async def test_credentials_that_the_other_node_holds_are_dropped(
    pair: Pair, upstream: Upstream
) -> None:
    one, other = pair
    await one.add(
        {
            "services": [{"name": "s", "url": upstream.url, "routes": [{"paths": ["/"]}]}],
            "plugins": [{"name": "key-auth"}],
            "consumers": [{"username": "bob", "keyauth_credentials": [{"key": "k1"}]}],
        }
    )

    async def is_known() -> bool:
        return await status(other, "/", apikey="k1") == 200

    await until(is_known)
    assert await status(other, "/", apikey="k2") == 401
    await one.store["keyauth_credentials"].update_by("key", "k1", {"key": "k2"})

    async def is_changed() -> bool:
        return await status(other, "/", apikey="k1") == 401

    await until(is_changed)
    assert await status(other, "/", apikey="k2") == 200
    await one.store["consumers"].delete_by("username", "bob")

    async def is_gone() -> bool:
        return await status(other, "/", apikey="k2") == 401

    await until(is_gone)


@pytest_twisted.ensureDeferred
async def test_a_key_that_a_plugin_drops_is_dropped_at_the_other_node(pair: Pair) -> None:
    one, other = pair
    assert other.node.cache.get("own", None) is None
    await other.node.cache.set("own", "value")
    await one.node.plugin_node.cache.invalidate("own")

    async def is_dropped() -> bool:
        return other.node.cache.get("own", None) is None

    await until(is_dropped)


@pytest_twisted.ensureDeferred
async def test_the_cache_is_purged_at_the_asked_node_alone(pair: Pair) -> None:
    one, other = pair
    for gateway in pair:
        await gateway.node.cache.set("own", "value")
    assert (await asked(f"{one.admin_url}/cache", "DELETE"))[0] == 204
    await deferLater(reactor, 0.1)
    assert one.node.cache.get("own", None) is None
    assert other.node.cache.get("own", None) == "value"


@pytest_twisted.ensureDeferred
async def test_the_log_level_is_changed_at_one_node_or_at_all(pair: Pair) -> None:
    one, other = pair
    url = f"{one.admin_url}/debug"
    assert await asked(f"{url}/node/log-level/crit", "PUT") == (
        200,
        {"message": "log level changed"},
    )
    await deferLater(reactor, 0.1)
    assert other.node.info.log_level() == "notice"
    assert (await asked(f"{url}/cluster/log-level/debug", "PUT"))[0] == 200

    async def is_changed() -> bool:
        return other.node.info.log_level() == "debug"

    await until(is_changed)


@pytest_twisted.ensureDeferred
async def test_the_health_of_a_target_is_set_at_both_nodes(pair: Pair, upstream: Upstream) -> None:
    one, other = pair
    healthchecks = {"passive": {"unhealthy": {"http_failures": 1}}}
    await one.add(
        {
            "upstreams": [
                {
                    "name": "pool",
                    "healthchecks": healthchecks,
                    "targets": [{"target": upstream.host_port}],
                }
            ],
            "services": [{"name": "s", "host": "pool", "routes": [{"paths": ["/"]}]}],
        }
    )

    async def is_served() -> bool:
        return await status(other, "/") == 200

    await until(is_served)
    path = f"/upstreams/pool/targets/{upstream.host_port}/unhealthy"
    assert (await asked(f"{one.admin_url}{path}", "PUT"))[0] == 204

    async def is_unhealthy() -> bool:
        return await status(other, "/") == 503

    await until(is_unhealthy)


@pytest_twisted.ensureDeferred
async def test_kept_responses_are_forgotten_at_both_nodes(pair: Pair, upstream: Upstream) -> None:
    one, other = pair
    caching = {
        "name": "proxy-cache",
        "config": {"strategy": "memory", "content_type": ["application/json"]},
    }
    await one.add(
        {
            "services": [{"name": "s", "url": upstream.url, "routes": [{"paths": ["/"]}]}],
            "plugins": [caching],
        }
    )

    async def kept() -> str | None:
        response = await treq.get(f"{other.url}/", persistent=False)
        await response.content()
        values = response.headers.getRawHeaders("X-Cache-Status")
        return values[0] if values else None

    async def is_kept() -> bool:
        return await kept() == "Hit"

    await until(is_kept)
    assert (await asked(f"{one.admin_url}/proxy-cache", "DELETE"))[0] == 204

    async def is_forgotten() -> bool:
        return await kept() == "Miss"

    await until(is_forgotten)


@pytest_twisted.ensureDeferred
async def test_a_limit_of_the_cluster_is_counted_over_both_nodes(
    pair: Pair, upstream: Upstream, postgres_database: Database
) -> None:
    one, other = pair
    limit = {"name": "rate-limiting", "config": {"hour": 6, "policy": "cluster"}}
    await one.add(
        {
            "services": [{"name": "s", "url": upstream.url, "routes": [{"paths": ["/"]}]}],
            "plugins": [limit],
        }
    )

    async def is_limited() -> bool:
        return other.node.keeper.counts()["plugins"] == 1

    await until(is_limited)
    events = postgres_database.run("SELECT count(*) FROM kongtx_events")
    codes = [await status(pair[number % 2], "/") for number in range(8)]
    assert codes == [200] * 6 + [429] * 2
    assert postgres_database.run("SELECT count(*) FROM kongtx_events") == events


@pytest_twisted.ensureDeferred
async def test_what_a_command_imports_reaches_nodes_that_run(
    pair: Pair, upstream: Upstream, postgres_database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "kong.json"
    service = {"name": "s", "url": upstream.url, "routes": [{"name": "r", "paths": ["/x"]}]}
    file.write_text(json.dumps({"_format_version": "3.0", "services": [service]}))
    environment = {f"KONG_{k.upper()}": v for k, v in postgres_database.properties().items()}
    await deferToThread(
        subprocess.run,
        [sys.executable, "-m", "kongtx.cli.main", "config", "db_import", str(file)],
        env={
            **os.environ,
            **environment,
            "KONG_PREFIX": str(tmp_path / "prefix"),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for gateway in pair:

        async def is_served(gateway: GatewayUnderTest = gateway) -> bool:
            return await status(gateway, "/x") == 200

        await until(is_served, 2.0)


@pytest_twisted.ensureDeferred
async def test_what_was_written_during_an_outage_of_one_node_is_there_after_it(
    pair: Pair, upstream: Upstream, postgres_database: Database
) -> None:
    one, other = pair
    await one.add({"services": [{"name": "s", "url": upstream.url}]})
    await deferToThread(postgres_database.server.restart)
    await until(lambda: _is_inserted(one, upstream))

    async def is_served() -> bool:
        return await status(other, "/after") == 200

    await until(is_served)


@pytest_twisted.ensureDeferred
async def test_a_write_whose_answer_was_lost_is_in_force_where_it_was_made(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = pair
    await one.store["plugins"].insert(
        {"name": "request-termination", "config": {"status_code": 200}}
    )
    connector = one.store.primary
    apply = connector.apply

    async def lose_answer(writes: Any) -> Any:
        await apply(writes)
        raise DatabaseUnavailableError("no answer")

    monkeypatch.setattr(connector, "apply", lambda writes: ensureDeferred(lose_answer(writes)))
    with pytest.raises(DatabaseUnavailableError):
        await one.store["routes"].insert({"paths": ["/r"]})
    for gateway in pair:

        async def is_served(gateway: GatewayUnderTest = gateway) -> bool:
            return await status(gateway, "/r") == 200

        await until(is_served, 5)


async def _is_inserted(gateway: GatewayUnderTest, upstream: Upstream) -> bool:
    url = f"{gateway.admin_url}/services/t"
    service, _ = await asked(url, "PUT", {"url": upstream.url})
    route, _ = await asked(f"{url}/routes/r", "PUT", {"paths": ["/after"]})
    return service == route == 200


@pytest_twisted.ensureDeferred
async def test_a_node_on_a_database_of_its_own_has_no_cluster(
    gateway: GatewayUnderTest,
) -> None:
    assert not isinstance(gateway.node.cluster_events, ClusterEvents)
    await gateway.node.cluster_events.broadcast("x", "y")
