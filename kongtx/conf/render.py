"""Files that are made from the table of properties.

C{python -m kongtx.conf.generate} writes them; a test sees that the kept ones are in step.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from kongtx.conf.properties import PROPERTIES, SECTIONS, Kind, Mark, Property

WIDTH = 79
_TYPES = {
    Kind.STRING: "str",
    Kind.BOOLEAN: "bool",
    Kind.INTEGER: "int",
    Kind.NUMBER: "float",
    Kind.ARRAY: "tuple[str, ...]",
    Kind.SIZE: "str",
    Kind.DURATION: "str",
    Kind.SWITCH: 'Literal["on", "off"]',
}


def values_module() -> str:
    """The source of C{kongtx/conf/values.py}: a typed attribute for each property."""
    lines = [
        '"""The properties as typed attributes.',
        "",
        "Made from kongtx.conf.properties by `python -m kongtx.conf.generate`; do not edit.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Literal",
        "",
        "import attrs",
        "",
        "from kongtx.conf.syntax.units import duration_seconds, size_bytes",
        "",
        "",
        "@attrs.frozen(kw_only=True, repr=False)",
        "class Values:",
        '    """One attribute for each property, named as the property.',
        "",
        "    Sizes and durations stay text, as Kong shows them; C{<name>_bytes} and",
        "    C{<name>_seconds} are their numbers.",
        '    """',
        "",
    ]
    for property_ in PROPERTIES.values():
        name = property_.name
        tail = f' = attrs.field(alias="{name}")' if name.startswith("_") else ""
        lines.extend(_wrapped(f"    {name}: {_type(property_)}{tail}"))
    for property_ in PROPERTIES.values():
        lines.extend(_number_property(property_))
    return "\n".join(lines) + "\n"


def _type(property_: Property) -> str:
    if property_.kind is Kind.ENUM:
        base = "Literal[" + ", ".join(f'"{choice}"' for choice in property_.choices) + "]"
    else:
        base = _TYPES[property_.kind]
    if property_.required or property_.kind is Kind.ARRAY:
        return base
    return f"{base} | None"


def _wrapped(line: str) -> list[str]:
    """A declaration, broken as the formatter breaks it when it is too long."""
    if len(line) <= 100:
        return [line]
    if line.endswith(" | None"):
        name, _, kind = line.removesuffix(" | None").partition(": ")
        return [f"{name}: (", f"        {kind}", "        | None", "    )"]
    head, _, rest = line.partition("[")
    inner, _, tail = rest.rpartition("]")
    if len(inner) + 8 <= 100:
        return [f"{head}[", f"        {inner}", f"    ]{tail}"]
    return [f"{head}[", *(f"        {part}," for part in inner.split(", ")), f"    ]{tail}"]


def _number_property(property_: Property) -> list[str]:
    unit, function, base = {
        Kind.SIZE: ("bytes", "size_bytes", "int"),
        Kind.DURATION: ("seconds", "duration_seconds", "float"),
    }.get(property_.kind, ("", "", ""))
    if not unit:
        return []
    name = property_.name
    annotation = base
    body = [f"        return {function}(self.{name})"]
    if not property_.required:
        annotation += " | None"
        body = [
            f"        text = self.{name}",
            f"        return None if text is None else {function}(text)",
        ]
    return [
        "",
        "    @property",
        f"    def {name}_{unit}(self) -> {annotation}:",
        f'        """C{{{name}}} in {unit}."""',
        *body,
    ]


def shown_default(property_: Property) -> str:
    """The default as the default file and the documentation show it; may be empty."""
    return property_.shown_default or property_.default or ""


def default_file() -> str:
    """The text of C{conf/kongtx.conf.default}."""
    lines = [
        "# kongtx.conf: the configuration of a kongtx gateway.",
        "#",
        *_comment(
            "Every property is listed with its default, commented out; take away the `#` to set "
            "one. Each may also be set by an environment variable, its name in capital letters "
            "with KONGTX_ in front (or KONG_, as in Kong), which wins over this file: "
            "`log_level` by KONGTX_LOG_LEVEL."
        ),
        "#",
        *_comment(
            "A line is `name = value`. `#` starts a comment and `\\#` is a number sign. Lists "
            "are separated by commas, booleans are on, off, true or false. Lines that set "
            "nothing may be deleted. `kongtx check FILE` tells what is wrong with a file."
        ),
        "#",
        *_comment(
            "Made from the table of properties by `python -m kongtx.conf.generate`; "
            "do not edit the copy in the source tree."
        ),
    ]
    for section in SECTIONS:
        lines += ["", "#" + "-" * (WIDTH - 1), f"# {section.title.upper()}", "#"]
        lines += [*_comment(_plain(section.about)), "#" + "-" * (WIDTH - 1)]
        for property_ in section.properties:
            if not property_.hidden:
                lines += ["", f"#{property_.name} = {shown_default(property_)}".rstrip()]
                lines += [f"#   {line}" for line in _fill(_plain(_about(property_)), WIDTH - 4)]
    return "\n".join(lines) + "\n"


def _about(property_: Property) -> str:
    parts = [property_.about]
    if property_.kind is Kind.ENUM:
        parts.append("One of " + ", ".join(f"``{choice}``" for choice in property_.choices) + ".")
    if property_.mark is Mark.NGINX:
        parts.append("Has no effect on kongtx.")
    if property_.deprecated_for:
        parts.append("Deprecated.")
    return " ".join(parts)


def _plain(text: str) -> str:
    return text.replace("``", "`")


def _fill(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _comment(text: str) -> Iterator[str]:
    return (f"# {line}" for line in _fill(text, WIDTH - 2))


def reference_tables() -> str:
    """The reference of all properties in reStructuredText: C{docs/configuration-reference.rst}."""
    lines = [
        "Properties",
        "==========",
        "",
        ".. Made from the table of properties by `python -m kongtx.conf.generate`; do not edit.",
        "",
        *_fill(
            "Look here for what a property does, what it takes and what holds without it. "
            "How to set properties is told in :doc:`configuration`.",
            WIDTH,
        ),
    ]
    for section in SECTIONS:
        lines += ["", section.title, "-" * len(section.title), "", *_fill(section.about, WIDTH)]
        for property_ in section.properties:
            if not property_.hidden:
                lines += _entry(property_)
    return "\n".join(lines) + "\n"


def _entry(property_: Property) -> list[str]:
    default = shown_default(property_)
    if default and not property_.shown_default:
        default = f"``{default}``"
    facts = [property_.kind.value, f"default: {default}" if default else "no default"]
    if property_.sensitive:
        facts.append("never shown")
    return [
        "",
        f"``{property_.name}``",
        *(f"    {line}" for line in _fill("; ".join(facts) + ".", WIDTH - 4)),
        "",
        *(f"    {line}" for line in _fill(_about(property_), WIDTH - 4)),
    ]
