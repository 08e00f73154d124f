"""Parts of configuration schemas that several plugins share.

Source: Kong: C{kong/tools/redis/schema.lua}, C{kong/tools/queue_schema.lua},
C{kong/observability/tracing/propagation/schema.lua}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kongtx.schema import (
    ABSENT,
    Field,
    Subschema,
    array,
    at_least_one_of,
    boolean,
    integer,
    map_of,
    number,
    record,
    set_of,
    string,
)
from kongtx.schema import typedefs as t
from kongtx.schema.formats import check_header_name

_EXTRACTORS = ["gcp", "datadog", "b3", "aws", "jaeger", "w3c", "ot"]
_INJECTORS = ["gcp", "datadog", "b3", "aws", "b3-single", "jaeger", "w3c", "ot"]


def deprecated(
    plugin: str,
    old: str,
    new: str,
    *,
    old_default: Any = ABSENT,
    path: Sequence[str] | None = None,
    how: str = "is deprecated",
) -> dict[str, Any]:
    """The C{deprecation} of a field.

    @param plugin: as the message names it.
    @param old, new: the dotted names of the field and of what to use instead.
    @param old_default: a value that does not deserve a warning.
    @param path: where, in the same record, the value now is; reads show it under the old name too.
    @param how: what has become of the field.
    """
    out: dict[str, Any] = {
        "message": f"{plugin}: {old} {how}, please use {new} instead",
        "removal_in_version": "4.0",
    }
    if old_default is not ABSENT:
        out["old_default"] = old_default
    if path is not None:
        out["replaced_with"] = [{"path": list(path)}]
    return out


def moved(path: Sequence[str]) -> Callable[[Any], dict[str, Any]]:
    """The function of a shorthand field whose value is now at a path of the same record."""

    def expand(value: Any) -> dict[str, Any]:
        for name in reversed(path):
            value = {name: value}
        expanded: dict[str, Any] = value
        return expanded

    return expand


def redis(
    more: Mapping[str, Field] | None = None,
    shorthand_fields: Mapping[str, Field] | None = None,
) -> Field:
    """How to reach a Redis server; C{more} are fields that follow the usual ones."""
    return record(
        {
            "host": t.host(),
            "port": t.port(default=6379),
            "timeout": t.timeout(default=2000),
            "username": string(referenceable=True),
            "password": string(len_min=0, referenceable=True, encrypted=True),
            "database": integer(default=0),
            "ssl": boolean(default=False, required=False),
            "ssl_verify": boolean(default=False, required=False),
            "server_name": t.sni(required=False),
            **(more or {}),
        },
        shorthand_fields=shorthand_fields,
    )


def redis_shorthands(plugin: str) -> dict[str, Field]:
    """The flat C{redis_...} fields of old, which the record C{redis} has replaced."""
    fields: dict[str, tuple[Callable[..., Field], dict[str, Any]]] = {
        "host": (string, {}),
        "port": (integer, {}),
        "password": (string, {"len_min": 0}),
        "username": (string, {}),
        "ssl": (boolean, {}),
        "ssl_verify": (boolean, {}),
        "server_name": (string, {}),
        "timeout": (integer, {}),
        "database": (integer, {}),
    }
    return {
        f"redis_{name}": make(
            func=moved(["redis", name]),
            deprecation=deprecated(
                plugin, f"config.redis_{name}", f"config.redis.{name}", path=["redis", name]
            ),
            **attributes,
        )
        for name, (make, attributes) in fields.items()
    }


def queue(**more: Any) -> Field:
    """How entries wait to be sent, and how often sending is tried again."""
    return record(
        {
            "max_batch_size": integer(default=1, between=[1, 1000000]),
            "max_coalescing_delay": number(default=1, between=[0, 3600]),
            "max_entries": integer(default=10000, between=[1, 1000000]),
            "max_bytes": integer(),
            "max_retry_time": number(default=60),
            "initial_retry_delay": number(default=0.01, between=[0.001, 1000000]),
            "max_retry_delay": number(default=60, between=[0.001, 1000000]),
            "concurrency_limit": integer(default=1, one_of=[-1, 1]),
        },
        **more,
    )


def propagation(default_format: str) -> Field:
    """Which tracing headers are read, removed and written."""
    return record(
        {
            "extract": array(string(one_of=_EXTRACTORS)),
            "clear": array(string(custom_validator=check_header_name)),
            "inject": array(string(one_of=["preserve", *_INJECTORS])),
            "default_format": string(required=True, one_of=_INJECTORS),
        },
        default={"default_format": default_format},
    )


def custom_fields_by_lua() -> Field:
    """Fields of log entries, each with the code that computes it."""
    return map_of(string(len_min=1), string(len_min=1))


_PERIODS = ("second", "minute", "hour", "day", "month", "year")


def check_periods(limits: Mapping[str, Any], article: str) -> str | None:
    """Longer periods may not have lower limits than shorter ones.

    @param limits: by period; None where there is none.
    @param article: how the text starts (C{The} or C{the}).
    """
    given = [(name, limits[name]) for name in _PERIODS if limits.get(name) is not None]
    for index, (lower, least) in enumerate(given):
        for upper, limit in given[index + 1 :]:
            if limit < least:
                return (
                    f"{article} limit for {upper}({limit:.1f}) "
                    f"cannot be lower than the limit for {lower}({least:.1f})"
                )
    return None


def check_header(pair: str) -> str | None:
    """A header's name, or that and a value after a colon."""
    name = pair.partition(":")[0]
    return None if check_header_name(name) is None else f"'{name}' is not a valid header"


def check_renamed_header(pair: str) -> str | None:
    """Two names of headers with a colon between them."""
    old, _, new = pair.partition(":")
    return check_header(old) or check_header(new.lstrip(":"))


def check_python(plugin: str) -> Callable[[str], str | None]:
    """Says what keeps a text from being Python code, in the words of a plugin."""

    def check(source: str) -> str | None:
        try:
            compile(source, plugin, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            where = f"line {error.lineno}: " if isinstance(error, SyntaxError) else ""
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            return f"error parsing {plugin}: {where}{reason} (functions are Python, not Lua)"
        return None

    return check


def protocols_tls() -> Field:
    """The protocols of a plugin that looks at TLS."""
    names = ["grpcs", "https"]
    return set_of(string(one_of=names), required=True, default=names)


def old_queue_parameters(plugin: str) -> dict[str, Field]:
    """The fields that said what C{queue} says now: accepted, and warned of."""

    def moved_to(old: str, new: str, old_default: int, **more: str) -> dict[str, Any]:
        return deprecated(
            plugin, f"config.{old}", f"config.queue.{new}", old_default=old_default, **more
        )

    return {
        "retry_count": integer(
            deprecation=moved_to("retry_count", "max_retry_time", 10, how="no longer works")
        ),
        "queue_size": integer(deprecation=moved_to("queue_size", "max_batch_size", 1)),
        "flush_timeout": number(deprecation=moved_to("flush_timeout", "max_coalescing_delay", 2)),
    }


def user_code(plugin: str) -> Subschema:
    """What plugins that run code of the user's own, phase by phase, put in place of fields."""
    phases = ("certificate", "rewrite", "access", "header_filter", "body_filter", "log")

    def sources() -> Field:
        source = string(required=False, custom_validator=check_python(plugin))
        return array(source, required=True, default=[])

    config = record({phase: sources() for phase in phases})
    return Subschema(
        {"consumer": t.no_consumer(), "protocols": t.protocols(), "config": config},
        entity_checks=[at_least_one_of(*(f"config.{phase}" for phase in phases))],
    )
