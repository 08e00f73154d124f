"""The root of every error that kongtx raises on purpose."""


class KongtxError(Exception):
    """An error whose message says what was wrong, where, and what would be right."""
