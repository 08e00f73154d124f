"""Frames as bytes (RFC 9113 §4, §6). Hot path, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from kongtx.http.h2.errors import PROTOCOL_ERROR, ConnectionFault

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

#: Flags.
END_STREAM: Final = 1
ACK: Final = 1
END_HEADERS: Final = 4
PADDED: Final = 8
WITH_PRIORITY: Final = 32

#: Settings (§6.5.2).
HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

#: What holds before any SETTINGS, in bytes.
DEFAULT_WINDOW: Final = 65535
DEFAULT_FRAME_SIZE: Final = 16384
LARGEST_WINDOW: Final = (1 << 31) - 1

#: A frame's header is this long, in bytes.
HEAD_BYTES: Final = 9

_HEAD: Final = Struct(">BHBBL")
_SETTING: Final = Struct(">HL")
_TWO: Final = Struct(">LL")
_ONE: Final = Struct(">L")


def frame_head(kind: int, flags: int, stream_id: int, size: int) -> bytes:
    """A frame's header."""
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream_id)


def headers_frames(stream_id: int, block: bytes, ended: bool, size: int) -> bytes:
    """A header block in a HEADERS frame and, if it is long, CONTINUATION frames.

    @param size: the peer's largest frame.
    """
    flags = END_STREAM if ended else 0
    if len(block) <= size:
        return frame_head(HEADERS, flags | END_HEADERS, stream_id, len(block)) + block
    pieces = [frame_head(HEADERS, flags, stream_id, size), block[:size]]
    for start in range(size, len(block), size):
        piece = block[start : start + size]
        last = END_HEADERS if start + size >= len(block) else 0
        pieces += (frame_head(CONTINUATION, last, stream_id, len(piece)), piece)
    return b"".join(pieces)


def settings_frame(settings: Sequence[tuple[int, int]]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join(_SETTING.pack(*setting) for setting in settings)
    return frame_head(SETTINGS, 0, 0, len(payload)) + payload


#: Acknowledges the peer's SETTINGS.
SETTINGS_ACK: Final = frame_head(SETTINGS, ACK, 0, 0)


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The settings of a SETTINGS frame's payload, whose length is right."""
    return list(_SETTING.iter_unpack(payload))


def ping_frame(payload: bytes, ack: bool) -> bytes:
    """A PING frame of 8 bytes."""
    return frame_head(PING, ACK if ack else 0, 0, 8) + payload


def goaway_frame(last_stream_id: int, code: int, why: bytes = b"") -> bytes:
    """A GOAWAY frame."""
    head = frame_head(GOAWAY, 0, 0, 8 + len(why))
    return head + _TWO.pack(last_stream_id, code) + why


def read_goaway(payload: bytes) -> tuple[int, int]:
    """The last stream's id and the error code of a GOAWAY frame's payload."""
    last, code = _TWO.unpack_from(payload)
    return last & LARGEST_WINDOW, code


def reset_frame(stream_id: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return frame_head(RST_STREAM, 0, stream_id, 4) + _ONE.pack(code)


def window_frame(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame_head(WINDOW_UPDATE, 0, stream_id, 4) + _ONE.pack(increment)


def read_number(payload: bytes) -> int:
    """The 32 bits of a payload of 4 bytes."""
    number: int = _ONE.unpack(payload)[0]
    return number


def unpadded(payload: bytes) -> bytes:
    """A PADDED frame's payload without its padding (§6.1).

    @raise ConnectionFault: there is more padding than payload.
    """
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]
