"""Errors of validation, in the shape and wording that Kong's clients read."""

from __future__ import annotations

from typing import Any, TypeAlias

from kongtx.errors import KongtxError
from kongtx.schema import lua

#: The error of one field: text, one for each element (None where good), or one for each sub-field.
FieldError: TypeAlias = str | list["FieldError | None"] | dict[str, "FieldError"]

#: The key under which errors of a whole entity are listed.
ENTITY = "@entity"

REQUIRED = "required field missing"
UNKNOWN = "unknown field"
IMMUTABLE = "immutable field cannot be updated"
MISSING_PK = "missing primary key"
BAD_UTF8 = "invalid utf-8 character sequence detected at position {}"


class SchemaError(KongtxError):
    """Base of this package's errors."""


class DefinitionError(SchemaError):
    """A schema that cannot be: a bad reference, a subschema that adds fields, a name twice."""


class SchemaViolation(SchemaError):
    """Data that its schema refuses.

    C{fields} mirrors the entity: text for a field, a list with None for good elements, a dict for
    records, and under C{"@entity"} the list of errors of the entity as a whole.
    """

    code = 2
    name = "schema violation"

    def __init__(self, fields: dict[str, FieldError]) -> None:
        self.fields = fields
        self.message = violation_message(fields)
        super().__init__(self.message)

    def to_dict(self) -> dict[str, Any]:
        """The body of the Admin API's answer (status 400)."""
        return {
            "code": self.code,
            "name": self.name,
            "message": self.message,
            "fields": self.fields,
        }


class TransformationError(SchemaError):
    """A write or read transformation failed (Kong's code 15)."""


class ShorthandViolation(SchemaError):
    """Bad shorthand values; reported alone, before anything else is validated."""

    def __init__(self, fields: dict[str, FieldError]) -> None:
        self.fields = fields
        super().__init__(violation_message(fields))


def violation_message(fields: dict[str, FieldError]) -> str:
    """The one-line summary of a violation: entity errors, then fields in sorted order.

    Source: Kong: C{Errors:schema_violation}.
    """
    found: list[str] = []
    entity = fields.get(ENTITY)
    if isinstance(entity, list):
        found.extend(_text(item) for item in entity if item is not None)
    for name in sorted(key for key in fields if key != ENTITY):
        found.extend(_field_lines(name, fields[name]))
    if len(found) == 1:
        return f"schema violation ({found[0]})"
    return f"{len(found)} schema violations ({'; '.join(found)})"


def _field_lines(name: str, error: FieldError) -> list[str]:
    if isinstance(error, dict):
        return [f"{name}.{key}: {_text(error[key])}" for key in sorted(error)]
    if isinstance(error, list):
        return [
            f"{name}.{index}: {_text(item)}"
            for index, item in enumerate(error, 1)
            if item is not None
        ]
    return [f"{name}: {error}"]


def _text(error: FieldError) -> str:
    return error if isinstance(error, str) else lua.pretty(error)


def quoted_list(words: Any) -> str:
    """C{'a', 'b'}; a list within the list is parenthesised."""
    return ", ".join(
        f"({quoted_list(word)})" if isinstance(word, (list, tuple)) else f"'{word}'"
        for word in words
    )
