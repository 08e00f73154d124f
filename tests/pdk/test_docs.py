"""The page on the PDK tells of every function, and its examples are true."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

from kongtx.cache.interfaces import ICache
from kongtx.cluster.interfaces import IClusterEvents
from kongtx.pdk.tracing import Span
from kongtx.testing.plugins import make_kong

PAGE = Path(__file__).parents[2] / "docs" / "pdk.rst"
#: Parts of C{kong} that have functions.
PARTS = (
    "request", "client", "client.tls", "service", "service.request", "service.response",
    "response", "router", "ctx", "plugin", "log", "cluster", "ip", "nginx", "table", "vault",
    "tracing", "telemetry",
)  # fmt: skip
#: Not told of: parts in themselves, and what is the store's alone to call.
APART = {
    "kong.client.tls",
    "kong.cluster_events.doubt",
    "kong.service.request",
    "kong.service.response",
}


def public(thing: Any) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def functions() -> set[str]:
    """Everything that plugins may call."""
    kong: Any = make_kong()
    found = {f"kong.cache.{name}" for name in ICache}
    found |= {f"kong.cluster_events.{name}" for name in IClusterEvents}
    found |= {f"kong.node.{name}" for name in public(kong.node) if name.startswith("get_")}
    found |= {f"span.{name}" for name in public(Span) if callable(getattr(Span, name, None))}
    found |= {"kong.db", "kong.configuration"}
    for part in PARTS:
        at = kong
        for name in part.split("."):
            at = getattr(at, name)
        names = public(type(at)) - {"name", "sampling_rate"}
        found |= {f"kong.{part}.{name}" for name in names}
    return found - APART


_ENTRY = re.compile(r"^``(?:await )?((?:kong|span)\.[\w.]+).*``\n((?:    .*\n|\n)+)", re.MULTILINE)


def documented() -> set[str]:
    """The names of the page's entries."""
    heads = [name for name, _ in _ENTRY.findall(PAGE.read_text())]
    assert len(heads) == len(set(heads))
    return set(heads)


def test_every_function_is_told_of_and_no_other() -> None:
    assert documented() == functions()


def test_every_function_has_an_example_that_is_true() -> None:
    for name, text in _ENTRY.findall(PAGE.read_text()):
        assert "    >>> " in text, name
    found = doctest.testfile(
        str(PAGE), module_relative=False, optionflags=doctest.IGNORE_EXCEPTION_DETAIL
    )
    assert found.attempted > 150
    assert found.failed == 0
