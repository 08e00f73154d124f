"""The ip-restriction plugin."""
