"""Which route a request matches. Pure."""

from kongtx.router.router import Router, build_router, validate_route

__all__ = ["Router", "build_router", "validate_route"]
