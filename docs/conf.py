"""Sphinx settings."""

from kongtx import __version__

project = "kongtx"
copyright = "the kongtx developers"  # noqa: A001
version = release = __version__
html_theme = "alabaster"
exclude_patterns = ["_build"]
