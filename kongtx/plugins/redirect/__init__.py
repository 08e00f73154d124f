"""The redirect plugin."""
