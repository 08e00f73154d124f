"""What the rest of kongtx asks of name resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface


class IAnswer(Interface):
    """The outcome of one resolution; immutable."""

    records: Sequence[Any] = Attribute(
        "``tuple`` of frozen records ``(address, port, priority, weight)``."
    )
    expires: float = Attribute("``float``: the reactor's seconds at which it is stale.")


class IResolver(Interface):
    """Resolves names with caching; synchronous on a hit."""

    def resolve(name: str, port: int | None = None) -> IAnswer | Deferred[IAnswer]:
        """All records of a name.

        @return: an L{IAnswer} on a cache hit or for a literal, else a Deferred of one.
        @raise DNSError: (or the Deferred fails with it) typed, from C{kongtx.dns.errors}; whether
            the name is unknown or the servers could not be asked can be told apart.
        """

    def to_ip(name: str, port: int) -> tuple[str, int] | Deferred[tuple[str, int]]:
        """One address and port, turning over the records from call to call.

        @return: C{(address, port)}, or a Deferred of it. An SRV record's port replaces C{port}.
        """
