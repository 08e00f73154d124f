"""The configuration of opentelemetry: traces and logs sent by OTLP."""

from __future__ import annotations

from kongtx.plugins.typedefs import deprecated, moved, propagation, queue
from kongtx.schema import (
    Field,
    Subschema,
    at_least_one_of,
    integer,
    map_of,
    number,
    record,
    string,
)
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "traces_endpoint": t.url(referenceable=True),
            "logs_endpoint": t.url(referenceable=True),
            "headers": map_of(t.header_name(), string(referenceable=True)),
            "resource_attributes": map_of(string(required=True), string(required=True)),
            "queue": queue(default={"max_batch_size": 200}),
            "batch_span_count": integer(
                deprecation=deprecated(
                    "opentelemetry",
                    "config.batch_span_count",
                    "config.queue.max_batch_size",
                    old_default=200,
                )
            ),
            "batch_flush_delay": integer(
                deprecation=deprecated(
                    "opentelemetry",
                    "config.batch_flush_delay",
                    "config.queue.max_coalescing_delay",
                    old_default=3,
                )
            ),
            "connect_timeout": t.timeout(default=1000),
            "send_timeout": t.timeout(default=5000),
            "read_timeout": t.timeout(default=5000),
            "http_response_header_for_traceid": string(),
            "header_type": string(
                required=False,
                default="preserve",
                one_of=[
                    "preserve",
                    "ignore",
                    "b3",
                    "b3-single",
                    "w3c",
                    "jaeger",
                    "ot",
                    "aws",
                    "gcp",
                    "datadog",
                ],
                deprecation=deprecated(
                    "opentelemetry",
                    "config.header_type",
                    "config.propagation options",
                    old_default="preserve",
                ),
            ),
            "sampling_rate": number(required=False, between=[0, 1]),
            "propagation": propagation("w3c"),
        },
        entity_checks=[at_least_one_of("traces_endpoint", "logs_endpoint")],
        shorthand_fields={
            "endpoint": t.url(
                referenceable=True,
                deprecation=deprecated(
                    "OpenTelemetry", "config.endpoint", "config.traces_endpoint"
                ),
                func=moved(["traces_endpoint"]),
            )
        },
    )


def subschema() -> Subschema:
    """What plugins named opentelemetry put in place of the common fields."""
    return Subschema({"protocols": t.protocols_http(), "config": _config()})
