"""rate-limiting: how many requests a client may make in a second, a minute, …; on the hot path."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kongtx.cache.counters import Taken
from kongtx.entities.credentials import rate_limiting as entities
from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.plugins.counting.stores import scope
from kongtx.plugins.counting.windows import PERIODS, Window, window
from kongtx.plugins.rate_limiting.policies import IPolicy, make_policy, policy_key
from kongtx.plugins.rate_limiting.schema import subschema


@attrs.frozen
class Settings:
    """A configuration, and what follows from it.

    @ivar limits: of the configured periods, the shortest first.
    @ivar limit_headers: the limit's header of each, whole.
    @ivar remaining_names: the name of the header that tells what remains, of each.
    @ivar policy: where the worker's policy for it is found among what plugins share.
    """

    config: Mapping[str, Any]
    periods: tuple[str, ...]
    limits: Sequence[float]
    limit_headers: Sequence[tuple[bytes, bytes]]
    remaining_names: Sequence[bytes]
    policy: Any


class RateLimiting(Plugin):
    """Limits the requests of a consumer, credential, address, service, header or path.

    @param now: seconds since the epoch.
    """

    name = "rate-limiting"
    priority = 910
    subschema = subschema()
    entities = entities()

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._scopes: dict[str, bytes] = {}

    def prepare(self, config: Mapping[str, Any]) -> Settings:
        """See L{Settings}."""
        periods = tuple(period for period in PERIODS if config[period] is not None)
        return Settings(
            config=config,
            periods=periods,
            limits=[config[period] for period in periods],
            limit_headers=[
                (b"X-RateLimit-Limit-" + _title(period), _number(config[period]))
                for period in periods
            ],
            remaining_names=[b"X-RateLimit-Remaining-" + _title(period) for period in periods],
            policy=policy_key(config),
        )

    def configure(self, configs: Sequence[Settings]) -> None:
        """Forget the scopes of plugin entities, which may have changed."""
        self._scopes.clear()

    def access(self, settings: Settings, kong: Kong) -> Any:
        """Count the request, or refuse it."""
        now = self._now()
        windows = _windows(settings.periods, int(now))
        identity = self._scope_of(kong.row) + _identity(settings.config, kong)
        try:
            taken = self._policy(settings, kong).take(identity, windows, settings.limits, now)
        except Exception:
            return self._failed(Failure(), settings, kong)
        if isinstance(taken, Taken):
            return self._decide(taken, windows, settings, kong, now)
        waiting: Deferred[Any] = taken.addErrback(self._failed, settings, kong)
        return waiting.addCallback(self._decide, windows, settings, kong, now)

    def _scope_of(self, row: Mapping[str, Any]) -> bytes:
        known = self._scopes.get(row["id"])
        if known is None:
            known = self._scopes[row["id"]] = scope("ratelimit", row)
        return known

    def _policy(self, settings: Settings, kong: Kong) -> IPolicy:
        shared = kong.node.shared
        policy: IPolicy | None = shared.get(settings.policy)
        if policy is None:
            policy = shared[settings.policy] = make_policy(settings.config, kong.node)
        return policy

    def _failed(self, failure: Failure, settings: Settings, kong: Kong) -> None:
        if not settings.config["fault_tolerant"]:
            failure.raiseException()
        kong.log.err("failed to get usage: {error}", error=failure.getErrorMessage())

    def _decide(
        self,
        taken: Taken | None,
        windows: Sequence[Window],
        settings: Settings,
        kong: Kong,
        now: float,
    ) -> None:
        if taken is None:
            return
        counts, reached = taken
        limits, names = settings.limits, settings.remaining_names
        headers = [*settings.limit_headers]
        worst, least, told = 0, float("inf"), b""
        for index, limit in enumerate(limits):
            remaining = limit - counts[index] - (reached is None or reached == index)
            remaining = max(remaining, 0)
            text = _number(remaining)
            headers.append((names[index], text))
            # The least of what remains counts; of equal ones that of the longer window.
            if remaining <= least:
                worst, least, told = index, remaining, text
        config = settings.config
        reset = b"%d" % windows[worst].reset(now)
        if not config["hide_client_headers"]:
            headers.append((b"RateLimit-Limit", settings.limit_headers[worst][1]))
            headers.append((b"RateLimit-Remaining", told))
            headers.append((b"RateLimit-Reset", reset))
            kong.raw.response_headers += headers
        if reached is not None:
            more = {} if config["hide_client_headers"] else {"Retry-After": reset}
            kong.response.error(int(config["error_code"] or 429), config["error_message"], more)


@lru_cache(maxsize=256)
def _windows(periods: tuple[str, ...], second: int) -> list[Window]:
    return [window(period, second) for period in periods]


def _identity(config: Mapping[str, Any], kong: Kong) -> bytes:
    """Whose requests are counted; the client's address where nothing else is known."""
    raw, by = kong.raw, config["limit_by"]
    found: str | None = None
    if by == "consumer":
        found = raw.consumer_id
    elif by == "credential":
        found = raw.credential["id"] if raw.credential else None
    elif by == "service":
        found = raw.service["id"] if raw.service else None
    elif by == "header":
        found = kong.request.get_header(config["header_name"])
    elif by == "path" and kong.request.get_path() == config["path"]:
        found = config["path"]
    return (found or raw.client_ip).encode("utf-8", "surrogateescape") + b":"


def _title(period: str) -> bytes:
    return period.title().encode()


def _number(value: float) -> bytes:
    return b"%d" % value if value == int(value) else f"{value:g}".encode()
