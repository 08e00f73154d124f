"""How channels and those who use them speak with each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zope.interface import Attribute, Interface

Header = tuple[bytes, bytes]


class IExchange(Interface):
    """One request on a server channel: what the channel tells it."""

    def start(body: bytes, complete: bool) -> None:
        """The request's header has been taken; begin.

        @param body: what has come of the body with it.
        @param complete: nothing more of the body follows.
        """

    def body_part(data: bytes) -> None:
        """More of the body, never empty."""

    def body_end(trailers: Sequence[Header]) -> None:
        """The body is complete."""

    def body_failed(status: int) -> None:
        """The body cannot be had: 400 malformed, 408 too slow, 413 too long."""

    def finished() -> None:
        """The answer is complete as far as the channel is concerned; the last call of all."""

    def client_lost() -> None:
        """The connection has gone before the answer was complete."""

    def client_paused() -> None:
        """The client is slow: send nothing more for now."""

    def client_resumed() -> None:
        """The client takes data again."""


class IServerChannel(Interface):
    """A server connection, as an exchange sees it while it is the current one."""

    peer: tuple[str, int] = Attribute("The client's address and port.")
    local: tuple[str, int] = Attribute("The listener's address and port.")
    proxied_peer: tuple[str, int] | None = Attribute(
        "The client by the PROXY protocol; L{None} if it was not spoken or does not know."
    )
    is_tls: bool = Attribute("``bool``: TLS ends here.")
    sni: bytes = Attribute("``bytes``: the TLS server name, lower case; empty without one.")
    serial: int = Attribute("``int``: counts the connections of this process.")
    requests: int = Attribute("``int``: how many requests it has carried.")
    transport: Any = Attribute("The transport.")
    keep_alive: bool = Attribute("``bool``: may be cleared, never set, before ``respond``.")
    write_paused: bool = Attribute("``bool``: the client is slow.")
    can_tunnel: bool = Attribute("``bool``: whether ``tunnel`` may be called.")
    head_sent: int = Attribute("``int``: bytes of the response's header, once it is sent.")
    body_sent: int = Attribute("``int``: bytes of the response's body so far, without framing.")
    head_received: int = Attribute("``int``: bytes of the request's header.")
    body_received: int = Attribute("``int``: bytes of the request's body so far.")
    memo: Any = Attribute("For the exchanges' use; L{None} at first.")

    def respond(
        status: int,
        reason: bytes | None,
        headers: Sequence[Header],
        body: bytes,
        length: int,
        ended: bool,
    ) -> None:
        """Send the response's header, and the first of its body.

        The channel adds the framing: Content-Length or Transfer-Encoding, and Connection.

        @param reason: L{None}: the status's own.
        @param length: of the whole body in bytes; -1 when it is not known.
        @param ended: C{body} is all; the exchange is over.
        """

    takes_raw: bool = Attribute("``bool``: whether ``respond_raw`` may be called.")

    def respond_raw(head: bytes, headers: bytes, body: bytes, length: int, ended: bool) -> None:
        """As C{respond}, with a header that needs no taking apart.

        @param head: a status line and header lines.
        @param headers: more header lines.
        @param length: of the whole body in bytes; it is known.
        """

    def write(data: bytes) -> None:
        """Send more of the body."""

    def end(trailers: Sequence[Header] = ()) -> None:
        """The body is complete; the exchange is over."""

    def abort() -> None:
        """Cut the connection: the response cannot be completed."""

    def cut_off() -> None:
        """The response ends before its time: send what there is of it, so that its client sees both
        that and that it is not all."""

    def hang_up() -> None:
        """Close a tunnel after what is still to be sent; C{client_lost} follows."""

    def send_continue() -> None:
        """Answer C{Expect: 100-continue}, if the client asked and has sent nothing yet."""

    def pause_body() -> None:
        """Read no more of the request's body for now."""

    def resume_body() -> None:
        """Read the request's body again."""

    def tunnel(
        status: int, reason: bytes | None, headers: Sequence[Header], receiver: Any
    ) -> bytes:
        """Send a 101 header and pass on what comes from now on unread, to C{receiver(data)}.

        @return: what the client has sent beyond its request so far.
        """


class IReply(Interface):
    """What a client channel tells about a response."""

    def reply_head(channel: Any, length: int, body: bytes, complete: bool, reusable: bool) -> None:
        """The final response's head is there (C{status}, C{reason}, C{headers} and C{special} of
        the channel), and the first of its body.

        @param length: of the whole body in bytes (for HEAD: what it would be); -1: not known.
        @param complete: C{body} is all.
        @param reusable: if complete: another request may be sent.
        """

    def reply_raw(
        channel: Any, head: bytes, length: int, body: bytes, complete: bool, reusable: bool
    ) -> None:
        """As C{reply_head}, if the request was sent with C{raw}: the head is not taken apart.

        @param head: the status line and the header lines, without those of C{SPECIAL} names.
        @param length: is known.
        """

    def reply_part(data: bytes) -> None:
        """More of the body."""

    def reply_ended(trailers: Sequence[Header], reusable: bool) -> None:
        """The body is complete."""

    def reply_upgraded(channel: Any, rest: bytes) -> None:
        """The peer has switched protocols.

        @param rest: what it has sent in the new one.
        """

    def reply_failed(why: str) -> None:
        """There is no response, or no more of it: C{closed}, C{garbage} or C{timeout}."""

    def peer_paused() -> None:
        """The peer is slow: send nothing more of the request for now."""

    def peer_resumed() -> None:
        """The peer takes data again."""
