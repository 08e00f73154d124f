"""Schemas of entities as files write them: references by name, nested children, comments.

Source: Kong: C{kong/db/schema/others/declarative_config.lua}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kongtx.schema import Field, Schema, SchemaRegistry, any_value, array, string
from kongtx.schema.checks import Errors
from kongtx.schema.field import Mode
from kongtx.schema.record import Record

COMMENTS: dict[str, Field] = {"_comment": string(), "_ignore": array(any_value())}


class Variant(Schema):
    """A schema with some fields changed, which keeps its name, keys, kinds and checks."""

    def __init__(self, schema: Schema, fields: Mapping[str, Field]) -> None:
        # Not Schema's own: fields stay linked to the schemas that they refer to.
        Record.__init__(
            self,
            {**fields, **COMMENTS},
            entity_checks=schema.entity_checks,
            shorthand_fields=schema.shorthand_fields,
            transformations=schema.transformations,
        )
        self.name = schema.name
        self.primary_key = schema.primary_key
        self.subschema_key = schema.subschema_key
        self.subschema_error = schema.subschema_error
        self.subschemas = schema.subschemas
        self.unvalidated = schema.unvalidated
        self._plans = {}

    def errors(
        self,
        data: Mapping[str, Any],
        mode: Mode,
        *,
        full: bool = True,
        original: Mapping[str, Any] | None = None,
        stored: Mapping[str, Any] | None = None,
    ) -> Errors:
        """As C{Schema.validate}: nothing more can be said of an unknown kind."""
        if self.subschema_key is not None and self.subschema_name(data) is None:
            return {self.subschema_key: self._subschema_failure(data.get(self.subschema_key))}
        return super().errors(data, mode, full=full, original=original, stored=stored)


class Variants:
    """The three ways in which an entity can be read.

    @param schema: the entity's schema.
    @ivar top: as a top-level entry: foreign fields are text, an id or a name.
    @ivar nested: inside its parent: foreign fields are not given.
    @ivar resolved: foreign fields are objects, after they have been looked up in the file.
    """

    __slots__ = ("nested", "resolved", "schema", "top")

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.top = Variant(schema, _each_foreign(schema, _by_name))
        self.nested = Variant(schema, _each_foreign(schema, _not_given))
        self.resolved = Variant(schema, schema.fields)


def _each_foreign(schema: Schema, change: Any) -> dict[str, Field]:
    return {
        name: change(field) if field.kind == "foreign" else field
        for name, field in schema.fields.items()
    }


def _by_name(field: Field) -> Field:
    kept = {
        name: value
        for name, value in field.attributes.items()
        if name not in ("reference", "on_delete")
    }
    return Field("string", **kept)


def _not_given(field: Field) -> Field:
    return field.extend(eq=None, default=None, required=False)


def known_entities(registry: SchemaRegistry) -> list[str]:
    """The entities that a file may have, parents first."""
    return [name for name in registry if name != "tags"]


def child_fields(registry: SchemaRegistry) -> dict[str, dict[str, str]]:
    """By parent, the children that can be nested in it and their foreign field to it."""
    out: dict[str, dict[str, str]] = {name: {} for name in registry}
    for name in known_entities(registry):
        for field, definition in registry[name].foreign_fields.items():
            out[definition.reference].setdefault(name, field)
    return out
