"""Contexts for listeners, as the configuration's policy says."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from kongtx.conf.ciphers import DH_GROUPS
from kongtx.conf.configuration import TlsPolicy
from kongtx.conf.syntax import pem
from kongtx.net import openssl
from kongtx.tls.clients import ClientVerification
from kongtx.tls.errors import TLSError
from kongtx.tls.files import as_file
from kongtx.tls.pairs import Pair, load_pairs

_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}
_REFUSED = {
    "TLSv1.1": ssl.OP_NO_TLSv1_1,
    "TLSv1.2": ssl.OP_NO_TLSv1_2,
}
#: What OpenSSL takes for unsafe by default (TLS 1.0 and 1.1), allowed to those who ask for it.
_ANY_STRENGTH = "@SECLEVEL=0"


def server_context(
    policy: TlsPolicy,
    pairs: Iterable[Pair],
    alpn: Iterable[str] = ("http/1.1",),
    clients: ClientVerification = ClientVerification(),  # noqa: B008 - it does not change
) -> ssl.SSLContext:
    """A listener's context.

    @param pairs: certificates to show, one for each kind of key.
    @param alpn: protocols to agree on, the best first.
    @param clients: what is demanded of clients.
    @raise UnusableCertificate: a pair cannot be used.
    @raise TLSError: the policy asks for what OpenSSL does not know.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    limit_protocols(context, policy.protocols)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_SINGLE_DH_USE | ssl.OP_SINGLE_ECDH_USE
    if policy.prefers_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if openssl.is_supported():
        openssl.disable_session_cache(context)
    # One is enough to come back with, and each costs the handshake a twentieth.
    context.num_tickets = 1
    if not policy.has_session_tickets:
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    _choose_ciphers(context, policy)
    if policy.dhparam is not None:
        _use_dh_parameters(context, policy.dhparam)
    names = list(alpn)
    if names:
        context.set_alpn_protocols(names)
    load_pairs(context, pairs)
    clients.apply(context)
    return context


def limit_protocols(context: ssl.SSLContext, protocols: Iterable[str]) -> None:
    """Allow some versions of TLS, by nginx's names.

    @raise TLSError: OpenSSL knows none of them.
    """
    known = [name for name in _VERSIONS if name in set(protocols)]
    if not known:
        raise TLSError(
            f"TLS protocols: no version that OpenSSL knows; give some of {', '.join(_VERSIONS)}"
        )
    context.minimum_version = _VERSIONS[known[0]]
    context.maximum_version = _VERSIONS[known[-1]]
    versions = list(_VERSIONS)
    for name in versions[versions.index(known[0]) : versions.index(known[-1])]:
        if name not in known:  # a gap, which two bounds do not express
            context.options |= _REFUSED[name]


def _choose_ciphers(context: ssl.SSLContext, policy: TlsPolicy) -> None:
    ciphers = policy.ciphers
    if {"TLSv1", "TLSv1.1"} & set(policy.protocols):
        ciphers = f"{ciphers or 'DEFAULT'}:{_ANY_STRENGTH}"
    if ciphers is None:
        return
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError:
        raise TLSError(f"ssl_ciphers: no cipher that OpenSSL knows in {ciphers!r}") from None


def _use_dh_parameters(context: ssl.SSLContext, value: str) -> None:
    if value in DH_GROUPS:
        if openssl.is_supported():
            openssl.set_automatic_dh(context)
        return
    try:
        if pem.is_text(value):
            with as_file(value.encode()) as path:
                context.load_dh_params(path)
        else:
            context.load_dh_params(value)
    except (OSError, ssl.SSLError) as error:
        raise TLSError(f"ssl_dhparam: the parameters cannot be loaded: {error}") from None
