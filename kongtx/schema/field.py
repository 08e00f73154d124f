"""One field of a schema: its type, its constraints and its validator.

A C{Field} is immutable; C{extend} makes a variant. The validator is compiled on first use into a
chain of closures, because tens of thousands of entities pass through it at start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kongtx.schema import lua
from kongtx.schema.errors import BAD_UTF8, MISSING_PK, REQUIRED, DefinitionError, FieldError
from kongtx.schema.validators import BUILDERS, ORDER, Check

if TYPE_CHECKING:
    from kongtx.schema.record import Record
    from kongtx.schema.schema import Schema

_SCALARS = ("string", "number", "integer", "boolean", "json", "any")
TYPES = frozenset((*_SCALARS, "array", "set", "map", "record", "foreign"))
#: Attributes that hold functions; C{/schemas} does not show them.
_HIDDEN = frozenset(("custom_validator", "func", "reverse", "description"))
_MAX_INTEGER = 2**63 - 1


class Absent:
    """The type of C{ABSENT}: a field that was not sent, unlike one sent as null (C{None})."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT = Absent()


class Mode:
    """How a validation runs: for an update (its texts say so), on data already given defaults."""

    __slots__ = ("processed", "updating")

    def __init__(self, updating: bool, processed: bool) -> None:
        self.updating = updating
        self.processed = processed


RAW = Mode(updating=False, processed=False)
INSERT = Mode(updating=False, processed=True)
UPDATE = Mode(updating=True, processed=False)

Validator = Callable[[Any, Mode], FieldError | None]


class Field:
    """A typed field with constraints, named by Kong's attribute names.

    @param kind: one of C{TYPES}.
    @param elements: what an array or set holds.
    @param keys, values: what a map holds.
    @param record: what a record is made of.
    @param attributes: constraints and markers (C{required}, C{default}, C{one_of},
        C{between}...); C{custom_validator} takes the value and returns an error or None; on
        shorthand fields C{func} takes the value and returns the fields it stands for, and
        C{reverse} takes the record and returns the value to show.
    """

    __slots__ = (
        "_validator",
        "attributes",
        "auto",
        "composite",
        "elements",
        "keys",
        "kind",
        "record",
        "required",
        "target",
        "values",
    )

    def __init__(
        self,
        kind: str,
        *,
        elements: Field | None = None,
        keys: Field | None = None,
        values: Field | None = None,
        record: Record | None = None,
        **attributes: Any,
    ) -> None:
        if kind not in TYPES:
            raise DefinitionError(f"invalid type: {kind}")
        if kind in ("array", "set") and elements is None:
            raise DefinitionError(f"a field of type {kind} says what its elements are")
        if kind == "map" and (keys is None or values is None):
            raise DefinitionError("a map says what its keys and values are")
        if kind == "foreign" and "reference" not in attributes:
            raise DefinitionError("a foreign field names the entity it refers to")
        self.kind = kind
        self.elements = elements
        self.keys = keys
        self.values = values
        self.record = record
        self.attributes = attributes
        self.required: bool = attributes.get("required") is True
        self.auto: bool = attributes.get("auto") is True
        self.composite = kind in ("array", "set", "map", "record")
        self.target: Schema | None = None  # of a foreign field, set when its schema is registered
        self._validator: Validator | None = None

    def __repr__(self) -> str:
        return f"<Field {self.kind} {self.attributes!r}>"

    def get(self, attribute: str, otherwise: Any = None) -> Any:
        """The value of a constraint or marker, or C{otherwise}."""
        return self.attributes.get(attribute, otherwise)

    @property
    def reference(self) -> str:
        """The entity that a foreign field refers to."""
        return str(self.attributes["reference"])

    @property
    def referenceable(self) -> bool:
        """Whether the field may hold a vault reference instead of its value."""
        return self.attributes.get("referenceable") is True

    def extend(self, **changes: Any) -> Field:
        """A field like this one with some attributes (or its parts) changed."""
        parts: dict[str, Any] = {
            "elements": self.elements,
            "keys": self.keys,
            "values": self.values,
            "record": self.record,
            **self.attributes,
            **changes,
        }
        return Field(parts.pop("type", self.kind), **parts)

    def validate(self, value: Any, mode: Mode = RAW) -> FieldError | None:
        """The error of a value (None is null), or None when it is good."""
        validator = self._validator
        if validator is None:
            validator = self._validator = _compile(self)
        return validator(value, mode)

    def default(self) -> Any:
        """A fresh copy of the default, or ABSENT."""
        value = self.attributes.get("default", ABSENT)
        return copy_value(value) if isinstance(value, (dict, list)) else value

    def to_json(self) -> dict[str, Any]:
        """The field as C{/schemas} shows it: attributes without functions and descriptions."""
        out: dict[str, Any] = {"type": self.kind}
        for name, value in self.attributes.items():
            if name not in _HIDDEN:
                out[name] = _attribute_json(value)
        for name, part in (("elements", self.elements), ("keys", self.keys)):
            if part is not None:
                out[name] = part.to_json()
        if self.values is not None:
            out["values"] = self.values.to_json()
        if self.record is not None:
            out.update(self.record.to_json())
        return out


def _attribute_json(value: Any) -> Any:
    if isinstance(value, Field):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _attribute_json(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, (list, tuple)):
        return [_attribute_json(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def copy_value(value: Any) -> Any:
    """A deep copy of JSON-like data."""
    if isinstance(value, dict):
        return {key: copy_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy_value(item) for item in value]
    return value


def is_reference(value: Any) -> bool:
    """Whether a value is a vault reference, as in ``{vault://env/my-secret}``."""
    return (
        isinstance(value, str)
        and value.startswith("{vault://")
        and value.endswith("}")
        and len(value) > len("{vault://}")
    )


def _compile(field: Field) -> Validator:
    attributes = field.attributes
    custom = attributes.get("err")
    on_null = _null_error(field)
    if "eq" in attributes and attributes["eq"] is None:
        error = custom or "value must be null"
        return lambda value, mode: on_null if value is None else error
    if attributes.get("abstract"):
        error = "error in schema definition: abstract field was not specialized"
        return lambda value, mode: on_null if value is None else error
    check_type = _TYPE_CHECKS[field.kind](field)
    checks = _checks(field)

    if not checks:

        def validate_type(value: Any, mode: Mode) -> FieldError | None:
            return on_null if value is None else check_type(value, mode)

        return validate_type

    reference = field.kind == "string" and field.referenceable

    def validate(value: Any, mode: Mode) -> FieldError | None:
        if value is None:
            return on_null
        error = check_type(value, mode)
        if error is not None:
            return error
        if reference and is_reference(value):
            return None
        for check in checks:
            found = check(value)
            if found is not None:
                return str(custom) if custom else found
        return None

    return validate


def _null_error(field: Field) -> str | None:
    attributes = field.attributes
    if "ne" in attributes and attributes["ne"] is None:
        return str(attributes.get("err") or "value must not be null")
    if attributes.get("eq") is not None:
        return f"value must be {lua.tostring(attributes['eq'])}"
    return REQUIRED if field.required else None


def _checks(field: Field) -> list[Check]:
    attributes = field.attributes
    out: list[Check] = []
    for name in ORDER:
        if name in attributes:
            made = BUILDERS[name](attributes[name])
            if made is not None:
                out.append(made)
        elif name == "len_min" and field.kind == "string":
            out.append(_not_empty)
    return out


def _not_empty(value: str) -> str | None:
    return None if value else "length must be at least 1"


def _string(field: Field) -> Validator:
    def check(value: Any, mode: Mode) -> FieldError | None:
        if not isinstance(value, str):
            return "expected a string"
        if value.isascii():
            # Databases refuse NUL in text, so it is refused here, with the field's name.
            return "invalid value: must not contain a null byte" if "\0" in value else None
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return BAD_UTF8.format(len(value[: error.start].encode()) + 1)
        return "invalid value: must not contain a null byte" if "\0" in value else None

    return check


def _number(field: Field) -> Validator:
    def check(value: Any, mode: Mode) -> FieldError | None:
        kind = value.__class__
        if kind is int or (kind is float and math.isfinite(value)):
            return None
        return "expected a number"

    return check


def _integer(field: Field) -> Validator:
    def check(value: Any, mode: Mode) -> FieldError | None:
        kind = value.__class__
        if kind is int or (kind is float and value.is_integer()):
            # Beyond 64 bits no database could store it.
            return None if -_MAX_INTEGER <= value <= _MAX_INTEGER else "expected an integer"
        return "expected an integer"

    return check


def _boolean(field: Field) -> Validator:
    return lambda value, mode: None if value is True or value is False else "expected a boolean"


def _sequence(field: Field) -> Validator:
    wrong_type = f"expected {'an array' if field.kind == 'array' else 'a set'}"
    elements = field.elements
    assert elements is not None
    on_null = _null_error(elements) or (None if "eq" in elements.attributes else REQUIRED)

    def check(value: Any, mode: Mode) -> FieldError | None:
        if not isinstance(value, list):
            return wrong_type
        errors: list[FieldError | None] | None = None
        for index, item in enumerate(value):
            found = on_null if item is None else elements.validate(item, mode)
            if found is not None:
                if errors is None:
                    errors = []
                errors.extend([None] * (index - len(errors)))
                errors.append(found)
        return errors

    return check


def _map(field: Field) -> Validator:
    keys, values = field.keys, field.values
    assert keys is not None
    assert values is not None

    def check(value: Any, mode: Mode) -> FieldError | None:
        if not isinstance(value, dict):
            return "expected a map"
        for key, item in value.items():
            error = keys.validate(key, mode)
            if error is None:
                error = REQUIRED if item is None else values.validate(item, mode)
            if error is not None:
                return error
        return None

    return check


def _record(field: Field) -> Validator:
    record = field.record

    def check(value: Any, mode: Mode) -> FieldError | None:
        if not isinstance(value, dict):
            return "expected a record"
        return record.validate_nested(value, mode) if record is not None else None

    return check


def _foreign(field: Field) -> Validator:
    def check(value: Any, mode: Mode) -> FieldError | None:
        if field.target is not None:
            return field.target.validate_foreign(value, mode)
        return None if isinstance(value, dict) and value.get("id") else {"id": MISSING_PK}

    return check


def _json(field: Field) -> Validator:
    accepted = (field.get("json_schema") or {}).get("default", {}).get("type")

    def check(value: Any, mode: Mode) -> FieldError | None:
        if accepted is None or isinstance(value, str):
            return None
        return "value failed JSON-schema validation: expected a string or null"

    return check


def _anything(field: Field) -> Validator:
    return lambda value, mode: None


_TYPE_CHECKS: dict[str, Callable[[Field], Validator]] = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "array": _sequence,
    "set": _sequence,
    "map": _map,
    "record": _record,
    "foreign": _foreign,
    "json": _json,
    "any": _anything,
}
