"""Payloads larger than one AMP value: cut into pieces, put together again. Pure.

An AMP value holds at most 65 535 bytes. A larger payload goes as pieces under a message number,
and the box that ends the message carries its number and the tail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kongtx.events.errors import PayloadError, PieceError

#: The most bytes in one piece: below AMP's limit of 65 535.
PIECE_SIZE = 60_000
#: The most bytes in one payload.
MAX_PAYLOAD = 64 * 1024 * 1024
#: The most bytes in the name of a channel, an event, a call or a unique key.
MAX_NAME = 1024


def encode(data: Any, limit: int = MAX_PAYLOAD) -> bytes:
    """Data as JSON in UTF-8.

    @raise PayloadError: JSON cannot hold it, or it is longer than C{limit} bytes.
    """
    try:
        payload = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise PayloadError(f"event data must be what JSON can hold: {error}") from error
    if len(payload) > limit:
        raise PayloadError(f"event data is {len(payload)} bytes long; at most {limit} may be sent")
    return payload


def decode(payload: bytes) -> Any:
    """The data of a payload made by L{encode}."""
    return json.loads(payload)


def check_name(what: str, name: str) -> str:
    """The name itself.

    @param what: what it names, for the error message.
    @raise PayloadError: it is longer than L{MAX_NAME} bytes.
    """
    if len(name.encode()) > MAX_NAME:
        raise PayloadError(f"the {what} is longer than {MAX_NAME} bytes: {name[:64]}...")
    return name


def split(payload: bytes, size: int = PIECE_SIZE) -> tuple[list[bytes], bytes]:
    """A payload as pieces to send ahead and the tail that goes with the closing box.

    @return: the pieces (none for a short payload) and the tail, each at most C{size} bytes.
    """
    if len(payload) <= size:
        return [], payload
    cuts = range(0, len(payload), size)
    pieces = [payload[cut : cut + size] for cut in cuts]
    return pieces[:-1], pieces[-1]


class Assembler:
    """Puts the messages of one connection together.

    @param limit: the most bytes that may wait for their tails, over all messages.
    """

    __slots__ = ("_limit", "_parts", "_waiting")

    def __init__(self, limit: int = MAX_PAYLOAD) -> None:
        self._limit = limit
        self._parts: dict[int, list[bytes]] = {}
        self._waiting = 0

    def __len__(self) -> int:
        """How many messages wait for their tails."""
        return len(self._parts)

    def add(self, message: int, piece: bytes) -> None:
        """Keep a piece until its message ends.

        @raise PieceError: more bytes wait than are allowed; everything kept is dropped.
        """
        self._waiting += len(piece)
        if self._waiting > self._limit:
            self._parts.clear()
            self._waiting = 0
            raise PieceError(f"more than {self._limit} bytes of unfinished messages")
        self._parts.setdefault(message, []).append(piece)

    def finish(self, message: int, tail: bytes) -> bytes:
        """The whole payload of a message.

        @param message: its number; 0 means that no piece went ahead.
        @raise PieceError: no piece with that number came.
        """
        if message == 0:
            return tail
        parts = self._parts.pop(message, None)
        if parts is None:
            raise PieceError(f"no piece of message {message} came before its end")
        self._waiting -= sum(map(len, parts))
        parts.append(tail)
        return b"".join(parts)


def numbers() -> Iterator[int]:
    """Message numbers of one sender: 1, 2, ... and again from 1 after 2^31 - 1."""
    number = 0
    while True:
        number = number % 0x7FFFFFFF + 1
        yield number
