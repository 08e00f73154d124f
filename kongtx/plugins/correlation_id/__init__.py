"""The correlation-id plugin."""

from kongtx.plugins.correlation_id.handler import CorrelationID

plugin = CorrelationID()
