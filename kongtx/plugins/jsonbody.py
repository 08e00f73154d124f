"""JSON bodies that plugins change in part: what they do not touch stays as it was written. Pure."""

from __future__ import annotations

from typing import Any

import msgspec


class NotJSON(ValueError):
    """A body that claims to be JSON is none."""


def _as_written(number: str) -> Any:
    return msgspec.Raw(number.encode())


_decoder = msgspec.json.Decoder(float_hook=_as_written)
_encoder = msgspec.json.Encoder()


def load(body: bytes) -> Any:
    """The content of a body; fractions are opaque, and written again as they were.

    So is what no float can hold: C{1e400} would else make the body unreadable.

    @raise NotJSON: if it is none.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJSON(str(error)) from None


def dump(content: Any) -> bytes:
    """The body of some content, as L{load} gave it or with changes."""
    return _encoder.encode(content)


def printable(text: str) -> str:
    """A text that JSON can hold: octets that are no UTF-8 become replacement characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
