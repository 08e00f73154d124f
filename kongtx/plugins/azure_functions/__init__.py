"""The azure-functions plugin."""
