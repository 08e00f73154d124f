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

_BANDWIDTH = b"kong_bandwidth_bytes"
_WHOLE = re.compile(rb'le="(\d+)\.0"')


class _Counter:
    """Numbers that only grow, by the values of their labels."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self.name = name
        self.text = text
        self._labels = labels
        self._counts: dict[tuple[str, ...], float] = {}

    def add(self, labels: tuple[str, ...], amount: float) -> None:
        """Count some more."""
        counts = self._counts
        counts[labels] = counts.get(labels, 0.0) + amount

    def samples(self) -> list[Any]:
        """Name, labels and value of each, as clients of Prometheus name them."""
        return [
            [f"{self.name}_total", dict(zip(self._labels, labels, strict=True)), value]
            for labels, value in self._counts.items()
        ]


class _Histogram:
    """How many values were at most as great as each bound, by the values of their labels."""

    kind = "histogram"

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        self.name = name
        self.text = text
        self._labels = labels
        self._bounds = bounds
        # How many values lie up to each bound and over the one before; the last is their sum.
        self._counts: dict[tuple[str, ...], list[float]] = {}

    def observe(self, labels: tuple[str, ...], value: float) -> None:
        """Count a value; one below 0 is none, yet that is told from labels never seen."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0.0] * (len(self._bounds) + 2)
        if value >= 0:
            counts[bisect_left(self._bounds, value)] += 1
            counts[-1] += value

    def samples(self) -> list[Any]:
        """Name, labels and value of each, as clients of Prometheus name them."""
        ends = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        found: list[Any] = []
        for values, counts in self._counts.items():
            labels = dict(zip(self._labels, values, strict=True))
            *each, total = counts
            sums = list(accumulate(each))
            found += [
                [f"{self.name}_bucket", {**labels, "le": end}, count]
                for end, count in zip(ends, sums, strict=True)
            ]
            found.append([f"{self.name}_count", labels, sums[-1]])
            found.append([f"{self.name}_sum", labels, total])
        return found


class RequestMetrics:
    """The metrics of requests, each with the labels that Kong gives it.

    They are counted here, as the library's own counters take three times as long for their locks.
    """

    def __init__(self) -> None:
        place = ("service", "route", "workspace")
        self._requests = _Counter(
            "kong_http_requests",
            "Requests by status code, for each consumer, service and route",
            ("service", "route", "code", "source", "workspace", "consumer"),
        )
        self._bandwidth = _Counter(
            "kong_bandwidth_bytes",
            "Bytes received and sent, for each consumer, service and route",
            ("service", "route", "direction", "workspace", "consumer"),
        )
        self._kong_latency = _Histogram(
            "kong_kong_latency_ms", "Time that the gateway added to requests", place, OWN_BUCKETS
        )
        self._upstream_latency = _Histogram(
            "kong_upstream_latency_ms",
            "Time that upstreams took until their response began",
            place,
            UPSTREAM_BUCKETS,
        )
        self._request_latency = _Histogram(
            "kong_request_latency_ms",
            "Time from a request's first byte to its response's last",
            place,
            UPSTREAM_BUCKETS,
        )

    def count_request(
        self, service: str, route: str, code: str, source: str, consumer: str
    ) -> None:
        """One request has ended."""
        self._requests.add((service, route, code, source, "default", consumer), 1)

    def count_bytes(
        self, service: str, route: str, consumer: str, received: int, sent: int
    ) -> None:
        """Bytes that a request took."""
        self._bandwidth.add((service, route, "ingress", "default", consumer), received)
        self._bandwidth.add((service, route, "egress", "default", consumer), sent)

    def count_latencies(
        self, service: str, route: str, kong: int, upstream: int, request: int
    ) -> None:
        """Times in milliseconds; the upstream's is negative if there was none."""
        labels = (service, route, "default")
        self._kong_latency.observe(labels, kong)
        self._upstream_latency.observe(labels, upstream)
        self._request_latency.observe(labels, request)

    def counts(self) -> Counts:
        """All counts so far."""
        metrics: Sequence[_Counter | _Histogram] = (
            self._requests,
            self._bandwidth,
            self._kong_latency,
            self._upstream_latency,
            self._request_latency,
        )
        return {each.name: [each.kind, each.text, each.samples()] for each in metrics}


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
