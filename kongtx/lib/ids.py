"""Identifiers: UUIDs made and checked natively.

Everything here works on text in the canonical form (36 characters, lower case when made here),
because that is what entities, the Admin API and the database hold.

Safe after C{os.fork}: uuid_utils reseeds its generator in the child.
"""

from __future__ import annotations

import base64
import re
import secrets
import string
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from uuid_utils import UUID
from uuid_utils import uuid3 as _uuid3
from uuid_utils import uuid4 as _uuid4
from uuid_utils import uuid5 as _uuid5

NIL: Final = "00000000-0000-0000-0000-000000000000"

is_uuid: Final[Callable[[str], re.Match[str] | None]] = re.compile(
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
).fullmatch
"""Whether a text has the canonical form, in either case and with any version and variant.

The bound method itself, so that a check costs no Python frame; its result is to be read as a
truth value. (Kong: a name in this form can only ever be an id.)
"""


_INSTEAD: Final = {
    "/": lambda: secrets.choice(string.ascii_uppercase),
    "+": lambda: secrets.choice(string.ascii_lowercase),
}
_parsed = lru_cache(maxsize=1024)(UUID)  # namespaces are few and come back


def uuid4() -> str:
    """A random UUID.

    @return: 36 characters, lower case (RFC 9562 §5.4).
    """
    return str(_uuid4())


def new_secret() -> str:
    """A random key for a credential: 32 letters and digits out of 24 random bytes (as Kong's)."""
    text = base64.b64encode(secrets.token_bytes(24)).decode()
    return "".join(_INSTEAD[c]() if c in _INSTEAD else c for c in text)


def uuid5(namespace: str, name: str) -> str:
    """The UUID that SHA-1 derives from a name (RFC 9562 §5.5).

    @param namespace: a UUID.
    @raise ValueError: if the namespace is no UUID, or the name has lone surrogates.
    """
    try:
        return str(_uuid5(_parsed(namespace), name))
    except TypeError:
        raise ValueError(f"not encodable: {name!a}") from None


def uuid3(namespace: str, name: str) -> str:
    """The UUID that MD5 derives from a name (RFC 9562 §5.3); arguments as for L{uuid5}."""
    try:
        return str(_uuid3(_parsed(namespace), name))
    except TypeError:
        raise ValueError(f"not encodable: {name!a}") from None
