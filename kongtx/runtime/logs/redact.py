"""Keeps known secrets out of logs, whatever logged them."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable

#: What stands in a secret's place, as in Kong.
MASK = b"******"
#: Shorter secrets are not looked for: they would be found in half of all lines.
MIN_LENGTH = 4


def _forms(secret: str) -> Iterable[str]:
    """A secret as it may appear: plain, percent-encoded, in JSON, in Base64, and a PEM text or
    other long one line by line."""
    yield secret
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield base64.b64encode(secret.encode()).decode()
    for line in secret.splitlines():
        if len(line) >= 16 and not line.startswith("-----"):
            yield line


class Redactor:
    """Replaces secrets in what is about to be written.

    It is called with everything that goes to a log, so it only searches; substrings are found in
    well under a microsecond a line.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._needles: tuple[bytes, ...] = ()
        self.add(*secrets)

    def add(self, *secrets: str | None) -> None:
        """Know more secrets; empty and very short ones are ignored."""
        found = {
            form.encode()
            for secret in secrets
            if secret and len(secret) >= MIN_LENGTH
            for form in _forms(secret)
        }
        # The longest first: a secret may contain another.
        needles = found.union(self._needles)
        self._needles = tuple(sorted(needles, key=lambda needle: (-len(needle), needle)))

    def __call__(self, data: bytes) -> bytes:
        """The data with L{MASK} where secrets were."""
        for needle in self._needles:
            if needle in data:
                data = data.replace(needle, MASK)
        return data
