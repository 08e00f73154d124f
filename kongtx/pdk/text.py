"""Between the bytes of the data plane and the text that plugins write. Pure.

Header values are taken as Latin-1, of which every byte is a character (RFC 9110 §5.5); paths and
arguments as UTF-8, a byte that is none kept as a surrogate, so that nothing is lost either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

import attrs

from kongtx.http.lines import CR, LF, NUL
from kongtx.pdk.errors import ArgumentError

HeaderValue = str | bytes | int | float | bool
#: Arguments of a query or form: a value, C{True} for a name without ``=``, a list if repeated.
Arguments = dict[str, "str | bool | list[str | bool]"]

_SAFE = "-_.!~*'()"


def header_name(name: str | bytes) -> bytes:
    """A header's name as bytes, in the case given.

    @raise ArgumentError: if it is none.
    """
    raw = name.encode("latin-1", "replace") if isinstance(name, str) else name
    if not raw or any(
        byte <= 0x20 or byte >= 0x7F or byte in b'()<>@,;:\\"/[]?={}' for byte in raw
    ):
        raise ArgumentError(f"header name {name!r}: must be a token (RFC 9110 §5.6.2)")
    return raw


def header_value(name: str | bytes, value: HeaderValue) -> bytes:
    """A header's value as bytes; text beyond Latin-1 becomes UTF-8.

    @raise ArgumentError: if it would break the header (CR, LF, NUL) or is of another type.
    """
    if isinstance(value, bool):
        raw = b"true" if value else b"false"
    elif isinstance(value, bytes):
        raw = value
    elif isinstance(value, str):
        try:
            raw = value.encode("latin-1")
        except UnicodeEncodeError:
            raw = value.encode("utf-8", "surrogateescape")
    elif isinstance(value, (int, float)):
        raw = b"%d" % value if isinstance(value, int) else f"{value:.14g}".encode()
    else:
        raise ArgumentError(
            f"header {name!r}: its value must be text, a number or a boolean, not {value!r}"
        )
    if CR in raw or LF in raw or NUL in raw:
        raise ArgumentError(f"header {name!r}: its value must not have CR, LF or NUL")
    return raw.strip(b" \t")


def header_values(name: str | bytes, value: HeaderValue | Sequence[HeaderValue]) -> list[bytes]:
    """One value or several as bytes."""
    if isinstance(value, (list, tuple)):
        return [header_value(name, each) for each in value]
    return [header_value(name, value)]  # type: ignore[arg-type]


def headers_to_mapping(
    headers: Iterable[tuple[bytes, bytes]], limit: int
) -> dict[str, str | list[str]]:
    """Lower-case names to values; a name that occurs more than once to a list of them.

    @param limit: how many headers are looked at.
    """
    mapping: dict[str, str | list[str]] = {}
    for count, (name, value) in enumerate(headers):
        if count >= limit:
            break
        gather(mapping, name.decode("latin-1").lower(), value.decode("latin-1"))
    return mapping


def decode(value: bytes) -> str:
    """A path or argument as text."""
    return value.decode("utf-8", "surrogateescape")


def encode(value: str | bytes) -> bytes:
    """Text of a path or argument as bytes."""
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


@attrs.frozen
class Argument:
    """One name and value of a query or form.

    @ivar raw: as it stood between the ``&``.
    @ivar value: C{True} if there was no ``=``.
    """

    raw: bytes
    name: str
    value: str | bool


def parse_arguments(encoded: bytes) -> list[Argument]:
    """The arguments of a query or form, in order (application/x-www-form-urlencoded)."""
    arguments = []
    for raw in encoded.split(b"&"):
        if raw:
            name, equals, value = raw.partition(b"=")
            arguments.append(Argument(raw, _unquote(name), _unquote(value) if equals else True))
    return arguments


def arguments_to_mapping(arguments: Iterable[Argument], limit: int) -> Arguments:
    """As L{headers_to_mapping}, for arguments."""
    mapping: dict[str, Any] = {}
    for count, argument in enumerate(arguments):
        if count >= limit:
            break
        gather(mapping, argument.name, argument.value)
    return mapping


def encode_arguments(arguments: Mapping[str, Any]) -> bytes:
    """A query or form of a mapping: names sorted, lists repeated, C{True} a bare name.

    @raise ArgumentError: for a value that is neither text, number, boolean nor a list of these.
    """
    parts = []
    for name in sorted(arguments):
        value = arguments[name]
        for each in value if isinstance(value, (list, tuple)) else (value,):
            quoted = quote_from_bytes(encode(name), _SAFE)
            if each is True:
                parts.append(quoted)
            elif each is False:
                continue
            elif isinstance(each, (str, bytes, int, float)):
                text = each if isinstance(each, (str, bytes)) else str(each)
                parts.append(f"{quoted}={quote_from_bytes(encode(text), _SAFE)}")
            else:
                raise ArgumentError(
                    f"argument {name!r}: must be text, a number, a boolean or a list, not {each!r}"
                )
    return "&".join(parts).encode()


def _unquote(value: bytes) -> str:
    return decode(unquote_to_bytes(value.replace(b"+", b" ")))


def gather(mapping: dict[str, Any], name: str, value: Any) -> None:
    """Add a value to those of a name: the second makes a list of them."""
    if name not in mapping:
        mapping[name] = value
    elif isinstance(mapping[name], list):
        mapping[name].append(value)
    else:
        mapping[name] = [mapping[name], value]
