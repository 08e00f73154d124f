"""What plugins see of the node, its cluster and its addresses."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from twisted.logger import capturedLogs

from kongtx.conf.errors import VaultError
from kongtx.pdk.errors import ArgumentError, PhaseError
from kongtx.pdk.kong import Kong, kong_of
from kongtx.pdk.node import Node
from kongtx.pdk.tracing import ERROR, NO_SPAN, SERVER, Span, sampled
from kongtx.testing.node import make_node
from kongtx.testing.request import FakeRequest


class Memory:
    def statistics(self) -> dict[str, int]:
        return {"used": 512 * 1024, "capacity": 3 * 1024 * 1024}


def kong(node: Node | None = None, phase: str = "access", **conf: Any) -> Kong:
    return kong_of(FakeRequest(phase=phase), node or make_node(configuration=conf))


class TestNode:
    def test_who_it_is(self) -> None:
        node = kong(make_node(cluster_id="c", hostname="h")).node
        assert node.get_id() == "4b1b701d-de2b-4588-9aa2-3b97061d9f52"
        assert node.get_hostname() == "h"
        assert kong(make_node(cluster_id="c")).cluster.get_id() == "c"
        assert kong().cluster.get_id() is None

    def test_memory(self) -> None:
        node = make_node(memory=Memory())  # type: ignore[arg-type]
        told = node.get_memory_stats()
        (worker,) = told["workers_lua_vms"]
        assert worker["pid"] == os.getpid()
        assert worker["http_allocated_gc"] > 1024 * 1024
        assert told["lua_shared_dicts"]["kong_db_cache"]["allocated_slabs"] == 524288
        shown = node.get_memory_stats("M", 1)["lua_shared_dicts"]["kong_db_cache"]
        assert shown == {"allocated_slabs": "0.5 MiB", "capacity": "3.0 MiB"}
        for wrong in (("x", 1), ("k", -1)):
            with pytest.raises(ArgumentError):
                node.get_memory_stats(*wrong)

    def test_addresses_and_counts(self) -> None:
        node = make_node(
            is_trusted=lambda address: address == "10.0.0.1",
            statistics=lambda: {"total_requests": 3},
        )
        assert kong(node).ip.is_trusted("10.0.0.1") is True
        assert kong(node).ip.is_trusted("10.0.0.2") is False
        assert kong(node).nginx.get_subsystem() == "http"
        assert kong(node).nginx.get_statistics() == {"total_requests": 3}

    def test_tables(self) -> None:
        first = {"a": 1, "b": {"x": 1}}
        assert kong().table.merge(first, {"b": 2}) == {"a": 1, "b": 2}
        assert kong().table.merge(None, None) == {}
        assert first == {"a": 1, "b": {"x": 1}}

    def test_there_is_no_websocket_part_as_in_kong(self) -> None:
        assert not hasattr(kong(), "websocket")


class TestVault:
    def test_references(self) -> None:
        vault = kong().vault
        assert vault.is_reference("{vault://env/key}") is True
        assert vault.is_reference("vault://env/key") is False
        parsed = vault.parse_reference("{vault://env/cert/key?prefix=SSL_#1}")
        assert (parsed.vault, parsed.resource, parsed.key) == ("env", "cert", "key")
        assert (dict(parsed.options), parsed.version) == ({"prefix": "SSL_"}, 1)
        with pytest.raises(VaultError):
            vault.parse_reference("{vault://env}")

    def test_options_are_resolved_in_place(self) -> None:
        node = make_node(resolve_vault=lambda reference: reference[13:-1])
        options = {"a": "{vault://env/one}", "b": {"c": "{vault://env/two}"}, "d": 1}
        assert kong(node).vault.update(options) is options
        assert options == {"a": "one", "b": {"c": "two"}, "d": 1}
        assert kong(node).vault.get("{vault://env/x}") == "x"

    def test_warming_up_asks_for_every_secret_and_changes_nothing(self) -> None:
        asked: list[str] = []

        def resolve(reference: str) -> str:
            asked.append(reference)
            return "secret"

        options = {"a": "{vault://env/one}", "b": {"c": "{vault://env/two}"}, "d": 1}
        kong(make_node(resolve_vault=resolve)).vault.warmup(options)
        assert sorted(asked) == ["{vault://env/one}", "{vault://env/two}"]
        assert options["b"] == {"c": "{vault://env/two}"}

    def test_a_call_is_tried_again_with_a_secret_that_has_changed(self) -> None:
        secrets = ["old"]
        node = make_node(resolve_vault=lambda reference: secrets[-1])
        seen: list[Any] = []

        def login(options: dict[str, Any]) -> str:
            seen.append(options["redis"]["password"])
            if options["redis"]["password"] == "old":
                secrets.append("new")
                raise ConnectionError
            return "in"

        options = {"redis": {"password": "{vault://env/p}"}}
        assert kong(node).vault.try_(login, options) == "in"
        assert seen == ["old", "new"]
        assert options == {"redis": {"password": "{vault://env/p}"}}

    def test_a_call_that_fails_otherwise_is_not_tried_again(self) -> None:
        node = make_node(resolve_vault=lambda reference: "same")
        calls: list[Any] = []

        def fail(options: dict[str, Any]) -> None:
            calls.append(options)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            kong(node).vault.try_(fail, {"p": "{vault://env/p}"})
        assert calls == [{"p": "same"}]


ON = {"tracing_instrumentations": ("db_query",), "tracing_sampling_rate": 1.0}


class TestTracing:
    def test_nothing_is_kept_while_it_is_off(self) -> None:
        one = kong(phase="log", tracing_instrumentations=("off",))
        span = one.tracing.start_span("x")
        assert span is NO_SPAN
        assert span.is_recording is False
        assert (span.name, span.trace_id, span.should_sample) == ("", b"", False)
        span.set_attribute("a", 1)
        span.add_event("e")
        span.record_error("e")
        span.set_status(ERROR)
        span.finish()
        assert (span.attributes, span.events, span.status) == ({}, [], 0)
        one.tracing.set_active_span(span)
        assert one.tracing.active_span() is None
        seen: list[Span] = []
        one.tracing.process_span(seen.append)
        assert seen == []

    def test_spans_are_part_of_the_active_one(self) -> None:
        one = kong(phase="access", **ON)
        root = one.tracing.start_span("request", span_kind=SERVER, start_time_ns=5)
        one.tracing.set_active_span(root)
        part = one.tracing.start_span("query", attributes={"db": "x"})
        assert (part.parent_id, part.trace_id) == (root.span_id, root.trace_id)
        assert (len(root.trace_id), len(root.span_id), root.parent_id) == (16, 8, None)
        one.tracing.set_active_span(part)
        part.finish()
        assert one.tracing.active_span() is root
        root.finish(9)
        root.finish(11)
        assert (root.start_time_ns, root.end_time_ns, root.kind) == (5, 9, SERVER)
        assert one.tracing.active_span() is None
        one.raw.phase = "log"
        names: list[str] = []
        one.tracing.process_span(lambda span, end: names.append(span.name + end), "!")
        assert names == ["request!", "query!"]

    @pytest.mark.parametrize("word", ["all", "request"])
    def test_the_whole_request_is_a_span_if_it_is_asked_for(self, word: str) -> None:
        node = make_node(configuration={**ON, "tracing_instrumentations": (word,)})
        request = FakeRequest(method=b"POST", target=b"/a?b", host=b"h", route={"id": "r"})
        tracing = kong_of(request, node).tracing
        root = tracing.active_span()
        part = tracing.start_span("part")
        request.phase, request.status, request.total_ms = "log", 502, 7
        seen: list[Span] = []
        tracing.process_span(seen.append)
        tracing.process_span(seen.append)
        assert seen == [root, part] * 2
        assert part.parent is root
        assert (root.name, root.kind, root.status) == ("kong", SERVER, ERROR)
        assert root.start_time_ns == 1_700_000_000 * 10**9
        assert root.end_time_ns == root.start_time_ns + 7_000_000
        assert root.attributes["http.url"] == "http://h/a?b"
        assert root.attributes["http.method"] == "POST"
        assert root.attributes["http.status_code"] == 502
        assert root.attributes["http.route"] == "r"

    def test_what_a_span_says(self) -> None:
        span = kong(**ON).tracing.start_span("x")
        span.set_attribute("a", [1])
        span.set_attribute("b", 2)
        span.set_attribute("b", None)
        span.add_event("e", {"k": "v"}, 7)
        span.record_error(ZeroDivisionError("no"))
        span.set_status(ERROR)
        assert (span.attributes, span.status) == ({"a": [1]}, ERROR)
        assert span.events[0] == ("e", {"k": "v"}, 7)
        assert span.events[1][:2] == ("exception", {"exception.message": "no"})
        assert abs(span.events[1][2] - time.time_ns()) < 10**9

    def test_what_makes_no_sense_is_refused(self) -> None:
        tracing = kong(**ON).tracing
        with pytest.raises(ArgumentError, match="needs a name"):
            tracing.start_span("")
        span = tracing.start_span("x", start_time_ns=5)
        with pytest.raises(ArgumentError, match="before its start"):
            span.finish(4)
        with pytest.raises(ArgumentError, match="0, 1 or 2"):
            span.set_status(3)
        with pytest.raises(ArgumentError, match="must be text"):
            span.set_attribute("a", object())  # type: ignore[arg-type]
        with pytest.raises(PhaseError, match="it can in: log"):
            tracing.process_span(print)

    def test_sampling(self) -> None:
        low, high = bytes(16), b"\xff" * 16
        assert sampled(low, 0.0) is False
        assert sampled(low, 0.01) is True
        assert sampled(high, 0.99) is False
        assert sampled(high, 1.0) is True
        tracing = kong(**ON).tracing
        assert tracing.get_sampling_decision(None, None) is False
        span = tracing.start_span("x", trace_id=high)
        part = tracing.start_span("y", parent=span)
        assert span.should_sample is part.should_sample is True
        assert tracing.get_sampling_decision(None, None) is True
        assert tracing.get_sampling_decision(None, 0.5) is False
        assert tracing.get_sampling_decision(False, 1.0) is False
        assert tracing.get_sampling_decision(True, 1.0) is True
        tracing.set_should_sample(False)
        assert span.should_sample is part.should_sample is False

    def test_a_plugin_has_a_tracer_of_its_own_if_it_wants(self) -> None:
        one = kong(tracing_instrumentations=("off",))
        mine = one.tracing.new("mine", 0.0)
        assert one.tracing.new("mine") is mine
        assert mine.start_span("x").should_sample is False
        one.raw.phase = "log"
        seen: list[str] = []
        mine.process_span(lambda span: seen.append(span.name))
        one.tracing.process_span(lambda span: seen.append("never"))
        assert seen == ["x"]


class TestTelemetry:
    def test_records_are_kept_for_an_exporter(self) -> None:
        node = make_node()
        one = kong_of(FakeRequest(), node)
        one.row = {"id": "p", "name": "mine", "instance_name": "m"}
        assert one.telemetry.log("mine", {}, "result", "done") is False
        node.telemetry.enabled = True
        assert one.telemetry.log("mine", {}, "result", "done", {"a": 1}) is True
        (record,) = node.telemetry.take()
        assert record.message == "done"
        assert record.attributes == {
            "a": 1, "message.type": "result", "plugin.name": "mine", "plugin.id": "p",
            "plugin.instance.name": "m",
        }  # fmt: skip
        assert record.request_id == one.raw.request_id.decode()
        assert list(node.telemetry.take()) == []

    def test_what_nobody_takes_is_dropped_in_the_end(self) -> None:
        node = make_node()
        node.telemetry.enabled = True
        one = kong_of(FakeRequest(), node)
        for number in range(1001):
            one.telemetry.log("mine", {}, "n", str(number))
        taken = [record.message for record in node.telemetry.take()]
        assert (len(taken), taken[0], taken[-1]) == (1000, "1", "1000")

    def test_arguments_are_checked(self) -> None:
        with pytest.raises(ArgumentError, match="plugin_config None: must be a Mapping"):
            kong().telemetry.log("mine", None, "result")  # type: ignore[arg-type]


class TestLog:
    def test_a_format_is_for_the_plugin_that_set_it(self) -> None:
        one = kong()
        one.row = {"id": "1", "name": "mine"}
        one.log.set_format("%namespace in %func_name, %file_src: %message")
        with capturedLogs() as captured:
            one.log.info("count {n}", n=1)
            one.log.new("other").info("count {n}", n=2)
            one.row = {"id": "2", "name": "another"}
            one.log.info("count {n}", n=3)
        assert [each["log_format"] for each in captured] == ["{message}", "count {n}", "count {n}"]
        assert captured[0]["message"] == (
            "mine in test_a_format_is_for_the_plugin_that_set_it, test_facts.py: count 1"
        )
        assert [each["plugin"] for each in captured] == ["mine", "other", "another"]

    def test_inspecting_can_be_switched_off(self) -> None:
        one = kong()
        one.row = {"id": "1", "name": "inspecting"}
        with capturedLogs() as captured:
            one.log.inspect.off()
            one.log.inspect({"a": 1})
            one.log.inspect.on()
            one.log.inspect({"a": 1}, "b")
        assert [each["values"] for each in captured] == ["{'a': 1}, 'b'"]

    def test_a_plugins_fields_may_have_any_name(self) -> None:
        one = kong()
        one.row = {"id": "1", "name": "mine"}
        with capturedLogs() as captured:
            one.log.warn("{n} of {request_id}", n=1, request_id="x", plugin="y")
        assert (captured[0]["n"], captured[0]["plugin"]) == (1, "mine")
        assert captured[0]["request_id"] == one.raw.request_id.decode()

    def test_names_and_formats_are_not_empty(self) -> None:
        with pytest.raises(ArgumentError):
            kong().log.new("")
        with pytest.raises(ArgumentError):
            kong().log.set_format("")
