"""What can go wrong on the way to an upstream."""

from kongtx.errors import KongtxError


class BodyLost(KongtxError):
    """A request's body will not be complete: the client went away, was too slow, or sent nonsense.

    @ivar status: what the request is answered with.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UpstreamTLSUnavailable(KongtxError):
    """A service asks for TLS, and the gateway has no connector for it."""

    status = 500
