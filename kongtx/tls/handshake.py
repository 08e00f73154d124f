"""One TLS handshake of a client, as it can be influenced while it goes on."""

from __future__ import annotations

from typing import Any

from kongtx.net import openssl


class Handshake:
    """A handshake whose client has said which server it wants; nothing has been answered yet.

    @ivar server_name: in lower case; L{None} when the client asks for none.
    @ivar asks_client: whether the client is asked for a certificate; a listener that verifies
        certificates says so from the beginning, and goes on to verify.
    @ivar is_default: whether the listener's own certificate is shown, as no other is for the name.
    """

    __slots__ = ("_connection", "asks_client", "is_default", "server_name")

    def __init__(
        self,
        connection: Any,
        server_name: str | None,
        is_default: bool = False,
        asks_client: bool = False,
    ) -> None:
        self._connection = connection
        self.server_name = server_name
        self.is_default = is_default
        self.asks_client = asks_client

    def request_client_certificate(self) -> None:
        """Ask the client for a certificate; it may have none, and any is taken.

        @raise UnsupportedByPython: this Python cannot.
        """
        if not self.asks_client:
            openssl.request_any_certificate(self._connection)
            self.asks_client = True

    def disable_session_reuse(self) -> None:
        """Give the client no session to resume later.

        @raise UnsupportedByPython: this Python cannot.
        """
        openssl.disable_session_reuse(self._connection)
