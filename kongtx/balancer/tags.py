"""What goes beyond Kong, switched on by tags of upstreams and targets. Pure.

Tags are the one place in Kong's entities that takes free text, so clients of the Admin API,
declarative files and Kong itself carry them through unharmed.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from twisted.logger import Logger

PREFIX = "kongtx:"
_log = Logger()


@attrs.frozen(slots=True)
class OutlierRules:
    """When a peer is ejected for being worse than the others.

    @ivar errors: the percentage of failed attempts from which it is; 0 for never.
    @ivar latency: how many times the median of all peers its average time must be; 0 for never.
    @ivar requests: the least number of attempts in an interval that is judged.
    @ivar interval: seconds between judgements.
    @ivar ejection: seconds that the first ejection lasts; each one in a row lasts as much longer.
    @ivar most: the percentage of the upstream's peers that may be out at once.
    """

    errors: float = 0
    latency: float = 0
    requests: int = 20
    interval: float = 10
    ejection: float = 30
    most: float = 50

    def __bool__(self) -> bool:
        return bool(self.errors or self.latency)


@attrs.frozen(slots=True)
class Extras:
    """An upstream's settings beyond Kong's; all off by default.

    @ivar slow_start: seconds over which a recovered peer comes back to its full weight.
    @ivar zone_aware: whether peers of the node's own zone come first.
    @ivar divide_weight: whether the addresses of a name divide its weight between them, instead of
        each having all of it (Kong).
    @ivar outliers: when peers are ejected.
    """

    slow_start: float = 0
    zone_aware: bool = False
    divide_weight: bool = False
    outliers: OutlierRules = OutlierRules()


def parse_extras(tags: Iterable[str] | None) -> Extras:
    """The settings in an upstream's tags; unknown or malformed ones are logged and passed over.

    C{kongtx:slow-start=30}, C{kongtx:zone-aware}, C{kongtx:divide-weight} and
    C{kongtx:outlier-NAME=NUMBER} for each name of L{OutlierRules}.
    """
    extras: dict[str, float | bool] = {}
    rules: dict[str, float] = {}
    for tag in tags or ():
        if not tag.startswith(PREFIX):
            continue
        name, _, text = tag[len(PREFIX) :].partition("=")
        number = _number(text)
        if name in ("zone-aware", "divide-weight") and not text:
            extras[name.replace("-", "_")] = True
        elif name == "slow-start" and number is not None:
            extras["slow_start"] = number
        elif name.startswith("outlier-") and name[8:] in _RULES and number is not None:
            rules[name[8:]] = number
        else:
            _log.warn("the tag {tag} means nothing on an upstream", tag=tag)
    return Extras(outliers=OutlierRules(**rules), **extras)  # type: ignore[arg-type]


def zone_of(tags: Iterable[str] | None) -> str:
    """The zone of a target, from its tag C{kongtx:zone=NAME}; empty if it has none."""
    for tag in tags or ():
        if tag.startswith(f"{PREFIX}zone="):
            return tag[len(PREFIX) + 5 :]
    return ""


_RULES = frozenset(field.name for field in attrs.fields(OutlierRules))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < 1e9 else None
