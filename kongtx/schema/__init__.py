"""The schema layer: one definition per entity drives validation, storage, APIs and documents."""

from kongtx.schema.checks import (
    EntityCheck,
    at_least_one_of,
    conditional,
    conditional_at_least_one_of,
    custom_check,
    distinct,
    mutually_exclusive,
    mutually_exclusive_sets,
    mutually_required,
    only_one_of,
)
from kongtx.schema.context import Context
from kongtx.schema.errors import (
    DefinitionError,
    SchemaError,
    SchemaViolation,
    TransformationError,
    violation_message,
)
from kongtx.schema.field import ABSENT, Field, is_reference
from kongtx.schema.fields import (
    abstract_record,
    any_value,
    array,
    boolean,
    foreign,
    integer,
    json_value,
    map_of,
    number,
    record,
    set_of,
    string,
)
from kongtx.schema.record import Record
from kongtx.schema.registry import Reference, SchemaRegistry
from kongtx.schema.schema import ForeignLookup, Schema, Subschema
from kongtx.schema.transformations import Transformation

__all__ = [
    "ABSENT",
    "Context",
    "DefinitionError",
    "EntityCheck",
    "Field",
    "ForeignLookup",
    "Record",
    "Reference",
    "Schema",
    "SchemaError",
    "SchemaRegistry",
    "SchemaViolation",
    "Subschema",
    "Transformation",
    "TransformationError",
    "abstract_record",
    "any_value",
    "array",
    "at_least_one_of",
    "boolean",
    "conditional",
    "conditional_at_least_one_of",
    "custom_check",
    "distinct",
    "foreign",
    "integer",
    "is_reference",
    "json_value",
    "map_of",
    "mutually_exclusive",
    "mutually_exclusive_sets",
    "mutually_required",
    "number",
    "only_one_of",
    "record",
    "set_of",
    "string",
    "violation_message",
]
