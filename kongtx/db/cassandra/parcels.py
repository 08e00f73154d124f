"""What a commit sends: its record in the log, and its rows, in parts if they are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kongtx.db.cassandra import layout
from kongtx.db.cassandra.layout import Address
from kongtx.db.cassandra.view import Announced
from kongtx.lib import ids

BATCH_BYTES = 1024 * 1024
BATCH_ROWS = 2000
PART_BYTES = 512 * 1024
EVENTS_BYTES = 64 * 1024

#: Kind, place, key, value (or none to remove the row), and TTL.
Sent = tuple[str, str, str, str | None, int]


def record(version: int, identity: str, events: Sequence[Announced]) -> dict[Address, str]:
    """What the log keeps of a commit: that it was, and its events in one row or several."""
    place = layout.log_place(version)
    bodies: list[list[list[Any]]] = [[]]
    size = 0
    for each in events:
        event = each.event
        size += len(event.data)
        if size > EVENTS_BYTES and bodies[-1]:
            bodies.append([])
            size = len(event.data)
        bodies[-1].append([ids.uuid4(), each.node_id, event.channel, event.data, event.delay])
    first = bodies[0] if len(bodies) == 1 else []
    rest = bodies if len(bodies) > 1 else []
    head = {"version": version, "id": identity}
    rows = {Address(*place, ""): layout.dump({**head, "events": first})}
    for number, body in enumerate(rest):
        rows[Address(*place, f"{number:06d}")] = layout.dump({**head, "events": body})
    return rows


def divided(rows: Sequence[Sent]) -> list[str] | None:
    """The rows as the parts of a large commit; L{None} if one batch takes them."""
    sizes = [_size(row) for row in rows]
    if sum(sizes) <= BATCH_BYTES and len(rows) <= BATCH_ROWS:
        return None
    parts: list[list[Sent]] = []
    room = 0
    for row, size in zip(rows, sizes, strict=True):
        if room < size or not parts:
            parts.append([])
            room = PART_BYTES
        parts[-1].append(row)
        room -= size
    return [layout.dump(part) for part in parts]


def _size(row: Sent) -> int:
    """About how many bytes a row takes in a request."""
    return 100 + sum(len(each.encode()) for each in row if isinstance(each, str))
