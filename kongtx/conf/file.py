"""The text of a configuration file: C{name = value} lines. Pure.

Kong: the same lines as kong.conf. There are no sections and no quotes; C{#} starts a comment and
C{\\#} is a number sign.
"""

from __future__ import annotations

import re

import attrs

from kongtx.conf.errors import Problem

_COMMENT = re.compile(r"\s*(?<!\\)#.*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@attrs.frozen
class Entry:
    """One property as a file gives it. @ivar line: counted from 1."""

    name: str
    value: str
    line: int


def parse(text: str, path: str) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """Read the lines of a configuration file.

    @param path: the file's name, for the problems.
    @return: the entries in order (a name may come twice) and what was wrong with other lines.
    """
    entries = []
    problems = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        name, equals, value = stripped.partition("=")
        name = name.rstrip()
        message = ""
        if not equals or not _NAME.fullmatch(name):
            message = f"not a `name = value` line: '{stripped}'"
        elif "\0" in value:
            message = f"the value of {name} has a NUL character"
        if message:
            problems.append(Problem(message, f"{path}:{number}"))
            continue
        entries.append(Entry(name, unescape(value), number))
    return tuple(entries), tuple(problems)


def unescape(value: str) -> str:
    """A value without its trailing comment and surrounding blanks, C{\\#} made C{#}."""
    return _COMMENT.sub("", value, count=1).replace("\\#", "#").strip()


def escape(value: str) -> str:
    """What L{unescape} turns back into the value. The value has no line breaks."""
    return value.replace("#", "\\#")
