"""From the text of a property to its typed value. Pure."""

from __future__ import annotations

import math
import re
from typing import Any

from kongtx.conf.properties import Kind, Property
from kongtx.conf.properties.model import Bounds
from kongtx.conf.syntax.units import duration_seconds, size_bytes

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_BOOLEANS = {"on": True, "true": True, "off": False, "false": False}


class BadValueError(ValueError):
    """A value cannot be read; the message is what follows the property's name."""


def list_items(value: object) -> tuple[str, ...] | None:
    """The items of a list: text separated by commas, or a sequence; empty items are left out.

    @return: C{None} when the value is neither.
    """
    if value is None:
        return ()
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        return None
    texts = tuple(item.strip() for item in items if isinstance(item, str))
    return tuple(filter(None, texts)) if len(texts) == len(items) else None


def read_value(property_: Property, value: object) -> Any:
    """The typed value of a property.

    @param value: text, or from a program what the property holds; C{None} or empty text for
        no value.
    @return: C{None} when there is no value and there need not be one.
    @raise BadValueError: when it is of the wrong type or form.
    """
    if property_.kind is Kind.ARRAY:
        items = list_items(value)
        if items is None:
            raise BadValueError(f" is not an array: '{value}'")
        return tuple(_string(property_, item) for item in items)
    if value is None or value == "":
        if not property_.required:
            return None
        return _refuse_empty(property_)
    return _READERS[property_.kind](property_, value)


def _refuse_empty(property_: Property) -> None:
    if property_.kind is Kind.ENUM:
        raise BadValueError(f" has an invalid value: '' ({', '.join(property_.choices)})")
    default = property_.default
    hint = f"; leave it out for its default '{default}'" if default is not None else ""
    raise BadValueError(f" must have a value{hint}")


def _string(property_: Property, value: object) -> str:
    if not isinstance(value, str):
        raise BadValueError(f" is not a string: '{value}'")
    if "\0" in value:
        raise BadValueError(" has a NUL character")
    return value


def _enum(property_: Property, value: object) -> str:
    if value is True or value is False:  # `off` is among the choices of some
        value = "on" if value else "off"
    text = _string(property_, value)
    if text not in property_.choices:
        raise BadValueError(f" has an invalid value: '{text}' ({', '.join(property_.choices)})")
    return text


def _boolean(property_: Property, value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = _BOOLEANS.get(value) if isinstance(value, str) else None
    if known is None:
        raise BadValueError(f" is not a boolean: '{value}' (on, off, true, false)")
    return known


def _switch(property_: Property, value: object) -> str:
    return "on" if _boolean(property_, value) else "off"


def _number(property_: Property, value: object) -> float:
    number: float = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.isdecimal():
        number = int(value)
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
    if not math.isfinite(number):
        raise BadValueError(f" is not a number: '{value}'")
    # Whole numbers stay whole, so that they are shown as such.
    return int(number) if number == int(number) else number


def _integer(property_: Property, value: object) -> int:
    number = _number(property_, value)
    if not isinstance(number, int):
        check = property_.check
        says = check.says_of_fractions if isinstance(check, Bounds) else "must be an integer"
        raise BadValueError(f" {says}, got '{value}'")
    return number


def _size(property_: Property, value: object) -> str:
    text = str(value) if isinstance(value, int) else _string(property_, value)
    try:
        size_bytes(text)
    except ValueError as error:
        raise BadValueError(f" must be a size, such as '8k' or '128m', got '{text}'") from error
    return text


def _duration(property_: Property, value: object) -> str:
    text = str(value) if isinstance(value, int) else _string(property_, value)
    try:
        duration_seconds(text)
    except ValueError as error:
        raise BadValueError(f" must be a duration, such as '60s' or '1d', got '{text}'") from error
    return text


_READERS = {
    Kind.STRING: _string,
    Kind.ENUM: _enum,
    Kind.BOOLEAN: _boolean,
    Kind.SWITCH: _switch,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.SIZE: _size,
    Kind.DURATION: _duration,
}
