"""The request-termination plugin."""

from kongtx.plugins.request_termination.handler import RequestTermination

plugin = RequestTermination()
