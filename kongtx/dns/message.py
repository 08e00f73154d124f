"""Queries and responses as bytes (RFC 1035, EDNS0: RFC 6891), on twisted.names' codec. Pure."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import Any

import attrs
from twisted.names import dns

from kongtx.dns.records import AAAA, CNAME, SRV, A
from kongtx.errors import KongtxError

UDP_SIZE = 1232  # the DNS flag day's size: fits every path without fragments
_OPT = struct.pack("!BHHIH", 0, 41, UDP_SIZE, 0, 0)
MAX_CHAIN = 16


class BadMessage(KongtxError):
    """Bytes from a server that are no response to the query: damaged, or forged."""


@attrs.frozen(slots=True)
class Data:
    """One resource record of a type that matters here.

    @ivar name: the owner, lower case, without its last dot.
    @ivar rtype: L{A<kongtx.dns.records.A>}, AAAA, CNAME or SRV.
    @ivar ttl: seconds.
    @ivar value: an address, or the name that a CNAME or SRV points to.
    """

    name: str
    rtype: int
    ttl: int
    value: str
    port: int = 0
    priority: int = 0
    weight: int = 0


@attrs.frozen(slots=True)
class Response:
    """What a server said.

    @ivar code: the response code, 0 for success.
    @ivar truncated: whether it has to be asked again over TCP.
    @ivar answers: the answer section.
    """

    code: int
    truncated: bool = False
    answers: tuple[Data, ...] = ()


def encode_query(ident: int, name: str, rtype: int, edns: bool = True) -> bytes:
    """A query for one name and type, recursion desired.

    @param ident: 0 to 65535; should be unguessable.
    @param edns: offer L{UDP_SIZE} bytes by an OPT record.
    @raise ValueError: if the name cannot be encoded.
    """
    message = dns.Message(ident, recDes=1)
    message.addQuery(name.encode("ascii"), rtype, dns.IN)
    data = message.toStr()
    if edns:
        data = data[:10] + struct.pack("!H", 1) + data[12:] + _OPT
    return data


def decode_response(data: bytes, ident: int, name: str, rtype: int) -> Response:
    """Read a response, if it is one to the query.

    @param ident: the query's id.
    @param name: the query's name, lower case.
    @raise BadMessage: if it is damaged, or not for this query: a forged answer has to guess
        the id and repeat the question.
    """
    message = dns.Message()
    try:
        message.fromStr(data)
        counts = struct.unpack_from("!HHHH", data, 4)
    except (EOFError, ValueError, IndexError, struct.error, OSError) as error:
        raise BadMessage(f"a damaged DNS message of {len(data)} bytes: {error}") from error
    if message.id != ident or not message.answer or message.opCode != dns.OP_QUERY:
        raise BadMessage(f"a DNS message with id {message.id} that is no answer to {ident}")
    if not _repeats_question(message, name, rtype):
        raise BadMessage(f"a DNS answer to another question than {name}, type {rtype}")
    if not message.trunc and len(message.answers) != counts[1]:
        raise BadMessage("a DNS message that ends within its answers")
    answers = tuple(found for record in message.answers if (found := _data(record)) is not None)
    return Response(message.rCode, bool(message.trunc), answers)


def _repeats_question(message: dns.Message, name: str, rtype: int) -> bool:
    if not message.queries:
        # Servers that cannot read a query (EDNS) return its id and an error alone.
        return message.rCode in (dns.EFORMAT, dns.ENOTIMP)
    question = message.queries[0]
    return (
        len(message.queries) == 1
        and _text(question.name) == name
        and question.type == rtype
        and question.cls == dns.IN
    )


def follow(
    answers: Sequence[Data], name: str, rtype: int
) -> tuple[tuple[Data, ...], str, int | None]:
    """Follow the CNAMEs of a response.

    @param answers: an answer section, in any order.
    @return: the records of the type at the chain's end, the end's name, and the least ttl on the
        way (L{None} if nothing was found at all). Records of other names are ignored: a server
        may not speak for names that it was not asked about.
    """
    aliases = {data.name: data for data in answers if data.rtype == CNAME}
    ttls: list[int] = []
    for _ in range(MAX_CHAIN):
        found = tuple(data for data in answers if data.rtype == rtype and data.name == name)
        if found:
            return found, name, min(ttls + [data.ttl for data in found])
        alias = aliases.pop(name, None)
        if alias is None:
            break
        ttls.append(alias.ttl)
        name = alias.value
    return (), name, min(ttls, default=None)


def _text(name: dns.Name) -> str:
    return name.name.decode("latin-1").lower().rstrip(".")


def _data(record: dns.RRHeader) -> Data | None:
    payload: Any = record.payload
    name, ttl = _text(record.name), max(int(record.ttl or 0), 0)
    if record.cls != dns.IN:
        return None
    if record.type == A:
        return Data(name, A, ttl, payload.dottedQuad())
    if record.type == AAAA:
        return Data(name, AAAA, ttl, socket.inet_ntop(socket.AF_INET6, payload.address))
    if record.type == CNAME:
        return Data(name, CNAME, ttl, _text(payload.name))
    if record.type == SRV:
        return Data(
            name, SRV, ttl, _text(payload.target), payload.port, payload.priority, payload.weight
        )
    return None
