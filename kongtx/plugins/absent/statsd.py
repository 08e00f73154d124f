"""The configuration of statsd: metrics sent to a StatsD server."""

from __future__ import annotations

from kongtx.plugins.typedefs import old_queue_parameters, queue
from kongtx.schema import (
    Field,
    Subschema,
    array,
    boolean,
    conditional,
    number,
    record,
    string,
)
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "host": t.host(default="localhost"),
            "port": t.port(default=8125),
            "prefix": string(default="kong"),
            "metrics": array(
                record(
                    {
                        "name": string(
                            required=True,
                            one_of=[
                                "kong_latency",
                                "latency",
                                "request_count",
                                "request_per_user",
                                "request_size",
                                "response_size",
                                "status_count",
                                "status_count_per_user",
                                "unique_users",
                                "upstream_latency",
                                "status_count_per_workspace",
                                "status_count_per_user_per_route",
                                "shdict_usage",
                            ],
                        ),
                        "stat_type": string(
                            required=True,
                            one_of=["counter", "gauge", "histogram", "meter", "set", "timer"],
                        ),
                        "sample_rate": number(gt=0),
                        "consumer_identifier": string(
                            one_of=["consumer_id", "custom_id", "username"]
                        ),
                        "service_identifier": string(
                            one_of=[
                                "service_id",
                                "service_name",
                                "service_host",
                                "service_name_or_host",
                            ]
                        ),
                        "workspace_identifier": string(one_of=["workspace_id", "workspace_name"]),
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
                default=[
                    {"name": "request_count", "sample_rate": 1, "stat_type": "counter"},
                    {"stat_type": "timer", "name": "latency"},
                    {"name": "request_size", "sample_rate": 1, "stat_type": "counter"},
                    {"stat_type": "counter", "sample_rate": 1, "name": "status_count"},
                    {"name": "response_size", "sample_rate": 1, "stat_type": "counter"},
                    {"stat_type": "set", "name": "unique_users"},
                    {"stat_type": "counter", "sample_rate": 1, "name": "request_per_user"},
                    {"stat_type": "timer", "name": "upstream_latency"},
                    {"stat_type": "timer", "name": "kong_latency"},
                    {"stat_type": "counter", "sample_rate": 1, "name": "status_count_per_user"},
                    {
                        "stat_type": "counter",
                        "sample_rate": 1,
                        "name": "status_count_per_workspace",
                    },
                    {
                        "stat_type": "counter",
                        "sample_rate": 1,
                        "name": "status_count_per_user_per_route",
                    },
                    {"stat_type": "gauge", "sample_rate": 1, "name": "shdict_usage"},
                ],
            ),
            "allow_status_codes": array(string(match="^[0-9]+-[0-9]+$")),
            "udp_packet_size": number(default=0, between=[0, 65507]),
            "use_tcp": boolean(default=False),
            "hostname_in_prefix": boolean(default=False),
            "consumer_identifier_default": string(
                required=True, default="custom_id", one_of=["consumer_id", "custom_id", "username"]
            ),
            "service_identifier_default": string(
                required=True,
                default="service_name_or_host",
                one_of=["service_id", "service_name", "service_host", "service_name_or_host"],
            ),
            "workspace_identifier_default": string(
                required=True, default="workspace_id", one_of=["workspace_id", "workspace_name"]
            ),
            **old_queue_parameters("statsd"),
            "tag_style": string(
                required=False, one_of=["dogstatsd", "influxdb", "librato", "signalfx"]
            ),
            "queue": queue(),
        }
    )


def subschema() -> Subschema:
    """What plugins named statsd put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
