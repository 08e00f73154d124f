"""The statsd plugin."""
