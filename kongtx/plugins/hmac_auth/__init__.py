"""The hmac-auth plugin."""
