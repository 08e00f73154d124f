"""The oauth2 plugin."""
