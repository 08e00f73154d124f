"""The jwt plugin."""
