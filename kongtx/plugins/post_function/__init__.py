"""The post-function plugin."""
