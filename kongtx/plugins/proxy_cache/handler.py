"""proxy-cache: responses are kept, and sent again without asking the upstream."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs

from kongtx.cache.errors import ValueTooLarge
from kongtx.lib.deferred import then
from kongtx.pdk.kong import Kong
from kongtx.pdk.node import Node
from kongtx.plugins.base import Plugin
from kongtx.plugins.proxy_cache.admin import admin_endpoints, follow
from kongtx.plugins.proxy_cache.keys import KeyMaker
from kongtx.plugins.proxy_cache.memory import VERSION, Kept, MemoryStrategy
from kongtx.plugins.proxy_cache.rules import Directives, Policy, directives, sent_again
from kongtx.plugins.proxy_cache.schema import subschema

Endpoints = Mapping[str, Mapping[str, Callable[[Any], Awaitable[Any]]]]

_STATUS, _KEY, _AGE = "X-Cache-Status", "X-Cache-Key", "age"


@attrs.frozen
class Settings:
    """A configuration, and what follows from it.

    @ivar storage_ttl: for how long responses are kept, in seconds, whatever they say.
    @ivar shown: the headers that every client is shown.
    """

    policy: Policy
    keys: KeyMaker
    dictionary: str
    storage_ttl: int | None
    shown: frozenset[str]


@attrs.define
class Keeping:
    """A response that is being gathered.

    @ivar ttl: for how long it is good; L{None} before its header has been seen.
    """

    key: str
    request_body: bytes
    ttl: int | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    pieces: list[bytes] = attrs.Factory(list)
    size: int = 0


class ProxyCache(Plugin):
    """Answers from the node's memory what it has been answered before.

    @param now: seconds since the epoch.
    """

    name = "proxy-cache"
    priority = 100
    subschema = subschema()

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def prepare(self, config: Mapping[str, Any]) -> Settings:
        """See L{Settings}."""
        return Settings(
            Policy.of(config),
            KeyMaker.of(config),
            config["memory"]["dictionary_name"],
            config["storage_ttl"],
            frozenset(name for name, shown in config["response_headers"].items() if shown),
        )

    def init_worker(self, node: Node) -> None:
        """Hear what other nodes are asked to forget."""
        follow(node)

    def admin_endpoints(self, node: Node) -> Endpoints:
        """Looking at what is kept, and forgetting it."""
        return admin_endpoints(node, self._now)

    def access(self, settings: Settings, kong: Kong) -> Any:
        """Answer from what is kept, or remember to keep what the upstream answers."""
        raw = kong.raw
        asked = directives(raw.get_header(b"cache-control") or b"")
        if not settings.policy.takes_request(raw.raw_method, asked):
            return _show(_STATUS, "Bypass", settings, kong)
        key = settings.keys.key(kong)
        _show(_KEY, key, settings, kong)
        now = self._now()
        kept = _strategy(settings, kong).fetch(key, now)
        if kept is None:
            if settings.policy.heeds and "only-if-cached" in asked:
                kong.response.exit(504)
            return self._keep(key, "Miss", settings, kong)
        if kept.version != VERSION:
            _strategy(settings, kong).purge(key)
            return self._keep(key, "Bypass", settings, kong)
        return self._answer(kept, key, int(now) - kept.timestamp, asked, settings, kong)

    def _answer(
        self, kept: Kept, key: str, age: int, asked: Directives, settings: Settings, kong: Kong
    ) -> Any:
        if not settings.policy.fresh(age, kept.ttl, asked):
            return self._keep(key, "Refresh", settings, kong)
        raw = kong.raw
        kong.ctx.shared["proxy_cache_hit"] = {
            "res": kept,
            "req": {"body": kept.req_body},
            "server_addr": raw.connection.local[0],
        }
        headers = sent_again(kept.headers)
        for name, value in ((_AGE, str(age)), (_STATUS, "Hit"), (_KEY, key)):
            if _shows(name, settings, kong):
                headers.append((name.encode(), value.encode()))
        raw.answered_for_upstream(self._now())
        return raw.exit(kept.status, kept.body, headers)

    def _keep(self, key: str, status: str, settings: Settings, kong: Kong) -> Any:
        _show(_STATUS, status, settings, kong)
        return then(kong.request.get_raw_body(), _begin, key, kong)

    def header_filter(self, settings: Settings, kong: Kong) -> None:
        """See whether the response may be kept."""
        keeping: Keeping | None = kong.ctx.plugin.get("keeping")
        if keeping is None:
            return
        raw = kong.raw
        ttl = settings.policy.lifetime(raw.status, raw.response_headers, int(self._now()))
        if ttl is None:
            _show(_STATUS, "Bypass", settings, kong)
            del kong.ctx.plugin["keeping"]
            return
        keeping.ttl = ttl
        keeping.headers = tuple(raw.response_headers)
        if raw.raw_method == b"HEAD":  # it has no body to wait for
            self._store(keeping, settings, kong)

    def body_filter(self, settings: Settings, kong: Kong) -> None:
        """Gather the body while it passes, and keep the response when it is whole."""
        keeping: Keeping | None = kong.ctx.plugin.get("keeping")
        if keeping is None or keeping.ttl is None:
            return
        chunk = kong.raw.chunk
        keeping.pieces.append(chunk)
        keeping.size += len(chunk)
        if keeping.size > _strategy(settings, kong).largest:
            del kong.ctx.plugin["keeping"]
        elif kong.raw.chunk_is_last:
            self._store(keeping, settings, kong)

    def _store(self, keeping: Keeping, settings: Settings, kong: Kong) -> None:
        del kong.ctx.plugin["keeping"]
        assert keeping.ttl is not None
        now = self._now()
        kept = Kept(
            VERSION,
            kong.raw.status,
            list(keeping.headers),
            b"".join(keeping.pieces),
            int(now),
            keeping.ttl,
            keeping.request_body,
        )
        try:
            _strategy(settings, kong).store(
                keeping.key, kept, settings.storage_ttl or keeping.ttl, now
            )
        except ValueTooLarge as error:
            kong.log.notice("response not kept: {reason}", reason=str(error))


def _begin(body: bytes, key: str, kong: Kong) -> None:
    kong.ctx.plugin["keeping"] = Keeping(key, body)


def _strategy(settings: Settings, kong: Kong) -> MemoryStrategy:
    shared = kong.node.shared
    place = (MemoryStrategy, settings.dictionary)
    strategy: MemoryStrategy | None = shared.get(place)
    if strategy is None:
        strategy = shared[place] = MemoryStrategy(kong.node.memory, settings.dictionary)
    return strategy


def _shows(name: str, settings: Settings, kong: Kong) -> bool:
    return name in settings.shown or kong.raw.get_header(b"kong-debug") is not None


def _show(name: str, value: str, settings: Settings, kong: Kong) -> None:
    if _shows(name, settings, kong):
        kong.response.set_header(name, value)
