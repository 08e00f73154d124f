"""How connections are named: Twisted's addresses, and prefixes of log lines."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet import address, interfaces
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import ProtocolWrapper

StreamAddress = address.IPv4Address | address.IPv6Address | address.UNIXAddress


def stream_address(name: Any) -> Any:
    """Turn what C{getsockname} or C{getpeername} gave into Twisted's address object.

    @param name: a pair for IPv4, four values for IPv6, a path (possibly empty) for UNIX.
    @return: a L{StreamAddress}.
    @raise OSError: for None, which uvloop gives when the socket is not connected any more.
    """
    if name is None:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
    if isinstance(name, tuple):
        if len(name) == 2:
            return address.IPv4Address("TCP", *name)
        host, port, flow, scope = name
        if scope:  # a link-local address is written with its interface
            host = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
        return address.IPv6Address("TCP", host, port, flow, scope)
    return address.UNIXAddress(name or None)


def log_prefix(application_object: object) -> str:
    """Return what names a protocol or factory in log lines, as Twisted chooses it."""
    if interfaces.ILoggingContext.providedBy(application_object):
        return str(application_object.logPrefix())
    return type(application_object).__name__


def names_itself(protocol: Any) -> bool:
    """Tell whether a protocol has a log prefix of its own, beyond its class's name."""
    while isinstance(protocol, ProtocolWrapper):
        protocol = protocol.wrappedProtocol
    own = getattr(type(protocol), "logPrefix", None)
    return own is not None and own is not Protocol.logPrefix
