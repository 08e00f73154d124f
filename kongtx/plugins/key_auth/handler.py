"""key-auth: a client shows a key in a header, in the query or in the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.entities.credentials import key_auth as entities
from kongtx.lib.deferred import then
from kongtx.pdk.body import FORM, JSON, MULTIPART, media_type
from kongtx.pdk.errors import BodyError
from kongtx.pdk.kong import Kong
from kongtx.pdk.node import consumer_key
from kongtx.plugins.authentication import (
    AuthenticationPlugin,
    Entity,
    Identity,
    Refused,
    challenge,
    credential_key,
    find_credential,
    load_identity,
)
from kongtx.plugins.key_auth.schema import subschema

_ENTITY = "keyauth_credentials"


class KeyAuth(AuthenticationPlugin):
    """Finds the consumer whose key a request brings."""

    name = "key-auth"
    priority = 1250
    subschema = subschema()
    entities = entities()

    def prepare(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Besides the configuration: the header names in bytes, and the refusals' header."""
        names = [(name, name.lower().encode()) for name in config["key_names"]]
        return {**config, "names": names, "challenge": challenge("Key", config["realm"])}

    def identify(self, config: Mapping[str, Any], kong: Kong) -> Any:
        """See L{AuthenticationPlugin.identify}."""
        key = _in_header_or_query(config, kong)
        if key is None and config["key_in_body"]:
            return then(_body(kong), self._in_body, config, kong)
        if config["hide_credentials"] and config["key_in_body"]:
            return then(_body(kong), self._hide_in_body, key, config, kong)
        return self._look_up(key, config, kong)

    def _in_body(self, body: Any, config: Mapping[str, Any], kong: Kong) -> Any:
        for name, _ in config["names"]:
            if name in body:
                key = _single(body[name], config)
                if key is not None:
                    return self._hide_in_body(body, key, config, kong)
        return self._look_up(None, config, kong)

    def _hide_in_body(self, body: Any, key: str, config: Mapping[str, Any], kong: Kong) -> Any:
        if config["hide_credentials"]:
            kept = {name: value for name, value in body.items() if name not in config["key_names"]}
            if len(kept) != len(body):
                kong.service.request.set_body(kept)
        return self._look_up(key, config, kong)

    def _look_up(self, key: str | None, config: Mapping[str, Any], kong: Kong) -> Any:
        if not key:
            raise Refused(401, "No API key found in request", config["challenge"])
        known = kong.node.cache.derived.get(credential_key(_ENTITY, key))
        if known is not None:
            return known
        return then(find_credential(kong, _ENTITY, "key", key), self._found, config, kong)

    def _found(self, credential: Entity | None, config: Mapping[str, Any], kong: Kong) -> Any:
        if credential is None:
            raise Refused(401, "Unauthorized", config["challenge"])
        return then(load_identity(kong, credential, credential["id"]), _remember, kong)


def _remember(identity: Identity, kong: Kong) -> Identity:
    """Find a known key by one look-up from now on, until it or its consumer changes."""
    credential, consumer = identity.credential, identity.consumer
    if consumer is not None:
        key = credential_key(_ENTITY, credential["key"])
        sources = {key: credential, consumer_key(consumer["id"]): consumer}
        kong.node.cache.derived.hold(key, identity, sources)
    return identity


def _in_header_or_query(config: Mapping[str, Any], kong: Kong) -> str | None:
    """The first key there is, which may be empty; it is hidden on the way if so configured."""
    for name, raw in config["names"]:
        key: str | None = None
        if config["key_in_header"] and kong.raw.get_header(raw) is not None:
            values = [value for header, value in kong.raw.headers if header == raw]
            if len(values) > 1:
                raise Refused(401, "Duplicate API key found", config["challenge"])
            key = values[0].decode("latin-1")
        if key is None and config["key_in_query"] and kong.raw.query:
            key = _single(kong.request.get_query().get(name), config)
        if key is not None:
            if config["hide_credentials"]:
                kong.service.request.clear_query_arg(name)
                kong.service.request.clear_header(name)
            return key
    return None


def _single(value: Any, config: Mapping[str, Any]) -> str | None:
    if isinstance(value, list):
        raise Refused(401, "Duplicate API key found", config["challenge"])
    return value if isinstance(value, str) else None


async def _body(kong: Kong) -> Any:
    """The arguments in the body; none in one that is not of arguments."""
    kind = media_type(kong.request.get_header("content-type"))
    if kind not in (FORM, JSON, MULTIPART):
        return {}
    try:
        body = await kong.request.get_body()
    except BodyError:
        return {}
    return body if isinstance(body, dict) else {}
