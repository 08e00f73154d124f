"""What tells a reactor with native transports from others."""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface


class INativeReactor(Interface):
    """A reactor whose stream transports are its event loop's own."""

    loop: Any = Attribute("The asyncio event loop it runs on.")
    connections: set[Any] = Attribute("The open connections.")
    ports: set[Any] = Attribute("The listening ports.")

    def adopted_port(descriptor: int, family: int, factory: Any) -> Any:
        """Make a port of a socket that already listens; it does not accept yet.

        @raise UnsupportedAddressFamily: for other than C{AF_INET}, C{AF_INET6} and C{AF_UNIX}.
        """
