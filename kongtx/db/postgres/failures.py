"""What the driver raises, as the errors of the store."""

from __future__ import annotations

import psycopg2
from psycopg2 import errorcodes

from kongtx.db import errors
from kongtx.db.postgres.settings import Endpoint

_VIOLATIONS = {
    errorcodes.UNIQUE_VIOLATION,
    errorcodes.FOREIGN_KEY_VIOLATION,
    errorcodes.RESTRICT_VIOLATION,
}
_CONTENTION = {
    errorcodes.SERIALIZATION_FAILURE,
    errorcodes.DEADLOCK_DETECTED,
    errorcodes.LOCK_NOT_AVAILABLE,
}


class Disconnected(errors.DatabaseUnavailableError):
    """There is no connection, or it ended while something was under way."""


class NoAnswer(errors.DatabaseUnavailableError):
    """The server took too long; the connection was closed, and it was asked to stop."""


class Contended(errors.DatabaseError):
    """Others were in the way; the whole transaction can be tried again."""


class Violated(errors.DatabaseError):
    """A constraint of the database did not hold.

    @ivar is_reference: whether it is one between tables, rather than one of uniqueness.
    @ivar table: the table's name in the database.
    @ivar constraint: the constraint's name in the database.
    """

    is_reference = False
    table: str | None = None
    constraint: str | None = None


def translated(error: BaseException, endpoint: Endpoint, *, is_lost: bool) -> errors.DatabaseError:
    """What happened, without the values that the server repeats in its details.

    @param is_lost: whether the connection is gone.
    """
    text = f"PostgreSQL at {endpoint}: {_reason(error)}"
    code = getattr(error, "pgcode", None)
    if code in _VIOLATIONS:
        violated = Violated(text)
        violated.is_reference = code != errorcodes.UNIQUE_VIOLATION
        violated.table = error.diag.table_name  # type: ignore[attr-defined]
        violated.constraint = error.diag.constraint_name  # type: ignore[attr-defined]
        return violated
    if code in _CONTENTION:
        return Contended(text)
    return Disconnected(text) if is_lost else errors.DatabaseError(text)


def _reason(error: BaseException) -> str:
    if isinstance(error, psycopg2.Error):
        primary: str | None = error.diag.message_primary
        if primary:
            return primary
    if isinstance(error, UnicodeError | ValueError):
        return "a text cannot be sent, for it holds NUL or half a surrogate pair"
    # A line for each address; after it, indented, what might be the matter.
    lines = [line for line in str(error).splitlines() if not line.startswith("\t")]
    return " ".join(" ".join(lines).split()) or type(error).__name__
