"""The rate-limiting plugin."""
