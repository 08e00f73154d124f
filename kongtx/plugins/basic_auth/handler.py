"""basic-auth: user name and password (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from twisted.internet.threads import deferToThreadPool

from kongtx.entities.credentials import basic_auth as entities
from kongtx.lib import passwords
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

    def __init__(self) -> None:
        self._remembered = Remembered()

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
        hashed = passwords.parse(credential["password"])
        if hashed is None:
            right = compare_digest(hash_password(password, credential), credential["password"])
        else:
            right = self._remembered.knows(hashed, password)
        if right or hashed is None:
            return self._checked(right, credential, config, kong)
        # It takes a while, in which the worker has other things to do.
        reactor = kong.node.reactor
        checking = deferToThreadPool(reactor, reactor.getThreadPool(), hashed.matches, password)
        checking.addCallback(self._remembered.note, hashed, password)
        return checking.addCallback(self._checked, credential, config, kong)

    def _checked(
        self, right: bool, credential: Entity, config: Mapping[str, Any], kong: Kong
    ) -> Any:
        if not right:
            raise Refused(401, "Unauthorized", config["challenge"])
        return load_identity(kong, credential, credential["username"])


class Remembered:
    """Passwords that were right for slow hashes, so that they are checked once; none is kept.

    @param size: how many; the one that was not used for the longest goes first.
    """

    def __init__(self, size: int = 1000) -> None:
        self._size = size
        self._key = os.urandom(32)
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def knows(self, hashed: passwords.Hash, password: bytes) -> bool:
        """Whether a password was right for a hash before."""
        mark = self._mark(hashed, password)
        if mark not in self._known:
            return False
        self._known.move_to_end(mark)
        return True

    def note(self, right: bool, hashed: passwords.Hash, password: bytes) -> bool:
        """Remember a password if it was right, which is returned."""
        if right:
            self._known[self._mark(hashed, password)] = None
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        return right

    def _mark(self, hashed: passwords.Hash, password: bytes) -> bytes:
        parts = (b"%d" % hashed.rounds, hashed.salt.hex().encode(), hashed.digest.hex().encode())
        return hmac.digest(self._key, b":".join((*parts, password)), "sha256")


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
