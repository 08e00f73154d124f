"""What the rest of kongtx asks of name resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface


class IAnswer(Interface):
    """The outcome of one resolution; immutable."""

    records: Sequence[Any] = Attribute(
        "``tuple`` of frozen records ``(address, port, priority, weight, name)``: each address is "
        "an IP literal without brackets; ``port`` is 0 where neither an SRV record nor the "
        "caller gave one; ``name`` is the SRV target's name, else the name asked for."
    )
    expires: float = Attribute("``float``: the reactor's seconds at which it is stale.")
    kind: str = Attribute("``str``: ``A``, ``AAAA`` or ``SRV``: the type that answered.")


class IResolver(Interface):
    """Resolves names with caching; synchronous on a hit."""

    def resolve(name: str, port: int | None = None) -> IAnswer | Deferred[IAnswer]:
        """All records of a name.

        @param port: the port of records that carry none.
        @return: an L{IAnswer} on a cache hit or for a literal, else a Deferred of one. While
            nothing changes, the same name gives the same object.
        @raise DNSError: (or the Deferred fails with it) typed, from C{kongtx.dns.errors}; whether
            the name is unknown or the servers could not be asked can be told apart.
        """

    def refresh(name: str) -> Deferred[Any]:
        """The answer after asking anew, if the cached one has expired.

        @return: a Deferred of an L{IAnswer}: the new one; or the old one, expired, if the servers
            failed and it may still be used.
        @raise DNSError: (the Deferred fails with it) as for C{resolve}.
        """

    def to_ip(name: str, port: int) -> tuple[str, int] | Deferred[tuple[str, int]]:
        """One address and port, turning over the records from call to call.

        @return: C{(address, port)}, or a Deferred of it. An SRV record's port replaces C{port}.
        """


class IExchanger(Interface):
    """Puts one question to the configured name servers."""

    def ask(name: str, rtype: int) -> Deferred[Any]:
        """The response to a question, after retries over the name servers.

        @param name: an absolute name, without its last dot.
        @param rtype: the RR type (RFC 1035 §3.2.2).
        @return: a Deferred of a L{Response<kongtx.dns.message.Response>}, whatever its code.
        @raise ServersUnreachable: (the Deferred fails with it) when no server answered.
        """
