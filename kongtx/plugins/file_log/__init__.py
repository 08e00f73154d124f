"""The file-log plugin."""
