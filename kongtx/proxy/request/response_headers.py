"""The headers of a response as plugins change them. Hot path: lines, until one reads them all.

Most plugins set or remove headers by name. For that the upstream's lines need not be taken apart:
what is set is a line more, and a name that is not there needs no removal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Final

from kongtx.http.lines import CR, LF, Header, HeaderBlock, parse_lines
from kongtx.http.plain import cut_head, cut_lines, fields_of, take_apart

#: The name under which headers have the body's length, once plugins are through with them.
CONTENT_LENGTH: Final = b"Content-Length"

_NAMES_KEPT: Final = 1024
#: Names, as they are sent, of which lines have been found to be good.
_line_names: Final[set[bytes]] = set()
#: Those which say how the message is framed: lines of them are the channel's.
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))
_NOTHING: Final[Mapping[bytes, bytes]] = {}


class ResponseHeaders:
    """A response's headers: a list, behind it lines, or an upstream's lines and more of them."""

    __slots__ = (
        "__dict__",
        "_response_added",
        "_response_fields",
        "_response_head",
        "_response_headers",
        "_response_length",
        "_response_lines",
        "_upstream_head",
    )

    _response_headers: list[Header]
    #: The upstream's head: its status line and the lines that are left of it. Empty: there is
    #: none yet, or it is in the list.
    _response_head: bytes
    #: The body's length, which stands for the header while there is a head.
    _response_length: int
    #: The first value of each header of the head, by its name in lower case; L{None} until it is
    #: asked for.
    _response_fields: Mapping[bytes, bytes] | None
    #: More headers, as lines that nobody has wanted to see taken apart yet.
    _response_lines: bytes
    #: Their names in lower case; L{None} if there are none, or if they have not been asked for.
    #: Others may use the same object, unless it is a set.
    _response_added: Collection[bytes] | None

    #: A plain head as the upstream sent it, and its body's length, instead of the list below.
    _upstream_head: tuple[bytes, int] | None

    _upstream_headers: Sequence[Header] = ()

    @property
    def response_headers(self) -> list[Header]:
        headers = self._response_headers
        head = self._response_head
        if head:
            self._response_head = b""
            headers += take_apart(head)[1]
            headers.append((CONTENT_LENGTH, b"%d" % self._response_length))
        lines = self._response_lines
        if lines:
            self._response_lines = b""
            self._response_added = None
            headers += parse_lines(lines)
        return headers

    @response_headers.setter
    def response_headers(self, headers: list[Header]) -> None:
        self._response_head = self._response_lines = b""
        self._response_added = None
        self._response_headers = headers

    def _keep_lines(self, head: bytes, length: int) -> None:
        """The headers are now the lines of an upstream's head; the list is empty."""
        self._response_head = head
        self._response_length = length
        self._response_fields = None

    def _head_fields(self) -> Mapping[bytes, bytes]:
        if not self._response_head:
            return _NOTHING
        fields = self._response_fields
        if fields is None:
            fields = self._response_fields = fields_of(self._response_head)
        return fields

    def _added_names(self) -> Collection[bytes]:
        added = self._response_added
        if added is None and self._response_lines:
            added = {name.lower() for name, _ in parse_lines(self._response_lines)}
            self._response_added = added
        return added or ()

    @property
    def upstream_headers(self) -> Sequence[Header]:
        if self._upstream_head is not None:
            head, length = self._upstream_head
            framing = (CONTENT_LENGTH, b"%d" % length)
            self._upstream_headers = (*take_apart(head)[1], framing)
            self._upstream_head = None
        return self._upstream_headers

    def get_response_header(self, name: bytes) -> bytes | None:
        if self._response_headers:
            return next((v for n, v in self.response_headers if n.lower() == name), None)
        if self._response_head and name == b"content-length":
            return b"%d" % self._response_length
        value = self._head_fields().get(name)
        if value is not None:
            return value
        if name not in self._added_names():
            return None
        return next((v for n, v in parse_lines(self._response_lines) if n.lower() == name), None)

    def set_response_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if (
            not self._response_headers
            and (name in _line_names or _is_good(name, lower))
            and not (LF in value or CR in value)
        ):
            added = self._added_names()
            if type(added) is not set:
                added = self._response_added = set(added)
            if lower in added or lower in self._head_fields():
                self._cut_names(frozenset((lower,)))
                # What cutting has left is another set.
                self._response_added = {*added, lower}
            else:
                added.add(lower)
            self._response_lines += b"%b: %b\r\n" % (name, value)
        else:
            headers = self.response_headers
            headers[:] = [header for header in headers if header[0].lower() != lower]
            headers.append((name, value))

    def add_response_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if (
            not self._response_headers
            and (name in _line_names or _is_good(name, lower))
            and not (LF in value or CR in value)
        ):
            self._note((lower,))
            self._response_lines += b"%b: %b\r\n" % (name, value)
        else:
            self.response_headers.append((name, value))

    def clear_response_header(self, name: bytes) -> None:
        self._remove_response({name.lower()})

    def replace_response_headers(self, names: Set[bytes], block: HeaderBlock) -> None:
        self._remove_response(names)
        if self._response_headers or not block.whole or not _FRAMING.isdisjoint(block.fields):
            self.response_headers.extend(block.headers)
        elif block.lines:
            self._note(block.fields)
            self._response_lines += block.lines

    def add_response_lines(self, lines: bytes, names: Collection[bytes] | None = None) -> None:
        if names is None:
            names = [name.lower() for name, _ in parse_lines(lines)]
        if self._response_lines:
            self._note(names)
        else:
            self._response_added = names
        self._response_lines += lines

    def _note(self, names: Collection[bytes]) -> None:
        """Headers of these names are added as lines."""
        added = self._added_names()
        if not added:
            self._response_added = names
        elif type(added) is set:
            added.update(names)
        else:
            self._response_added = {*added, *names}

    def _remove_response(self, names: Set[bytes]) -> None:
        if self._response_headers or (self._response_head and b"content-length" in names):
            headers = self.response_headers
            headers[:] = [header for header in headers if header[0].lower() not in names]
            return
        added = self._added_names()
        if not names.isdisjoint(added) or not names.isdisjoint(self._head_fields()):
            self._cut_names(frozenset(names))

    def _cut_names(self, names: frozenset[bytes]) -> None:
        """Remove some headers that are there, as lines."""
        if self._response_head:
            self._response_head = cut_head(self._response_head, names)
            self._response_fields = None
        added = self._added_names()
        if added and not names.isdisjoint(added):
            self._response_lines = cut_lines(self._response_lines, names)
            self._response_added = set(added) - names


def _is_good(name: bytes, lower: bytes) -> bool:
    """Whether a header of this name can be kept as a line."""
    if not name or lower in _FRAMING or LF in name or CR in name or b":" in name:
        return False
    if len(_line_names) >= _NAMES_KEPT:
        _line_names.clear()
    _line_names.add(name)
    return True
