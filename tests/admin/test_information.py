"""What the node says of itself."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from kongtx._version import KONG_VERSION, __version__
from kongtx.admin.context import AdminContext
from kongtx.admin.interfaces import INodeInfo
from kongtx.admin.settings import AdminSettings
from kongtx.admin.site import make_status_site
from kongtx.db.store import Store
from tests.admin.support import Client, FakeNode, serving


def test_the_fake_node_is_one(node: FakeNode) -> None:
    assert verifyObject(INodeInfo, node)


@pytest_twisted.ensureDeferred
async def test_the_index_describes_the_node(client: Client) -> None:
    for _ in range(2):
        await client.make("/consumers", {"username": None, "custom_id": str(_)})
    await client.make("/plugins", {"name": "cors"})
    reply = await client.get("/")
    assert (reply.status, reply.json) == (
        200,
        {
            "tagline": "Welcome to kong",
            "version": KONG_VERSION,
            "kongtx_version": __version__,
            "edition": "community",
            "hostname": "machine",
            "node_id": FakeNode.node_id,
            "lua_version": "LuaJIT 2.1.0",
            "timers": {"running": 3, "pending": 4},
            "plugins": {
                "available_on_server": {
                    "cors": {"version": "3.9.1", "priority": 2000},
                    "key-auth": {"version": "3.9.1", "priority": 1250},
                },
                "enabled_in_cluster": ["cors"],
            },
            "pids": {"master": 1, "workers": [2, 3]},
            "configuration": {"database": "sqlite", "log_level": "notice"},
        },
    )
    assert (await client.ask("OPTIONS", "/")).headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("query", "worker", "capacity"),
    [
        ("", "3.00 MiB", "5.00 MiB"),
        ("?unit=k&scale=0", "3072 KiB", "5120 KiB"),
        ("?unit=G&scale=4", "0.0029 GiB", "0.0049 GiB"),
        ("?unit=b", 3 << 20, 5 << 20),
        ("?scale=x", "3.00 MiB", "5.00 MiB"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_status_shows_sizes_in_a_unit(
    client: Client, query: str, worker: Any, capacity: Any
) -> None:
    body = (await client.get(f"/status{query}")).json
    assert body["memory"]["workers_lua_vms"][0] == {
        "pid": 7,
        "http_allocated_gc": worker,
    }
    assert [each["pid"] for each in body["memory"]["workers_lua_vms"]] == [7, 8]
    assert body["memory"]["lua_shared_dicts"]["kong"]["capacity"] == capacity
    assert body["server"] == {"connections_accepted": 1, "total_requests": 6}
    assert body["database"] == {"reachable": True}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("unit=x", "invalid unit 'x' (expected 'k/K', 'm/M', or 'g/G')"),
        ("scale=-1", "scale must be equal or greater than 0"),
        ("scale=1e30", "scale must be equal or less than 99"),
        ("scale=1e400", "scale must be equal or less than 99"),
        ("scale=-1e400", "scale must be equal or greater than 0"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bad_units_are_refused(client: Client, query: str, text: str) -> None:
    reply = await client.get(f"/status?{query}")
    assert (reply.status, reply.json) == (400, {"message": text})


@pytest_twisted.ensureDeferred
async def test_a_database_out_of_reach_is_told(client: Client) -> None:
    await client.store.stop()
    assert (await client.get("/status")).json["database"] == {"reachable": False}


@pytest_twisted.ensureDeferred
async def test_paths_are_listed_by_segment(client: Client) -> None:
    paths = (await client.get("/endpoints")).json["data"]
    assert paths == sorted(paths, key=lambda path: path.split("/"))
    assert paths[0] == "/"
    assert {"/services/{services}/routes/{routes}", "/config", "/tags/{tags}"} <= set(paths)
    assert "/targets" not in paths


@pytest_twisted.ensureDeferred
async def test_the_cache_is_seen_and_emptied(client: Client, node: FakeNode) -> None:
    node.cache = {"a:b": {"id": 1}, "c": "text", "d": 1}
    assert (await client.get("/cache/a:b")).json == {"id": 1}
    assert (await client.get("/cache/c")).json == {"message": "text"}
    assert (await client.delete("/cache/a%3Ab")).status == 204
    missing = await client.get("/cache/a:b")
    assert (missing.status, missing.json) == (404, {"message": "Not found"})
    assert (await client.delete("/cache")).status == 204
    assert node.cache == {}


@pytest_twisted.ensureDeferred
async def test_the_log_level_is_shown_and_changed(client: Client, node: FakeNode) -> None:
    assert (await client.get("/debug/node/log-level")).json == {"message": "log level: notice"}
    for path, status, text in (
        ("node/log-level/notice", 200, "log level is already notice"),
        ("node/log-level/debug", 200, "log level changed"),
        ("node/log-level/info?timeout=0.5", 200, "log level changed"),
        ("cluster/log-level/crit?timeout=10", 200, "log level changed"),
        ("node/log-level/loud", 400, "unknown log level: loud"),
        (
            "node/log-level/debug?timeout=-1",
            400,
            "timeout must be greater than or equal to 0",
        ),
    ):
        reply = await client.put(f"/debug/{path}")
        assert (reply.status, reply.json) == (status, {"message": text}), path
    assert node.levels == [("debug", 60, False), ("info", 1, False), ("crit", 10, True)]


@pytest_twisted.ensureDeferred
async def test_timers_and_dns(client: Client) -> None:
    assert (await client.get("/timers")).json == {
        "worker": {"id": 0, "count": 2},
        "stats": {"timers": {}},
    }
    reply = await client.get("/status/dns")
    assert (reply.status, reply.json) == (
        501,
        {"message": "not implemented with the legacy DNS client"},
    )


@pytest_twisted.ensureDeferred
async def test_what_other_roles_and_builds_have_is_refused(client: Client) -> None:
    for path in ("/clustering/data-planes", "/clustering/status"):
        reply = await client.get(path)
        assert reply.status == 400
        assert "configured to run as Control Plane" in reply.json["message"]
    for path in ("/filter-chains", "/services/x/filter-chains/y", "/filter-chains/x/route"):
        reply = await client.get(path)
        assert (reply.status, reply.json) == (
            400,
            {"message": "this endpoint is only available when wasm is enabled"},
        )
    for method in ("GET", "POST"):
        reply = await client.ask(method, "/config", {} if method == "POST" else None)
        assert (reply.status, reply.json) == (
            400,
            {
                "message": "this endpoint is only available when Kong is configured to not use a "
                "database"
            },
        )


class TestControlPlane:
    """A control plane tells of its data planes."""

    @pytest.fixture
    def settings(self) -> AdminSettings:
        return AdminSettings(role="control_plane")

    @pytest_twisted.ensureDeferred
    async def test_data_planes_are_listed(self, client: Client) -> None:
        planes = client.store["clustering_data_planes"]
        made = await planes.insert(
            {"id": FakeNode.node_id, "ip": "10.0.0.1", "hostname": "dp", "ttl": 60}
        )
        listed = (await client.get("/clustering/data-planes")).json
        assert [row["id"] for row in listed["data"]] == [made["id"]]
        status = await client.get("/clustering/status")
        assert list(status.json) == [made["id"]]
        assert status.headers["deprecation"] == "true"


@pytest_twisted.ensureDeferred
async def test_requests_are_explained(client: Client) -> None:
    asked = {"method": "GET", "url": "http://h/", "headers": {"a": ["1", "2"]}}
    reply = await client.post("/routes/explain", asked)
    assert reply.json == {
        "method": "GET",
        "url": "http://h/",
        "headers": [["a", "1"], ["a", "2"]],
        "source": "127.0.0.1",
    }
    reply = await client.get("/routes/explain?url=http%3A%2F%2Fh%2F&header=a:%201&header=b:2")
    assert reply.json["headers"] == [["a", "1"], ["b", "2"]]
    for bad in ({}, {"url": 1}, {"url": "h"}, {"url": "http://h", "headers": {"a": 1}}):
        assert (await client.post("/routes/explain", bad)).status == 400
    assert (await client.get("/routes/lint")).json == {"findings": []}


@pytest_twisted.ensureDeferred
async def test_failures_have_a_log_of_their_own(
    status_client: Client, client: Client, node: FakeNode
) -> None:
    def fails() -> None:
        raise RuntimeError("broken")

    node.not_ready = node.plugins = fails  # type: ignore[method-assign,assignment]
    with capturedLogs() as logged:
        statuses = [
            (await status_client.get("/status/ready")).status,
            (await client.get("/plugins/enabled")).status,
        ]
    assert statuses == [500, 500]
    assert [event["log_namespace"] for event in logged if "log_failure" in event] == [
        "kongtx.status",
        "kongtx.admin.resource",
    ]


class TestStatusSite:
    """What status listeners answer, even where the Admin API wants credentials."""

    @pytest.fixture
    def settings(self) -> AdminSettings:
        return AdminSettings(auth="token", tokens={"ci": "secret"})

    @pytest_twisted.ensureDeferred
    async def test_readiness(self, status_client: Client, node: FakeNode) -> None:
        client = status_client
        reply = await client.get("/status/ready")
        assert (reply.status, reply.json) == (200, {"message": "ready"})
        assert "access-control-allow-origin" not in reply.headers
        node.reason = "router builds not yet complete"
        reply = await client.get("/status/ready")
        assert (reply.status, reply.json) == (503, {"message": "router builds not yet complete"})
        node.reason = None
        assert (await client.post("/status/ready", {"status": "x"})).status == 400
        assert (await client.post("/status/ready", {"status": "draining"})).status == 204
        reply = await client.get("/status/ready")
        assert (reply.status, reply.json) == (503, {"message": "draining"})

    @pytest_twisted.ensureDeferred
    async def test_a_node_is_ready_when_all_its_workers_are(
        self, status_client: Client, node: FakeNode
    ) -> None:
        node.both_ready = False
        reply = await status_client.get("/status/ready")
        assert (reply.status, reply.json) == (
            503,
            {"message": "router builds not yet complete, router ready in 1 of 2 workers"},
        )

    @pytest.mark.parametrize(
        ("digest", "answer"),
        [
            ("0" * 32, (503, "no configuration available (empty configuration present)")),
            ("0" * 31 + "1", (200, "ready")),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_without_a_configuration_a_node_without_database_is_not_ready(
        self, store: Store, node: FakeNode, digest: str, answer: tuple[int, str]
    ) -> None:
        class Loader:
            async def digest(self) -> str:
                return digest

        site = make_status_site(AdminContext(store, AdminSettings(database="off"), node, Loader()))
        async with serving(site, store) as client:
            reply = await client.get("/status/ready")
        assert (reply.status, reply.json["message"]) == answer

    @pytest_twisted.ensureDeferred
    async def test_a_lost_database_is_not_ready(self, status_client: Client) -> None:
        await status_client.store.stop()
        reply = await status_client.get("/status/ready")
        assert (reply.status, reply.json) == (503, {"message": "failed to connect to database"})

    @pytest_twisted.ensureDeferred
    async def test_nothing_else_is_there(self, status_client: Client) -> None:
        assert (await status_client.get("/status")).status == 200
        for path in ("/", "/services", "/upstreams/x/health", "/config"):
            assert (await status_client.get(path)).status == 404
