"""The plugin model as clients, administrators and plugin authors meet it, in a real gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

from kongtx.plugins.base import Plugin
from kongtx.plugins.errors import PluginError
from kongtx.schema import Schema, Subschema, foreign, record, string
from kongtx.schema import typedefs as t
from kongtx.testing.client import Client
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Reply, Upstream
from tests.plugins.proxied import Make

NO_ROUTE = "no Route matched with those values"
PHASES = ("rewrite", "access", "header_filter", "body_filter", "log")


class Recorder(Plugin):
    """Notes which phase ran with which configuration; may do something of its own in one."""

    name = "recorder"
    priority = 1000
    subschema = Subschema({"config": record({"tag": string()})})

    def __init__(
        self, name: str = "recorder", priority: int = 1000, seen: list[str] | None = None
    ) -> None:
        self.name = name  # type: ignore[misc]
        self.priority = priority  # type: ignore[misc]
        self.seen = [] if seen is None else seen
        self.does: dict[str, Any] = {}

    def _ran(self, phase: str, config: Any, kong: Any) -> Any:
        tag = config["tag"]
        self.seen.append(f"{self.name}.{phase}" + (f"({tag})" if tag else ""))
        act = self.does.get(phase)
        return None if act is None else act(kong)

    def rewrite(self, config: Any, kong: Any) -> Any:
        return self._ran("rewrite", config, kong)

    def access(self, config: Any, kong: Any) -> Any:
        return self._ran("access", config, kong)

    def header_filter(self, config: Any, kong: Any) -> None:
        self._ran("header_filter", config, kong)

    def body_filter(self, config: Any, kong: Any) -> None:
        if kong.raw.chunk_is_last:
            self._ran("body_filter", config, kong)

    def log(self, config: Any, kong: Any) -> Any:
        return self._ran("log", config, kong)


def rows(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, **more} for name in names]


def tagged(tag: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": "recorder", "config": {"tag": tag}, **more}


def one_route(upstream: Upstream | None, *plugins: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A route for everything below C{/r}, with a service if there is an upstream."""
    route: dict[str, Any] = {"name": "r", "paths": ["/r"], "plugins": list(plugins)}
    if upstream is None:
        return {"routes": [route], **more}
    service = {"name": "s", "url": upstream.url, "routes": [route]}
    return {"services": [service], **more}


class TestWriting:
    """What the Admin API says to plugin entities."""

    @pytest_twisted.ensureDeferred
    async def test_a_name_that_is_not_loaded_is_refused(self, admin: Client) -> None:
        answer = await admin.post("/plugins", json={"name": "nope"})
        assert answer.status == 400
        assert answer.json["fields"] == {
            "name": "plugin 'nope' not enabled; add it to the 'plugins' configuration property"
        }

    @pytest_twisted.ensureDeferred
    async def test_there_is_no_ordering(self, admin: Client) -> None:
        answer = await admin.post("/plugins", json={"name": "cors", "ordering": {}})
        assert (answer.status, answer.json["fields"]) == (400, {"ordering": "unknown field"})

    @pytest_twisted.ensureDeferred
    async def test_a_name_is_configured_once_in_each_scope(
        self, gateway: GatewayUnderTest, admin: Client
    ) -> None:
        await gateway.add({"routes": [{"name": "r", "paths": ["/r"]}]})
        for path, status in (
            ("/plugins", 201),
            ("/plugins", 409),
            ("/routes/r/plugins", 201),
            ("/routes/r/plugins", 409),
        ):
            assert (await admin.post(path, json={"name": "cors"})).status == status

    @pytest_twisted.ensureDeferred
    async def test_authentication_is_not_for_one_consumer(
        self, gateway: GatewayUnderTest, admin: Client
    ) -> None:
        await gateway.add({"consumers": [{"username": "bob"}]})
        answer = await admin.post("/consumers/bob/plugins", json={"name": "key-auth"})
        assert answer.status == 400
        assert answer.json["fields"] == {"consumer": "value must be null"}

    @pytest_twisted.ensureDeferred
    async def test_an_instance_name_is_unique_and_a_key(self, admin: Client) -> None:
        named = {"name": "cors", "instance_name": "our-cors"}
        made = await admin.post("/plugins", json=named)
        assert made.status == 201
        found = await admin.get("/plugins/our-cors")
        assert found.json["id"] == made.json["id"]
        again = await admin.post("/plugins", json={**named, "name": "redirect", "config": {
            "location": "http://x"}})  # fmt: skip
        assert again.status == 409
        assert (await admin.delete("/plugins/our-cors")).status == 204

    @pytest_twisted.ensureDeferred
    async def test_a_plugin_shares_a_protocol_with_what_it_is_for(
        self, gateway: GatewayUnderTest, admin: Client
    ) -> None:
        await gateway.add(
            {
                "services": [
                    {
                        "name": "s",
                        "url": "http://127.0.0.1:1",
                        "routes": [{"name": "r", "paths": ["/"], "protocols": ["https"]}],
                    },
                    {"name": "alone", "url": "http://127.0.0.1:1"},
                ]
            }
        )
        http = {"name": "cors", "protocols": ["http", "grpc"]}
        answer = await admin.post("/routes/r/plugins", json=http)
        assert (answer.status, answer.json["fields"]["protocols"]) == (
            400, "must match the associated route's protocols",
        )  # fmt: skip
        answer = await admin.post("/services/s/plugins", json=http)
        assert (answer.status, answer.json["fields"]["protocols"]) == (
            400,
            "must match the protocols of at least one route pointing to this Plugin's service",
        )
        assert (await admin.post("/services/alone/plugins", json=http)).status == 201
        both = {"name": "cors", "protocols": ["http", "https"], "instance_name": "c"}
        assert (await admin.post("/routes/r/plugins", json=both)).status == 201
        answer = await admin.patch("/plugins/c", json={"protocols": ["http"]})
        assert answer.status == 400

    @pytest_twisted.ensureDeferred
    async def test_deprecated_fields_are_warned_of_in_the_log(self, admin: Client) -> None:
        old = {"name": "http-log", "config": {"http_endpoint": "http://x", "flush_timeout": 5}}
        with capturedLogs() as captured:
            assert (await admin.post("/plugins", json=old)).status == 201
        assert [
            each["message"] for each in captured if "deprecated" in each.get("message", "")
        ] == [
            "http-log: config.flush_timeout is deprecated, please use "
            "config.queue.max_coalescing_delay instead"
        ]

    @pytest_twisted.ensureDeferred
    async def test_deprecated_fields_of_declarative_configurations_are_warned_of(
        self, make_gateway: Make
    ) -> None:
        old = {"name": "http-log", "config": {"http_endpoint": "http://x", "flush_timeout": 5}}
        gateway = await make_gateway(database="off", lmdb_map_size="16m")
        with capturedLogs() as captured:
            document = {"_format_version": "3.0", "plugins": [old]}
            assert (await gateway.admin.post("/config", json=document)).status == 201
        (warning,) = [each["warning"] for each in captured if "deprecated" in str(each)]
        assert warning.startswith("http-log: config.flush_timeout is deprecated")


class TestChoosing:
    """Which configuration of a name a request meets."""

    @pytest_twisted.ensureDeferred
    async def test_the_most_specific_one_replaces_all_others(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        recorder = Recorder()
        gateway = await make_gateway(one_route(upstream), plugins=[recorder])
        store = gateway.store
        service = (await store["services"].select_by("name", "s"))["id"]
        route = (await store["routes"].select_by("name", "r"))["id"]
        scopes: list[dict[str, Any]] = [
            {},
            {"service": {"id": service}},
            {"route": {"id": route}},
            {"route": {"id": route}, "service": {"id": service}},
        ]
        made = []
        for number, scope in enumerate(scopes):
            made.append(await store["plugins"].insert(tagged(str(number), **scope)))
            recorder.seen.clear()
            await gateway.client.get("/r")
            assert [each for each in recorder.seen if ".access" in each] == [
                f"recorder.access({number})"
            ]
        await store["plugins"].update(made[-1]["id"], {"enabled": False})
        recorder.seen.clear()
        await gateway.client.get("/r")
        assert "recorder.access(2)" in recorder.seen

    @pytest_twisted.ensureDeferred
    async def test_a_consumers_configuration_counts_once_the_consumer_is_known(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        seen: list[str] = []
        before, after = Recorder("before", 2000, seen), Recorder("after", 500, seen)
        gateway = await make_gateway(
            one_route(
                upstream,
                {"name": "key-auth"},
                consumers=[{"username": "bob", "keyauth_credentials": [{"key": "k"}]}],
            ),
            plugins=[before, after],
        )
        bob = await gateway.store["consumers"].select_by("username", "bob")
        scope = {"consumer": {"id": bob["id"]}}
        for name in ("before", "after"):
            await gateway.store["plugins"].insert({"name": name, "config": {"tag": "all"}})
            await gateway.store["plugins"].insert({"name": name, "config": {"tag": "bob"}, **scope})
        answer = await gateway.client.get("/r", headers={"apikey": "k"})
        assert answer.status == 200
        assert [each for each in seen if "rewrite" not in each] == [
            "before.access(all)", "after.access(bob)",
            "before.header_filter(all)", "after.header_filter(bob)",
            "before.body_filter(all)", "after.body_filter(bob)",
            "before.log(all)", "after.log(bob)",
        ]  # fmt: skip

    @pytest_twisted.ensureDeferred
    async def test_the_anonymous_consumer_is_a_consumer(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        recorder = Recorder("recorder", 500)
        gateway = await make_gateway(
            one_route(
                upstream,
                {"name": "key-auth", "config": {"anonymous": "nobody"}},
                consumers=[{"username": "nobody", "plugins": [tagged("nobody")]}],
                plugins=[tagged("all")],
            ),
            plugins=[recorder],
        )
        await gateway.client.get("/r")
        assert "recorder.access(nobody)" in recorder.seen
        assert "recorder.rewrite(all)" in recorder.seen

    @pytest_twisted.ensureDeferred
    async def test_protocols_choose_the_subsystem_alone(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        recorder = Recorder()
        gateway = await make_gateway(
            one_route(upstream, plugins=[tagged("grpc", protocols=["grpc"])]), plugins=[recorder]
        )
        await gateway.client.get("/r")
        assert "recorder.access(grpc)" in recorder.seen

    @pytest_twisted.ensureDeferred
    async def test_a_plugin_goes_with_what_it_is_for(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        gateway = await make_gateway(one_route(upstream, tagged("r")), plugins=[Recorder()])
        route = await gateway.store["routes"].select_by("name", "r")
        await gateway.admin.delete(f"/routes/{route['id']}")
        assert [row async for row in gateway.store["plugins"].each()] == []


class TestPhases:
    """What runs when."""

    @pytest_twisted.ensureDeferred
    async def test_the_greater_priority_is_first_in_every_phase(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        seen: list[str] = []
        plugins = [Recorder("low", 1, seen), Recorder("high", 9, seen), Recorder("aaa", 9, seen)]
        gateway = await make_gateway(
            one_route(upstream, plugins=rows("low", "high", "aaa")), plugins=plugins
        )
        await gateway.client.get("/r")
        order = ("high", "aaa", "low")
        assert seen == [f"{name}.{phase}" for phase in PHASES for name in order]

    @pytest_twisted.ensureDeferred
    async def test_before_routing_there_are_global_plugins_alone(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        recorder = Recorder()
        gateway = await make_gateway(one_route(upstream, tagged("route")), plugins=[recorder])
        await gateway.client.get("/r")
        assert recorder.seen[0] == "recorder.access(route)"
        await gateway.store["plugins"].insert(tagged("global"))
        recorder.seen.clear()
        await gateway.client.get("/r")
        assert recorder.seen[:2] == ["recorder.rewrite(global)", "recorder.access(route)"]

    @pytest_twisted.ensureDeferred
    async def test_the_cores_headers_are_out_of_plugins_reach(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        recorder = Recorder()
        told: dict[str, Any] = {}

        def look(kong: Any) -> None:
            told.update(kong.response.get_headers())
            kong.response.clear_header("X-Kong-Proxy-Latency")
            kong.response.clear_header("Via")

        recorder.does["header_filter"] = look
        gateway = await make_gateway(one_route(upstream, tagged()), plugins=[recorder])
        answer = await gateway.client.get("/r")
        assert "content-type" in told
        for name in ("via", "x-kong-proxy-latency", "x-kong-upstream-latency", "x-kong-request-id"):
            assert name not in told
            assert answer.header(name) is not None

    @pytest_twisted.ensureDeferred
    async def test_workers_and_configurations_are_told_to_loaded_plugins(
        self, make_gateway: Make
    ) -> None:
        told: list[Any] = []

        class Told(Recorder):
            def init_worker(self, node: Any) -> None:
                told.append(("init_worker", node.worker_id))

            def configure(self, configs: Any) -> None:
                told.append([config["tag"] for config in configs])

        gateway = await make_gateway(plugins=[Told()])
        assert ("init_worker", 0) in told
        assert [each for each in told if isinstance(each, list)][-1] == []
        made = await gateway.admin.post("/plugins", json=tagged("x"))
        assert told[-1] == ["x"]
        await gateway.admin.patch(f"/plugins/{made.json['id']}", json={"enabled": False})
        assert told[-1] == []

    @pytest_twisted.ensureDeferred
    async def test_a_worker_starts_though_a_plugin_does_not(self, make_gateway: Make) -> None:
        class Broken(Recorder):
            def init_worker(self, node: Any) -> None:
                raise ZeroDivisionError

        with capturedLogs() as captured:
            gateway = await make_gateway(plugins=[Broken()])
        assert (await gateway.admin.get("/status")).status == 200
        assert any(each.get("plugin") == "recorder" for each in captured)

    @pytest_twisted.ensureDeferred
    async def test_a_plugin_sees_a_whole_response_before_it_is_sent(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        class Whole(Plugin):
            name = "whole"
            priority = 1
            subschema = Subschema({"config": record({})})

            def response(self, config: Any, kong: Any) -> None:
                body = kong.service.response.get_body()
                kong.response.exit(201, {"target": body["target"]})

        gateway = await make_gateway(one_route(upstream, {"name": "whole"}), plugins=[Whole])
        answer = await gateway.client.get("/r/x")
        assert (answer.status, answer.json) == (201, {"target": "/x"})


class TestShortCircuits:
    """Answers of plugins, and who sees them."""

    @pytest_twisted.ensureDeferred
    async def test_an_answer_in_access_keeps_others_from_access_alone(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        seen: list[str] = []
        first, last = Recorder("first", 9, seen), Recorder("last", 1, seen)
        first.does["access"] = lambda kong: kong.response.exit(418, {"a": 1}, {"X-A": "b"})
        gateway = await make_gateway(one_route(upstream, *rows("first", "last")), plugins=[
            first, last])  # fmt: skip
        answer = await gateway.client.get("/r")
        assert (answer.status, answer.json, answer.header("x-a")) == (418, {"a": 1}, "b")
        assert answer.header("content-type") == "application/json; charset=utf-8"
        assert answer.header("x-kong-response-latency") is not None
        assert seen == [
            "first.access",
            *(f"{name}.{phase}" for phase in PHASES[2:] for name in ("first", "last")),
        ]
        assert upstream.received == []

    @pytest_twisted.ensureDeferred
    async def test_an_answer_may_come_after_waiting(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        recorder = Recorder()

        async def wait(kong: Any) -> None:
            await deferLater(gateway.node.context.clock, 0, lambda: None)
            kong.response.error(403, "late")

        recorder.does["access"] = wait
        gateway = await make_gateway(one_route(upstream, tagged()), plugins=[recorder])
        answer = await gateway.client.get("/r")
        assert (answer.status, answer.json["message"]) == (403, "late")

    @pytest_twisted.ensureDeferred
    async def test_an_answer_in_rewrite_ends_everything_before_routing(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        seen: list[str] = []
        first, last = Recorder("first", 9, seen), Recorder("last", 1, seen)
        first.does["rewrite"] = lambda kong: kong.response.exit(200, "stop")
        gateway = await make_gateway(
            one_route(upstream, plugins=rows("first", "last")), plugins=[first, last]
        )
        assert (await gateway.client.get("/r")).text == "stop"
        assert seen == [
            "first.rewrite",
            *(f"{name}.{phase}" for phase in PHASES[2:] for name in ("first", "last")),
        ]

    @pytest_twisted.ensureDeferred
    async def test_an_answer_in_header_filter_replaces_the_upstreams(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        seen: list[str] = []
        first, last = Recorder("first", 9, seen), Recorder("last", 1, seen)
        first.does["header_filter"] = lambda kong: kong.response.exit(429, b"slow down")
        gateway = await make_gateway(one_route(upstream, *rows("first", "last")), plugins=[
            first, last])  # fmt: skip
        answer = await gateway.client.get("/r")
        assert (answer.status, answer.body) == (429, b"slow down")
        assert "last.header_filter" in seen
        assert len(upstream.received) == 1

    @pytest_twisted.ensureDeferred
    async def test_an_answer_in_header_filter_may_have_no_body(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        recorder = Recorder()
        recorder.does["header_filter"] = lambda kong: kong.response.exit(429, headers={"X-A": "1"})
        gateway = await make_gateway(one_route(upstream, tagged()), plugins=[recorder])
        answer = await gateway.client.get("/r")
        assert (answer.status, answer.body, answer.header("x-a")) == (429, b"", "1")

    @pytest_twisted.ensureDeferred
    async def test_an_answer_is_too_late_in_body_filter(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        recorder = Recorder()
        recorder.does["body_filter"] = lambda kong: kong.response.exit(500)
        gateway = await make_gateway(one_route(upstream, tagged()), plugins=[recorder])
        with capturedLogs() as captured:
            assert (await gateway.client.get("/r")).status == 200
        (failure,) = [each["log_failure"] for each in captured if "log_failure" in each]
        assert "kong.response.exit cannot be called in the body_filter phase" in str(failure.value)


class TestUnusable:
    """Rows that no iterator can be made of."""

    @pytest_twisted.ensureDeferred
    async def test_a_node_does_not_serve_without_a_plugin_that_is_configured(
        self, make_gateway: Make, upstream: Upstream, tmp_path: Path
    ) -> None:
        prefix = str(tmp_path / "node")
        first = await make_gateway(one_route(upstream, {"name": "key-auth"}), prefix=prefix)
        assert (await first.client.get("/r")).status == 401
        await first.stop(keep_prefix=True)
        with pytest.raises(PluginError, match="key-auth plugin is in use but not enabled"):
            await make_gateway(prefix=prefix, plugins="cors")

    @pytest_twisted.ensureDeferred
    async def test_what_was_in_force_stays_if_a_plugin_cannot_take_its_configuration(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        class Picky(Recorder):
            def prepare(self, config: Any) -> Any:
                if config["tag"] == "bad":
                    raise KeyError("tag")
                return {"tag": config["tag"] * 2}

        picky = Picky()
        gateway = await make_gateway(one_route(upstream, tagged("x")), plugins=[picky])
        await gateway.client.get("/r")
        assert picky.seen[0] == "recorder.access(xx)"
        with capturedLogs() as captured:
            await gateway.admin.post("/plugins", json=tagged("bad"))
            service = await gateway.store["services"].select_by("name", "s")
            more = {"paths": ["/more"], "service": {"id": service["id"]}}
            assert (await gateway.admin.post("/routes", json=more)).status == 201
        assert any("stay as they were" in (each["log_format"] or "") for each in captured)
        picky.seen.clear()
        assert (await gateway.client.get("/r")).status == 200
        assert "recorder.access(xx)" in picky.seen
        assert (await gateway.client.get("/more")).status == 200


class TestErrors:
    """Exceptions, and answers of the gateway itself."""

    @pytest_twisted.ensureDeferred
    @pytest.mark.parametrize("phase", ["rewrite", "access"])
    async def test_an_exception_is_a_500_that_tells_nothing(
        self, make_gateway: Make, upstream: Upstream, phase: str
    ) -> None:
        seen: list[str] = []
        first, last = Recorder("first", 9, seen), Recorder("last", 1, seen)

        def fail(kong: Any) -> None:
            raise RuntimeError("the secret reason")

        first.does[phase] = fail
        gateway = await make_gateway(
            one_route(upstream, plugins=rows("first", "last")), plugins=[first, last]
        )
        with capturedLogs() as captured:
            answer = await gateway.client.get("/r")
        assert (answer.status, answer.json["message"]) == (500, "An unexpected error occurred")
        assert b"secret" not in answer.body
        assert sorted(answer.json) == ["message", "request_id"]
        assert f"last.{phase}" not in seen
        assert "last.log" in seen
        assert [each["plugin"] for each in captured if "log_failure" in each] == ["first"]
        assert upstream.received == []

    @pytest_twisted.ensureDeferred
    @pytest.mark.parametrize("phase", ["header_filter", "body_filter", "log"])
    async def test_an_exception_later_harms_nobody_else(
        self, make_gateway: Make, upstream: Upstream, phase: str
    ) -> None:
        seen: list[str] = []
        first, last = Recorder("first", 9, seen), Recorder("last", 1, seen)
        first.does[phase] = lambda kong: 1 / 0
        gateway = await make_gateway(one_route(upstream, *rows("first", "last")), plugins=[
            first, last])  # fmt: skip
        with capturedLogs() as captured:
            assert (await gateway.client.get("/r")).status == 200
        assert f"last.{phase}" in seen
        assert [each["phase"] for each in captured if "log_failure" in each] == [phase]

    @pytest_twisted.ensureDeferred
    async def test_without_a_route_global_plugins_see_the_404(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        seen: list[str] = []
        everywhere, route = Recorder("everywhere", 9, seen), Recorder("route", 1, seen)
        gateway = await make_gateway(
            one_route(upstream, *rows("route"), plugins=rows("everywhere")),
            plugins=[everywhere, route],
        )
        answer = await gateway.client.get("/other")
        assert (answer.status, answer.json["message"]) == (404, NO_ROUTE)
        assert seen == [f"everywhere.{phase}" for phase in PHASES if phase != "access"]

    @pytest_twisted.ensureDeferred
    async def test_a_route_for_https_refuses_before_its_own_plugins_run(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        seen: list[str] = []
        routes: list[Any] = []
        everywhere, route = Recorder("everywhere", 9, seen), Recorder("route", 1, seen)
        everywhere.does["log"] = lambda kong: routes.append(kong.router.get_route()["name"])
        declared = one_route(upstream, *rows("route"), plugins=rows("everywhere"))
        declared["services"][0]["routes"][0]["protocols"] = ["https"]
        declared["services"][0]["routes"][0]["plugins"][0]["protocols"] = ["https"]
        gateway = await make_gateway(declared, plugins=[everywhere, route])
        answer = await gateway.client.get("/r")
        assert (answer.status, answer.json["message"]) == (426, "Please use HTTPS protocol")
        assert seen == [f"everywhere.{phase}" for phase in PHASES if phase != "access"]
        assert routes == ["r"]

    @pytest_twisted.ensureDeferred
    async def test_a_route_without_service_may_be_answered_by_plugins(
        self, make_gateway: Make
    ) -> None:
        recorder = Recorder()
        gateway = await make_gateway(one_route(None, tagged()), plugins=[recorder])
        answer = await gateway.client.get("/r")
        assert (answer.status, answer.json["message"]) == (
            503, "no Service found with those values",
        )  # fmt: skip
        assert recorder.seen == [f"recorder.{phase}" for phase in PHASES[1:]]
        recorder.does["access"] = lambda kong: kong.response.exit(200, "served here")
        assert (await gateway.client.get("/r")).text == "served here"

    @pytest_twisted.ensureDeferred
    async def test_plugins_see_that_the_upstream_could_not_be_reached(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        recorder = Recorder()
        sources: list[Any] = []
        recorder.does["log"] = lambda kong: sources.append(
            (kong.response.get_source(), kong.log.serialize()["source"])
        )
        gateway = await make_gateway(one_route(upstream, tagged()), plugins=[recorder])
        await gateway.client.get("/r")
        await upstream.stop()
        answer = await gateway.client.get("/r")
        assert (answer.status, answer.header("content-type")) == (
            502, "text/plain; charset=utf-8",
        )  # fmt: skip
        assert sources == [("service", "upstream"), ("error", "kong")]
        assert recorder.seen[-4:] == [f"recorder.{phase}" for phase in PHASES[1:]]

    @pytest_twisted.ensureDeferred
    async def test_the_upstreams_own_errors_pass_untouched(
        self, make_gateway: Make, upstream: Upstream
    ) -> None:
        upstream.answer = lambda _: Reply(503, b"its own", [("X-Its", "own")])
        gateway = await make_gateway(one_route(upstream, tagged()), plugins=[Recorder()])
        answer = await gateway.client.get("/r")
        assert (answer.status, answer.body, answer.header("x-its")) == (503, b"its own", "own")


def phrases() -> Schema:
    """Phrases of consumers."""
    return Schema(
        "phrases",
        {
            "id": t.uuid(),
            "created_at": t.auto_timestamp_s(),
            "consumer": foreign("consumers", required=True, on_delete="cascade"),
            "word": string(required=True, unique=True),
            "phrase": string(required=True),
        },
        endpoint_key="word",
        cache_key=["word"],
    )


class Phrases(Plugin):
    """Answers with what is said to a word; tells on the Admin API how often it has."""

    name = "phrases"
    priority = 1
    subschema = Subschema({"config": record({})})
    entities = (phrases(),)

    def __init__(self) -> None:
        self.loads = 0

    async def access(self, config: Any, kong: Any) -> None:
        word = kong.request.get_query_arg("word")
        found = kong.cache.get(f"phrases:{word}:::::", self.load, kong, word)
        row = await found if isinstance(found, Deferred) else found
        kong.response.exit(200, row["phrase"] if row else "nothing")

    async def load(self, kong: Any, word: str) -> Any:
        self.loads += 1
        return await kong.db["phrases"].select_by("word", word)

    def admin_endpoints(self, node: Any) -> Any:
        async def show(call: Any) -> Any:
            return 200, {"loads": self.loads, "word": call.parameter("word")}, {}

        return {"/phrases-told/{word}": {"GET": show}}


class TestEntities:
    """Entities and Admin API paths of a plugin's own."""

    @pytest_twisted.ensureDeferred
    async def test_they_are_stored_shown_cached_and_go_with_their_parents(
        self, make_gateway: Make, tmp_path: Path
    ) -> None:
        prefix = str(tmp_path / "node")
        before = await make_gateway(one_route(None), prefix=prefix)
        await before.stop(keep_prefix=True)

        plugin = Phrases()
        gateway = await make_gateway(prefix=prefix, plugins=[plugin])
        client, admin = gateway.client, gateway.admin
        assert (await admin.post("/routes/r/plugins", json={"name": "phrases"})).status == 201
        await admin.post("/consumers", json={"username": "bob"})
        for _ in range(2):
            assert (await client.get("/r?word=hi")).text == "nothing"
        made = await admin.post(
            "/consumers/bob/phrases", json={"word": "hi", "phrase": "hello yourself"}
        )
        assert made.status == 201
        for _ in range(2):
            assert (await client.get("/r?word=hi")).text == "hello yourself"
        await admin.patch("/phrases/hi", json={"phrase": "good day"})
        assert (await client.get("/r?word=hi")).text == "good day"
        assert (await admin.get("/phrases-told/hi")).json == {"loads": 3, "word": "hi"}
        again = await admin.post("/consumers/bob/phrases", json={"word": "hi", "phrase": "x"})
        assert again.status == 409
        assert (await admin.get("/schemas/phrases")).status == 200
        assert (await admin.delete("/consumers/bob")).status == 204
        assert (await admin.get("/phrases")).json["data"] == []
        assert (await client.get("/r?word=hi")).text == "nothing"


class Secret(Plugin):
    """Shows two of its settings; one may be a reference to a secret."""

    name = "secret"
    priority = 1
    subschema = Subschema(
        {"config": record({"open": string(), "hidden": string(referenceable=True)})}
    )

    def access(self, config: Any, kong: Any) -> None:
        kong.response.exit(200, {"open": config["open"], "hidden": config["hidden"]})


@pytest_twisted.ensureDeferred
async def test_a_plugin_says_where_to_try_next(make_gateway: Make, make_upstream: Any) -> None:
    dead, alive = await make_upstream(), await make_upstream()
    await dead.stop()
    host, port = alive.host_port.split(":")
    recorder = Recorder()
    recorder.does["access"] = lambda kong: kong.service.set_target_retry_callback(
        lambda: (host, int(port))
    )
    gateway = await make_gateway(one_route(dead, tagged()), plugins=[recorder])
    assert (await gateway.client.get("/r/x")).json["target"] == "/x"
    tries: list[Any] = []
    recorder.does["log"] = lambda kong: tries.extend(kong.raw.tries)
    recorder.does["access"] = lambda kong: kong.service.set_target_retry_callback(lambda: 1 / 0)
    with capturedLogs() as captured:
        assert (await gateway.client.get("/r/x")).status == 502
    assert len(tries) == 6
    assert any("retry callback failed" in (each["log_format"] or "") for each in captured)


class TestSecrets:
    """References to vaults in configurations."""

    @pytest_twisted.ensureDeferred
    async def test_a_vault_entity_gives_the_secret_and_a_change_of_it_counts(
        self, make_gateway: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ONE_KEY", "first")
        monkeypatch.setenv("TWO_KEY", "second")
        reference = "{vault://my-env/key}"
        config = {"open": reference, "hidden": reference}
        gateway = await make_gateway(
            one_route(
                None,
                {"name": "secret", "config": config},
                vaults=[{"name": "env", "prefix": "my-env", "config": {"prefix": "one_"}}],
            ),
            plugins=[Secret],
        )
        assert (await gateway.client.get("/r")).json == {"open": reference, "hidden": "first"}
        (row,) = (await gateway.admin.get("/plugins")).json["data"]
        assert row["config"] == config
        await gateway.admin.patch("/vaults/my-env", json={"config": {"prefix": "two_"}})
        assert (await gateway.client.get("/r")).json["hidden"] == "second"
        await gateway.admin.delete("/vaults/my-env")
        assert (await gateway.client.get("/r")).json["hidden"] == ""
