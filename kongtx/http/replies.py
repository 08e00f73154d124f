"""What llhttp tells of a response, kept until it is asked for. Hot path, no I/O."""

from __future__ import annotations

from httptools import HttpResponseParser

from kongtx.http.plain import SPECIAL

Header = tuple[bytes, bytes]


class ReplyParser:
    """llhttp's callbacks for one response at a time."""

    __slots__ = (
        "_bad_coding",
        "_chunked",
        "_complete",
        "_done_head",
        "_excess",
        "_head_bytes",
        "_interim",
        "_parser",
        "_parts",
        "headers",
        "length",
        "reason",
        "special",
        "status",
        "trailers",
    )

    _parser: HttpResponseParser | None
    #: Pieces of the body that have not been handed over.
    _parts: list[bytes]
    #: Bytes that have come, but no head yet.
    _head_bytes: int
    #: The response is chunked; or says a coding that is not understood.
    _chunked: bool
    _bad_coding: bool
    #: The head that is being read is that of an interim response.
    _interim: bool
    #: The final response's head has come; all of it has; more than it has.
    _done_head: bool
    _complete: bool
    _excess: bool
    status: int
    reason: bytes
    #: The body's length in bytes; -1 when the head does not say it.
    length: int
    headers: list[Header]
    #: The fields that concern the connection, by lower-case name.
    special: dict[bytes, bytes] | None
    trailers: list[Header]

    def _start_parsing(self) -> None:
        """A new response is expected."""
        self._interim = self._excess = self._chunked = self._bad_coding = False
        self._done_head = self._complete = False
        self._head_bytes = 0
        self.length = -1
        self.reason = b""
        self.headers = self.trailers = []
        self.special = None
        if self._parser is None:
            self._parser = HttpResponseParser(self)

    def on_status(self, reason: bytes) -> None:
        if not self._complete:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._complete:
            # Of a response that nobody asked for.
            return
        lower = name.lower()
        if lower not in SPECIAL:
            self.trailers.append((name, value))
        elif self._done_head:
            # Fields of a trailer may not say how the message is framed (RFC 9110 §6.5.1).
            return
        elif lower == b"content-length":
            self.length = int(value)
        elif lower == b"transfer-encoding":
            self._chunked = True
            if value.strip().lower() != b"chunked":
                self._bad_coding = True
        elif self.special is None:
            self.special = {lower: value}
        else:
            known = self.special.get(lower)
            self.special[lower] = value if known is None else known + b", " + value

    def on_headers_complete(self) -> None:
        if self._complete:
            self._excess = True
            return
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200 and status != 101:
            if status < 100:
                raise ValueError(f"status {status} is below 100")
            self._interim = True
            self.length = -1
            self._chunked = self._bad_coding = False
            self.trailers = []
            self.special = None
            self.reason = b""
            self._head_bytes = 0
            return
        self.status = status
        self.headers, self.trailers = self.trailers, []
        self._done_head = True

    def on_body(self, data: bytes) -> None:
        if not self._complete and not self._interim:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif not self._complete:
            self._complete = True
