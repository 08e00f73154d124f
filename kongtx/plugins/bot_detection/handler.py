"""bot-detection: clients are refused by what their User-Agent says they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.plugins.bot_detection.agents import PATTERNS
from kongtx.plugins.bot_detection.schema import subschema
from kongtx.router.regexes import Regex

#: How many agents a configuration remembers, and how long they may be.
REMEMBERED = 10_000
LONGEST = 512

Judge = Callable[[bytes], bool]


class BotDetection(Plugin):
    """Refuses known bots, and whatever else the configuration says."""

    name = "bot-detection"
    priority = 2500
    subschema = subschema()

    def prepare(self, config: Mapping[str, Any]) -> Judge:
        """Whether an agent may pass, as a function that remembers."""
        allow = [Regex(pattern) for pattern in config["allow"] or ()]
        deny = [Regex(pattern) for pattern in config["deny"] or ()]

        deny += known_bots()

        def judge(agent: bytes) -> bool:
            agent = agent.strip()
            return _any(allow, agent) or not _any(deny, agent)

        remembered = lru_cache(maxsize=REMEMBERED)(judge)
        return lambda agent: (remembered if len(agent) <= LONGEST else judge)(agent)

    def access(self, passes: Judge, kong: Kong) -> None:
        """Refuse the request, or let it pass."""
        agent = kong.raw.get_header(b"user-agent")
        if agent is None:
            return
        if sum(name == b"user-agent" for name, _ in kong.raw.headers) > 1:
            kong.response.error(400, "Only one User-Agent header allowed")
        if not passes(agent):
            kong.response.error(403, "Forbidden")


@cache
def known_bots() -> Sequence[Regex]:
    """The patterns of the agents that are refused anyhow; compiled when first needed."""
    return [Regex(pattern) for pattern in PATTERNS]


def _any(patterns: Sequence[Regex], agent: bytes) -> bool:
    return any(pattern.test(agent) for pattern in patterns)
