"""The store's errors for rules that the database found broken."""

from __future__ import annotations

from collections.abc import Sequence

from kongtx.db import errors
from kongtx.db.postgres import layout
from kongtx.db.postgres.failures import Violated
from kongtx.db.writes import Delete, Write

_ENTITY = layout.bare_name("")


def named(error: Violated, writes: Sequence[Write]) -> errors.StoreError:
    """What a violation means for the writes that met it.

    Nearly all are found by asking before the write; this is for those that only the database knows
    of, such as rows of a plugin that is not enabled.
    """
    culprit = (error.table or "").removeprefix(_ENTITY)
    if error.is_reference:
        for write in writes:
            if isinstance(write, Delete):
                return errors.ForeignKeyViolationError.restricted(write.table.name, culprit)
    for write in writes:
        if write.table.name == culprit and not isinstance(write, Delete):
            for field in write.table.unique:
                if error.constraint == layout.index_name(culprit, field):
                    return errors.UniqueViolationError({field: write.entity.get(field)})
    return error
