"""The response-ratelimiting plugin."""
