"""Why a name could not be resolved; the wording of C{str(error)} is Kong's where Kong has one."""

from __future__ import annotations

from collections.abc import Sequence

from kongtx.errors import KongtxError

RCODES = {
    1: "format error",
    2: "server failure",
    3: "name error",
    4: "not implemented",
    5: "refused",
}


class DNSError(KongtxError):
    """A resolution failed.

    @ivar tried: C{(question, outcome)} pairs such as C{("example.test:A", "3 name error")},
        oldest first; for logs.
    """

    def __init__(self, message: str, tried: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.tried = tuple(tried)


class NameUnknown(DNSError):
    """The servers answered: there is no such name, or it has no usable record."""


class NameNotFound(NameUnknown):
    """NXDOMAIN (RFC 1035 §4.1.1, code 3)."""

    def __init__(self, tried: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__("dns server error: 3 name error", tried)


class EmptyAnswer(NameUnknown):
    """The name exists without a record of the types that were asked for."""

    def __init__(self, tried: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__("dns client error: 101 empty record received", tried)


class InvalidName(DNSError):
    """The text can be neither a name nor an address, so nobody was asked."""


class RecursionDetected(DNSError):
    """A chain of CNAME or SRV records leads back to where it started, or is too long."""

    def __init__(self, tried: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__("recursion detected", tried)


class ServerFailed(DNSError):
    """A server answered with an error code other than 3.

    @ivar code: the response code.
    """

    def __init__(self, code: int, tried: Sequence[tuple[str, str]] = ()) -> None:
        self.code = code
        super().__init__(f"dns server error: {code} {RCODES.get(code, 'unknown error')}", tried)


class ServersUnreachable(DNSError):
    """No server answered: timeouts, refused connections, or answers that make no sense."""
