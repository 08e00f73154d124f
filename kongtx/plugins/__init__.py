"""The plugin model and the bundled plugins."""
