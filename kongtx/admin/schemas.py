"""The schemas themselves. Kong: C{/schemas/*} in C{kong/api/routes/kong.lua}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kongtx.admin.answers import Answer, abort, message
from kongtx.admin.call import Call
from kongtx.admin.context import AdminContext
from kongtx.admin.routing import Endpoint, Handler
from kongtx.db.errors import SchemaViolationError
from kongtx.schema import Schema, SchemaViolation, Subschema


class Schemas:
    """Shows schemas, and checks data without storing it."""

    def __init__(self, context: AdminContext) -> None:
        self._store = context.store
        self._node = context.node

    def endpoints(self) -> Iterator[Endpoint]:
        """C{/schemas/*}, and what else tells of plugins."""
        yield Endpoint("/schemas/{name}", {"GET": self.show})
        yield Endpoint("/schemas/{name}/validate", {"POST": self.validate})
        for kind, noun in (("plugins", "plugin"), ("vaults", "vault")):
            yield Endpoint(f"/schemas/{kind}/{{name}}", {"GET": self._part(kind, noun)})
            yield Endpoint(f"/schemas/{kind}/validate", {"POST": self._validate_kind(kind)})
        yield Endpoint("/schemas/filters/{name}", {"GET": self.filter})
        yield Endpoint("/plugins/enabled", {"GET": self.enabled})
        yield Endpoint("/plugins/schema/{name}", {"GET": self.config})

    async def show(self, call: Call) -> Answer:
        """C{GET /schemas/{entity}}."""
        return Answer(200, self._schema(call.parameter("name")).to_schema_json())

    async def validate(self, call: Call) -> Answer:
        """C{POST /schemas/{entity}/validate}."""
        return self._check(call, call.parameter("name"))

    def _validate_kind(self, kind: str) -> Handler:
        async def validate(call: Call) -> Answer:
            return self._check(call, kind)

        return validate

    def _part(self, kind: str, noun: str) -> Handler:
        async def show(call: Call) -> Answer:
            found = self._subschema(kind, noun, call.parameter("name"))
            return Answer(200, found.to_schema_json())

        return show

    async def filter(self, call: Call) -> Answer:
        """C{GET /schemas/filters/{name}}: there are no filters."""
        return message(404, f"Filter '{call.parameter('name')}' not found")

    async def enabled(self, call: Call) -> Answer:
        """C{GET /plugins/enabled}."""
        return Answer(200, {"enabled_plugins": list(self._node.plugins())})

    async def config(self, call: Call) -> Answer:
        """C{GET /plugins/schema/{name}}, which C{/schemas/plugins/{name}} has replaced."""
        found = self._subschema("plugins", "plugin", call.parameter("name"))
        record = found.fields["config"].record
        shown = record.to_json() if record is not None else {"fields": []}
        return Answer(200, {"entity_checks": [], **shown})

    def _schema(self, name: str) -> Schema:
        schema = self._store.registry.get(name)
        if schema is None:
            raise abort(404, f"No entity named '{name}'")
        return schema

    def _subschema(self, kind: str, noun: str, name: str) -> Subschema:
        known: Mapping[str, Subschema] = self._store.registry[kind].subschemas
        if name not in known:
            raise abort(404, f"No {noun} named '{name}'")
        return known[name]

    def _check(self, call: Call, name: str) -> Answer:
        schema = self._schema(name)
        try:
            schema.process_insert(call.body.data(schema), self._store.context(), transform=False)
        except SchemaViolation as error:
            raise SchemaViolationError(error.fields) from None
        return message(200, "schema validation successful")
