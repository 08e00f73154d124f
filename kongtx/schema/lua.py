"""What Kong's answers show of Lua: its patterns, and tables written as text.

Field constraints are published by C{/schemas} as Lua patterns, and error messages quote values the
way Penlight's C{pretty.write} prints tables, so both are part of the API that clients see.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_CLASSES = {
    "a": "A-Za-z",
    "c": r"\x00-\x1f\x7f",
    "d": "0-9",
    "l": "a-z",
    "p": r"!-/:-@\[-`{-~",
    "s": r" \t\n\r\f\v",
    "u": "A-Z",
    "w": "A-Za-z0-9",
    "x": "A-Fa-f0-9",
}
_KEYWORDS = frozenset(
    ("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if")
) | frozenset(
    ("in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while")
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LONG_BRACKET = re.compile(r"[\[\]](=*)[\[\]]")


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression that matches what a Lua pattern matches.

    Captures, C{%b} and C{%f} are not supported: no schema uses them.

    @raise ValueError: Lua would refuse the pattern.
    """
    out: list[str] = []
    at, end = 0, len(pattern)
    if pattern.startswith("^"):
        out.append(r"\A")
        at = 1
    while at < end:
        if pattern[at] == "$" and at == end - 1:
            out.append(r"\Z")
            break
        item, at = _single(pattern, at)
        if at < end and pattern[at] in "*+-?":
            item += "*?" if pattern[at] == "-" else pattern[at]
            at += 1
        out.append(item)
    return re.compile("".join(out), re.DOTALL)


def _single(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at]
    if char == ".":
        return ".", at + 1
    if char == "%":
        if at + 1 >= len(pattern):
            raise ValueError(f"malformed pattern (ends with '%'): {pattern!r}")
        return _escape(pattern[at + 1]), at + 2
    if char == "[":
        return _bracket(pattern, at)
    return re.escape(char), at + 1


def _escape(char: str) -> str:
    known = _CLASSES.get(char.lower())
    if known is None:
        return re.escape(char)
    return f"[^{known}]" if char.isupper() else f"[{known}]"


def _bracket(pattern: str, start: int) -> tuple[str, int]:
    at = start + 1
    out = "["
    if pattern.startswith("^", at):
        out += "^"
        at += 1
    first = True
    while at < len(pattern):
        char = pattern[at]
        if char == "]" and not first:
            return out + "]", at + 1
        first = False
        if char == "%":
            following = pattern[at + 1 : at + 2]
            out += _CLASSES.get(following) or re.escape(following)
            at += 2
        elif pattern[at + 1 : at + 2] == "-" and pattern[at + 2 : at + 3] not in ("]", ""):
            out += f"{re.escape(char)}-{re.escape(pattern[at + 2])}"
            at += 3
        else:
            out += re.escape(char)
            at += 1
    raise ValueError(f"malformed pattern (missing ']'): {pattern!r}")


def tostring(value: Any) -> str:
    """A scalar as Lua's C{tostring} prints it (null as C{null})."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 10**14 else f"{value:.14g}"
    if isinstance(value, int) and abs(value) >= 10**14:
        return f"{value:.14g}" if value.bit_length() < 1024 else "inf" if value > 0 else "-inf"
    return str(value)


def quote(text: str) -> str:
    """A string as a Lua literal, in long brackets when it holds a newline."""
    marks = [len(found) for found in _LONG_BRACKET.findall(text + "]")]
    if ("\n" in text or marks) and "\r" not in text:
        level = "=" * (max(marks) + 1 if marks else 0)
        first = "\n" if text.startswith("\n") else ""
        return f"[{level}[{first}{text}]{level}]"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\\n")
    return '"' + escaped.replace("\r", "\\r").replace("\0", "\\0") + '"'


def inline(value: Any) -> str:
    """A value as a one-line Lua table: sorted keys, no spaces (``{id="x",list={1,2}}``)."""
    return _write(value, "", "", "=", "")


def pretty(value: Any) -> str:
    """A value as a Lua table over several lines, indented by two spaces."""
    return _write(value, "", "  ", " = ", "\n")


def _write(value: Any, outer: str, step: str, assign: str, line: str) -> str:
    if isinstance(value, str):
        return quote(value)
    if not isinstance(value, (dict, list, tuple)):
        return tostring(value)
    inner = outer + step
    items = [
        f"{inner}{key}{assign if key else ''}{_write(item, inner, step, assign, line)}"
        for key, item in _entries(value)
    ]
    if not items:
        return "{" + line + outer + "}"
    return "{" + line + ("," + line).join(items) + line + outer + "}"


def _entries(value: Any) -> list[tuple[str, Any]]:
    """Pairs of written key ("" for a list item in sequence) and value, in writing order."""
    if isinstance(value, dict):
        names = sorted(str(key) for key in value)
        by_name = {str(key): item for key, item in value.items()}
        return [(_key(name), by_name[name]) for name in names]
    holes = False
    out: list[tuple[str, Any]] = []
    for index, item in enumerate(value, 1):
        if item is None:
            holes = True
        else:
            out.append((f"[{index}]" if holes else "", item))
    return out


def _key(name: str) -> str:
    if _IDENTIFIER.match(name) and name not in _KEYWORDS:
        return name
    return f"[{quote(name)}]"
