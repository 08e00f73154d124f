"""The addresses of a host, found without blocking the reactor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from zope.interface import implementer


def addresses_of(reactor: Any, host: str) -> Deferred[list[str]]:
    """What a name stands for.

    @return: addresses, the first to try first; none if the name is not known.
    """
    receiver = _Receiver()
    reactor.nameResolver.resolveHostName(receiver, host)
    return receiver.done


@implementer(IResolutionReceiver)
class _Receiver:
    def __init__(self) -> None:
        self._found: list[str] = []
        # Nothing stops the resolver; what it says after a cancellation is not asked for any more.
        self.done: Deferred[list[str]] = Deferred(lambda _: None)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: IAddress) -> None:
        found: Sequence[str] = [address.host]  # type: ignore[attr-defined]
        self._found += [host for host in found if host not in self._found]

    def resolutionComplete(self) -> None:
        if not self.done.called:
            self.done.callback(self._found)
