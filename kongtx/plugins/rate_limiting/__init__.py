"""The rate-limiting plugin."""

from kongtx.plugins.rate_limiting.handler import RateLimiting

plugin = RateLimiting()
