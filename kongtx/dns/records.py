"""The values that resolution works with; immutable, and pure functions over them."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address

import attrs
from zope.interface import implementer

from kongtx.dns.interfaces import IAnswer

A, CNAME, AAAA, SRV = 1, 5, 28, 33
TYPE_NAMES = {A: "A", CNAME: "CNAME", AAAA: "AAAA", SRV: "SRV"}
TYPE_CODES = {name: code for code, name in TYPE_NAMES.items()}


@attrs.frozen(slots=True)
class Record:
    """One address of a name.

    @ivar address: an IP literal without brackets.
    @ivar port: 0 when unknown.
    @ivar priority: RFC 2782: lower is asked first.
    @ivar weight: RFC 2782; a name behind an SRV record with several addresses has the record's
        weight divided between them, so it may be a fraction.
    @ivar name: the SRV target's name, else the name that was asked for.
    """

    address: str
    port: int = 0
    priority: int = 0
    weight: float = 1
    name: str = ""


@implementer(IAnswer)
@attrs.frozen(slots=True)
class Answer:
    """What a name resolves to; see L{IAnswer}."""

    records: tuple[Record, ...]
    expires: float
    kind: str

    def with_port(self, port: int) -> Answer:
        """The same answer, with a port for the records that have none."""
        return attrs.evolve(
            self,
            records=tuple(
                record if record.port else attrs.evolve(record, port=port)
                for record in self.records
            ),
        )


def canonical(address: str) -> str:
    """The shortest form of an IP literal, which equal addresses share; others are left alone."""
    try:
        return str(ip_address(address))
    except ValueError:
        return address


def ip_version(text: str) -> int:
    """4 or 6 for an IP literal (a scope id is allowed, brackets are not), 0 for anything else."""
    if ":" in text:
        try:
            socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
        except (OSError, ValueError):
            return 0
        return 6
    if not text[-1:].isdigit():
        return 0
    try:
        socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return 0
    return 4


def is_name(text: str) -> bool:
    """Whether a query can carry the text: ASCII labels of 1 to 63 bytes, 253 at most in all."""
    absolute = text[:-1] if text.endswith(".") else text
    return (
        0 < len(absolute) <= 253
        and absolute.isascii()
        and not any(char.isspace() for char in absolute)
        and all(0 < len(label) < 64 for label in absolute.split("."))
    )


def strip_brackets(text: str) -> str:
    """An IPv6 literal without the brackets that URLs and Kong put around it."""
    if text[:1] == "[" and text[-1:] == "]":
        return text[1:-1]
    return text


def candidates(name: str, ndots: int, search: Iterable[str], defined: bool = False) -> list[str]:
    """The absolute names to try for a name, in order (resolv.conf(5), C{ndots} and C{search}).

    @param name: in lower case.
    @param defined: whether the hosts file has the name, which is then tried as it is first.
    """
    if name.endswith("."):
        return [name[:-1]]
    suffixed = [f"{name}.{suffix}" for suffix in search]
    if name.count(".") < ndots and not defined:
        return [*suffixed, name]
    return [name, *suffixed]


def is_service_name(name: str) -> bool:
    """Whether a name has the form C{_service._proto.name} of RFC 2782."""
    first, _, rest = name.partition(".")
    return len(first) > 1 and first[0] == "_" and rest[:1] == "_" and "." in rest
