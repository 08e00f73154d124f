"""How much faster C{kongtx.lib.ids} makes and checks UUIDs than the standard library.

Run C{python -m benchmarks.ids}; prints nanoseconds and the ratio, which is what to compare.
"""

from __future__ import annotations

import timeit
import uuid
from collections.abc import Callable
from functools import partial

from kongtx.lib import ids

NAMESPACE = str(uuid.NAMESPACE_DNS)
ID = str(uuid.uuid4())


def _standard_check(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


FIGURES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "v4": (lambda: str(uuid.uuid4()), ids.uuid4),
    "v5": (
        lambda: str(uuid.uuid5(uuid.UUID(NAMESPACE), "name")),
        lambda: ids.uuid5(NAMESPACE, "name"),
    ),
    "v3": (
        lambda: str(uuid.uuid3(uuid.UUID(NAMESPACE), "name")),
        lambda: ids.uuid3(NAMESPACE, "name"),
    ),
    "an id": (lambda: _standard_check(ID), partial(ids.is_uuid, ID)),
    "a name": (lambda: _standard_check("my-service"), partial(ids.is_uuid, "my-service")),
}


def nanoseconds(function: Callable[[], object], number: int = 5000) -> float:
    """The least time of one call, over seven rounds."""
    return min(timeit.repeat(function, number=number, repeat=7)) / number * 1e9


def ratios() -> dict[str, tuple[float, float, float]]:
    """Standard library's nanoseconds, ours, and their ratio, by figure."""
    measured = {}
    for name, (theirs, ours) in FIGURES.items():
        slow, fast = nanoseconds(theirs), nanoseconds(ours)
        measured[name] = (slow, fast, slow / fast)
    return measured


if __name__ == "__main__":
    for name, (slow, fast, ratio) in ratios().items():
        print(f"{name:6} {slow:8.0f} ns standard library {fast:8.0f} ns here {ratio:6.1f} times")
