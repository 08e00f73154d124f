"""The text of a configuration file: C{name = value} lines. Pure.

Kong: the same lines as kong.conf. There are no sections and no quotes; C{#} starts a comment and
C{\\#} is a number sign. Unlike in Kong, PEM text may stand in a file as it is, over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from kongtx.conf.errors import Problem

_COMMENT = re.compile(r"\s*(?<!\\)#.*", re.DOTALL)
_PEM_BEGIN = "-----BEGIN "
_PEM_END = "-----END "
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@attrs.frozen
class Entry:
    """One property as a file gives it. @ivar line: counted from 1."""

    name: str
    value: str
    line: int


def parse(
    text: str, path: str, *, has_pem: bool = True
) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """Read the lines of a configuration file.

    @param path: the file's name, for the problems, which tell no PEM text.
    @param has_pem: whether a value that begins as PEM text goes on to the line that ends it.
    @return: the entries in order (a name may come twice) and what was wrong with other lines.
    """
    entries = []
    problems = []
    lines = iter(enumerate(text.removeprefix("\ufeff").split("\n"), 1))
    for number, line in lines:
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        name, equals, value = stripped.partition("=")
        name = name.rstrip()
        value = value.lstrip()
        is_pem = has_pem and (value if equals else stripped).startswith(_PEM_BEGIN)
        if is_pem and _PEM_END not in stripped:
            value = _rest_of_pem(value, lines)
        message = ""
        if not equals or not _NAME.fullmatch(name):
            what = "PEM text that belongs to no property" if is_pem else f"'{stripped}'"
            message = f"not a `name = value` line: {what}"
        elif is_pem and _PEM_END not in value:
            message = f"the PEM text of {name} has no end"
        elif "\0" in value:
            message = f"the value of {name} has a NUL character"
        if message:
            problems.append(Problem(message, f"{path}:{number}"))
        else:
            entries.append(Entry(name, value if is_pem else unescape(value), number))
    return tuple(entries), tuple(problems)


def _rest_of_pem(first: str, lines: Iterator[tuple[int, str]]) -> str:
    """PEM text from its first line to the one that ends it, or to the end of the file."""
    block = [first]
    for _, line in lines:
        block.append(line.strip())
        if _PEM_END in line:
            break
    return "\n".join(block)


def unescape(value: str) -> str:
    """A value without its trailing comment and surrounding blanks, C{\\#} made C{#}."""
    return _COMMENT.sub("", value, count=1).replace("\\#", "#").strip()


def escape(value: str) -> str:
    """What L{unescape} turns back into the value. The value has no line breaks."""
    return value.replace("#", "\\#")
