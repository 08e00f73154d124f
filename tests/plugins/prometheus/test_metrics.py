"""Counts of requests."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families

from kongtx.plugins.prometheus.metrics import RequestMetrics, gauge, merged, render


def counted(times: int) -> RequestMetrics:
    metrics = RequestMetrics()
    for _ in range(times):
        metrics.count_request("s", "r", "200", "service", "bob")
        metrics.count_bytes("s", "r", "bob", 10, 20)
        metrics.count_latencies("s", "r", 1, 30, 31)
    return metrics


def samples(text: bytes) -> dict[str, float]:
    return {
        f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counts_survive_json_and_are_summed_over_workers() -> None:
    workers = [json.loads(json.dumps(counted(times).counts())) for times in (1, 2)]
    found = samples(render(merged(workers)))
    (requests,) = [value for name, value in found.items() if "kong_http_requests_total" in name]
    assert requests == 3
    place = '{"le": "2", "route": "r", "service": "s", "workspace": "default"}'
    assert found[f"kong_kong_latency_ms_bucket{place}"] == 3
    place = '{"le": "25", "route": "r", "service": "s", "workspace": "default"}'
    assert found[f"kong_upstream_latency_ms_bucket{place}"] == 0
    assert (
        found['kong_request_latency_ms_sum{"route": "r", "service": "s", "workspace": "default"}']
        == 93
    )


def test_names_and_types_are_the_contracts() -> None:
    text = render(counted(1).counts()).decode()
    types = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert types == [
        "# TYPE kong_bandwidth_bytes counter",
        "# TYPE kong_http_requests_total counter",
        "# TYPE kong_kong_latency_ms histogram",
        "# TYPE kong_request_latency_ms histogram",
        "# TYPE kong_upstream_latency_ms histogram",
    ]
    assert 'kong_bandwidth_bytes{consumer="bob",direction="egress",route="r"' in text
    assert 'le="1"' in text
    assert 'le="+Inf"' in text
    assert "_created" not in text


def test_an_upstream_that_was_not_asked_has_no_latency() -> None:
    metrics = RequestMetrics()
    metrics.count_latencies("s", "r", 1, -1, 2)
    place = '{"route": "r", "service": "s", "workspace": "default"}'
    found = samples(render(metrics.counts()))
    assert found[f"kong_upstream_latency_ms_count{place}"] == 0
    assert found[f"kong_kong_latency_ms_count{place}"] == 1


def test_labels_are_escaped() -> None:
    text = render(gauge("g", "help", [({"a": 'quote " slash \\ line \n'}, 1)]))
    (family,) = text_string_to_metric_families(text.decode())
    assert family.samples[0].labels == {"a": 'quote " slash \\ line \n'}
