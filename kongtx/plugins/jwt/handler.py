"""jwt: signed tokens of issuers that the store knows (RFC 7519)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kongtx.entities.credentials import jwt as entities
from kongtx.lib.deferred import then
from kongtx.pdk.kong import Kong
from kongtx.plugins.authentication import (
    AuthenticationPlugin,
    Entity,
    Identity,
    Refused,
    challenge,
    find_credential,
)
from kongtx.plugins.jwt.schema import subschema
from kongtx.plugins.jwt.token import (
    BadToken,
    Token,
    claim_errors,
    decode_base64,
    parse,
    verifies,
)

_BEARER = re.compile(r"\s*[Bb]earer\s+(.+)")


class JWT(AuthenticationPlugin):
    """Finds the consumer whose key signed a request's token.

    @param now: seconds since the epoch.
    """

    name = "jwt"
    priority = 1450
    subschema = subschema()
    entities = entities()

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def prepare(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Besides the configuration: the refusals' headers."""
        missing = challenge("Bearer", config["realm"])
        invalid = {"WWW-Authenticate": missing["WWW-Authenticate"] + ' error="invalid_token"'}
        return {**config, "missing": missing, "invalid": invalid}

    def identify(self, config: Mapping[str, Any], kong: Kong) -> Any:
        """See L{AuthenticationPlugin.identify}."""
        tokens = list(dict.fromkeys(_tokens(config, kong)))
        if not tokens:
            raise Refused(401, {"message": "Unauthorized"}, config["missing"])
        if len(tokens) > 1:
            raise _invalid("Multiple tokens provided", config)
        try:
            token = parse(tokens[0])
        except BadToken as error:
            raise _invalid(str(error), config) from None
        name = config["key_claim_name"]
        key = token.claims.get(name, token.header.get(name))
        if key is None:
            raise _invalid(f"No mandatory '{name}' in claims", config)
        if not isinstance(key, str) or not key:
            raise _invalid(f"Invalid '{name}' in claims", config)
        found = find_credential(kong, "jwt_secrets", "key", key)
        return then(found, self._known, token, tokens[0], config, kong)

    def _known(
        self,
        credential: Entity | None,
        token: Token,
        text: str,
        config: Mapping[str, Any],
        kong: Kong,
    ) -> Any:
        name = config["key_claim_name"]
        if credential is None:
            raise _invalid(f"No credentials found for given '{name}'", config)
        if token.algorithm != credential["algorithm"]:
            raise _invalid("Invalid algorithm", config)
        key = _key(credential, config)
        try:
            if key is None:
                raise BadToken("Invalid key/secret")
            if not verifies(token, key):
                raise BadToken("Invalid signature")
        except BadToken as error:
            raise _invalid(str(error), config) from None
        errors = claim_errors(
            token.claims,
            config["claims_to_verify"] or (),
            self._now(),
            config["maximum_expiration"] or 0,
        )
        if errors:
            raise Refused(401, errors, config["invalid"])
        consumer = kong.node.consumer_by_id(credential["consumer"]["id"])
        return then(consumer, self._identified, credential, text, config, kong)

    def _identified(
        self,
        consumer: Entity | None,
        credential: Entity,
        text: str,
        config: Mapping[str, Any],
        kong: Kong,
    ) -> Identity:
        if consumer is None:
            name = f"{config['key_claim_name']}={credential['key']}"
            raise Refused(401, {"message": f"Could not find consumer for '{name}'"})
        kong.ctx.shared["authenticated_jwt_token"] = text
        return Identity(consumer, credential, credential["key"])


def _tokens(config: Mapping[str, Any], kong: Kong) -> Iterator[str]:
    """Every token of the request, in the order of the query, cookies, headers."""
    if kong.raw.query:
        query = kong.request.get_query()
        for name in config["uri_param_names"] or ():
            value = query.get(name)
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str) and each:
                    yield each
    if config["cookie_names"]:
        cookies = _cookies(kong)
        for name in config["cookie_names"]:
            if cookies.get(name):
                yield cookies[name]
    for name in config["header_names"] or ():
        found = _BEARER.fullmatch(kong.request.get_header(name) or "")
        if found:
            yield found[1].strip()


def _cookies(kong: Kong) -> dict[str, str]:
    """The request's cookies (RFC 6265 §4.2.1); of those with one name the first."""
    cookies: dict[str, str] = {}
    for header, value in kong.raw.headers:
        if header == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                name, _, content = pair.strip().partition("=")
                cookies.setdefault(name, content.strip('"'))
    return cookies


def _key(credential: Entity, config: Mapping[str, Any]) -> str | bytes | None:
    """What a credential's signatures are verified with; L{None} if it has nothing."""
    if not credential["algorithm"].startswith("HS"):
        public: str | None = credential["rsa_public_key"]
        return public
    secret: str | None = credential["secret"]
    if secret and config["secret_is_base64"]:
        return decode_base64(secret.rstrip("=").replace("+", "-").replace("/", "_"))
    return secret


def _invalid(message: str, config: Mapping[str, Any]) -> Refused:
    return Refused(401, {"message": message}, config["invalid"])
