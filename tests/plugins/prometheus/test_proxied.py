"""prometheus, before a real upstream."""

from __future__ import annotations

import datetime
import os
from typing import Any

import pytest_twisted
import treq
from prometheus_client.parser import text_string_to_metric_families

from kongtx.tls.pairs import Pair
from tests.tls.kit import chain_pem, entity, issued, key_pem

SWITCHES = (
    *("per_consumer", "status_code_metrics", "latency_metrics", "bandwidth_metrics"),
    "upstream_health_metrics",
)
ALL = dict.fromkeys(SWITCHES, True)


async def metrics(url: str) -> dict[str, list[Any]]:
    response = await treq.get(f"{url}/metrics", persistent=False)
    assert response.code == 200
    content_type = response.headers.getRawHeaders("content-type")
    assert content_type == ["text/plain; charset=UTF-8"]
    text = (await response.content()).decode()
    return {each.name: each.samples for each in text_string_to_metric_families(text)}


@pytest_twisted.ensureDeferred
async def test_requests_with_a_route_are_counted(make_gateway: Any, upstream: Any) -> None:
    gateway = await make_gateway(
        {
            "upstreams": [{"name": "pool", "targets": [{"target": upstream.host_port}]}],
            "services": [
                {
                    "name": "s",
                    "host": "pool",
                    "routes": [{"name": "r", "paths": ["/r"], "plugins": [{"name": "key-auth"}]}],
                }
            ],
            "consumers": [{"username": "bob", "keyauth_credentials": [{"key": "k"}]}],
            "plugins": [{"name": "prometheus", "config": ALL}],
        }
    )
    for path, key in (("/r", "k"), ("/r", "k"), ("/r", "wrong"), ("/none", "k")):
        response = await treq.get(f"{gateway.url}{path}", headers={"apikey": key}, persistent=False)
        await response.content()
    for url in (gateway.admin_url, gateway.status_url):
        found = await metrics(url)
        requests = {
            (each.labels["code"], each.labels["source"], each.labels["consumer"]): each.value
            for each in found["kong_http_requests"]
        }
        assert requests == {("200", "service", "bob"): 2, ("401", "kong", ""): 1}
        sent = {each.labels["direction"] for each in found["kong_bandwidth_bytes"]}
        assert sent == {"ingress", "egress"}
        (count,) = [
            each for each in found["kong_request_latency_ms"] if each.name.endswith("_count")
        ]
        assert count.value == 3
        (own,) = [each for each in found["kong_kong_latency_ms"] if each.name.endswith("_count")]
        assert own.value == 3
        health = {each.labels["state"]: each.value for each in found["kong_upstream_target_health"]}
        assert health == {"healthchecks_off": 1, "healthy": 0, "unhealthy": 0, "dns_error": 0}
        assert found["kong_datastore_reachable"][0].value == 1
        assert found["kong_nginx_requests_total"][0].value == 4


@pytest_twisted.ensureDeferred
async def test_without_a_configuration_only_the_node_is_shown(make_gateway: Any) -> None:
    gateway = await make_gateway()
    found = await metrics(gateway.status_url)
    assert sorted(found) == [
        "kong_certificate_expiry_timestamp_seconds",
        "kong_datastore_reachable",
        "kong_memory_lua_shared_dict_bytes",
        "kong_memory_lua_shared_dict_total_bytes",
        "kong_memory_workers_lua_vms_bytes",
        "kong_nginx_connections_total",
        "kong_nginx_requests_total",
        "kong_nginx_timers",
        "kong_node_info",
    ]
    assert found["kong_node_info"][0].labels["version"] == "3.9.1"
    (memory,) = found["kong_memory_workers_lua_vms_bytes"]
    assert memory.labels["pid"] == str(os.getpid())
    assert memory.value > 10 * 1024 * 1024
    timers = {each.labels["state"]: each.value for each in found["kong_nginx_timers"]}
    assert timers["running"] == 0
    assert timers["pending"] > 0


@pytest_twisted.ensureDeferred
async def test_a_switch_that_is_off_costs_no_metric(make_gateway: Any, upstream: Any) -> None:
    gateway = await make_gateway(
        {
            "services": [{"name": "s", "url": upstream.url, "routes": [{"paths": ["/"]}]}],
            "plugins": [{"name": "prometheus"}],
        }
    )
    await treq.content(await treq.get(f"{gateway.url}/", persistent=False))
    found = await metrics(gateway.status_url)
    assert found["kong_http_requests"] == []
    assert "kong_upstream_target_health" not in found


@pytest_twisted.ensureDeferred
async def test_the_end_of_each_certificate_is_shown(make_gateway: Any) -> None:
    end = datetime.datetime(2040, 1, 2, tzinfo=datetime.UTC)
    key = "00000000-0000-4000-8000-00000000000a"
    leaf = issued("a.test", common_name="whose", not_after=end)
    gateway = await make_gateway(
        {"certificates": [{**entity(leaf, "a.test"), "id": key}]},
        proxy_listen="127.0.0.1:0 ssl",
    )
    plain = issued("b.test", not_after=end + datetime.timedelta(days=1))
    gateway.node.listener_tls.show("b.test", Pair(chain_pem(plain), key_pem(plain)))
    found = await metrics(gateway.status_url)
    samples = {
        (each.labels["source"], each.labels["id"], each.labels["subject"]): each.value
        for each in found["kong_certificate_expiry_timestamp_seconds"]
    }
    made = samples.pop(("configuration", "ssl_cert", "localhost"))
    assert made > datetime.datetime.now(datetime.UTC).timestamp()
    assert samples == {
        ("certificates", key, "whose"): end.timestamp(),
        ("plugin", "b.test", "b.test"): end.timestamp() + 86400,
    }
