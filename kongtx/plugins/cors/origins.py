"""Which origins a server shares with. Pure.

Source: the Fetch standard, §3.2 (CORS protocol); Kong: C{plugins/cors}.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import attrs

from kongtx.router.regexes import Regex

#: What a configured origin is made of that is no regular expression.
_PLAIN = re.compile(r"[A-Za-z0-9.:/-]+")
_URL = re.compile(rb"([A-Za-z0-9][A-Za-z0-9+.-]*)://(?:[^/@]*@)?(\[[^\]/]*\]|[^/:]*)(?::([^/]*))?")
_DEFAULT_PORTS = {b"http": b"80", b"https": b"443"}


@attrs.frozen
class Allowed:
    """What an origin is answered.

    @ivar origin: the value of Access-Control-Allow-Origin; L{None}: it is not shared with.
    @ivar varies: whether another origin may be answered something else.
    """

    origin: bytes | None
    varies: bool

    @property
    def everyone(self) -> bool:
        """Whether it is shared with any origin."""
        return self.origin == b"*"


def normalised(origin: bytes) -> tuple[bytes, bytes]:
    """An origin without the port that its scheme implies, and its host alone."""
    found = _URL.match(origin)
    if found is None or not found[2]:
        return origin, origin
    scheme, host, port = found[1], found[2], found[3]
    if port and port != _DEFAULT_PORTS.get(scheme):
        return b"%b://%b:%b" % (scheme, host, port), host
    return b"%b://%b" % (scheme, host), host


class Origins:
    """The configured origins: C{*}, origins as they are, and regular expressions.

    An expression has to match the whole origin, or, if it has no colon, the whole host.
    """

    def __init__(self, configured: Sequence[str] | None) -> None:
        self._plain: set[bytes] = set()
        self._by_host: list[Regex] = []
        self._by_origin: list[Regex] = []
        self._same: Allowed | None = None
        entries = list(configured or ["*"])
        if entries == ["*"]:
            self._same = Allowed(b"*", False)
        elif len(entries) == 1 and _PLAIN.fullmatch(entries[0]):
            self._same = Allowed(entries[0].encode(), True)
        self._everyone = "*" in entries
        for entry in entries:
            if _PLAIN.fullmatch(entry):
                self._plain.add(normalised(entry.encode())[0])
            elif entry != "*":
                wanted = self._by_origin if ":" in entry else self._by_host
                wanted.append(Regex(rf"\A(?:{entry})\z"))
        self._find = lru_cache(maxsize=1024)(self._search)

    def allowed(self, origin: bytes | None) -> Allowed:
        """What a request from an origin is answered; L{None} stands for one that tells none."""
        if self._same is not None:
            return self._same
        return Allowed(None, True) if origin is None else self._find(origin)

    def _search(self, origin: bytes) -> Allowed:
        if self._everyone:
            return Allowed(b"*", True)
        whole, host = normalised(origin)
        found = (
            whole in self._plain
            or any(regex.test(whole) for regex in self._by_origin)
            or any(regex.test(host) for regex in self._by_host)
        )
        return Allowed(whole if found else None, True)
