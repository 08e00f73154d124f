"""The syntax of the C{*_listen} properties.

Kong: kong/conf_loader/listeners.lua. An entry is an address with a port and any of the flags,
separated by blanks; C{off} as the first entry means that nothing is listened on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import attrs

from kongtx.conf.syntax.addresses import parse_address
from kongtx.conf.syntax.units import duration_seconds

Subsystem = Literal["http", "stream"]

#: The flags that each kind of listener takes, as patterns in Kong's notation; the form error and
#: the Admin API show them so.
FLAGS: dict[Subsystem, tuple[str, ...]] = {
    "http": (
        "ssl",
        "http2",
        "proxy_protocol",
        "deferred",
        "bind",
        "reuseport",
        "backlog=%d+",
        "ipv6only=on",
        "ipv6only=off",
        "so_keepalive=on",
        "so_keepalive=off",
        "so_keepalive=%w*:%w*:%d*",
    ),
    "stream": (
        "udp",
        "ssl",
        "proxy_protocol",
        "bind",
        "reuseport",
        "backlog=%d+",
        "ipv6only=on",
        "ipv6only=off",
        "so_keepalive=on",
        "so_keepalive=off",
        "so_keepalive=%w*:%w*:%d*",
    ),
}

_SWITCHES = frozenset(("udp", "ssl", "http2", "proxy_protocol", "deferred", "bind", "reuseport"))
_BACKLOG = re.compile(r"backlog=(\d+)")
_KEEPALIVE = re.compile(r"so_keepalive=(\w*):(\w*):(\d*)")


class ListenSyntaxError(ValueError):
    """A listen value is not of the form that it must have; the message is Kong's form line."""


@attrs.frozen
class KeepAlive:
    """TCP keep-alive of a listener's connections; C{None} leaves the system's setting."""

    enabled: bool
    idle_s: int | None = None
    interval_s: int | None = None
    count: int | None = None

    def __str__(self) -> str:
        if not self.enabled:
            return "off"
        parts = (self.idle_s, self.interval_s, self.count)
        if parts == (None, None, None):
            return "on"
        return ":".join("" if part is None else str(part) for part in parts)


@attrs.frozen
class Listen:
    """One address to listen on.

    @ivar ip: an IPv4 address without leading zeros, an IPv6 address in full without brackets
        (as C{bind} wants it), or a host name.
    @ivar port: 0 to 65535; 0 lets the system choose.
    @ivar backlog: connections waiting to be accepted; C{None} for the system's default.
    @ivar ipv6only: whether an IPv6 wildcard refuses IPv4; C{None} when not said.
    @ivar so_keepalive: C{None} when not said.
    """

    ip: str
    port: int
    ssl: bool = False
    http2: bool = False
    proxy_protocol: bool = False
    reuseport: bool = False
    backlog: int | None = None
    deferred: bool = False
    bind: bool = False
    ipv6only: bool | None = None
    so_keepalive: KeepAlive | None = None
    udp: bool = False

    @property
    def address(self) -> str:
        """C{ip:port}, an IPv6 address in brackets."""
        return f"{self.host}:{self.port}"

    @property
    def host(self) -> str:
        """The address with brackets where it is IPv6."""
        return f"[{self.ip}]" if ":" in self.ip else self.ip

    @property
    def listener(self) -> str:
        """The entry without C{http2}: what Kong calls C{listener}."""
        return " ".join((self.address, *(flag for flag in self.flags() if flag != "http2")))

    def flags(self) -> Iterator[str]:
        """The flags that are set, as written, in Kong's order."""
        for name in ("udp", "ssl", "http2", "proxy_protocol", "deferred", "bind", "reuseport"):
            if getattr(self, name):
                yield name
        if self.backlog is not None:
            yield f"backlog={self.backlog}"
        if self.ipv6only is not None:
            yield f"ipv6only={'on' if self.ipv6only else 'off'}"
        if self.so_keepalive is not None:
            yield f"so_keepalive={self.so_keepalive}"

    def __str__(self) -> str:
        return " ".join((self.address, *self.flags()))


def form(subsystem: Subsystem) -> str:
    """The sentence that says how a listen value must look, without the property's name."""
    flags = "] [".join(FLAGS[subsystem])
    return f"must be of form: [off] | <ip>:<port> [{flags}], [... next entry ...]"


def parse_listen(entries: Sequence[str], subsystem: Subsystem = "http") -> tuple[Listen, ...]:
    """Read the entries of a C{*_listen} property.

    @param entries: the items of the list.
    @return: the listeners; empty when the first entry is C{off}.
    @raise ListenSyntaxError: when there is no entry or one is malformed.
    """
    if not entries:
        raise ListenSyntaxError(form(subsystem))
    if entries[0].strip() == "off":
        return ()
    try:
        return tuple(_parse_entry(entry, subsystem) for entry in entries)
    except ValueError as error:
        raise ListenSyntaxError(form(subsystem)) from error


def _parse_entry(entry: str, subsystem: Subsystem) -> Listen:
    address: str | None = None
    flags: dict[str, Any] = {}
    for word in entry.split():
        flag = _parse_flag(word, subsystem)
        if flag is None:
            if address is not None:
                raise ValueError(f"neither a flag nor the address: {word!r}")
            address = word
        elif flags.setdefault(*flag) != flag[1]:
            raise ValueError(f"{flag[0]} is given twice")
    if address is None:
        raise ValueError("no address")
    parsed = parse_address(address)
    if parsed.port is None:
        raise ValueError("no port")
    return Listen(parsed.host, parsed.port, **flags)


def _parse_flag(word: str, subsystem: Subsystem) -> tuple[str, Any] | None:
    """The field and value that a word sets, or C{None} when it is no flag of the subsystem."""
    if word in _SWITCHES:
        return (word, True) if word in FLAGS[subsystem] else None
    if match := _BACKLOG.fullmatch(word):
        return "backlog", _system_integer(int(match[1]))
    if word in ("ipv6only=on", "ipv6only=off"):
        return "ipv6only", word.endswith("on")
    if word in ("so_keepalive=on", "so_keepalive=off"):
        return "so_keepalive", KeepAlive(word.endswith("on"))
    if match := _KEEPALIVE.fullmatch(word):
        idle, interval, count = match.groups()
        keep_alive = KeepAlive(
            True, _whole_seconds(idle), _whole_seconds(interval), int(count or 0) or None
        )
        if keep_alive == KeepAlive(True):
            raise ValueError("so_keepalive sets nothing")
        return "so_keepalive", keep_alive
    return None


def _whole_seconds(text: str) -> int | None:
    """Seconds; C{None} for none, which as in nginx leaves the system's setting."""
    return _system_integer(int(duration_seconds(text))) or None if text else None


def _system_integer(number: int) -> int:
    """A number that the system takes.

    @raise ValueError: when it is too large.
    """
    if number > 2**31 - 1:
        raise ValueError(f"{number} is too large")
    return number
