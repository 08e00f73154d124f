"""The writes that a connector applies, one by one or several as one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from kongtx.db.tables import Entity, Table


@attrs.frozen
class Insert:
    """Add a row whose primary key must be new."""

    table: Table
    entity: Entity


@attrs.frozen
class Update:
    """Replace a row that must exist.

    @ivar was: the row as it was read, if the entity was made from it: a row that has changed since
        is not overwritten, and the write fails with a C{ConflictError}.
    """

    table: Table
    entity: Entity
    was: Entity | None = None


@attrs.frozen
class Upsert:
    """Replace the row with the entity's primary key, or add it."""

    table: Table
    entity: Entity


@attrs.frozen
class Delete:
    """Remove a row, and with it those that refer to it by a cascading reference."""

    table: Table
    key: Mapping[str, Any]


@attrs.frozen
class Increment:
    """Add to a number of a row, whoever else adds to it at the same time.

    @ivar entity: the row to add if there is none, of which the number is what to add. A row that
        is there changes in nothing but the number; one whose time is over is not there.
    @ivar field: the number's field.
    """

    table: Table
    entity: Entity
    field: str


Write = Insert | Update | Upsert | Delete | Increment


@attrs.frozen
class Change:
    """What a write did to one row.

    @ivar new: the row as it is now; L{None} if it is gone.
    @ivar old: the row as it was; L{None} if it is new.
    """

    table: Table
    new: Entity | None
    old: Entity | None
