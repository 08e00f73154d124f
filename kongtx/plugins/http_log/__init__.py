"""The http-log plugin."""
