"""Log lines and log entries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.logger import capturedLogs

from kongtx.lib.loglevel import LEVEL_KEY, Level
from kongtx.pdk.entry import add_value
from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.kong import kong_of
from kongtx.testing.node import make_node
from kongtx.testing.request import FakeRequest

ATTEMPT = SimpleNamespace(
    started=1_700_000_000.5, balancer_ms=2, address="10.0.0.1", port=80, state="", code=0
)


def proxied(**attributes: Any) -> FakeRequest:
    return FakeRequest(
        **{
            "phase": "log",
            "method": b"POST",
            "target": b"/a?x=1&y",
            "headers": [(b"authorization", b"Basic secret"), (b"x-a", b"1")],
            "route": {"id": "r"},
            "service": {"id": "s"},
            "upstream_path": b"/up",
            "upstream_status": 200,
            "tries": [ATTEMPT],
            "status": 200,
            "response_headers": [(b"Content-Type", b"text/plain")],
            "response_size": 120,
            "request_size": 80,
            "total_ms": 9,
            "proxy_latency_ms": 2,
            "upstream_latency_ms": 6,
            "receive_ms": 1,
            **attributes,
        }
    )


def test_the_entry_of_a_proxied_request() -> None:
    entry = kong_of(proxied(), make_node()).log.serialize()
    assert entry == {
        "request": {
            "id": "0123456789abcdef0123456789abcdef",
            "uri": "/a?x=1&y",
            "url": "http://example.com:8000/a?x=1&y",
            "querystring": {"x": "1", "y": True},
            "method": "POST",
            "headers": {"authorization": "REDACTED", "x-a": "1"},
            "size": 80,
        },
        "upstream_uri": "/up?x=1&y",
        "upstream_status": "200",
        "response": {"status": 200, "headers": {"content-type": "text/plain"}, "size": 120},
        "latencies": {"request": 9, "kong": 2, "proxy": 6, "receive": 1},
        "tries": [
            {
                "balancer_start": 1_700_000_000_500,
                "balancer_start_ns": 1_700_000_000_500_000_000,
                "balancer_latency": 2,
                "balancer_latency_ns": 2_000_000,
                "ip": "10.0.0.1",
                "port": 80,
            }
        ],
        "route": {"id": "r"},
        "service": {"id": "s"},
        "client_ip": "127.0.0.1",
        "started_at": 1_700_000_000_000,
        "source": "upstream",
        "workspace": "0dc6f45b-8f8d-40d2-a504-473544ee190b",
        "workspace_name": "default",
    }


def test_the_entry_of_a_request_that_a_plugin_answered() -> None:
    request = FakeRequest(
        phase="log",
        status=401,
        response_source="exit",
        consumer={"id": "c"},
        credential={"id": "k"},
    )
    entry = kong_of(request, make_node()).log.serialize()
    assert entry["source"] == "kong"
    assert (entry["upstream_uri"], entry["upstream_status"]) == ("", "")
    assert entry["latencies"]["proxy"] == -1
    assert entry["consumer"] == {"id": "c"}
    assert entry["authenticated_entity"] == {"id": "k"}
    assert not {"tries", "route", "service"} & set(entry)


def test_a_credential_that_names_its_consumer_is_told_with_it() -> None:
    session = {"id": "s", "consumer_id": "c", "secret": "never told"}
    entry = kong_of(FakeRequest(phase="log", credential=session), make_node()).log.serialize()
    assert entry["authenticated_entity"] == {"id": "s", "consumer_id": "c"}


def test_failed_attempts_are_told() -> None:
    failed = SimpleNamespace(**{**vars(ATTEMPT), "state": "next", "code": 502})
    entry = kong_of(proxied(tries=[failed, ATTEMPT]), make_node()).log.serialize()
    assert entry["upstream_status"] == "502, 200"
    assert [(t.get("state"), t.get("code")) for t in entry["tries"]] == [
        ("next", 502),
        (None, None),
    ]


def test_values_of_plugins_are_in_the_entry() -> None:
    request = FakeRequest(phase="access")
    kong = kong_of(request, make_node())
    kong.log.set_serialize_value("mine.deep", {"a": 1})
    kong.log.set_serialize_value("mine.deep.b", "2")
    kong.log.set_serialize_value("request.method", "OTHER", mode="add")
    kong.log.set_serialize_value("absent", "x", mode="replace")
    kong.log.set_serialize_value("source", None)
    kong.log.new("part").set_serialize_value("part", 3)
    request.phase = "log"
    entry = kong.log.serialize()
    assert entry["mine"] == {"deep": {"a": 1, "b": "2"}}
    assert entry["part"] == 3
    assert entry["request"]["method"] == "GET"
    assert not {"absent", "source"} & set(entry)


def test_a_value_below_something_that_is_no_object_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"'a' in 'a\.b' is 1, not an object"):
        add_value({"a": 1}, "a.b", 2, "set")


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": [1]}])
def test_values_that_no_entry_can_hold_are_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match="value must be nil, a number, string, boolean"):
        kong_of(FakeRequest(), make_node()).log.set_serialize_value("k", value)


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(ArgumentError, match="non-self-referencial"):
        kong_of(FakeRequest(), make_node()).log.set_serialize_value("k", loop)
    with pytest.raises(ArgumentError, match="must be 'set', 'add' or 'replace'"):
        kong_of(FakeRequest(), make_node()).log.set_serialize_value("k", 1, mode="merge")


def test_lines_are_in_the_running_plugins_name_with_level_and_request() -> None:
    kong = kong_of(FakeRequest(), make_node())
    kong.row = {"name": "mine"}
    with capturedLogs() as captured:
        kong.log("one {x}", x=1)
        kong.log.err("two")
        kong.row = {"name": "other"}
        kong.log.deprecation("old", after="1.0", removal="2.0")
    assert [(e["plugin"], e[LEVEL_KEY], e["request_id"][:4]) for e in captured] == [
        ("mine", Level.NOTICE, "0123"),
        ("mine", Level.ERROR, "0123"),
        ("other", Level.WARN, "0123"),
    ]
    assert captured[0]["log_format"].format(**captured[0]) == "one 1"
    assert captured[2]["message"] == "old (deprecated after 1.0, removed in 2.0)"
