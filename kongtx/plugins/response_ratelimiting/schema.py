"""The configuration of response-ratelimiting: limits counted by what upstreams say in a header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.plugins.typedefs import check_periods, redis, redis_shorthands
from kongtx.schema import (
    Field,
    Subschema,
    at_least_one_of,
    boolean,
    conditional,
    map_of,
    number,
    record,
    string,
)
from kongtx.schema import typedefs as t


def _policies(dbless: bool) -> list[str]:
    """``cluster`` keeps counters in the database, so it needs one."""
    return ["local", "redis"] if dbless else ["local", "cluster", "redis"]


def _check_limits(limits: Mapping[str, Any]) -> str | None:
    return check_periods(limits, "the")


def _config(dbless: bool) -> Field:
    return record(
        {
            "header_name": string(default="x-kong-limit"),
            "limit_by": string(default="consumer", one_of=["consumer", "credential", "ip"]),
            "policy": string(default="local", one_of=_policies(dbless)),
            "fault_tolerant": boolean(required=True, default=True),
            "redis": redis(),
            "block_on_first_violation": boolean(required=True, default=False),
            "hide_client_headers": boolean(required=True, default=False),
            "limits": map_of(
                string(),
                record(
                    {
                        "second": number(gt=0),
                        "minute": number(gt=0),
                        "hour": number(gt=0),
                        "day": number(gt=0),
                        "month": number(gt=0),
                        "year": number(gt=0),
                    },
                    entity_checks=[
                        at_least_one_of("second", "minute", "hour", "day", "month", "year")
                    ],
                    required=True,
                    custom_validator=_check_limits,
                ),
                required=True,
                len_min=1,
            ),
        },
        shorthand_fields=redis_shorthands("response-ratelimiting"),
    )


def subschema(*, dbless: bool = False) -> Subschema:
    """What plugins named response-ratelimiting put in place of the common fields."""
    return Subschema(
        {"protocols": t.protocols_http(), "config": _config(dbless)},
        entity_checks=[
            conditional("config.policy", {"eq": "redis"}, "config.redis.host", {"required": True}),
            conditional("config.policy", {"eq": "redis"}, "config.redis.port", {"required": True}),
            conditional(
                "config.policy", {"eq": "redis"}, "config.redis.timeout", {"required": True}
            ),
        ],
    )
