"""The request-size-limiting plugin."""

from kongtx.plugins.request_size_limiting.handler import RequestSizeLimiting

plugin = RequestSizeLimiting()
