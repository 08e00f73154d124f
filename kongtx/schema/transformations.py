"""Changes made to entities as they are written or read, and what they need to be given.

Source: Kong: C{kong/db/schema/init.lua}, C{run_transformations} and its checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from kongtx.schema.checks import Errors, add_entity_error
from kongtx.schema.errors import quoted_list
from kongtx.schema.paths import get_path, is_nonempty


@attrs.frozen
class Transformation:
    """A change made to an entity as it is written or read.

    @ivar on_write, on_read: take the values of C{inputs} then of C{needs} (or, when there are
        none, the whole entity) and return the fields to change.
    @ivar inputs: dotted names; the transformation runs only when all of them are set.
    @ivar needs: further names that must be set as well.
    """

    on_write: Callable[..., Mapping[str, Any]] | None = None
    on_read: Callable[..., Mapping[str, Any]] | None = None
    inputs: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def check_transformation(
    transformation: Transformation,
    data: Mapping[str, Any],
    original: Mapping[str, Any] | None,
    stored: Mapping[str, Any] | None,
    errors: Errors,
) -> None:
    """What a transformation needs must have been sent together with what it works on."""
    names = (*transformation.inputs, *transformation.needs)
    if not names:
        return
    sent = original if original is not None else data
    given = any(is_nonempty(get_path(sent, name)) for name in transformation.inputs)
    changed = stored is not None and any(
        get_path(sent, name) != get_path(stored, name) for name in transformation.needs
    )
    if not changed and not given:
        return
    source = sent if changed else data
    for wanted, where in ((names, source), (transformation.inputs, sent)):
        count = sum(is_nonempty(get_path(where, name)) for name in wanted)
        if 0 < count < len(wanted):
            add_entity_error(
                errors, f"all or none of these fields must be set: {quoted_list(wanted)}"
            )
            return


def arguments_of(
    transformation: Transformation,
    data: Mapping[str, Any],
    original: Mapping[str, Any] | None,
    output: Mapping[str, Any] | None,
) -> list[Any] | None:
    """The values a transformation works on, or None when one of them is not set."""
    out: list[Any] = []
    current = output if output is not None else data
    sent = output if output is not None else (original if original is not None else data)
    for name in transformation.inputs:
        if not is_nonempty(get_path(sent, name)):
            return None
        out.append(get_path(current, name))
    for name in transformation.needs:
        value = get_path(current, name)
        if not is_nonempty(value):
            return None
        out.append(value)
    return out
