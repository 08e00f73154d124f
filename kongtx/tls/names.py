"""Which certificate belongs to a server name. Hot path: two dictionary look-ups for most names.

Kong: kong/runloop/certificate.lua: the name itself, then its first label as a wildcard, then its
last, then C{*}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

#: The name whose entry stands for all other names.
ANY = "*"


class NameIndex(Generic[T]):
    """Values by server name, wildcards included."""

    __slots__ = ("_any", "_exact", "_prefixed", "_suffixed")

    def __init__(self, names: Mapping[str, T]) -> None:
        """Make an index.

        @param names: values by name: C{a.example}, C{*.example}, C{a.*} or C{*}.
        """
        self._exact: dict[str, T] = {}
        self._prefixed: dict[str, T] = {}
        self._suffixed: dict[str, T] = {}
        self._any: T | None = None
        for name, value in names.items():
            key = name.lower()
            if key == ANY:
                self._any = value
            elif key.startswith("*."):
                self._prefixed[key[2:]] = value
            elif key.endswith(".*"):
                self._suffixed[key[:-2]] = value
            else:
                self._exact[key] = value

    def find(self, name: str | None) -> T | None:
        """The value of the most specific entry for a name.

        @param name: in lower case; L{None} when the client asks for none, which finds nothing
            (Kong: C{*} is for names).
        """
        if not name:
            return None
        found = self._exact.get(name)
        if found is not None:
            return found
        first, dot, rest = name.partition(".")
        # A wildcard label stands for one label, and never for all below a top level.
        if dot and first and "." in rest:
            found = self._prefixed.get(rest)
            if found is not None:
                return found
        stem, dot, last = name.rpartition(".")
        if dot and last:
            found = self._suffixed.get(stem)
            if found is not None:
                return found
        return self._any

    def find_all(self, name: str | None) -> Iterator[T]:
        """The values of all entries that a name matches, the most specific first.

        @param name: in lower case; L{None} for none, which nothing but C{*} matches here.
        """
        if name:
            _, _, rest = name.partition(".")
            stem, _, _ = name.rpartition(".")
            prefixed = self._prefixed.get(rest) if "." in rest else None
            for found in (self._exact.get(name), prefixed, self._suffixed.get(stem)):
                if found is not None:
                    yield found
        if self._any is not None:
            yield self._any
