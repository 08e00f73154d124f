"""The datadog plugin."""
