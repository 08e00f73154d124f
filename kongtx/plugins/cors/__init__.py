"""The cors plugin."""
