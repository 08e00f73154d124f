"""Chains of plugins that are measured, each on a route of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

KEY_AUTH: Mapping[str, Any] = {"name": "key-auth"}
RATE_LIMITING: Mapping[str, Any] = {
    "name": "rate-limiting",
    "config": {"minute": 1_000_000_000, "hour": 1_000_000_000, "policy": "local"},
}
PROMETHEUS: Mapping[str, Any] = {
    "name": "prometheus",
    "config": {"status_code_metrics": True, "latency_metrics": True, "bandwidth_metrics": True},
}
TEN: Sequence[Mapping[str, Any]] = (
    KEY_AUTH,
    RATE_LIMITING,
    PROMETHEUS,
    {"name": "acl", "config": {"allow": ["benchers"]}},
    {"name": "cors", "config": {"origins": ["http://example.com"]}},
    {"name": "ip-restriction", "config": {"allow": ["127.0.0.0/8"]}},
    {"name": "request-size-limiting", "config": {"allowed_payload_size": 8}},
    {"name": "correlation-id", "config": {"header_name": "X-Correlation", "echo_downstream": True}},
    {"name": "request-transformer", "config": {"add": {"headers": ["x-added:request"]}}},
    {"name": "response-transformer", "config": {"add": {"headers": ["x-added:response"]}}},
)
#: Plugins by the name of their route, which has the same path.
CHAINS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "none": (),
    "key-auth": (KEY_AUTH,),
    "rate-limiting": (RATE_LIMITING,),
    "guarded": (KEY_AUTH, RATE_LIMITING),
    "prometheus": (PROMETHEUS,),
    "ten": TEN,
}
CONSUMERS: Sequence[Mapping[str, Any]] = (
    {
        "username": "bench",
        "keyauth_credentials": [{"key": "secret"}],
        "acls": [{"group": "benchers"}],
    },
)


def routes() -> list[dict[str, Any]]:
    """The routes, as in a declarative file; each takes its name off the path."""
    return [
        {"name": name, "paths": [f"/{name}"], "plugins": list(plugins)}
        for name, plugins in CHAINS.items()
    ]
