"""What router tests share: routes in the Admin API's form, and short ways to ask."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from kongtx.router.inspection.request import RouteRequest, request_for
from kongtx.router.router import Router, build_router

FLAVORS = ("traditional", "traditional_compatible")


def route(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A whole route entity; the number gives its id, name and creation time."""
    return {
        "id": str(UUID(int=number)),
        "created_at": 1_700_000_000 + number,
        "updated_at": 1_700_000_000 + number,
        "name": f"route-{number}",
        "protocols": ["http", "https"],
        "https_redirect_status_code": 426,
        "strip_path": True,
        "preserve_host": False,
        "request_buffering": True,
        "response_buffering": True,
        "tags": None,
        "service": None,
        "snis": None,
        "sources": None,
        "destinations": None,
        "methods": None,
        "hosts": None,
        "paths": None,
        "headers": None,
        "regex_priority": 0,
        "path_handling": "v0",
        **fields,
    }


def service(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A service entity, as far as a router reads it."""
    return {
        "id": str(UUID(int=1000 + number)),
        "name": f"service-{number}",
        "protocol": "http",
        "host": "upstream.example",
        "port": 80,
        "path": None,
        "enabled": True,
        **fields,
    }


def router_of(flavor: str, *routes: dict[str, Any]) -> Router:
    """A router of routes without services."""
    return build_router(flavor, routes, {})


def ask(router: Router, target: str, method: str = "GET", **headers: str) -> str | None:
    """The name of the route that a request gets; header names have C{_} for C{-}."""
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    match = router.match(request_for(method, target, fields))
    return None if match is None else match.route["name"]


__all__ = ["FLAVORS", "RouteRequest", "ask", "request_for", "route", "router_of", "service"]
