"""What the Admin API answers, and errors that are answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from kongtx.db import errors


def _plain(value: object) -> object:
    """What JSON has no word for, but means the same."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"no JSON: {value!r}")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode

JSON_TYPE: Final = "application/json; charset=utf-8"


@attrs.frozen
class Answer:
    """A response.

    @ivar status: the HTTP status.
    @ivar body: JSON data, or bytes to send as they are; L{None} for no body.
    @ivar headers: further headers; C{Content-Type} among them replaces that of JSON.
    """

    status: int
    body: Any = None
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def payload(self) -> bytes:
        """The bytes of the body."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return _encode(self.body).encode("utf-8", "replace")


class AbortError(Exception):
    """Ends a call with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def message(status: int, text: str, **headers: str) -> Answer:
    """An answer that only says something."""
    return Answer(status, {"message": text}, headers)


def abort(status: int, text: str) -> AbortError:
    """An error to raise that ends the call with a message."""
    return AbortError(message(status, text))


NO_CONTENT: Final = Answer(204)
NOT_FOUND: Final = message(404, "Not found")
NOT_ALLOWED: Final = message(405, "Method not allowed")
UNEXPECTED: Final = message(500, "An unexpected error occurred")

# Kong: kong/api/endpoints.lua; what is missing is answered 500.
_STATUS: Final = {1: 400, 2: 400, 3: 400, 4: 400, 5: 409, 6: 404, 7: 400, 9: 400, 10: 400} | {
    11: 400,
    12: 405,
    13: 400,
    14: 400,
    19: 400,
}


def for_store_error(error: errors.StoreError) -> Answer | None:
    """The answer for an error of the store; L{None} for what nobody expects.

    That the database is away is told with the reason, and that trying again makes sense; Kong
    answers 500 without one.
    """
    if isinstance(error, errors.DatabaseUnavailableError):
        return Answer(503, error.body(), {"Retry-After": "1"})
    status = _STATUS.get(error.code)
    return None if status is None else Answer(status, error.body())
