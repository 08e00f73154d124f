"""prometheus: metrics of requests and of the node, for Prometheus to fetch at C{/metrics}."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.task import deferLater

from kongtx._version import KONG_VERSION
from kongtx.lib.memory import resident_bytes
from kongtx.pdk.kong import Kong
from kongtx.pdk.node import Node
from kongtx.plugins.base import Plugin
from kongtx.plugins.prometheus.metrics import Counts, RequestMetrics, gauge, merged, render
from kongtx.plugins.prometheus.schema import subschema
from kongtx.tls.expiry import validity_of

_CONTENT_TYPE = "text/plain; charset=UTF-8"
#: The name under which workers give each other their counts.
_COLLECT = "prometheus.counts"
#: Certificates that are looked at before others have their turn.
_READ_AT_ONCE = 200
_STATES = ("accepted", "handled", "active", "reading", "writing", "waiting")
_HEALTHS = ("healthchecks_off", "healthy", "unhealthy", "dns_error")


class Prometheus(Plugin):
    """Counts requests, and shows the counts of all workers together."""

    name = "prometheus"
    priority = 13
    subschema = subschema()

    def __init__(self) -> None:
        self._configs: Sequence[Mapping[str, Any]] = ()

    def init_worker(self, node: Node) -> None:
        """Begin to count; the other workers may ask."""
        metrics = node.shared[RequestMetrics] = RequestMetrics()

        def counts(_data: Any, _peer: Any = None) -> dict[str, Any]:
            return {
                "counts": metrics.counts(),
                "statistics": dict(node.statistics()),
                "pid": os.getpid(),
                "resident": resident_bytes(),
                "timers": len(node.clock.getDelayedCalls()),
            }

        node.bus.serve(_COLLECT, counts)  # type: ignore[attr-defined]

    def configure(self, configs: Sequence[Mapping[str, Any]]) -> None:
        """Remember which configurations are in force."""
        self._configs = configs

    def log(self, config: Mapping[str, Any], kong: Kong) -> None:
        """Count a request that had a route."""
        request = kong.raw
        route, service = request.route, request.service
        if route is None:
            return
        metrics: RequestMetrics = kong.node.shared[RequestMetrics]
        service_name = (service["name"] or service["host"]) if service else ""
        route_name = route["name"] or route["id"]
        consumer = ""
        if config["per_consumer"] and request.consumer is not None:
            consumer = request.consumer["username"] or ""
        if config["status_code_metrics"]:
            source = "service" if request.response_source == "service" else "kong"
            metrics.count_request(service_name, route_name, request.status, source, consumer)
        if config["latency_metrics"]:
            metrics.count_latencies(
                service_name,
                route_name,
                request.proxy_latency_ms,
                request.upstream_latency_ms,
                request.total_ms,
            )
        if config["bandwidth_metrics"]:
            metrics.count_bytes(
                service_name, route_name, consumer, request.request_size, request.response_size
            )

    def admin_endpoints(self, node: Node) -> Mapping[str, Any]:
        """C{GET /metrics} of the Admin API."""

        async def metrics(_call: Any) -> tuple[int, bytes, Mapping[str, str]]:
            return 200, await self.collect(node), {"Content-Type": _CONTENT_TYPE}

        return {"/metrics": {"GET": metrics}}

    status_endpoints = admin_endpoints

    async def collect(self, node: Node) -> bytes:
        """All metrics of the node, in Prometheus' text format."""
        gathered = await node.bus.gather(_COLLECT)  # type: ignore[attr-defined]
        answers = [each["answer"] for each in gathered]
        statistics: dict[str, int] = {}
        for answer in answers:
            for name, value in answer["statistics"].items():
                statistics[name] = statistics.get(name, 0) + value
        counts = {**_node_gauges(node, statistics), **_worker_gauges(node, answers)}
        counts.update(await _datastore(node))
        counts.update(await _certificates(node))
        if self._configs:
            counts.update(merged(answer["counts"] for answer in answers))
            counts["kong_nginx_metric_errors"] = [
                "counter",
                "Metrics that could not be counted",
                [["kong_nginx_metric_errors_total", {}, 0]],
            ]
        if any(config["upstream_health_metrics"] for config in self._configs):
            counts.update(_health(node))
        return render(counts)


def _node_gauges(node: Node, statistics: Mapping[str, int]) -> Counts:
    where = {"node_id": node.node_id, "subsystem": "http"}
    total = statistics.get("total_requests", 0)
    connections = [
        ({**where, "state": state}, statistics.get(f"connections_{state}", 0)) for state in _STATES
    ]
    shared = node.memory.statistics()
    shared_where = {
        "node_id": node.node_id,
        "shared_dict": "kong_db_cache",
        "kong_subsystem": "http",
    }
    return {
        **gauge(
            "kong_nginx_connections_total",
            "Connections by state",
            [*connections, ({**where, "state": "total"}, total)],
        ),
        **gauge("kong_nginx_requests_total", "Requests received", [(where, total)]),
        **gauge(
            "kong_node_info",
            "The node, by its labels",
            [({"node_id": node.node_id, "version": KONG_VERSION}, 1)],
        ),
        **gauge(
            "kong_memory_lua_shared_dict_bytes",
            "Bytes in use of memory that workers share",
            [(shared_where, shared["used"])],
        ),
        **gauge(
            "kong_memory_lua_shared_dict_total_bytes",
            "Bytes of memory that workers share",
            [(shared_where, shared["capacity"])],
        ),
    }


def _worker_gauges(node: Node, answers: Sequence[Mapping[str, Any]]) -> Counts:
    workers = [
        (
            {"node_id": node.node_id, "pid": str(answer["pid"]), "kong_subsystem": "http"},
            answer["resident"],
        )
        for answer in answers
    ]
    # A worker does one thing at a time, and now it answers: none of its timers is running.
    timers = [
        ({"state": "running"}, 0),
        ({"state": "pending"}, sum(answer["timers"] for answer in answers)),
    ]
    return {
        **gauge("kong_memory_workers_lua_vms_bytes", "Memory of each worker, in bytes", workers),
        **gauge("kong_nginx_timers", "Things that workers have put off", timers),
    }


async def _datastore(node: Node) -> Counts:
    try:
        await node.store.primary.ping()
        reachable = 1
    except Exception:  # whatever keeps the database from answering, it is not reachable
        reachable = 0
    return gauge("kong_datastore_reachable", "Whether the database answers", [({}, reachable)])


async def _certificates(node: Node) -> Counts:
    ends: dict[tuple[str, str, str], float] = {}
    for number, each in enumerate(node.certificates_in_use(), 1):
        validity = validity_of(each.chain)
        if validity is not None:
            # Of the two that one entity may have, the first to end counts.
            key = each.source, each.id, validity.subject
            end = validity.end.timestamp()
            ends[key] = min(end, ends.get(key, end))
        if number % _READ_AT_ONCE == 0:
            await deferLater(node.clock, 0)
    labels = ("source", "id", "subject")
    return gauge(
        "kong_certificate_expiry_timestamp_seconds",
        "When certificates end to be valid, in seconds since 1970",
        [(dict(zip(labels, key, strict=True)), end) for key, end in ends.items()],
    )


def _health(node: Node) -> Counts:
    samples: list[tuple[dict[str, str], float]] = []
    for upstream, targets in node.upstream_health():
        for target in targets:
            data = target.get("data")
            addresses = [
                (f"{each['ip']}:{each['port']}", each["health"].lower())
                for each in (data["addresses"] if data else ())
            ]
            for address, state in addresses or [("", target["health"].lower())]:
                for each in _HEALTHS:
                    labels = {
                        "upstream": upstream,
                        "target": target["target"],
                        "address": address,
                        "state": each,
                        "subsystem": "http",
                    }
                    samples.append((labels, float(each == state)))
    return gauge("kong_upstream_target_health", "The health of targets, by state", samples)
