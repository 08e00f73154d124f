"""What the Admin API asks of the rest of the node."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any

from zope.interface import Attribute, Interface


class INodeInfo(Interface):
    """The node, as far as the Admin API shows and steers it.

    Data is in JSON form, ready to be shown.
    """

    node_id: str = Attribute("``str``: the node's UUID.")
    hostname: str = Attribute("``str``: the machine's name.")

    def configuration() -> dict[str, Any]:
        """The effective configuration, secrets masked, C{log_level} being the present one."""

    def plugins() -> Mapping[str, tuple[str, int]]:
        """Version and priority of each loaded plugin, by name."""

    def pids() -> dict[str, Any]:
        """C{{"master": int, "workers": [int]}}."""

    def worker() -> dict[str, int]:
        """This worker: C{{"id": int, "count": int}}."""

    def timers() -> dict[str, int]:
        """C{{"running": int, "pending": int}}."""

    def timer_statistics() -> dict[str, Any]:
        """The C{stats} of C{/timers}."""

    def workers() -> Awaitable[Sequence[Mapping[str, Any]]]:
        """What each worker that answers says of itself.

        @return: C{pid}; C{ready}, whether it serves; C{bytes}, the memory it uses; C{server}, its
            C{connections_accepted} and so on, as in the C{server} part of C{/status}.
        """

    def shared_stores() -> Mapping[str, tuple[int, int]]:
        """Bytes used of those available in each shared store, by name."""

    def log_level() -> str:
        """The present level, as in C{notice}."""

    def set_log_level(level: str, seconds: int, cluster: bool) -> Awaitable[None]:
        """Change the level of all workers (of all nodes), for some time; 0 is for good."""

    def cache_get(key: str) -> Awaitable[Any]:
        """What the cache has under a key; L{None} for nothing."""

    def cache_delete(key: str) -> Awaitable[None]:
        """Drop a key in all workers of this node."""

    def cache_purge() -> Awaitable[None]:
        """Drop everything in all workers of this node."""

    def upstream_health(upstream_id: str) -> Mapping[str, Mapping[str, Any]] | None:
        """What the balancer knows of an upstream's targets.

        @return: by target (C{host:port}): C{host}, C{port}, C{dns}, C{nodeWeight}, C{weight} and
            C{addresses}, each of which has C{health}; L{None} if there is no balancer for it.
        """

    def balancer_health(upstream_id: str) -> Mapping[str, Any] | None:
        """The health of an upstream as a whole; L{None} if there is no balancer for it."""

    def post_health(
        upstream: Mapping[str, Any], target: str, address: str | None, healthy: bool
    ) -> Awaitable[None]:
        """Take a target, or one of its addresses, for healthy or not, on all nodes.

        @param target: C{host:port}.
        @param address: C{ip[:port]}.
        @raise ValueError: (when awaited) with the reason why that cannot be.
        """

    def not_ready() -> str | None:
        """Why this worker cannot serve traffic yet; L{None} when it can."""

    def drain() -> Awaitable[None]:
        """Report as not ready from now on."""

    def dns_statistics() -> dict[str, Any] | None:
        """The counters of the DNS client; L{None} if it has none to show."""

    def explain(
        method: str, url: str, headers: Iterable[tuple[str, str]], source: str
    ) -> Awaitable[dict[str, Any]]:
        """Which route a request would get, and why not the others.

        @raise KongtxError: the URL cannot be one.
        """

    def lint() -> Awaitable[dict[str, Any]]:
        """What looks wrong about the routes, taken together."""


class IDeclarativeLoader(Interface):
    """The declarative configuration of a node without database."""

    def digest() -> Awaitable[str]:
        """The digest of the configuration in force; 32 zeros when it is empty."""

    def export() -> Awaitable[str]:
        """The configuration in force, as YAML."""

    def load(
        document: str | Mapping[str, Any], unless: str | None
    ) -> Awaitable[dict[str, dict[str, dict[str, Any]]] | None]:
        """Replace the configuration by another.

        @param document: YAML or JSON text, or the parsed document.
        @param unless: the digest for which nothing is to be done.
        @return: the entities by schema name and id; L{None} when nothing was to be done.
        @raise DeclarativeError: (when awaited) it is not acceptable; nothing changed.
        @raise ConfigurationTooLargeError: (when awaited) it does not fit; nothing changed.
        """
