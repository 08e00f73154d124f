"""The schemas that a node knows: core entities, plugins' configurations and plugins' entities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from kongtx.schema.errors import DefinitionError
from kongtx.schema.schema import Schema, Subschema


@attrs.frozen
class Reference:
    """A foreign field of a child that refers to a parent.

    @ivar child: the schema that has the field.
    @ivar field: its name.
    @ivar on_delete: C{cascade}, or C{restrict} when the child must be deleted first.
    """

    child: Schema
    field: str
    on_delete: str


class SchemaRegistry(Mapping[str, Schema]):
    """Schemas by name, linked by their foreign fields, in dependency order when iterated.

    Registering a schema links foreign fields in both directions, so parents are registered first.
    """

    def __init__(self, schemas: Iterable[Schema] = ()) -> None:
        self._schemas: dict[str, Schema] = {}
        self._references: dict[str, list[Reference]] = {}
        self._core: set[str] = set()
        self._order: tuple[str, ...] | None = None
        for schema in schemas:
            self.register(schema)
            self._core.add(schema.name)

    def __getitem__(self, name: str) -> Schema:
        return self._schemas[name]

    def __iter__(self) -> Iterator[str]:
        if self._order is None:
            self._order = self._sorted()
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._schemas)

    def register(self, schema: Schema) -> None:
        """Add an entity, core or a plugin's.

        @raise DefinitionError: the name is taken, or a foreign field refers to an unknown entity.
        """
        if schema.name in self._schemas:
            raise DefinitionError(f"the entity '{schema.name}' is already registered")
        for name, field in schema.foreign_fields.items():
            parent = (
                schema if field.reference == schema.name else self._schemas.get(field.reference)
            )
            if parent is None:
                raise DefinitionError(
                    f"schema refers to an invalid foreign entity: {field.reference}"
                )
            field.target = parent
            self._references.setdefault(parent.name, []).append(
                Reference(schema, name, field.get("on_delete", "restrict"))
            )
        self._schemas[schema.name] = schema
        self._order = None

    def register_plugin(
        self, name: str, subschema: Subschema, entities: Iterable[Schema] = ()
    ) -> None:
        """Add a plugin's configuration schema and the entities it brings."""
        self["plugins"].add_subschema(name, subschema)
        for entity in entities:
            self.register(entity)

    def references_to(self, name: str) -> tuple[Reference, ...]:
        """The foreign fields that refer to an entity, as found by its children."""
        return tuple(self._references.get(name, ()))

    def _sorted(self) -> tuple[str, ...]:
        """Workspaces first, parents before children, core before plugins', else alphabetical."""
        out: list[str] = []

        def visit(name: str) -> None:
            if name in out:
                return
            for field in self._schemas[name].foreign_fields.values():
                if field.reference != name:
                    visit(field.reference)
            out.append(name)

        for name in sorted(
            self._schemas, key=lambda key: (key != "workspaces", key not in self._core, key)
        ):
            visit(name)
        return tuple(out)
