"""The page ``docs/entities.rst``, made of the schemas: ``python -m kongtx.entities.reference``."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from kongtx.entities import core_registry, descriptions
from kongtx.entities.credentials import PLUGIN_ENTITIES
from kongtx.schema import Field, Schema, SchemaRegistry

PAGE = Path("docs/entities.rst")
_HEAD = """\
Entities
========

.. Made of the schemas by `python -m kongtx.entities.reference`; do not edit.

Look here for the fields of everything that can be configured, through the Admin API
(``/services``) or in a :doc:`declarative file <declarative>` (``services:``). A field that was not
sent has its default; one without default is null. A foreign key is ``{"id": ...}`` in the Admin
API, where an object with a unique field (``{"name": ...}``) is accepted too; in a file it is the
parent's id or name.
"""


def registry() -> SchemaRegistry:
    """The core entities and those of bundled plugins."""
    made = core_registry()
    for make in PLUGIN_ENTITIES.values():
        for schema in make():
            made.register(schema)
    return made


def render() -> str:
    """The whole page."""
    schemas = registry()
    parts = [_HEAD]
    parts += [_entity(schemas[name], schemas) for name in descriptions.ENTITIES]
    return "\n".join(parts)


def _entity(schema: Schema, schemas: SchemaRegistry) -> str:
    lines = [schema.name, "-" * len(schema.name), ""]
    lines += [*_wrapped(descriptions.ENTITIES[schema.name]), ""]
    lines += [*_wrapped(" ".join(_facts(schema, schemas))), ""]
    for name, field in schema.fields.items():
        lines += _field(name, field, descriptions.of_field(schema.name, name), "")
    return "\n".join(lines)


def _facts(schema: Schema, schemas: SchemaRegistry) -> Iterator[str]:
    if schema.name == "targets":
        yield "Admin API: ``/upstreams/{upstream}/targets``."
    elif schema.generate_admin_api:
        yield f"Admin API: ``/{schema.admin_path}``."
    if schema.endpoint_key is not None:
        yield f"``{schema.endpoint_key}`` can be used instead of the id."
    if len(schema.cache_key) > 1:
        keys = ", ".join(f"``{name}``" for name in schema.cache_key)
        yield f"Unique by {keys} together."
    if schema.ttl:
        yield "Accepts ``ttl``, the seconds after which it is gone."
    for shorthand in schema.shorthand_fields:
        if shorthand not in schema.fields:
            yield f"Accepts ``{shorthand}``, which stands for several fields."
    for name, field in schema.foreign_fields.items():
        if field.get("on_delete") == "cascade":
            yield f"Deleted together with its ``{name}``."
        elif schema.name == "snis":
            yield f"Deleted together with its ``{name}``, by the Admin API."
        else:
            yield f"Its ``{name}`` cannot be deleted before it."


def _field(name: str, field: Field, text: str, indent: str) -> list[str]:
    lines = [f"{indent}``{name}``"]
    facts = "; ".join(_constraints(field)) + "."
    lines += _wrapped(f"{facts} {text}".strip(), indent + "    ")
    lines.append("")
    body = field.elements if field.elements is not None else field
    if body.record is not None and body.record.fields:
        for inner, definition in body.record.fields.items():
            lines += _field(inner, definition, "", indent + "    ")
    return lines


def _constraints(field: Field) -> Iterator[str]:
    yield _kind(field)
    if field.required and "default" not in field.attributes and field.kind != "record":
        yield "required"
    if field.get("unique"):
        yield "unique"
    limited = field.elements if field.elements is not None else field
    if limited.get("one_of"):
        yield "one of " + ", ".join(f"``{value}``" for value in limited.get("one_of"))
    if limited.get("between"):
        low, high = limited.get("between")
        yield f"{low} to {high}"
    if limited.referenceable:
        yield "may be a vault reference"
    default = field.get("default")
    if default is not None and field.kind != "record":
        yield f"default ``{json.dumps(default)}``"


def _kind(field: Field) -> str:
    if field.kind == "foreign":
        return f"a reference to `{field.reference}`_"
    if field.elements is not None:
        return f"{field.kind} of {_plural(field.elements)}"
    if field.values is not None:
        return f"map to {_kind(field.values)}"
    return "UUID" if field.get("uuid") else field.kind


def _plural(field: Field) -> str:
    return "UUIDs" if field.get("uuid") else f"{field.kind}s"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        100,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(render(), encoding="utf-8")
