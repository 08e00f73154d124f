"""What a property of the configuration is, and short ways to declare one."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs

#: Looks at a parsed value; returns what follows the property's name in the error, or C{None}.
Check = Callable[[Any], str | None]


class Kind(enum.Enum):
    """How a property's text is read.

    A C{SWITCH} keeps the words C{on} and C{off}; C{SIZE} and C{DURATION} keep their text, which
    is checked (see L{kongtx.conf.syntax.units}).
    """

    STRING = "string"
    ENUM = "enum"
    BOOLEAN = "boolean"
    SWITCH = "on or off"
    INTEGER = "integer"
    NUMBER = "number"
    ARRAY = "list"
    SIZE = "size"
    DURATION = "duration"


class Mark(enum.Enum):
    """Whether kongtx acts on a property.

    C{CORE}: it does. C{NGINX}: it belongs to nginx, OpenResty or Lua, or to a part of Kong that
    kongtx does without; it is accepted and shown, and has no effect.
    """

    CORE = "core"
    NGINX = "nginx"


@attrs.frozen
class Property:
    """One property.

    @ivar default: as it would stand in a file; C{None} for no value.
    @ivar about: what it does, in reStructuredText with double backquotes for code.
    @ivar choices: the only values of an C{ENUM}.
    @ivar required: whether it always has a value; then an empty value is an error. Arrays are
        never required: an empty one is an empty tuple.
    @ivar sensitive: whether its value is hidden wherever the configuration is shown.
    @ivar alias_of: the property that this one is another name of.
    @ivar deprecated_for: the property to use instead.
    @ivar copied_to: properties that take this one's value when they have none themselves.
    @ivar hidden: whether it is left out of the default file and the documentation.
    @ivar shown_default: what the documentation says of a default that is worked out.
    """

    name: str
    kind: Kind
    default: str | None
    about: str
    mark: Mark = Mark.CORE
    choices: tuple[str, ...] = ()
    required: bool = False
    sensitive: bool = False
    check: Check | None = None
    alias_of: str | None = None
    deprecated_for: str | None = None
    copied_to: tuple[str, ...] = ()
    hidden: bool = False
    shown_default: str | None = None


@attrs.frozen
class Section:
    """Properties that belong together, with what to know about all of them."""

    title: str
    about: str
    properties: tuple[Property, ...]


def declare(kind: Kind, name: str, default: str | None, about: str, **rest: Any) -> Property:
    """A property that is required when it has a default, unless said otherwise."""
    rest.setdefault("required", default is not None and kind is not Kind.ARRAY)
    return Property(name, kind, default, " ".join(about.split()), **rest)


def string(name: str, default: str | None, about: str, **rest: Any) -> Property:
    """A property that is any text."""
    return declare(Kind.STRING, name, default, about, **rest)


def enumeration(
    name: str, default: str | None, choices: Sequence[str], about: str, **rest: Any
) -> Property:
    """A property that is one of some words."""
    return declare(Kind.ENUM, name, default, about, choices=tuple(choices), **rest)


def boolean(name: str, default: str | None, about: str, **rest: Any) -> Property:
    """A property that is true or false."""
    return declare(Kind.BOOLEAN, name, default, about, **rest)


def switch(name: str, default: str | None, about: str, **rest: Any) -> Property:
    """A property that is the word C{on} or C{off}."""
    return declare(Kind.SWITCH, name, default, about, **rest)


def integer(name: str, default: str | None, about: str, **rest: Any) -> Property:
    """A property that is a whole number, 0 or greater unless C{check} says otherwise."""
    rest.setdefault("check", at_least(0))
    return declare(Kind.INTEGER, name, default, about, **rest)


def number(name: str, default: str | None, about: str, **rest: Any) -> Property:
    """A property that is a number, 0 or greater unless C{check} says otherwise."""
    rest.setdefault("check", at_least(0))
    return declare(Kind.NUMBER, name, default, about, **rest)


def array(name: str, default: str | None, about: str, **rest: Any) -> Property:
    """A property that is a list of texts, separated by commas."""
    return declare(Kind.ARRAY, name, default, about, **rest)


def size(name: str, default: str | None, about: str, **rest: Any) -> Property:
    """A property that is a size such as C{8k}."""
    return declare(Kind.SIZE, name, default, about, **rest)


def duration(name: str, default: str | None, about: str, **rest: Any) -> Property:
    """A property that is a duration such as C{60s}."""
    return declare(Kind.DURATION, name, default, about, **rest)


@attrs.frozen
class Bounds:
    """Refuses numbers out of bounds.

    @ivar says: what follows the property's name, without the blank between them.
    @ivar says_of_fractions: the same when the property is an integer and the value is none.
    """

    minimum: float
    maximum: float
    says: str
    says_of_fractions: str = "must be an integer"

    def __call__(self, value: float) -> str | None:
        return None if self.minimum <= value <= self.maximum else f" {self.says}"


def at_least(minimum: float) -> Bounds:
    """Refuses smaller numbers."""
    return Bounds(minimum, math.inf, f"must be {minimum:g} or greater")


def between(minimum: float, maximum: float, says: str) -> Bounds:
    """Refuses numbers outside two bounds, which are allowed."""
    return Bounds(minimum, maximum, says, says)


def greater_than_zero(value: float) -> str | None:
    """Refuses zero and negative numbers."""
    return " must be greater than 0" if value <= 0 else None


def items(allowed: Callable[[str], bool], says: Callable[[str], str]) -> Check:
    """Refuses the first item of a list that is not allowed."""

    def check(value: tuple[str, ...]) -> str | None:
        return next((says(item) for item in value if not allowed(item)), None)

    return check


def tls_versions(value: str) -> str | None:
    """Refuses texts that are not versions of TLS separated by blanks."""
    known = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
    if value.split() and set(value.split()) <= set(known):
        return None
    return f" must be some of {' '.join(known)}, got '{value}'"


def words(*allowed: str) -> Check:
    """Refuses items of a list that are none of some words, in either case."""
    known = frozenset(word.lower() for word in allowed)
    return items(lambda item: item.lower() in known, lambda item: f": invalid entry '{item}'")
