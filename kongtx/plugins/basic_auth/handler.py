"""basic-auth: user name and password (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from kongtx.entities.credentials import basic_auth as entities
from kongtx.lib.deferred import then
from kongtx.pdk.kong import Kong
from kongtx.plugins.authentication import (
    AuthenticationPlugin,
    Entity,
    Refused,
    challenge,
    find_credential,
    load_identity,
)
from kongtx.plugins.basic_auth.schema import subschema

_HEADERS = (b"proxy-authorization", b"authorization")
_BASIC = re.compile(rb"\s*[Bb]asic\s*(.+)")


class BasicAuth(AuthenticationPlugin):
    """Finds the consumer whose user name and password a request brings."""

    name = "basic-auth"
    priority = 1100
    subschema = subschema()
    entities = entities()

    def prepare(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Besides the configuration: the refusals' header."""
        return {**config, "challenge": challenge("Basic", config["realm"])}

    def identify(self, config: Mapping[str, Any], kong: Kong) -> Any:
        """See L{AuthenticationPlugin.identify}."""
        return self._try(_HEADERS, config, kong)

    def _try(self, headers: tuple[bytes, ...], config: Mapping[str, Any], kong: Kong) -> Any:
        """Try the first of some headers; the next only if its user is unknown."""
        while headers:
            header, *rest = headers
            headers = tuple(rest)
            given = _credentials(kong.raw.get_header(header))
            if config["hide_credentials"]:
                kong.raw.clear_header(header)
            if given is None:
                continue
            user, password = given
            found = find_credential(kong, "basicauth_credentials", "username", user)
            return then(found, self._known, password, headers, config, kong)
        raise Refused(401, "Unauthorized", config["challenge"])

    def _known(
        self,
        credential: Entity | None,
        password: bytes,
        headers: tuple[bytes, ...],
        config: Mapping[str, Any],
        kong: Kong,
    ) -> Any:
        if credential is None:
            return self._try(headers, config, kong)
        if not compare_digest(hash_password(password, credential), credential["password"]):
            raise Refused(401, "Unauthorized", config["challenge"])
        return load_identity(kong, credential, credential["username"])


def hash_password(password: bytes, credential: Entity) -> str:
    """A password as the store keeps it: SHA-1 of it and the consumer's id, in hexadecimal."""
    salted = password + credential["consumer"]["id"].encode()
    return hashlib.sha1(salted, usedforsecurity=False).hexdigest()


def _credentials(value: bytes | None) -> tuple[str, bytes] | None:
    """User name and password of an Authorization header; L{None} if it has none."""
    found = _BASIC.fullmatch(value or b"")
    if found is None:
        return None
    try:
        decoded = base64.b64decode(found[1].strip(), validate=True)
    except binascii.Error:
        return None
    user, colon, password = decoded.partition(b":")
    if not user or not colon:
        return None
    return user.decode("utf-8", "surrogateescape"), password
