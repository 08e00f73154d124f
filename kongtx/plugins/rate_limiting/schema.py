"""The configuration of rate-limiting: how many requests a client may make in a time."""

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
    number,
    record,
    string,
)
from kongtx.schema import typedefs as t

_REALTIME = -1


def _policies(dbless: bool) -> list[str]:
    """``cluster`` keeps counters in the database, so it needs one."""
    return ["local", "redis"] if dbless else ["local", "cluster", "redis"]


def _check_limits(config: Mapping[str, Any]) -> str | None:
    error = check_periods(config, "The")
    rate = config.get("sync_rate")
    if error is not None or rate is None or rate == _REALTIME:
        return error
    if config.get("policy") != "redis":
        return "sync_rate can only be used with the redis policy"
    return "sync_rate must be greater than 0.02, or -1 to disable" if rate < 0.02 else None


def _config(dbless: bool) -> Field:
    return record(
        {
            "second": number(gt=0),
            "minute": number(gt=0),
            "hour": number(gt=0),
            "day": number(gt=0),
            "month": number(gt=0),
            "year": number(gt=0),
            "limit_by": string(
                default="consumer",
                one_of=["consumer", "credential", "ip", "service", "header", "path"],
            ),
            "header_name": t.header_name(),
            "path": t.path(),
            "policy": string(default="local", len_min=0, one_of=_policies(dbless)),
            "fault_tolerant": boolean(required=True, default=True),
            "redis": redis(),
            "hide_client_headers": boolean(required=True, default=False),
            "error_code": number(default=429, gt=0),
            "error_message": string(default="API rate limit exceeded"),
            "sync_rate": number(required=True, default=-1),
        },
        shorthand_fields=redis_shorthands("rate-limiting"),
        custom_validator=_check_limits,
    )


def subschema(*, dbless: bool = False) -> Subschema:
    """What plugins named rate-limiting put in place of the common fields."""
    return Subschema(
        {"protocols": t.protocols_http(), "config": _config(dbless)},
        entity_checks=[
            at_least_one_of(
                "config.second",
                "config.minute",
                "config.hour",
                "config.day",
                "config.month",
                "config.year",
            ),
            conditional("config.policy", {"eq": "redis"}, "config.redis.host", {"required": True}),
            conditional("config.policy", {"eq": "redis"}, "config.redis.port", {"required": True}),
            conditional(
                "config.policy", {"eq": "redis"}, "config.redis.timeout", {"required": True}
            ),
            conditional(
                "config.limit_by", {"eq": "header"}, "config.header_name", {"required": True}
            ),
            conditional("config.limit_by", {"eq": "path"}, "config.path", {"required": True}),
        ],
    )
