"""mtls-auth: a client shows a certificate of a chosen authority, and is the consumer named in it.

The handshake proves that the client has the certificate's key; here it is verified who issued it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs

from kongtx.entities.credentials import mtls_auth as entities
from kongtx.http.lines import HeaderBlock
from kongtx.lib.deferred import then
from kongtx.pdk.kong import Kong
from kongtx.pdk.node import Node
from kongtx.plugins.authentication import AuthenticationPlugin, Entity, Identity, Refused
from kongtx.plugins.mtls_auth.revocation import Revocations, RevocationSettings
from kongtx.plugins.mtls_auth.schema import subschema
from kongtx.tls.errors import UnusableAuthority
from kongtx.tls.peer import (
    STRICT,
    WHY_REVOKED,
    WHY_UNDECIDED,
    Authorities,
    CertificateFacts,
    Verdict,
    facts_of,
    fingerprint_of,
    verdict_of,
)
from kongtx.tls.revocation import REVOKED, UNKNOWN

#: Outcomes that are remembered by each configuration.
_REMEMBERED = 4096
_NAMES = (b"X-Client-Cert-Dn", b"X-Client-Cert-San")
_NAMES_LOWER = frozenset(name.lower() for name in _NAMES)
_NOTHING = HeaderBlock(())

_Chain = tuple[bytes, ...]


@attrs.define
class _Prepared:
    """A configuration, and what came of the certificates that it has met.

    @ivar asking: how authorities are asked what they have revoked.
    @ivar outcomes: until when (seconds) the verdict on a chain is known, for authorities.
    """

    config: Mapping[str, Any]
    asking: RevocationSettings
    outcomes: dict[tuple[bytes, Authorities], tuple[float, Verdict]] = attrs.Factory(dict)

    def get(self, name: str, default: Any = None) -> Any:
        """A field of the configuration."""
        return self.config.get(name, default)

    def __getitem__(self, name: str) -> Any:
        return self.config[name]


class MutualTLSAuth(AuthenticationPlugin):
    """Finds the consumer whose name is in the client's certificate."""

    name = "mtls-auth"
    priority = 1600
    subschema = subschema()
    entities = entities()
    asks_client_certificate = True

    def prepare(self, config: Mapping[str, Any]) -> _Prepared:
        """The configuration, with nothing remembered yet."""
        return _Prepared(config, RevocationSettings.of(config))

    def init_worker(self, node: Node) -> None:
        """Begin with no knowledge of revocations."""
        node.shared[Revocations] = Revocations(node)

    def identify(self, config: _Prepared, kong: Kong) -> Any:
        """See L{AuthenticationPlugin.identify}."""
        kong.raw.replace_headers(_NAMES_LOWER, _NOTHING)
        chain = tuple(kong.client.tls.get_chain_der())
        if not chain:
            kong.client.tls.set_client_verify("NONE")
            raise Refused(401, "No required TLS certificate was sent")
        return self._identify(chain, config, kong)

    async def _identify(self, chain: _Chain, config: _Prepared, kong: Kong) -> Identity:
        texts: dict[str, str] = {}
        for key in config["ca_certificates"]:
            found = kong.node.cache.get(f"ca_certificates:{key}:::::", _load_authority, kong, key)
            authority = await _settled(found)
            if authority is None:
                kong.log.err("CA certificate {id} does not exist", id=key)
            else:
                texts[key] = authority["cert"]
        authorities = Authorities(
            tuple(texts.values()),
            tuple(config["crls"]),
            config["revocation_check_mode"],
            config["allow_partial_chain"],
        )
        verdict = await _outcome(chain, authorities, config, kong)
        if verdict.why is not None:
            kong.client.tls.set_client_verify(f"FAILED:{verdict.why}")
            kong.log.info("a client's certificate is refused: {why}", why=verdict.why)
            raise Refused(401, "TLS certificate failed verification")
        kong.client.tls.set_client_verify("SUCCESS")
        facts = facts_of(chain[0])
        if config["skip_consumer_lookup"]:
            return _without_consumer(facts, config, kong)
        above = [key for key, text in texts.items() if _fingerprint(text) in verdict.authorities]
        identity = await _by_credential(facts, above, kong)
        if identity is None:
            identity = await _by_name(facts, config["consumer_by"], kong)
        if identity is None:
            identity = await _default(facts, config["default_consumer"], kong)
        return identity


async def _outcome(
    chain: _Chain, authorities: Authorities, config: _Prepared, kong: Kong
) -> Verdict:
    """What comes of a certificate; looked at again when C{cache_ttl} is over."""
    now = kong.node.clock.seconds()
    # Anybody can send many long chains: what is kept of them must be short.
    key = _digest(chain), authorities
    known = config.outcomes.get(key)
    if known is not None and known[0] > now:
        return known[1]
    try:
        verdict = verdict_of(chain, authorities)
    except UnusableAuthority as error:
        kong.log.err("no client's certificate can be verified: {error}", error=str(error))
        return Verdict("no usable authority")
    if verdict.undecided:
        verdict = await _told_by_issuers(verdict, authorities.mode, config, kong)
        if verdict.why is not None and verdict.undecided:
            return verdict  # which may be another a moment later
    if len(config.outcomes) >= _REMEMBERED:
        config.outcomes.clear()
    config.outcomes[key] = now + config["cache_ttl"], attrs.evolve(verdict, undecided=())
    return verdict


async def _told_by_issuers(verdict: Verdict, mode: str, config: _Prepared, kong: Kong) -> Verdict:
    """A verdict with what the issuers tell of the certificates of which the lists told nothing."""
    revocations = kong.node.shared[Revocations]
    undecided = []
    for link in verdict.undecided:
        told = await revocations.standing(link, config.asking)
        if told == REVOKED:
            return Verdict(WHY_REVOKED, verdict.authorities)
        if told == UNKNOWN:
            undecided.append(link)
    why = WHY_UNDECIDED if undecided and mode == STRICT else None
    return Verdict(why, verdict.authorities, tuple(undecided))


_fingerprint = lru_cache(maxsize=256)(fingerprint_of)


def _digest(chain: _Chain) -> bytes:
    digests = (hashlib.sha256(each).digest() for each in chain)
    return hashlib.sha256(b"".join(digests)).digest()


def _without_consumer(facts: CertificateFacts, config: _Prepared, kong: Kong) -> Identity:
    """The client is nobody of the store: its name is its group, and upstreams are told of it."""
    by_dn = config["authenticated_group_by"] == "DN"
    groups = (facts.subject,) if by_dn else facts.common_names[:1]
    kong.raw.authenticated_groups = list(groups)
    values = (facts.subject, ", ".join(facts.alternative_names))
    block = HeaderBlock(
        (name, value.encode()) for name, value in zip(_NAMES, values, strict=True) if value
    )
    kong.raw.replace_headers(_NAMES_LOWER, block)
    return Identity(None, {"id": facts.fingerprint}, facts.subject)


def _names_in(facts: CertificateFacts) -> Iterable[str]:
    """The names that a certificate gives: alternative names first, then common names."""
    return dict.fromkeys((*facts.alternative_names, *facts.common_names))


async def _by_credential(
    facts: CertificateFacts, authorities: Sequence[str], kong: Kong
) -> Identity | None:
    """Who a credential says the first name is that has one; one for an authority counts first.

    @param authorities: ids of the C{ca_certificates} that the certificate leads to.
    """
    for name in _names_in(facts):
        for authority in (*authorities, None):
            key = f"mtls_auth_credentials:{name}:{authority or ''}::::"
            found = kong.node.cache.get(key, _load_credential, kong, name, authority)
            credential: Entity | None = await _settled(found)
            if credential is None:
                continue
            consumer = await _settled(kong.node.consumer_by_id(credential["consumer"]["id"]))
            if consumer is not None:
                return Identity(consumer, credential, name)
    return None


async def _by_name(facts: CertificateFacts, fields: Sequence[str], kong: Kong) -> Identity | None:
    """The consumer of the first name that one has."""
    for name in _names_in(facts):
        for field in fields:
            key = f"consumers_by_{field}:{name}"
            found = kong.node.cache.get(key, _load_consumer, kong, field, name)
            consumer: Entity | None = await _settled(found)
            if consumer is not None:
                return Identity(consumer, {"id": consumer["id"]}, name)
    return None


async def _default(facts: CertificateFacts, default: str | None, kong: Kong) -> Identity:
    """Who clients are that the store does not know."""
    if default is not None:
        consumer = await _settled(kong.node.consumer(default, by_username=True))
        if consumer is not None:
            return Identity(consumer, {"id": consumer["id"]}, facts.subject)
        kong.log.err("default_consumer {consumer} does not exist", consumer=default)
    raise Refused(401, "Unauthorized")


async def _load_credential(kong: Kong, name: str, authority: str | None) -> Any:
    wanted = {
        "subject_name": name,
        "ca_certificate": None if authority is None else {"id": authority},
    }
    return await kong.db["mtls_auth_credentials"].select_by_cache_key(wanted)


async def _load_authority(kong: Kong, key: str) -> Any:
    return await kong.db["ca_certificates"].select(key)


async def _load_consumer(kong: Kong, field: str, value: str) -> Any:
    return await kong.db["consumers"].select_by(field, value)


async def _settled(value: Any) -> Any:
    """A value that may have to be waited for."""
    waiting = then(value, lambda result: result)
    return await waiting if hasattr(waiting, "addCallback") else waiting
