"""Health as the Admin API tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kongtx.balancer.target import Target
from kongtx.balancer.upstream import UpstreamBalancer

HEALTHY, UNHEALTHY, OFF, DNS_ERROR = "HEALTHY", "UNHEALTHY", "HEALTHCHECKS_OFF", "DNS_ERROR"


def targets_health(
    upstream: UpstreamBalancer, entities: Iterable[Mapping[str, Any]], checked: bool
) -> list[dict[str, Any]]:
    """The C{data} of C{GET /upstreams/{}/health}.

    @param entities: a page of the upstream's target entities.
    @param checked: whether the upstream has health checks.
    """
    shown = []
    for entity in entities:
        target = upstream.targets.get(str(entity["target"]))
        if target is None:
            shown.append({**entity, "health": DNS_ERROR})
            continue
        data = _target_status(target)
        on = checked and target.weight > 0
        for address in data["addresses"]:
            available = address.pop("healthy")
            address["health"] = (HEALTHY if available else UNHEALTHY) if on else OFF
        healths = {address["health"] for address in data["addresses"]}
        health = next((found for found in (HEALTHY, UNHEALTHY, OFF) if found in healths), DNS_ERROR)
        shown.append({**entity, "health": health, "data": data})
    return shown


def balancer_health(upstream: UpstreamBalancer, checked: bool) -> dict[str, Any]:
    """The C{data} of C{GET /upstreams/{}/health?balancer_health=1}."""
    health = HEALTHY if upstream.healthy else UNHEALTHY
    total, unavailable = upstream.weights()
    return {
        "health": health if checked else OFF,
        "balancer_health": health,
        "id": upstream.id,
        "details": {
            "healthy": upstream.healthy,
            "weight": _weight(total, unavailable),
            "hosts": [_target_status(target) for target in upstream.targets.values()],
        },
    }


def _target_status(target: Target) -> dict[str, Any]:
    total = sum(peer.nominal for peer in target.peers)
    unavailable = sum(peer.nominal for peer in target.peers if not peer.available)
    return {
        "host": target.name,
        "port": target.port,
        "dns": str(target.error) if target.error is not None else target.kind or "unknown",
        "nodeWeight": target.weight,
        "weight": _weight(total, unavailable),
        "addresses": [
            {
                "ip": peer.shown,
                "port": peer.port,
                "weight": _number(peer.nominal),
                "healthy": peer.available,
            }
            for peer in target.peers
        ],
    }


def _weight(total: float, unavailable: float) -> dict[str, Any]:
    return {
        "total": _number(total),
        "unavailable": _number(unavailable),
        "available": _number(total - unavailable),
    }


def _number(value: float) -> float:
    return int(value) if value == int(value) else value
