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
from kongtx.plugins.rate_limiting.share import Share, least_of

#: Identities of one plugin entity that are kept.
_IDENTITIES = 10_000


@attrs.frozen
class Settings:
    """A configuration, and what follows from it.

    @ivar who: whose requests are counted; nobody's where that is not known.
    @ivar windows: of the configured periods, the shortest first.
    @ivar limits: of the same periods.
    @ivar headers: for each of them, if the least remains of it: the lines of all headers, with
        places for what remains of each, for the least of these and for the seconds until more.
        Empty if clients are not told.
    @ivar whole: whether all limits are whole numbers, and so what remains of them.
    @ivar header_names: of these headers, in lower case.
    @ivar policy: where the worker's policy for it is found among what plugins share.
    @ivar shares: what this worker counts by itself, by whose requests are counted.
    """

    config: Mapping[str, Any]
    who: Callable[[Kong], str | None]
    windows: Windows
    limits: Sequence[float]
    whole: bool
    headers: Sequence[bytes]
    header_names: Collection[bytes]
    policy: Any
    shares: dict[str, Share] = attrs.field(factory=dict, eq=False)


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
            who=_who(config),
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
        who = settings.who(kong) or kong.raw.client_ip
        share = settings.shares.get(who)
        if share is not None and share.take(now):
            return _tell_share(share, settings, kong, now)
        windows = settings.windows.at(now)
        identities = self._identities.get(kong.row["id"])
        identity = None if identities is None else identities.get(who)
        if identity is None:
            identity = self._identity(kong.row, who)
        try:
            taken = self._policy(settings, kong).take(identity, windows, settings.limits, now)
        except Exception:
            return self._failed(Failure(), settings, kong)
        if isinstance(taken, Share):
            if len(settings.shares) >= _IDENTITIES:
                settings.shares.clear()
            settings.shares[who] = taken
            return _tell_share(taken, settings, kong, now)
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
        counts, reached = taken
        remaining: list[float] = []
        for index, limit in enumerate(settings.limits):
            left = limit - counts[index]
            if reached is None or reached == index:
                left -= 1
            remaining.append(max(left, 0))
        least = least_of(remaining)
        reset = windows[least].reset(now)
        if settings.headers:
            _tell(kong, settings, remaining, least, reset)
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


def _who(config: Mapping[str, Any]) -> Callable[[Kong], str | None]:
    """See L{Settings.who}."""
    by = config["limit_by"]
    if by == "consumer":
        return lambda kong: kong.raw.consumer_id
    if by == "credential":
        return lambda kong: kong.raw.credential["id"] if kong.raw.credential else None
    if by == "service":
        return lambda kong: kong.raw.service["id"] if kong.raw.service else None
    if by == "header":
        name = config["header_name"]
        return lambda kong: kong.request.get_header(name)
    if by == "path":
        path = config["path"]
        return lambda kong: path if kong.request.get_path() == path else None
    return lambda kong: None


def _tell_share(share: Share, settings: Settings, kong: Kong, now: float) -> None:
    if settings.headers:
        unsent, least = share.unsent, share.least
        remaining = [each - unsent for each in share.left]
        _tell(kong, settings, remaining, least, share.windows[least].reset(now))


def _tell(
    kong: Kong, settings: Settings, remaining: Sequence[float], least: int, reset: int
) -> None:
    """Tell the client what remains."""
    shown = remaining if settings.whole else [_number(left) for left in remaining]
    lines = settings.headers[least] % (*shown, shown[least], reset)
    kong.raw.add_response_lines(lines, settings.header_names)


def _number(value: float) -> bytes:
    return b"%d" % value if value == int(value) else f"{value:g}".encode()
