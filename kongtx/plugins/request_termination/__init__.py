"""The request-termination plugin."""
