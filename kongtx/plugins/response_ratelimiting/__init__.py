"""The response-ratelimiting plugin."""

from kongtx.plugins.response_ratelimiting.handler import ResponseRateLimiting

plugin = ResponseRateLimiting()
