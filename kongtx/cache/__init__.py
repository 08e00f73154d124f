"""The multi-level cache."""
