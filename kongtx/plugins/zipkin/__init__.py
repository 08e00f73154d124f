"""The zipkin plugin."""
