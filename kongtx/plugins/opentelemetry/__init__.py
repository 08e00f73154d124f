"""The opentelemetry plugin."""
