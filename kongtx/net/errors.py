"""Errors of the network layer."""

from __future__ import annotations

import ssl

from twisted.internet import error

from kongtx.errors import KongtxError

#: So much of what a peer sent is shown in an error.
_SHOWN = 64


class NetworkError(KongtxError):
    """Something about a listener, a connection or what came over it."""


class TLSHandshakeError(NetworkError, error.ConnectError):
    """A TLS connection was not made.

    @ivar reason: what the handshake failed by: an L{ssl.SSLError}, or that the peer went away.
    @ivar untrusted: whether the peer's certificate was refused.
    """

    def __init__(self, reason: BaseException) -> None:
        error.ConnectError.__init__(self, None, str(reason))
        self.reason = reason
        self.untrusted = isinstance(reason, ssl.SSLCertVerificationError)

    def __str__(self) -> str:
        return f"the TLS handshake failed: {self.reason or type(self.reason).__name__}"


class TLSConnectionLost(NetworkError, error.ConnectionLost):
    """A TLS connection was broken off by TLS itself: by the peer's alert, mostly.

    @ivar reason: the L{ssl.SSLError}.
    """

    def __init__(self, reason: ssl.SSLError) -> None:
        error.ConnectionLost.__init__(self, str(reason))
        self.reason = reason


class ProxyProtocolError(NetworkError):
    """A connection does not begin with a good PROXY protocol header, as it should."""


class NoProxyHeaderError(ProxyProtocolError):
    """The first bytes are no header of either version."""

    def __init__(self, received: bytes) -> None:
        super().__init__(
            f"expected a PROXY protocol header (version 1 or 2), got {received[:_SHOWN]!r}"
        )


class MalformedProxyHeaderError(ProxyProtocolError):
    """The header breaks a rule of its version."""

    def __init__(self, rule: str, header: bytes) -> None:
        super().__init__(f"bad PROXY protocol header: {rule}, in {header[:_SHOWN]!r}")


class ProxyHeaderTooLongError(ProxyProtocolError):
    """The header is longer than its version or the configured limit allows."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(
            f"the PROXY protocol header has {length} bytes or more; at most {limit} are allowed"
        )


class UnsupportedByPython(NetworkError):
    """Something that the L{ssl} module does not offer cannot be had from this Python either."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"this Python's ssl module is not known well enough for {what}; use CPython"
        )
