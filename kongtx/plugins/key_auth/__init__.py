"""The key-auth plugin."""
