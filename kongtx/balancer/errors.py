"""Why no peer could be given, with the status and message that a client gets for it."""

from __future__ import annotations

from kongtx.errors import KongtxError


class BalancerError(KongtxError):
    """No peer for a request.

    @ivar status: the HTTP status of the answer.
    @ivar message: the answer's message, as Kong words it.
    """

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NoPeerAvailable(BalancerError):
    """The upstream has no usable target, or too little of its weight is healthy."""

    status = 503

    def __init__(self) -> None:
        super().__init__("failure to get a peer from the ring-balancer")


class NameResolutionFailed(BalancerError):
    """The name servers know no address for the service's host."""

    status = 503

    def __init__(self) -> None:
        super().__init__("name resolution failed")


class ResolverFailed(BalancerError):
    """The host's address could not be found out; the message is the resolver's."""
