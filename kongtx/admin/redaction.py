"""Answers without private keys, for those who may see configuration but no keys. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from kongtx.admin.answers import Answer

#: Stands for what is not shown.
REDACTED = "[redacted]"

_PEM = re.compile(
    r"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----.*?(?:-----END \1PRIVATE KEY-----|\Z)", re.DOTALL
)
_PEM_BYTES = re.compile(_PEM.pattern.encode(), re.DOTALL)
# RFC 7518 §6.2.2, §6.3.2, §6.4.1; RFC 8037 §2.
_SECRET_MEMBERS = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))


def redacted(answer: Answer) -> Answer:
    """An answer in which L{REDACTED} stands for private keys, wherever in it they are.

    References to vaults are no secrets, and stay.
    """
    return attrs.evolve(answer, body=_without_keys(answer.body))


def _without_keys(value: Any) -> Any:
    if isinstance(value, str):
        return _PEM.sub(REDACTED, value) if "PRIVATE KEY-----" in value else value
    if isinstance(value, bytes):
        return _PEM_BYTES.sub(REDACTED.encode(), value)
    if isinstance(value, Mapping):
        return {
            key: _without_secrets(each) if key == "jwk" else _without_keys(each)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without_keys(each) for each in value]
    return value


def _without_secrets(text: Any) -> Any:
    """A JSON Web Key with its public members alone."""
    if not isinstance(text, str) or text.startswith("{vault://"):
        return text
    try:
        key = json.loads(text)
    except ValueError:
        return REDACTED
    if not isinstance(key, dict):
        return REDACTED
    shown = {name: REDACTED if name in _SECRET_MEMBERS else key[name] for name in key}
    return json.dumps(shown, separators=(",", ":"))
