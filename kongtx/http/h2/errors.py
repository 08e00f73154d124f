"""What ends an HTTP/2 connection or stream (RFC 9113 §5.4, §7)."""

from __future__ import annotations

from typing import Final

from kongtx.errors import KongtxError

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11


class ConnectionFault(KongtxError):
    """The peer has done what ends the whole connection.

    @ivar code: for GOAWAY.
    """

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class StreamFault(KongtxError):
    """The peer has done what ends one stream.

    @ivar code: for RST_STREAM.
    """

    def __init__(self, stream_id: int, code: int, why: str) -> None:
        super().__init__(why)
        self.stream_id = stream_id
        self.code = code
