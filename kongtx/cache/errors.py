"""What can go wrong in a cache."""

from kongtx.errors import KongtxError


class CacheError(KongtxError):
    """The root of the cache's errors."""


class LockTimeout(CacheError):
    """Another worker has been computing the value for longer than an asker may wait."""

    def __init__(self, key: str, seconds: float) -> None:
        super().__init__(f"cache key {key!r}: its value was not computed within {seconds:g} s")
        self.key = key


class ValueTooLarge(CacheError):
    """A value does not fit into the shared memory at all."""

    def __init__(self, key: str, size: int, capacity: int) -> None:
        super().__init__(
            f"cache key {key!r}: a value of {size} bytes does not fit into {capacity} bytes; "
            "raise mem_cache_size"
        )
        self.key = key
