"""The configuration of datadog: metrics sent to a Datadog agent."""

from __future__ import annotations

from kongtx.plugins.typedefs import old_queue_parameters, queue
from kongtx.schema import Field, Subschema, array, conditional, number, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "host": t.host(default="localhost", referenceable=True),
            "port": t.port(default=8125),
            "prefix": string(default="kong"),
            "service_name_tag": string(default="name"),
            "status_tag": string(default="status"),
            "consumer_tag": string(default="consumer"),
            **old_queue_parameters("datadog"),
            "queue": queue(),
            "metrics": array(
                record(
                    {
                        "name": string(
                            required=True,
                            one_of=[
                                "kong_latency",
                                "latency",
                                "request_count",
                                "request_size",
                                "response_size",
                                "upstream_latency",
                            ],
                        ),
                        "stat_type": string(
                            required=True,
                            one_of=[
                                "counter",
                                "gauge",
                                "histogram",
                                "meter",
                                "set",
                                "timer",
                                "distribution",
                            ],
                        ),
                        "tags": array(string(match="^.*[^:]$")),
                        "sample_rate": number(between=[0, 1]),
                        "consumer_identifier": string(
                            one_of=["consumer_id", "custom_id", "username"]
                        ),
                    },
                    entity_checks=[
                        conditional(
                            "stat_type",
                            {"one_of": ["counter", "gauge"]},
                            "sample_rate",
                            {"required": True},
                        )
                    ],
                ),
                required=True,
                default=[
                    {
                        "tags": ["app:kong"],
                        "stat_type": "counter",
                        "sample_rate": 1,
                        "consumer_identifier": "custom_id",
                        "name": "request_count",
                    },
                    {
                        "tags": ["app:kong"],
                        "stat_type": "timer",
                        "consumer_identifier": "custom_id",
                        "name": "latency",
                    },
                    {
                        "tags": ["app:kong"],
                        "stat_type": "timer",
                        "consumer_identifier": "custom_id",
                        "name": "request_size",
                    },
                    {
                        "tags": ["app:kong"],
                        "stat_type": "timer",
                        "consumer_identifier": "custom_id",
                        "name": "response_size",
                    },
                    {
                        "tags": ["app:kong"],
                        "stat_type": "timer",
                        "consumer_identifier": "custom_id",
                        "name": "upstream_latency",
                    },
                    {
                        "tags": ["app:kong"],
                        "stat_type": "timer",
                        "consumer_identifier": "custom_id",
                        "name": "kong_latency",
                    },
                ],
            ),
        }
    )


def subschema() -> Subschema:
    """What plugins named datadog put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
