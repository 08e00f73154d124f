"""The tcp-log plugin."""
