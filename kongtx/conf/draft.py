"""A configuration in the making: what was set where, and what is wrong with it so far."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import attrs

from kongtx.conf.errors import Problem
from kongtx.conf.properties import PROPERTIES

MASK = "******"
#: The rank of what a running node's file says: below everything else that is said.
EFFECTIVE_RANK = -1


@attrs.frozen
class Setting:
    """What a user set a property to.

    @ivar name: the property as the user wrote it, which may be an alias.
    @ivar value: text, or from a program a bool, number or sequence of texts.
    @ivar where: the place, for messages.
    @ivar rank: settings of a higher rank win: the file is 0, C{KONG_*} 1, C{KONGTX_*} 2 and
        programs 3.
    """

    name: str
    value: Any
    where: str
    rank: int


@attrs.define
class Draft:
    """The work under way.

    @ivar settings: what users set, by property; the highest rank of each.
    @ivar values: the typed values so far, by property.
    @ivar references: properties with vault references, as they were written; lists whole.
    @ivar resolved: what the properties with references stand for.
    @ivar unresolved: properties with references that stand for nothing here.
    @ivar is_effective: whether it is read from the file of a running node, which was checked
        when it was written.
    """

    settings: dict[str, Setting] = attrs.Factory(dict)
    values: dict[str, Any] = attrs.Factory(dict)
    references: dict[str, str | tuple[str, ...]] = attrs.Factory(dict)
    resolved: dict[str, str | tuple[str, ...]] = attrs.Factory(dict)
    unresolved: set[str] = attrs.Factory(set)
    problems: list[Problem] = attrs.Factory(list)
    warnings: list[str] = attrs.Factory(list)
    is_effective: bool = False

    def where(self, name: str) -> str:
        """Where a property was set; empty when it was not."""
        setting = self.settings.get(name)
        return setting.where if setting else ""

    def is_on(self, listen: str) -> bool:
        """Whether a C{*_listen} property names some address."""
        entries = self.values.get(listen, ())
        return bool(entries) and entries[0] != "off"

    def has_tls(self, listen: str) -> bool:
        """Whether a C{*_listen} property has an address with the flag C{ssl}."""
        return self.is_on(listen) and any("ssl" in entry.split() for entry in self.values[listen])

    def refuse(self, name: str, tail: str, because: str = "") -> None:
        """Note that a property's value is wrong; the message ends with the value.

        @param tail: what follows the property's name in the message.
        @param because: the property that makes this one wrong, whose place is told when this one
            has none.
        """
        setting = self.settings.get(name)
        message = (setting.name if setting else name) + tail
        shown = self.shown(name)
        if shown not in ("", MASK) and not _holds(message, shown):
            message += f", got '{shown}'"
        self.complain(message, name, because)

    def complain(
        self, message: str, name: str, because: str = "", *, is_safe: bool = False
    ) -> None:
        """Note a problem with a property in words of its own.

        @param because: as for L{refuse}.
        @param is_safe: whether the message is known to hold nothing secret. Otherwise values of
            sensitive properties and from vaults are taken out of it.
        """
        if not is_safe:
            for secret, mask in self._secrets(name):
                message = message.replace(secret, mask)
        setting = self.settings.get(name)
        where = setting.where if setting else self.where(because)
        self.problems.append(Problem(message, where, setting.name if setting else name))

    def _secrets(self, name: str) -> Iterator[tuple[str, str]]:
        """What must not be told of a property's value, and what to tell instead."""
        if name in self.references:
            text, mask = self.resolved.get(name), self.shown(name)
        elif name in PROPERTIES and PROPERTIES[name].sensitive and name in self.settings:
            text, mask = self.settings[name].value, MASK
        else:
            return
        for item in (text,) if isinstance(text, str) else text or ():
            if item:
                yield str(item), mask

    def shown(self, name: str) -> str:
        """The value that a user set, as it may be shown; empty when none was set."""
        setting = self.settings.get(name)
        if setting is None:
            return ""
        if name in PROPERTIES and PROPERTIES[name].sensitive:
            return MASK
        value = self.references.get(name, setting.value)
        return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _holds(message: str, text: str) -> bool:
    """Whether a message says a text, as more than a part of some word."""
    return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", message) is not None
