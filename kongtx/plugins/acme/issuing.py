"""Getting one certificate: account, order, proofs, and the certificate that comes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from kongtx._version import __version__
from kongtx.pdk.node import Node
from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.acme.keys import new_key, proof_pair
from kongtx.plugins.acme.settings import Settings
from kongtx.plugins.acme.storages.interfaces import HTTP_PROOF, TLS_PROOF, IStorage
from kongtx.tls.client import ClientSettings, client_context

if TYPE_CHECKING:
    from kongtx.plugins.acme.authority import Authority, Proof

T = TypeVar("T")

HTTP_01 = "http-01"
TLS_ALPN_01 = "tls-alpn-01"
#: Seconds in which an authority must have seen the proofs, and then have issued the certificate.
PATIENCE = 120
#: Seconds for which proofs are kept, should nobody remove them.
_PROOF_LIVES = 600
_ACCOUNT_BITS = 4096
_DEPTH = 9

#: Shows a host's proof over TLS on all workers of all nodes; with C{False}, no more.
Show = Callable[[str, bool], Any]


class Issuer:
    """Asks an authority for certificates.

    @param show: called when the proof of a host is in the storage, or is gone.
    """

    def __init__(self, node: Node, show: Show) -> None:
        self._node = node
        self._show = show

    async def issue(
        self, settings: Settings, storage: IStorage, host: str, key: str | None
    ) -> tuple[str, str]:
        """Get a certificate.

        @param key: its private key in PEM form; L{None} to make a new one.
        @return: the certificate with its chain, and its key.
        @raise ACMEError: there is none to be had.
        """
        authority = await self._authority(settings, storage)
        await self._thread(authority.connect)
        if key is None:
            key = await self._thread(
                new_key, settings["cert_type"], int(settings["rsa_key_size"] or _ACCOUNT_BITS)
            )
        kinds = kinds_of_proofs(self._node.configuration)
        order, proofs = await self._thread(authority.order, host, key, kinds)
        try:
            for proof in proofs:
                await self._place(proof, storage)
            await self._thread(authority.answer, proofs)
            await self._until(host, "validated", lambda: authority.is_validated(order))
        finally:
            for proof in proofs:
                await self._remove(proof, storage)
        preferred = settings["preferred_chain"]
        chain = await self._until(host, "issued", lambda: authority.finish(order, preferred))
        return chain, key

    async def _authority(self, settings: Settings, storage: IStorage) -> Authority:
        try:
            # Few nodes need the library.
            from kongtx.plugins.acme.authority import Account, Authority  # noqa: PLC0415
        except ImportError as error:
            raise ACMEError(
                f"acme needs the package acme (pip install kongtx[acme]): {error}"
            ) from error
        account = Account(
            settings.directory,
            settings["account_email"],
            await self.account_key(settings, storage),
            settings["eab_kid"],
            settings["eab_hmac_key"],
        )
        trusted = self._node.configuration.lua_ssl_trusted_certificate
        return Authority(
            account,
            lambda: client_context(ClientSettings(verify=True, depth=_DEPTH), trusted),
            f"kongtx/{__version__}",
        )

    async def account_key(self, settings: Settings, storage: IStorage) -> str:
        """The private key of the account, made if there is none yet.

        @raise ACMEError: it is to be one of C{keys}, which has none.
        """
        name = settings.account_name
        kept = await storage.get(name)
        if kept is None:
            if settings["account_key"]:
                key = await self._key_entity(settings["account_key"])
            else:
                key = await self._thread(new_key, "rsa", _ACCOUNT_BITS)
            kept = json.dumps({"key": key})
            await storage.put(name, kept)
        try:
            return str(json.loads(kept)["key"])
        except (ValueError, KeyError, TypeError):
            raise ACMEError("the account in the storage cannot be read") from None

    async def _key_entity(self, which: Mapping[str, Any]) -> str:
        store = self._node.store
        key_set = None
        if which["key_set"]:
            key_set = await store["key_sets"].select_by("name", which["key_set"])
            if key_set is None:
                raise ACMEError(f"account_key: there is no key set {which['key_set']}")
        async for row in store["keys"].each():
            same_set = row["set"]["id"] if row["set"] else None
            if row["kid"] == which["key_id"] and same_set == (key_set and key_set["id"]):
                return _private_key(row)
        raise ACMEError(f"account_key: there is no key {which['key_id']}")

    async def _place(self, proof: Proof, storage: IStorage) -> None:
        if proof.kind == HTTP_01:
            name = HTTP_PROOF + proof.token
            await storage.put(name, proof.key_authorization, _PROOF_LIVES)
            return
        pair = proof_pair(proof.host, proof.key_authorization)
        kept = json.dumps({"cert": pair.chain, "key": pair.key})
        await storage.put(TLS_PROOF + proof.host, kept, _PROOF_LIVES)
        await self._show(proof.host, True)

    async def _remove(self, proof: Proof, storage: IStorage) -> None:
        if proof.kind == HTTP_01:
            await storage.delete(HTTP_PROOF + proof.token)
            return
        await storage.delete(TLS_PROOF + proof.host)
        await self._show(proof.host, False)

    async def _until(self, host: str, what: str, look: Callable[[], T | None]) -> T:
        clock: Any = self._node.clock
        give_up = clock.seconds() + PATIENCE
        while not (seen := await self._thread(look)):
            if clock.seconds() > give_up:
                raise ACMEError(f"{host} was not {what} within {PATIENCE} seconds")
            await deferLater(clock, 1)
        return seen

    async def _thread(self, act: Callable[..., T], *arguments: Any) -> T:
        reactor = self._node.reactor
        done: T = await deferToThreadPool(reactor, reactor.getThreadPool(), act, *arguments)
        return done


def kinds_of_proofs(conf: Any) -> Sequence[str]:
    """How names are proven by a node, the best way first; the property C{acme_challenge}."""
    if conf.acme_challenge != "auto":
        return (conf.acme_challenge,)
    if any(not listen.ssl for listen in conf.proxy_listeners):
        return HTTP_01, TLS_ALPN_01
    return TLS_ALPN_01, HTTP_01


def _private_key(row: Mapping[str, Any]) -> str:
    """The private key of an entity of the kind C{keys}, in PEM form."""
    if row["pem"] and row["pem"]["private_key"]:
        return str(row["pem"]["private_key"])
    from josepy import JWK  # noqa: PLC0415 - comes with the package acme

    try:
        jwk: Any = JWK.from_json(json.loads(row["jwk"]))
        private = jwk.key.private_bytes
    except (ValueError, TypeError, AttributeError):
        raise ACMEError(f"account_key: key {row['kid']} has no private key") from None
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    text: bytes = private(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()
