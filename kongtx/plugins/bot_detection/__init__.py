"""The bot-detection plugin."""
