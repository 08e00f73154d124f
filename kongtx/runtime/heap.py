"""What a large configuration costs the garbage collector."""

from __future__ import annotations

import gc

#: From so many entities on a full collection over them would be felt by requests.
LARGE = 10_000


def settle(entities: int) -> bool:
    """Set a large configuration aside, so that no collection looks at it again.

    With 100 000 routes a full collection takes over a second, in which the worker answers nobody.
    What is set aside is still freed as soon as nothing refers to it; cycles in it are found by the
    collection that comes before the next configuration is set aside.

    @param entities: how many there are; of few nothing is set aside.
    @return: whether that was done.
    """
    if entities < LARGE:
        return False
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return True
