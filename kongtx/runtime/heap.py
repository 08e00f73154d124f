"""What the garbage collector need not do: at the start, and with a large configuration."""

from __future__ import annotations

import gc

#: From so many entities on a full collection over them would be felt by requests.
LARGE = 10_000


def hold_off() -> None:
    """Collect nothing while a process starts: nearly all that is made then stays.

    It spares a seventh of the processor time of a start.
    """
    gc.disable()


def resume() -> None:
    """Collect from now on, but not in what the start has made: code, schemas, the first
    configuration."""
    gc.freeze()
    gc.enable()


def set_aside(entities: int) -> None:
    """Set aside what there is without looking for garbage first, as that takes long.

    @param entities: how many were made anew.
    """
    if entities >= LARGE:
        gc.freeze()


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
