"""What the multi-level cache is told, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.python.failure import Failure

L1, L2, LOADER, STALE, MISS = 1, 2, 3, 4, -1


@attrs.frozen
class Options:
    """How long values are held, in seconds; a call may override any of them.

    @ivar ttl: of a value; 0 for ever.
    @ivar neg_ttl: of a miss, a loader's L{None}; 0 for ever.
    @ivar resurrect_ttl: for how long an expired value serves again when the loader fails; L{None}
        for not at all.
    @ivar lock_timeout: for how long an asker waits for another worker's loader.
    @ivar serializer: makes of a value from the second level or the loader the object that the
        first level holds; never called with L{None}.
    """

    ttl: float = 30.0
    neg_ttl: float = 5.0
    resurrect_ttl: float | None = None
    lock_timeout: float = 5.0
    serializer: Callable[[Any], Any] | None = None


@attrs.frozen
class Loaded:
    """What a loader may return to say how long its value is held.

    @ivar ttl: seconds, 0 for ever; below 0 the value is not held at all.
    """

    value: Any
    ttl: float


@attrs.frozen
class Found:
    """A value and the level it came from: L1, L2, LOADER, STALE or MISS."""

    value: Any
    level: int
    error: Failure | None = None


@attrs.frozen
class Peeked:
    """What the second level holds of a key.

    @ivar remaining: seconds until it expires, negative when it has; infinite for ever.
    """

    value: Any
    remaining: float
    stale: bool


@attrs.define
class Statistics:
    """Counts since the cache was made, of this worker."""

    l1_hits: int = 0
    l2_hits: int = 0
    loads: int = 0
    load_errors: int = 0
    resurrected: int = 0
