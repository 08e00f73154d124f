"""How much faster C{kongtx.lib.ids} makes and checks UUIDs than the standard library.

Run C{python -m benchmarks.ids}; prints nanoseconds and the ratio, which is what to compare.
"""

from __future__ import annotations

import timeit
import uuid

from kongtx.lib import ids  # noqa: F401 - the statements use it

NAMESPACE = str(uuid.NAMESPACE_DNS)
ID = str(uuid.uuid4())


def standard_check(text: str) -> bool:
    """Whether a text is a UUID in the canonical form, by the standard library."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


#: By figure: a statement with the standard library, and ours.
FIGURES = {
    "v4": ("str(uuid.uuid4())", "ids.uuid4()"),
    "v5": ("str(uuid.uuid5(uuid.UUID(NAMESPACE), 'name'))", "ids.uuid5(NAMESPACE, 'name')"),
    "v3": ("str(uuid.uuid3(uuid.UUID(NAMESPACE), 'name'))", "ids.uuid3(NAMESPACE, 'name')"),
    "an id": ("standard_check(ID)", "ids.is_uuid(ID)"),
    "a name": ("standard_check('my-service')", "ids.is_uuid('my-service')"),
}


def nanoseconds(statement: str, number: int = 5000) -> float:
    """The least time of one execution, over seven rounds."""
    return min(timeit.repeat(statement, globals=globals(), number=number, repeat=7)) / number * 1e9


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
