"""The request-size-limiting plugin."""
