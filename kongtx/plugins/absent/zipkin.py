"""The configuration of zipkin: traces sent to a Zipkin server."""

from __future__ import annotations

from typing import Any

from kongtx.plugins.typedefs import deprecated, propagation, queue
from kongtx.schema import Field, Subschema, array, boolean, integer, number, record, string
from kongtx.schema import typedefs as t


def _check_tags(tags: list[dict[str, Any]]) -> str | None:
    names = [tag["name"] for tag in tags]
    repeated = next((name for index, name in enumerate(names) if name in names[:index]), None)
    return None if repeated is None else f"repeated tags are not allowed: {repeated}"


def _config() -> Field:
    return record(
        {
            "local_service_name": string(required=True, default="kong"),
            "http_endpoint": t.url(),
            "sample_ratio": number(default=0.001, between=[0, 1]),
            "default_service_name": string(),
            "include_credential": boolean(required=True, default=True),
            "traceid_byte_count": integer(required=True, default=16, one_of=[8, 16]),
            "header_type": string(
                required=True,
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
                    "datadog",
                    "gcp",
                ],
                deprecation=deprecated(
                    "zipkin",
                    "config.header_type",
                    "config.propagation options",
                    old_default="preserve",
                ),
            ),
            "default_header_type": string(
                required=True,
                default="b3",
                one_of=["b3", "b3-single", "w3c", "jaeger", "ot", "aws", "datadog", "gcp"],
                deprecation=deprecated(
                    "zipkin",
                    "config.default_header_type",
                    "config.propagation.default_format",
                    old_default="b3",
                ),
            ),
            "tags_header": string(required=True, default="Zipkin-Tags"),
            "static_tags": array(
                record(
                    {
                        "name": string(
                            required=True,
                            not_one_of=[
                                "error",
                                "http.method",
                                "http.path",
                                "http.status_code",
                                "kong.balancer.state",
                                "kong.balancer.try",
                                "kong.consumer",
                                "kong.credential",
                                "kong.node.id",
                                "kong.route",
                                "kong.service",
                                "lc",
                                "peer.hostname",
                            ],
                        ),
                        "value": string(required=True),
                    }
                ),
                custom_validator=_check_tags,
            ),
            "http_span_name": string(
                required=True, default="method", one_of=["method", "method_path"]
            ),
            "connect_timeout": t.timeout(default=2000),
            "send_timeout": t.timeout(default=5000),
            "read_timeout": t.timeout(default=5000),
            "http_response_header_for_traceid": string(),
            "phase_duration_flavor": string(
                required=True, default="annotations", one_of=["annotations", "tags"]
            ),
            "queue": queue(),
            "propagation": propagation("b3"),
        }
    )


def subschema() -> Subschema:
    """What plugins named zipkin put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
