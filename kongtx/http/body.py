"""Chunked bodies (RFC 9112 §7.1), by llhttp. No I/O."""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpRequestParser

Header = tuple[bytes, bytes]

_HEAD: Final = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_END: Final = b"\r\n\r\n"

#: Chunk sizes, extensions and trailers may take this much between two pieces of data.
OVERHEAD_BYTES: Final = 32 * 1024


class ChunkedBody:
    """Decodes one chunked request body and finds where it ends.

    llhttp would read on into the next request without saying where that begins; a chunked body
    always ends in an empty line, so the parser is fed up to each empty line in turn.
    """

    __slots__ = ("_overhead", "_parser", "_parts", "_split", "ended", "trailers")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._overhead = 0
        self._split = False
        #: The body is complete.
        self.ended = False
        #: Trailer fields, as received.
        self.trailers: list[Header] = []
        self._parser = HttpRequestParser(self)
        self._parser.feed_data(_HEAD)
        self.trailers.clear()

    # llhttp's callbacks
    def on_header(self, name: bytes, value: bytes) -> None:
        self.trailers.append((name, value.rstrip(b" \t")))

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        self.ended = True

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Take received bytes.

        @return: what they hold of the body, and how many of the bytes belong to it: less than
            C{len(data)} only when it has ended; -1 when they are malformed.
        """
        try:
            used = self._feed(data)
        except HttpParserError:
            return b"", -1
        parts = self._parts
        if not parts:
            self._overhead += used
            if self._overhead > OVERHEAD_BYTES and not self.ended:
                return b"", -1
            return b"", used
        self._overhead = 0
        payload = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return payload, used

    def _feed(self, data: bytes) -> int:
        feed = self._parser.feed_data
        position = 0
        if self._split:
            # The empty line may have begun in what was fed before.
            while position < 3 and position < len(data):
                feed(data[position : position + 1])
                position += 1
                if self.ended:
                    return position
        while position < len(data):
            found = data.find(_END, max(0, position - 3))
            if found < 0:
                break
            feed(data[position : found + 4])
            position = found + 4
            if self.ended:
                return position
        if position < len(data):
            feed(data[position:] if position else data)
        self._split = data[-1:] in (b"\r", b"\n")
        return len(data)
