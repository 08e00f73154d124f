"""The session plugin."""
