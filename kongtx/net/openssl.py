"""What OpenSSL can do and the L{ssl} module does not offer.

The pointers of OpenSSL's objects are read where CPython keeps them: first in an L{ssl.SSLContext},
second in what is within an L{ssl.SSLObject}. That place is no promise of CPython's, so it is
checked once, on objects whose contents are known; where it is another, everything here is refused
with L{UnsupportedByPython} rather than tried.
"""

from __future__ import annotations

import ctypes
import ssl
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from kongtx.net.errors import UnsupportedByPython

#: Bytes of the key material of session tickets: a name, a key for HMAC and one for AES.
TICKET_KEYS_SIZE = 80

_SET_TICKET_KEYS = 59  # SSL_CTRL_SET_TLSEXT_TICKET_KEYS
_SET_SESSION_CACHE_MODE = 44  # SSL_CTRL_SET_SESS_CACHE_MODE
_SET_DH_AUTO = 118  # SSL_CTRL_SET_DH_AUTO
_VERIFY_PEER = 1
_NO_TICKET = 1 << 14  # SSL_OP_NO_TICKET
_POINTER = ctypes.sizeof(ctypes.c_void_p)
_ALPN = 16  # TLSEXT_TYPE_application_layer_protocol_negotiation
_GO_ON = 1  # SSL_CLIENT_HELLO_SUCCESS
_VerifyCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_HelloCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int), ctypes.c_void_p
)

#: For as long as the process lives: OpenSSL keeps no reference to it.
_take_any = _VerifyCallback(lambda _verified, _store: 1)


class _LastHello:
    """What the client of the handshake that was begun last offers: its SSL and its protocols.

    One place is enough: OpenSSL asks for the certificate before it returns from where it set this.
    """

    connection = 0
    protocols = b""

    @classmethod
    def note(cls, connection: int, _alert: Any, _about: Any) -> int:
        """Called by OpenSSL when a client has said what it wants."""
        cls.connection, cls.protocols = connection, b""
        library = _library()
        found, size = ctypes.c_void_p(), ctypes.c_size_t()
        if library is not None and library.SSL_client_hello_get0_ext(
            connection, _ALPN, ctypes.byref(found), ctypes.byref(size)
        ):
            cls.protocols = ctypes.string_at(found, size.value)
        return _GO_ON


_note_hello = _HelloCallback(_LastHello.note)


def is_supported() -> bool:
    """Whether the functions of this module work with this Python."""
    return _library() is not None


def set_ticket_keys(context: ssl.SSLContext, keys: bytes) -> None:
    """Encrypt session tickets with known keys, so that other processes can read them.

    @param keys: L{TICKET_KEYS_SIZE} bytes.
    @raise UnsupportedByPython: this Python is not known.
    """
    library = _needed("session tickets shared between workers")
    if len(keys) != TICKET_KEYS_SIZE:
        raise ValueError(f"ticket keys have {TICKET_KEYS_SIZE} bytes, not {len(keys)}")
    library.SSL_CTX_ctrl(_of_context(context), _SET_TICKET_KEYS, len(keys), keys)


def set_session_timeout(context: ssl.SSLContext, seconds: float) -> None:
    """Let sessions be resumed for so long.

    @raise UnsupportedByPython: this Python is not known.
    """
    _needed("ssl_session_timeout").SSL_CTX_set_timeout(_of_context(context), int(seconds))


def set_automatic_dh(context: ssl.SSLContext) -> None:
    """Offer DHE ciphers, with a well-known group as strong as the certificate's key.

    @raise UnsupportedByPython: this Python is not known.
    """
    _needed("named Diffie-Hellman groups").SSL_CTX_ctrl(_of_context(context), _SET_DH_AUTO, 1, None)


def disable_session_cache(context: ssl.SSLContext) -> None:
    """Keep no sessions in this process: those that clients keep themselves, as tickets, do.

    @raise UnsupportedByPython: this Python is not known.
    """
    _needed("a session cache that is off").SSL_CTX_ctrl(
        _of_context(context), _SET_SESSION_CACHE_MODE, 0, None
    )


def set_verify_depth(context: ssl.SSLContext, depth: int) -> None:
    """Limit how many certificates may stand between the peer's and a trusted one.

    @raise UnsupportedByPython: this Python is not known.
    """
    _needed("tls_verify_depth").SSL_CTX_set_verify_depth(_of_context(context), depth)


def watch_offers(context: ssl.SSLContext, on: bool) -> None:
    """Begin, or cease, to note which protocols clients offer (ALPN), for L{offers}.

    @raise UnsupportedByPython: this Python is not known.
    """
    library = _needed("seeing the protocols that clients offer")
    library.SSL_CTX_set_client_hello_cb(
        _of_context(context), _note_hello if on else _HelloCallback(0), None
    )
    if not on:
        # Another connection may come to lie where the last one was.
        _LastHello.connection = 0


def offers(connection: Any, protocol: bytes) -> bool:
    """Whether the client of a handshake offers a protocol; only where L{watch_offers} is on.

    @param connection: the L{ssl.SSLObject} of an SNI callback.
    """
    if _LastHello.connection != _of_connection(connection):
        return False
    rest = _LastHello.protocols[2:]
    while rest:
        size = rest[0]
        if rest[1 : 1 + size] == protocol:
            return True
        rest = rest[1 + size :]
    return False


def request_any_certificate(connection: Any) -> None:
    """Ask the client of a handshake for a certificate, and take whatever it shows, or nothing.

    That the client has the certificate's key is proven; whoever uses the certificate verifies
    who issued it. The session is not resumed later: a resumed one would lack the chain.

    @param connection: the L{ssl.SSLObject} of an SNI callback.
    @raise UnsupportedByPython: this Python is not known.
    """
    library = _needed("asking for client certificates by server name")
    pointer = _of_connection(connection)
    library.SSL_set_verify(pointer, _VERIFY_PEER, _take_any)
    _forget_session(library, pointer)


class AuthorityNames:
    """Names of authorities in OpenSSL's form, for L{name_authorities}.

    @param certificates: theirs, in DER; what cannot be read is left out.
    @raise UnsupportedByPython: this Python is not known.
    """

    def __init__(self, certificates: Iterable[bytes]) -> None:
        self._library = _needed("telling clients whose certificates are welcome")
        self.pointers: list[int] = []
        for der in certificates:
            start = ctypes.cast(ctypes.c_char_p(der), ctypes.c_void_p)
            pointer = self._library.d2i_X509(None, ctypes.byref(start), len(der))
            if pointer:
                self.pointers.append(pointer)

    def __del__(self) -> None:
        for pointer in getattr(self, "pointers", ()):
            self._library.X509_free(pointer)


def name_authorities(connection: Any, names: AuthorityNames | None) -> None:
    """Tell the client of a handshake whose certificates are welcome (RFC 8446 §4.2.4).

    @param connection: the L{ssl.SSLObject} of an SNI callback.
    @param names: added to those told before; with L{None} nobody is named any more.
    @raise UnsupportedByPython: this Python is not known.
    """
    library = _needed("telling clients whose certificates are welcome")
    pointer = _of_connection(connection)
    if names is None:
        library.SSL_set_client_CA_list(pointer, None)
        return
    for each in names.pointers:
        library.SSL_add_client_CA(pointer, each)


def name_authorities_of(context: ssl.SSLContext, names: AuthorityNames) -> None:
    """As L{name_authorities}, for all clients that a context asks for a certificate.

    @raise UnsupportedByPython: this Python is not known.
    """
    library = _needed("telling clients whose certificates are welcome")
    for each in names.pointers:
        library.SSL_CTX_add_client_CA(_of_context(context), each)


def disable_session_reuse(connection: Any) -> None:
    """Give the client of a handshake no session to resume later.

    @param connection: the L{ssl.SSLObject} of an SNI callback.
    @raise UnsupportedByPython: this Python is not known.
    """
    library = _needed("connections without session tickets")
    _forget_session(library, _of_connection(connection))


def _forget_session(library: Any, pointer: int) -> None:
    library.SSL_set_options(pointer, _NO_TICKET)
    library.SSL_set_num_tickets(pointer, 0)


def _needed(what: str) -> Any:
    library = _library()
    if library is None:
        raise UnsupportedByPython(what)
    return library


def _of_context(context: ssl.SSLContext) -> int:
    return _pointer(context, 0)


def _of_connection(connection: Any) -> int:
    return _pointer(connection._sslobj, 1)


def _pointer(thing: object, place: int) -> int:
    where = id(thing) + object.__basicsize__ + place * _POINTER
    return ctypes.c_void_p.from_address(where).value or 0


@cache
def _library() -> Any:
    """OpenSSL as the L{ssl} module uses it, if its objects lie where they are expected."""
    try:
        import _ssl  # noqa: PLC0415 - CPython's own

        library: Any = ctypes.CDLL(_ssl.__file__)
        _declare(library)
    except (ImportError, AttributeError, OSError, TypeError):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    connection = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    # The second holds a pointer to the first; nothing is called before that has been seen.
    inner: Any = getattr(connection, "_sslobj", None)
    if inner is None or inner.context is not context:
        return None
    if not _is_readable(_of_context(context)) or not _is_readable(_of_connection(connection)):
        return None
    options = library.SSL_CTX_get_options(_of_context(context))
    if options != context.options & 0xFFFFFFFFFFFFFFFF:
        return None
    if library.SSL_get_SSL_CTX(_of_connection(connection)) != _of_context(context):
        return None
    return library


def _is_readable(pointer: int) -> bool:
    """Whether a value can be an address: those of objects are aligned, and no small numbers."""
    return pointer > 0xFFFF and pointer % _POINTER == 0


def _declare(library: Any) -> None:
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
    table: dict[str, tuple[Any, list[Any]]] = {
        "SSL_CTX_add_client_CA": (number, [pointer, pointer]),
        "SSL_CTX_ctrl": (size, [pointer, number, size, ctypes.c_char_p]),
        "SSL_CTX_get_options": (ctypes.c_uint64, [pointer]),
        "SSL_CTX_set_timeout": (size, [pointer, size]),
        "SSL_CTX_set_verify_depth": (None, [pointer, number]),
        "SSL_CTX_set_client_hello_cb": (None, [pointer, _HelloCallback, pointer]),
        "SSL_client_hello_get0_ext": (
            number,
            [
                pointer,
                ctypes.c_uint,
                ctypes.POINTER(pointer),
                ctypes.POINTER(ctypes.c_size_t),
            ],
        ),
        "SSL_add_client_CA": (number, [pointer, pointer]),
        "SSL_get_SSL_CTX": (pointer, [pointer]),
        "SSL_set_client_CA_list": (None, [pointer, pointer]),
        "X509_free": (None, [pointer]),
        "d2i_X509": (pointer, [pointer, ctypes.POINTER(pointer), size]),
        "SSL_set_num_tickets": (number, [pointer, ctypes.c_size_t]),
        "SSL_set_options": (ctypes.c_uint64, [pointer, ctypes.c_uint64]),
        "SSL_set_verify": (None, [pointer, number, _VerifyCallback]),
    }
    for name, (result, arguments) in table.items():
        function: Callable[..., Any] = getattr(library, name)
        function.restype = result  # type: ignore[attr-defined]
        function.argtypes = arguments  # type: ignore[attr-defined]
