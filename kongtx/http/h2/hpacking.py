"""Header blocks (HPACK, RFC 7541). Hot path, no I/O.

Blocks are read by the hpack library. They are written here without the dynamic table, as nginx
does: what the gateway sends has ids and latencies in it that change from message to message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hpack import Decoder, HPACKError
from hpack.exceptions import OversizedHeaderListError
from hpack.table import HeaderTable

from kongtx.http.h2.errors import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ConnectionFault

Header = tuple[bytes, bytes]

_WHOLE: Final[dict[Header, int]] = {}
_NAMES: Final[dict[bytes, int]] = {}
for _number, _entry in enumerate(HeaderTable.STATIC_TABLE, 1):
    _WHOLE[_entry] = _number
    _NAMES.setdefault(_entry[0], _number)

#: Fields of one connection (RFC 9113 §8.2.2); they are never sent.
CONNECTION_FIELDS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
#: Values that no intermediary should put into a table (RFC 7541 §7.1.3).
SECRET: Final = frozenset((b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"))

_KEPT: Final = 4096
# What precedes a value's length, by the name in any case; empty for names that are not sent.
_prefixes: dict[bytes, bytes] = {}
_LENGTHS: Final = tuple(bytes((number,)) for number in range(127))

#: An instruction to the peer's decoder to keep no table.
NO_TABLE: Final = b"\x20"


def _integer(number: int, bits: int, pattern: int) -> bytes:
    """An integer in the low bits of its first octet (RFC 7541 §5.1)."""
    most = (1 << bits) - 1
    if number < most:
        return bytes((pattern | number,))
    octets = [pattern | most]
    number -= most
    while number >= 128:
        octets.append(number & 127 | 128)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def _prefix(name: bytes) -> bytes:
    lower = name.lower()
    if lower in CONNECTION_FIELDS:
        prefix = b""
    else:
        pattern = 0x10 if lower in SECRET else 0
        index = _NAMES.get(lower)
        if index is not None:
            prefix = _integer(index, 4, pattern)
        else:
            prefix = bytes((pattern,)) + _integer(len(lower), 7, 0) + lower
    if len(_prefixes) >= _KEPT:
        _prefixes.clear()
    _prefixes[name] = prefix
    return prefix


_STATUSES: Final = tuple(
    _integer(_WHOLE[b":status", status], 7, 0x80)
    if (b":status", status := b"%d" % number) in _WHOLE
    else _integer(_NAMES[b":status"], 4, 0) + b"\x03" + status
    for number in range(100, 1000)
)


def encode_status(status: int) -> bytes:
    """The C{:status} field's bytes."""
    return _STATUSES[status - 100]


def encode(headers: Iterable[Header]) -> bytes:
    """Fields as bytes; names of any case, without those of L{CONNECTION_FIELDS}."""
    pieces: list[bytes] = []
    known = _prefixes.get
    for name, value in headers:
        prefix = known(name)
        if prefix is None:
            prefix = _prefix(name)
        if prefix:
            size = len(value)
            pieces += (prefix, _LENGTHS[size] if size < 127 else _integer(size, 7, 0), value)
    return b"".join(pieces)


def encode_request(method: bytes, secure: bool, authority: bytes, path: bytes) -> bytes:
    """A request's pseudo-fields as bytes."""
    index = _WHOLE.get((b":method", method))
    first = b"" if index is None else bytes((0x80 | index,))
    scheme = b"\x87" if secure else b"\x86"
    fields = [(b":authority", authority), (b":path", path)]
    if index is None:
        fields.insert(0, (b":method", method))
    return first + scheme + encode(fields)


class BlockDecoder:
    """Reads one connection's header blocks; a block that changes no table is read once."""

    __slots__ = ("_decoder", "_known", "_table")

    def __init__(self, most_bytes: int) -> None:
        """Make a decoder.

        @param most_bytes: a longer list of fields ends the connection (each field counts 32 bytes
            more than its octets, RFC 7541 §4.1).
        """
        self._decoder = Decoder(max_header_list_size=most_bytes)
        self._table: Any = self._decoder.header_table
        self._known: dict[bytes, list[Header]] = {}

    def decode(self, block: bytes) -> list[Header]:
        """The fields of a block, in their order; the list is shared by equal blocks.

        @raise ConnectionFault: it is no such block, or too much.
        """
        fields = self._known.get(block)
        if fields is not None:
            return fields
        entries = self._table.dynamic_entries
        before = (len(entries), entries[0] if entries else None)
        try:
            fields = list(self._decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "too many header fields") from error
        except (HPACKError, UnicodeError, IndexError) as error:
            raise ConnectionFault(COMPRESSION_ERROR, "bad header block") from error
        entries = self._table.dynamic_entries
        same = len(entries) == before[0] and (not entries or entries[0] is before[1])
        if not same or b"\x20" <= block[:1] < b"\x40":
            self._known.clear()
        elif len(self._known) < 32 and len(block) < 1024:
            self._known[block] = fields
        return fields
