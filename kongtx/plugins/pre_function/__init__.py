"""The pre-function plugin."""
