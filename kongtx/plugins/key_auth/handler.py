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
        """Besides the configuration: header names in bytes, and the header of refusals."""
        names = [(name, name.lower().encode()) for name in config["key_names"]]
        in_body = config["key_in_body"] and names
        refused = challenge("Key", config["realm"])
        # Where a key mostly is, and stays: in the header of the first name.
        stays = names and config["key_in_header"] and not config["hide_credentials"]
        usual = names[0][1] if stays else None
        return {**config, "names": names, "in_body": in_body, "challenge": refused, "usual": usual}

    def identify(self, config: Mapping[str, Any], kong: Kong) -> Any:
        """See L{AuthenticationPlugin.identify}."""
        usual = config["usual"]
        if usual is not None:
            values = kong.raw.get_headers(usual)
            if len(values) == 1:
                key = credential_key(_ENTITY, values[0].decode("latin-1"))
                known = kong.node.cache.derived.get(key)
                if known is not None:
                    return known
        if config["in_body"] and _needs_body(config, kong):
            return then(_body(kong), self._find, config, kong)
        return self._find({}, config, kong)

    def _find(self, body: Mapping[str, Any], config: Mapping[str, Any], kong: Kong) -> Any:
        """The first key there is decides, even if it is empty: by name, then by place."""
        for name, raw in config["names"]:
            key = _in_header_or_query(name, raw, config, kong)
            if key is None and name in body:
                key = _single(body[name], config)
            if key is not None:
                if config["hide_credentials"]:
                    _hide(name, body, kong)
                return self._look_up(key, config, kong)
        return self._look_up(None, config, kong)

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


def _needs_body(config: Mapping[str, Any], kong: Kong) -> bool:
    """Whether the body has to be read before the key is known, or is to lose the key."""
    name, raw = config["names"][0]
    return config["hide_credentials"] or _in_header_or_query(name, raw, config, kong) is None


def _in_header_or_query(name: str, raw: bytes, config: Mapping[str, Any], kong: Kong) -> str | None:
    """The key under one name, which may be empty."""
    if config["key_in_header"]:
        values = kong.raw.get_headers(raw)
        if len(values) > 1:
            raise Refused(401, "Duplicate API key found", config["challenge"])
        if values:
            return values[0].decode("latin-1")
    if config["key_in_query"] and kong.raw.query:
        return _single(kong.request.get_query().get(name), config)
    return None


def _hide(name: str, body: Mapping[str, Any], kong: Kong) -> None:
    """Take what is under a name out of what goes upstream."""
    kong.service.request.clear_query_arg(name)
    kong.service.request.clear_header(name)
    if name in body:
        kong.service.request.set_body({key: body[key] for key in body if key != name})


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
