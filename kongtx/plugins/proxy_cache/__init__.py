"""The proxy-cache plugin."""
