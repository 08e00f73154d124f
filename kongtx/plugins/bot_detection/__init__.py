"""The bot-detection plugin."""

from kongtx.plugins.bot_detection.handler import BotDetection

plugin = BotDetection()
