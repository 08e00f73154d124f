"""The request-transformer plugin."""
