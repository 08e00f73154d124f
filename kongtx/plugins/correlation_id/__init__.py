"""The correlation-id plugin."""
