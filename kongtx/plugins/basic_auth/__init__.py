"""The basic-auth plugin."""
