"""response-ratelimiting: how much a client may use of what upstreams count themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.python.failure import Failure

from kongtx.entities.credentials import response_ratelimiting as entities
from kongtx.pdk.errors import ArgumentError
from kongtx.pdk.kong import Kong
from kongtx.pdk.text import header_name, header_value
from kongtx.plugins.base import Plugin
from kongtx.plugins.counting.redis import RedisSettings, client_of
from kongtx.plugins.counting.stores import (
    DatabaseStore,
    ICounterStore,
    LocalStore,
    RedisStore,
    scope,
)
from kongtx.plugins.counting.windows import PERIODS, Window, window
from kongtx.plugins.response_ratelimiting.schema import subschema

#: What a response can say it used at most; counts and their sums stay within 64 bits.
MOST = 10**12

Limits = Mapping[str, Sequence[tuple[str, float]]]  # by name, periods and limits


@attrs.frozen
class ToldIn:
    """The headers that tell of one name; none if it cannot be part of a header's name.

    @ivar upstream: what is left, for the upstream.
    @ivar limits: of each period, whole.
    @ivar remaining: of each period, their names.
    """

    upstream: bytes = b""
    limits: Sequence[tuple[bytes, bytes]] = ()
    remaining: Sequence[bytes] = ()

    @classmethod
    def of(cls, name: str, periods: Sequence[tuple[str, float]]) -> ToldIn:
        """Those of a name and its limits."""
        try:
            upstream = header_name(f"X-RateLimit-Remaining-{name}")
        except ArgumentError:
            return cls()
        limit = f"X-RateLimit-Limit-{name}"
        return cls(
            upstream,
            [
                (f"{limit}-{period}".encode(), header_value(limit, number))
                for period, number in periods
            ],
            [b"%b-%b" % (upstream, period.encode()) for period, _ in periods],
        )


@attrs.frozen
class Settings:
    """A configuration, and what follows from it.

    @ivar limits: by name; the shortest period first.
    @ivar store: where the worker's store for it is found among what plugins share.
    @ivar header: the name, in lower case, of the header in which upstreams tell what was used.
    @ivar told: by name, the headers in which others are told.
    """

    config: Mapping[str, Any]
    limits: Limits
    store: Any
    header: bytes
    told: Mapping[str, ToldIn]


@attrs.frozen
class Usage:
    """What one request found of its client's use.

    @ivar remaining: by name, of each period in the order of the settings.
    """

    identity: bytes
    now: float
    remaining: Mapping[str, Sequence[float]]


class ResponseRateLimiting(Plugin):
    """Limits what upstreams say, in a header of their responses, that a request has used.

    @param now: seconds since the epoch.
    """

    name = "response-ratelimiting"
    priority = 900
    subschema = subschema()
    entities = entities()

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def prepare(self, config: Mapping[str, Any]) -> Settings:
        """See L{Settings}."""
        limits = {
            name: [(period, limit[period]) for period in PERIODS if limit[period] is not None]
            for name, limit in config["limits"].items()
        }
        return Settings(
            config,
            limits,
            _store_key(config),
            (config["header_name"] or "x-kong-limit").lower().encode(),
            {name: ToldIn.of(name, periods) for name, periods in limits.items()},
        )

    def access(self, settings: Settings, kong: Kong) -> Any:
        """See what is left, and tell the upstream."""
        now = self._now()
        identity = scope("response-ratelimit", kong.row) + _whose(settings.config, kong)
        try:
            reads: list[Any] = [
                _store(settings, kong).read(
                    identity, [window(period, now) for period, _ in periods], name
                )
                for name, periods in settings.limits.items()
            ]
        except Exception:
            return _failed(Failure(), settings, kong)
        if any(isinstance(each, Deferred) for each in reads):
            found = gatherResults(reads, consumeErrors=True)
            found.addErrback(_first_reason).addErrback(_failed, settings, kong)
            return found.addCallback(self._found, identity, now, settings, kong)
        return self._found(reads, identity, now, settings, kong)

    def _found(
        self,
        counts: Iterable[Sequence[int]] | None,
        identity: bytes,
        now: float,
        settings: Settings,
        kong: Kong,
    ) -> None:
        if counts is None:
            return
        remaining = {
            name: [limit - used for (_, limit), used in zip(periods, each, strict=True)]
            for (name, periods), each in zip(settings.limits.items(), counts, strict=True)
        }
        for name, left in remaining.items():
            least = min(left)
            if least <= 0 and settings.config["block_on_first_violation"]:
                kong.response.error(429, f"API rate limit exceeded for '{name}'")
            header = settings.told[name].upstream
            if header:
                kong.raw.set_header(header, header_value(header, max(0, least)))
        kong.ctx.plugin["usage"] = Usage(identity, now, remaining)

    def header_filter(self, settings: Settings, kong: Kong) -> None:
        """See what the request has used; refuse the response if nothing was left of that."""
        raw = kong.raw
        used = parse_used(
            (value for name, value in raw.upstream_headers if name.lower() == settings.header),
            settings.limits,
        )
        usage: Usage | None = kong.ctx.plugin.get("usage")
        if usage is None:
            return
        raw.response_headers = [
            header for header in raw.response_headers if header[0].lower() != settings.header
        ]
        if not settings.config["hide_client_headers"]:
            _tell_client(usage, used, settings, kong)
        if any(used.get(name) and min(left) <= 0 for name, left in usage.remaining.items()):
            kong.response.exit(429)
        kong.ctx.plugin["used"] = used

    def log(self, settings: Settings, kong: Kong) -> Any:
        """Count what was used, in all periods: the configuration may come to need them."""
        used: Mapping[str, int] = kong.ctx.plugin.get("used") or {}
        if not used:
            return None
        usage: Usage = kong.ctx.plugin["usage"]
        return ensureDeferred(_count(_store(settings, kong), usage, used))


async def _count(store: ICounterStore, usage: Usage, used: Mapping[str, int]) -> None:
    windows: list[Window] = [window(period, usage.now) for period in PERIODS]
    for name, amount in used.items():
        counted = store.add(usage.identity, windows, amount, usage.now, name)
        if isinstance(counted, Deferred):
            await counted


def parse_used(values: Iterable[bytes], names: Iterable[str]) -> dict[str, int]:
    """What a response says was used: C{name=number}, with commas between or in several headers.

    @param names: others are ignored, as are amounts that are no whole numbers above 0. Greater
        ones than L{MOST} count as that.
    """
    known = set(names)
    used: dict[str, int] = {}
    for part in b",".join(values).decode("utf-8", "replace").split(","):
        name, _, amount = (text.strip() for text in part.partition("="))
        if name in known and amount.isascii() and amount.isdigit():
            number = int(amount) if len(amount) <= len(str(MOST)) else MOST
            if number:
                used[name] = min(number, MOST)
    return used


def _tell_client(usage: Usage, used: Mapping[str, int], settings: Settings, kong: Kong) -> None:
    headers = kong.raw.response_headers
    for name, told in settings.told.items():
        headers += told.limits
        for header, left in zip(told.remaining, usage.remaining[name], strict=False):
            rest = max(0, left - used.get(name, 0))
            headers.append((header, header_value(header, rest)))


def _whose(config: Mapping[str, Any], kong: Kong) -> bytes:
    """Whose use is counted; the client's address where nothing else is known."""
    raw, by = kong.raw, config["limit_by"]
    found = ""
    if by == "consumer":
        found = raw.consumer_id
    elif by == "credential" and raw.credential:
        found = raw.credential["id"]
    return (found or raw.client_ip).encode() + b":"


def _store_key(config: Mapping[str, Any]) -> Any:
    if config["policy"] == "redis":
        return RedisStore, RedisSettings.of(config["redis"])
    return DatabaseStore if config["policy"] == "cluster" else LocalStore, "responses"


def _store(settings: Settings, kong: Kong) -> ICounterStore:
    node = kong.node
    store: ICounterStore | None = node.shared.get(settings.store)
    if store is None:
        kind, where = settings.store
        if kind is LocalStore:
            store = LocalStore(node.memory.counters)
        elif kind is DatabaseStore:
            store = DatabaseStore(node.store, "response_ratelimiting_metrics")
        else:
            store = RedisStore(client_of(where, node))
        node.shared[settings.store] = store
    return store


def _first_reason(failure: Failure) -> Failure:
    """What failed first, without the wrapping of L{gatherResults}."""
    inner = getattr(failure.value, "subFailure", failure)
    return inner if isinstance(inner, Failure) else failure


def _failed(failure: Failure, settings: Settings, kong: Kong) -> None:
    if not settings.config["fault_tolerant"]:
        failure.raiseException()
    kong.log.err("failed to get usage: {error}", error=failure.getErrorMessage())
