"""What is counted of requests in one worker, and the sums over several."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

#: Upper ends in milliseconds: of the gateway's own time, and of times that upstreams have part in.
OWN_BUCKETS = (1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000)
UPSTREAM_BUCKETS = (*(25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000),)

#: A worker's or a node's counts, as what JSON can hold: by metric its type, its help and samples.
Counts = dict[str, Any]

_BANDWIDTH = "kong_bandwidth_bytes"
_WORKSPACE = "default"
#: Histograms, in the order in which a route's are kept.
_LATENCIES = (
    ("kong_kong_latency_ms", "Time that the gateway added to requests"),
    ("kong_upstream_latency_ms", "Time that upstreams took until their response began"),
    ("kong_request_latency_ms", "Time from a request's first byte to its response's last"),
)
_WHOLE = re.compile(rb'le="(\d+)\.0"')


class _Histogram:
    """How many values were at most as great as each bound."""

    __slots__ = ("_bounds", "_counts")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        # How many values lie up to each bound and over the one before; the last is their sum.
        self._counts = [0.0] * (len(bounds) + 2)

    def observe(self, value: float) -> None:
        """Count a value; one below 0 is none."""
        if value >= 0:
            counts = self._counts
            counts[bisect_left(self._bounds, value)] += 1
            counts[-1] += value

    def samples(self, name: str, labels: Mapping[str, str]) -> list[Any]:
        """Name, labels and value of each, as clients of Prometheus name them."""
        ends = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        *each, total = self._counts
        sums = list(accumulate(each))
        found: list[Any] = [
            [f"{name}_bucket", {**labels, "le": end}, count]
            for end, count in zip(ends, sums, strict=True)
        ]
        found.append([f"{name}_count", labels, sums[-1]])
        found.append([f"{name}_sum", labels, total])
        return found


class RequestMetrics:
    """The metrics of requests, each with the labels that Kong gives it.

    They are counted here, as the library's own counters take three times as long for their locks.
    """

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int, str, str], int] = {}
        self._bytes: dict[tuple[str, str, str], list[int]] = {}
        self._latencies: dict[tuple[str, str], tuple[_Histogram, _Histogram, _Histogram]] = {}

    def count_request(
        self, service: str, route: str, code: int, source: str, consumer: str
    ) -> None:
        """One request has ended."""
        labels = service, route, code, source, consumer
        requests = self._requests
        requests[labels] = requests.get(labels, 0) + 1

    def count_bytes(
        self, service: str, route: str, consumer: str, received: int, sent: int
    ) -> None:
        """Bytes that a request took."""
        labels = service, route, consumer
        counts = self._bytes.get(labels)
        if counts is None:
            counts = self._bytes[labels] = [0, 0]
        counts[0] += received
        counts[1] += sent

    def count_latencies(
        self, service: str, route: str, kong: int, upstream: int, request: int
    ) -> None:
        """Times in milliseconds; the upstream's is negative if there was none."""
        place = service, route
        histograms = self._latencies.get(place)
        if histograms is None:
            histograms = self._latencies[place] = (
                _Histogram(OWN_BUCKETS),
                _Histogram(UPSTREAM_BUCKETS),
                _Histogram(UPSTREAM_BUCKETS),
            )
        histograms[0].observe(kong)
        histograms[1].observe(upstream)
        histograms[2].observe(request)

    def counts(self) -> Counts:
        """All counts so far."""
        return {
            "kong_http_requests": [
                "counter",
                "Requests by status code, for each consumer, service and route",
                list(self._request_samples()),
            ],
            _BANDWIDTH: [
                "counter",
                "Bytes received and sent, for each consumer, service and route",
                list(self._byte_samples()),
            ],
            **{
                name: ["histogram", text, self._latency_samples(name, index)]
                for index, (name, text) in enumerate(_LATENCIES)
            },
        }

    def _request_samples(self) -> Iterator[Any]:
        for (service, route, code, source, consumer), count in self._requests.items():
            labels = {
                "service": service,
                "route": route,
                "code": str(code),
                "source": source,
                "workspace": _WORKSPACE,
                "consumer": consumer,
            }
            yield ["kong_http_requests_total", labels, float(count)]

    def _byte_samples(self) -> Iterator[Any]:
        for (service, route, consumer), counts in self._bytes.items():
            for direction, count in zip(("ingress", "egress"), counts, strict=True):
                labels = {
                    "service": service,
                    "route": route,
                    "direction": direction,
                    "workspace": _WORKSPACE,
                    "consumer": consumer,
                }
                yield [f"{_BANDWIDTH}_total", labels, float(count)]

    def _latency_samples(self, name: str, index: int) -> list[Any]:
        found: list[Any] = []
        for (service, route), histograms in self._latencies.items():
            labels = {"service": service, "route": route, "workspace": _WORKSPACE}
            found += histograms[index].samples(name, labels)
        return found


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
    text = text.replace(f"{_BANDWIDTH}_total".encode(), _BANDWIDTH.encode())
    return _WHOLE.sub(rb'le="\1"', text)
