"""The standard-webhooks plugin."""
