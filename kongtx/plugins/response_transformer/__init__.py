"""The response-transformer plugin."""
