"""What all authenticating plugins have in common.

With C{config.anonymous} set, several of them are alternatives: one that finds a credential already
there does nothing, and one that fails lets the anonymous consumer through. Without it each of them
must succeed (Kong: the logical OR and AND of authentication plugins).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from kongtx.cache.values import Loaded
from kongtx.errors import KongtxError
from kongtx.http.lines import HeaderBlock
from kongtx.lib.deferred import then
from kongtx.pdk.kong import Kong
from kongtx.pdk.text import header_value
from kongtx.plugins.base import Plugin

Entity = Mapping[str, Any]

_IDENTITY_HEADERS = (
    b"X-Consumer-ID",
    b"X-Consumer-Custom-ID",
    b"X-Consumer-Username",
    b"X-Credential-Identifier",
    b"X-Anonymous-Consumer",
)
_IDENTITY_NAMES = frozenset(name.lower() for name in _IDENTITY_HEADERS)


@attrs.frozen
class Identity:
    """Who a client has shown itself to be.

    @ivar consumer: L{None} where a credential stands for nobody in the store.
    @ivar identifier: what X-Credential-Identifier tells the upstream.
    @ivar block: the headers that tell the upstream.
    """

    consumer: Entity | None
    credential: Entity
    identifier: str | None
    block: HeaderBlock = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        block = _identity_block(self.consumer, self.identifier, anonymous=False)
        object.__setattr__(self, "block", block)


class Refused(KongtxError):
    """The client has not shown who it is; in the plugin's own words.

    @ivar status: of the answer.
    @ivar body: a mapping that is the whole answer, or a message for an error in the form that the
        client accepts.
    """

    def __init__(
        self,
        status: int,
        body: str | Mapping[str, Any] | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


class AuthenticationPlugin(Plugin):
    """A plugin that finds out who asks; a subclass has L{identify}.

    Configurations have C{anonymous}, and some C{run_on_preflight}.
    """

    def identify(self, config: Any, kong: Kong) -> Any:
        """Who asks: an L{Identity}, or a Deferred or coroutine of one if it has to wait.

        @raise Refused: (or the Deferred fails with it) if that cannot be told.
        """
        raise NotImplementedError

    def access(self, config: Any, kong: Kong) -> Any:
        """Authenticate the request, or answer it."""
        request = kong.raw
        if request.method == b"OPTIONS" and not config.get("run_on_preflight", True):
            return None
        if config["anonymous"] is not None and request.credential is not None:
            return None
        try:
            identity = self.identify(config, kong)
        except Refused as refused:
            return self._refuse(refused, config, kong)
        if isinstance(identity, Identity):
            return self._accept(identity, kong)
        waiting: Deferred[Any] = then(identity, self._accept, kong)
        return waiting.addErrback(self._failed, config, kong)

    def _accept(self, identity: Identity, kong: Kong) -> None:
        request = kong.raw
        request.consumer, request.credential = identity.consumer, identity.credential
        request.replace_headers(_IDENTITY_NAMES, identity.block)

    def _failed(self, failure: Failure, config: Any, kong: Kong) -> Any:
        failure.trap(Refused)
        refused = failure.value
        assert isinstance(refused, Refused)
        return self._refuse(refused, config, kong)

    def _refuse(self, refused: Refused, config: Any, kong: Kong) -> Any:
        anonymous = config["anonymous"]
        if anonymous is not None:
            consumer = kong.node.consumer(anonymous, by_username=True)
            return then(consumer, self._let_through, anonymous, kong)
        if isinstance(refused.body, Mapping):
            kong.response.exit(refused.status, refused.body, refused.headers)
        return kong.response.error(refused.status, refused.body, refused.headers)

    def _let_through(self, consumer: Entity | None, anonymous: str, kong: Kong) -> None:
        if consumer is None:
            kong.log.err(
                "anonymous consumer {anonymous} is configured but does not exist",
                anonymous=anonymous,
            )
            kong.response.error(500)
        kong.client.authenticate(consumer, None)
        block = _identity_block(consumer, None, anonymous=True)
        kong.raw.replace_headers(_IDENTITY_NAMES, block)


def _identity_block(
    consumer: Entity | None, identifier: str | None, anonymous: bool
) -> HeaderBlock:
    """The headers that tell the upstream who asks, instead of the client's own copies of them."""
    if consumer is None:
        return _block_of(None, None, None, identifier, anonymous)
    return _block_of(
        consumer["id"], consumer["custom_id"], consumer["username"], identifier, anonymous
    )


@lru_cache(maxsize=4096)
def _block_of(
    consumer_id: str | None,
    custom_id: str | None,
    username: str | None,
    identifier: str | None,
    anonymous: bool,
) -> HeaderBlock:
    values = (consumer_id, custom_id, username, identifier, "true" if anonymous else None)
    return HeaderBlock(
        (name, header_value(name, value.encode("utf-8", "surrogateescape")))
        for name, value in zip(_IDENTITY_HEADERS, values, strict=True)
        if value is not None
    )


def load_identity(kong: Kong, credential: Entity, identifier: str | None) -> Any:
    """The L{Identity} of a credential of the store: its consumer is looked up in the cache."""
    consumer = kong.node.consumer_by_id(credential["consumer"]["id"])
    return then(consumer, Identity, credential, identifier)


def find_credential(kong: Kong, entity: str, field: str, value: str) -> Any:
    """The credential with a value in its unique field, through the cache; L{None} without one."""
    return kong.node.cache.get(credential_key(entity, value), _load, kong, entity, field, value)


def credential_key(entity: str, value: str) -> str:
    """The cache key of a credential with one unique field, as C{Schema.cache_key_of} writes it."""
    return f"{entity}:{value}:::::"


async def _load(kong: Kong, entity: str, field: str, value: str) -> Any:
    return credential_to_cache(await kong.db[entity].select_by(field, value))


def credential_to_cache(credential: Entity | None) -> Any:
    """A credential as the cache holds it: no longer than it is valid (its C{ttl}, in seconds)."""
    if credential is not None and credential.get("ttl"):
        return Loaded(credential, credential["ttl"])
    return credential


def challenge(scheme: str, realm: str | None) -> dict[str, str]:
    """The WWW-Authenticate header of a refusal."""
    return {"WWW-Authenticate": f'{scheme} realm="{realm}"' if realm else scheme}
