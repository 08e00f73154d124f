"""The loggly plugin."""
