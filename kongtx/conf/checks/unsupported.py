"""What Kong can do and kongtx cannot, yet.

Such a value is read and checked like any other, so that a node can be asked about it; but nothing
starts with it. Left unsaid, a gateway would come up without the database, the role or the ports
that its administrator counts on.
"""

from __future__ import annotations

from collections.abc import Iterator

from kongtx.conf.draft import Draft
from kongtx.conf.errors import Problem

#: By property: the values that work, the first being the one for most.
SUPPORTED = {
    "role": ("traditional",),
    "stream_listen": ("off",),
}


def find(draft: Draft) -> Iterator[Problem]:
    """What a checked draft asks for in vain."""
    for name, supported in SUPPORTED.items():
        value = draft.values.get(name)
        is_there = not draft.is_on(name) if name.endswith("_listen") else value in supported
        if value and not is_there:
            text = value if isinstance(value, str) else ", ".join(value)
            setting = draft.settings.get(name)
            yield Problem(
                f"{name} = {text} is not supported yet; take {_either(supported)}",
                setting.where if setting else "",
                name,
            )


def _either(values: tuple[str, ...]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last
