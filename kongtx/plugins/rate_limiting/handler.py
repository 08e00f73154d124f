"""rate-limiting: how many requests a client may make in a second, a minute, …; on the hot path."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kongtx.cache.counters import Taken
from kongtx.entities.credentials import rate_limiting as entities
from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.plugins.counting.stores import scope
from kongtx.plugins.counting.windows import PERIODS, Window, Windows
from kongtx.plugins.rate_limiting.interfaces import IPolicy
from kongtx.plugins.rate_limiting.policies import make_policy, policy_key
from kongtx.plugins.rate_limiting.schema import subschema

#: Identities of one plugin entity that are kept.
_IDENTITIES = 10_000
_INFINITE = float("inf")


@attrs.frozen
class Settings:
    """A configuration, and what follows from it.

    @ivar windows: of the configured periods, the shortest first.
    @ivar limits: of the same periods.
    @ivar headers: for each of them, if the least remains of it: the lines of all headers, with
        places for what remains of each, for the least of these and for the seconds until more.
        Empty if clients are not told.
    @ivar whole: whether all limits are whole numbers, and so what remains of them.
    @ivar header_names: of these headers, in lower case.
    @ivar policy: where the worker's policy for it is found among what plugins share.
    """

    config: Mapping[str, Any]
    windows: Windows
    limits: Sequence[float]
    whole: bool
    headers: Sequence[bytes]
    header_names: Collection[bytes]
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
        self._identities: dict[str, dict[str, bytes]] = {}

    def prepare(self, config: Mapping[str, Any]) -> Settings:
        """See L{Settings}."""
        periods = [period for period in PERIODS if config[period] is not None]
        limits = [config[period] for period in periods]
        hidden = config["hide_client_headers"]
        whole = all(limit == int(limit) for limit in limits)
        return Settings(
            config=config,
            windows=Windows(periods),
            limits=limits,
            whole=whole,
            headers=[] if hidden else _header_lines(periods, limits, whole),
            header_names=_header_names(periods),
            policy=policy_key(config),
        )

    def configure(self, configs: Sequence[Settings]) -> None:
        """Forget the scopes of plugin entities, which may have changed."""
        self._identities.clear()

    def access(self, settings: Settings, kong: Kong) -> Any:
        """Count the request, or refuse it."""
        now = self._now()
        windows = settings.windows.at(now)
        who = _who(settings.config, kong)
        identities = self._identities.get(kong.row["id"])
        identity = None if identities is None else identities.get(who)
        if identity is None:
            identity = self._identity(kong.row, who)
        try:
            taken = self._policy(settings, kong).take(identity, windows, settings.limits, now)
        except Exception:
            return self._failed(Failure(), settings, kong)
        if isinstance(taken, Taken):
            return self._decide(taken, windows, settings, kong, now)
        waiting: Deferred[Any] = taken.addErrback(self._failed, settings, kong)
        return waiting.addCallback(self._decide, windows, settings, kong, now)

    def _identity(self, row: Mapping[str, Any], who: str) -> bytes:
        """Whose requests are counted, and for which plugin entity."""
        known = self._identities.setdefault(row["id"], {})
        if len(known) >= _IDENTITIES:
            known.clear()
        identity = scope("ratelimit", row) + who.encode("utf-8", "surrogateescape") + b":"
        known[who] = identity
        return identity

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
        counts, reached, more = taken
        remaining: list[float] = []
        worst, least = 0, _INFINITE
        for index, limit in enumerate(settings.limits):
            left = limit - counts[index] - more
            if reached is None or reached == index:
                left -= 1
            left = max(left, 0)
            remaining.append(left)
            # The least of what remains counts; of equal ones that of the longer window.
            if left <= least:
                worst, least = index, left
        reset = windows[worst].reset(now)
        if settings.headers:
            shown = remaining if settings.whole else [_number(left) for left in remaining]
            lines = settings.headers[worst] % (*shown, shown[worst], reset)
            kong.raw.add_response_lines(lines, settings.header_names)
        if reached is not None:
            config = settings.config
            told = {"Retry-After": reset} if settings.headers else {}
            kong.response.error(int(config["error_code"] or 429), config["error_message"], told)


def _header_lines(periods: Sequence[str], limits: Sequence[float], whole: bool) -> list[bytes]:
    """See L{Settings.headers}."""
    titles = [period.title().encode() for period in periods]
    texts = [_number(limit) for limit in limits]
    all_periods = [
        b"X-RateLimit-Limit-%b: %b\r\n" % (title, text)
        for title, text in zip(titles, texts, strict=True)
    ]
    place = b"%d" if whole else b"%b"
    all_periods += [b"X-RateLimit-Remaining-%b: %b\r\n" % (title, place) for title in titles]
    least = b"RateLimit-Limit: %b\r\nRateLimit-Remaining: %b\r\nRateLimit-Reset: %%d\r\n"
    return [b"".join(all_periods) + least % (text, place) for text in texts]


def _header_names(periods: Sequence[str]) -> frozenset[bytes]:
    """See L{Settings.header_names}."""
    each = {
        f"x-ratelimit-{what}-{period}".encode()
        for what in ("limit", "remaining")
        for period in periods
    }
    return frozenset(each | {b"ratelimit-limit", b"ratelimit-remaining", b"ratelimit-reset"})


def _who(config: Mapping[str, Any], kong: Kong) -> str:
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
    return found or raw.client_ip


def _number(value: float) -> bytes:
    return b"%d" % value if value == int(value) else f"{value:g}".encode()
