"""What stands for a request while TLS shakes hands: the certificate phase has none yet."""

from __future__ import annotations

from typing import Any

from kongtx.pdk.phases import CERTIFICATE
from kongtx.tls.handshake import Handshake


class HandshakeContext:
    """A handshake in the place of a request; functions of the PDK that need more refuse to run.

    @ivar handshake: what plugins may change.
    @ivar sni: the server name asked for; empty without one.
    """

    __slots__ = ("handshake", "pdk", "plugin_data", "shared", "sni")

    phase = CERTIFICATE
    request_id = b""

    def __init__(self, handshake: Handshake) -> None:
        self.handshake = handshake
        self.sni = (handshake.server_name or "").encode("ascii", "replace")
        self.shared: dict[Any, Any] = {}
        self.plugin_data: dict[Any, Any] = {}
        self.pdk: Any = None
