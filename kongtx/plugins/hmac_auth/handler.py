"""hmac-auth: requests signed with a secret that client and gateway share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from hmac import compare_digest
from typing import Any

from kongtx.entities.credentials import hmac_auth as entities
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
from kongtx.plugins.hmac_auth.schema import subschema
from kongtx.plugins.hmac_auth.signature import (
    Signature,
    digest,
    is_signed,
    parse,
    signing_text,
)

_HEADERS = (b"proxy-authorization", b"authorization")
_NO_DATE = (
    "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC "
    "Authentication"
)
_UNVERIFIED = "HMAC signature cannot be verified"
_WRONG = "HMAC signature does not match"


class HMACAuth(AuthenticationPlugin):
    """Finds the consumer whose secret signed a request.

    @param now: seconds since the epoch.
    """

    name = "hmac-auth"
    priority = 1030
    subschema = subschema()
    entities = entities()

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def prepare(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Besides the configuration: the refusals' header."""
        return {**config, "challenge": challenge("hmac", config["realm"])}

    def identify(self, config: Mapping[str, Any], kong: Kong) -> Any:
        """See L{AuthenticationPlugin.identify}."""
        if all(kong.raw.get_header(name) is None for name in _HEADERS):
            raise Refused(401, "Unauthorized", config["challenge"])
        if not self._is_dated(config, kong):
            raise Refused(401, _NO_DATE, config["challenge"])
        signature = _given(config, kong)
        if (
            signature is None
            or signature.algorithm not in config["algorithms"]
            or not set(config["enforce_headers"] or ()) <= set(signature.headers)
        ):
            raise Refused(401, _UNVERIFIED, config["challenge"])
        found = find_credential(kong, "hmacauth_credentials", "username", signature.username)
        return then(found, self._known, signature, config, kong)

    def _is_dated(self, config: Mapping[str, Any], kong: Kong) -> bool:
        for name in ("x-date", "date"):
            try:
                date = parsedate_to_datetime(kong.request.get_header(name) or "").timestamp()
            except (ValueError, OverflowError):
                continue
            if abs(self._now() - date) <= config["clock_skew"]:
                return True
        return False

    def _known(
        self,
        credential: Entity | None,
        signature: Signature,
        config: Mapping[str, Any],
        kong: Kong,
    ) -> Any:
        if credential is None:
            raise Refused(401, _UNVERIFIED, config["challenge"])
        raw = kong.raw
        text = signing_text(
            signature.headers,
            lambda name: raw.get_header(name.lower().encode("latin-1", "replace")),
            raw.raw_method,
            raw.target,
            raw.http_version,
        )
        if not is_signed(signature, text, credential["secret"]):
            raise Refused(401, _WRONG, config["challenge"])
        if config["validate_request_body"]:
            return then(kong.request.get_raw_body(), self._digested, credential, config, kong)
        return load_identity(kong, credential, credential["username"])

    def _digested(
        self, body: bytes, credential: Entity, config: Mapping[str, Any], kong: Kong
    ) -> Any:
        given = kong.raw.get_header(b"digest")
        if not (compare_digest(given, digest(body)) if given is not None else not body):
            raise Refused(401, _WRONG, config["challenge"])
        return load_identity(kong, credential, credential["username"])


def _given(config: Mapping[str, Any], kong: Kong) -> Signature | None:
    """The signature of the first header that has one.

    Where credentials are hidden from the upstream, so is that header, and Authorization whatever is
    in it if it had to be asked.
    """
    for name in _HEADERS:
        value = kong.raw.get_header(name)
        signature = parse(value.decode("latin-1") if value is not None else None)
        if config["hide_credentials"] and (signature is not None or name == _HEADERS[-1]):
            kong.raw.clear_header(name)
        if signature is not None:
            return signature
    return None
