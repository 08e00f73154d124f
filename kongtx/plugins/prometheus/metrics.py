"""What is counted of requests in one worker, and the sums over several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]

#: Upper ends in milliseconds: of the gateway's own time, and of times that upstreams have part in.
OWN_BUCKETS = (1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000)
UPSTREAM_BUCKETS = (*(25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000),)

#: A worker's or a node's counts, as what JSON can hold: by metric its type, its help and samples.
Counts = dict[str, Any]

_BANDWIDTH = b"kong_bandwidth_bytes"
_WHOLE = re.compile(rb'le="(\d+)\.0"')


class RequestMetrics:
    """The metrics of requests, each with the labels that Kong gives it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        place = ("service", "route", "workspace")
        self._requests = Counter(
            "kong_http_requests",
            "Requests by status code, for each consumer, service and route",
            ("service", "route", "code", "source", "workspace", "consumer"),
            registry=self.registry,
        )
        self._bandwidth = Counter(
            "kong_bandwidth_bytes",
            "Bytes received and sent, for each consumer, service and route",
            ("service", "route", "direction", "workspace", "consumer"),
            registry=self.registry,
        )
        self._kong_latency = self._histogram(
            "kong_kong_latency_ms", "Time that the gateway added to requests", place, OWN_BUCKETS
        )
        self._upstream_latency = self._histogram(
            "kong_upstream_latency_ms",
            "Time that upstreams took until their response began",
            place,
            UPSTREAM_BUCKETS,
        )
        self._request_latency = self._histogram(
            "kong_request_latency_ms",
            "Time from a request's first byte to its response's last",
            place,
            UPSTREAM_BUCKETS,
        )
        # Looking a child up by its labels costs more than counting.
        self._requests_of = lru_cache(maxsize=4096)(self._requests.labels)
        self._bandwidth_of = lru_cache(maxsize=4096)(self._bandwidth.labels)
        self._latencies_of = lru_cache(maxsize=4096)(self._latencies)

    def count_request(
        self, service: str, route: str, code: str, source: str, consumer: str
    ) -> None:
        """One request has ended."""
        self._requests_of(service, route, code, source, "default", consumer).inc()

    def count_bytes(
        self, service: str, route: str, consumer: str, received: int, sent: int
    ) -> None:
        """Bytes that a request took."""
        self._bandwidth_of(service, route, "ingress", "default", consumer).inc(received)
        self._bandwidth_of(service, route, "egress", "default", consumer).inc(sent)

    def count_latencies(
        self, service: str, route: str, kong: int, upstream: int, request: int
    ) -> None:
        """Times in milliseconds; the upstream's is negative if there was none."""
        kong_child, upstream_child, request_child = self._latencies_of(service, route)
        kong_child.observe(kong)
        if upstream >= 0:
            upstream_child.observe(upstream)
        request_child.observe(request)

    def counts(self) -> Counts:
        """All counts so far."""
        return {
            metric.name: [
                metric.type,
                metric.documentation,
                [[sample.name, sample.labels, sample.value] for sample in metric.samples],
            ]
            for metric in self.registry.collect()
        }

    def _latencies(self, service: str, route: str) -> tuple[Histogram, Histogram, Histogram]:
        labels = (service, route, "default")
        return (
            self._kong_latency.labels(*labels),
            self._upstream_latency.labels(*labels),
            self._request_latency.labels(*labels),
        )

    def _histogram(
        self, name: str, text: str, labels: Sequence[str], buckets: Sequence[int]
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


def gauge(name: str, text: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Counts:
    """The counts of one gauge: labels and values."""
    return {name: ["gauge", text, [[name, dict(labels), value] for labels, value in samples]]}


def merged(workers: Iterable[Counts]) -> Counts:
    """The sums of several workers' counts."""
    sums: Counts = {}
    for counts in workers:
        for name, (kind, text, samples) in counts.items():
            known: dict[Any, Any] = sums.setdefault(name, [kind, text, {}])[2]
            for sample, labels, value in samples:
                key = (sample, tuple(labels.items()))
                known[key] = known.get(key, 0) + value
    return {
        name: [kind, text, [[key[0], dict(key[1]), value] for key, value in known.items()]]
        for name, (kind, text, known) in sums.items()
    }


def render(counts: Counts) -> bytes:
    """Counts in the text format, metrics by name."""

    class Counted(Collector):
        """What is rendered."""

        def collect(self) -> Iterator[Metric]:
            for name, (kind, text, samples) in sorted(counts.items()):
                metric = Metric(name, text, kind)
                for sample, labels, value in samples:
                    metric.add_sample(sample, labels, value)
                yield metric

    registry = CollectorRegistry()
    registry.register(Counted())
    text = generate_latest(registry)
    # The library ends every counter's name with _total; this one's name is older than that rule.
    text = text.replace(_BANDWIDTH + b"_total", _BANDWIDTH)
    return _WHOLE.sub(rb'le="\1"', text)
