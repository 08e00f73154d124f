"""What the rest of kongtx asks of health checks, and what they ask of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface import Interface

if TYPE_CHECKING:
    from kongtx.health.machine import Outcome
    from kongtx.health.probes import Probe


class IProber(Interface):
    """Makes checks."""

    def check(probe: Probe) -> Deferred[Outcome]:
        """Check an address once.

        @return: a Deferred of the outcome, in time; it does not fail unless it is cancelled.
        """


class IHealthChecker(Interface):
    """The health of the targets of all upstreams, as this worker knows it."""

    def upstream_health(
        upstream_id: str, targets: Iterable[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Target entities with C{health} and C{data}, as C{GET /upstreams/{}/health} shows them.

        @raise HealthError: if there is no such upstream.
        """

    def balancer_health(upstream_id: str) -> dict[str, Any]:
        """The C{data} of C{GET /upstreams/{}/health?balancer_health=1}.

        @raise HealthError: if there is no such upstream.
        """

    def set_health(
        upstream_id: str, target: Mapping[str, Any], address: str | None, healthy: bool
    ) -> None:
        """Set the status by hand, on all workers of all nodes.

        @param target: the target entity.
        @param address: C{ip} or C{ip:port} (port 8000 where missing) of one of its addresses;
            L{None} for all of them.
        @raise HealthError: if the upstream is not known or has no health checks.
        """

    def subscribe(callback: Callable[[str, str, int, str, str], object]) -> Callable[[], None]:
        """Call C{callback(upstream_id, ip, port, hostname, health)} when a status changes.

        C{health} is C{"healthy"} or C{"unhealthy"}; the same may be told twice in a row.

        @return: a function that ends the subscription.
        """
