"""The Admin API's own description, as OpenAPI 3.1, made from schemas and endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kongtx._version import __version__
from kongtx.admin.answers import Answer
from kongtx.admin.call import Call
from kongtx.admin.context import AdminContext
from kongtx.admin.routing import Endpoint, Router, parameters
from kongtx.db.dao import MAX_PAGE_SIZE
from kongtx.schema import Field, Schema

_TYPES = {
    "string": "string",
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "array": "array",
    "set": "array",
    "map": "object",
    "record": "object",
    "foreign": "object",
}
_LENGTHS = {"string": ("minLength", "maxLength"), "array": ("minItems", "maxItems")}
_ERROR = {"$ref": "#/components/schemas/error"}
_SUMMARIES = {
    ("GET", True): "List {0}",
    ("POST", True): "Create one of {0}",
    ("GET", False): "Show one of {0}",
    ("PUT", False): "Create or replace one of {0}",
    ("PATCH", False): "Change one of {0}",
    ("DELETE", False): "Remove one of {0}",
}


class OpenAPI:
    """C{/openapi.json}."""

    def __init__(self, context: AdminContext, router: Router) -> None:
        self._registry = context.store.registry
        self._router = router
        self._auth = context.settings.auth
        self._document: dict[str, Any] | None = None

    def endpoints(self) -> Iterator[Endpoint]:
        """C{/openapi.json}."""
        yield Endpoint("/openapi.json", {"GET": self.show})

    async def show(self, call: Call) -> Answer:
        """C{GET /openapi.json}; made once, for nothing in it changes while the node runs."""
        if self._document is None:
            self._document = document(self._registry, self._router, self._auth)
        return Answer(200, self._document)


def document(registry: Mapping[str, Schema], router: Router, auth: str = "off") -> dict[str, Any]:
    """The description of all endpoints of a router.

    @param auth: what is asked of clients: C{off}, C{basic} or C{token}.
    """
    schemas: dict[str, Any] = {"error": _error_schema()}
    for name, schema in registry.items():
        schemas[name] = entity_schema(schema, reading=True)
        schemas[f"{name}.write"] = entity_schema(schema, reading=False)
    paths = {
        endpoint.path: _path_item(endpoint)
        for endpoint in sorted(router, key=lambda endpoint: endpoint.path.split("/"))
    }
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "kongtx Admin API",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if auth != "off":
        scheme = {"type": "http", "scheme": "basic" if auth == "basic" else "bearer"}
        described["components"]["securitySchemes"] = {auth: scheme}
        described["security"] = [{auth: []}]
        for item in paths.values():
            for method, operation in item.items():
                if method != "parameters":
                    operation["responses"]["401"] = _response("Credentials are needed", _ERROR)
    return described


def entity_schema(schema: Schema, *, reading: bool) -> dict[str, Any]:
    """An entity as JSON Schema.

    @param reading: as answers show it, with every field there; else as it can be sent.
    """
    properties = {
        name: field_schema(field, reading=reading) for name, field in schema.fields.items()
    }
    if schema.ttl:
        properties["ttl"] = {"type": ["integer", "null"], "minimum": 0}
    shown: dict[str, Any] = {"type": "object", "properties": properties}
    if reading:
        shown["required"] = [name for name in schema.fields if name != "snis"]
        return shown
    for name, field in schema.shorthand_fields.items():
        properties.setdefault(name, field_schema(field, reading=False))
    shown["required"] = [
        name
        for name, field in schema.fields.items()
        if field.required
        and not field.auto
        and "default" not in field.attributes
        # Records fill themselves in, and parents may be in the path.
        and field.record is None
        and field.kind != "foreign"
    ]
    return shown


def field_schema(field: Field, *, reading: bool) -> dict[str, Any]:
    """A field as JSON Schema; checks that it cannot say are left to the gateway."""
    kind = _TYPES.get(field.kind)
    if kind is None:
        return {}
    nullable = not field.required or (reading and not field.auto)
    shown: dict[str, Any] = {"type": [kind, "null"] if nullable else kind}
    if not reading:
        shown.update(_constraints(field, kind, nullable))
    if field.elements is not None:
        shown["items"] = field_schema(field.elements, reading=reading)
    if field.values is not None:
        shown["additionalProperties"] = field_schema(field.values, reading=reading)
    if field.kind == "foreign":
        shown["properties"] = {"id": {"type": "string"}}
    elif field.record is not None and not field.get("abstract"):
        shown["properties"] = {
            name: field_schema(part, reading=reading) for name, part in field.record.fields.items()
        }
    return shown


def _constraints(field: Field, kind: str, nullable: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    choices = field.get("one_of")
    if choices:
        shown["enum"] = [*choices, None] if nullable else list(choices)
    between = field.get("between")
    if between:
        shown["minimum"], shown["maximum"] = between
    least, most = _LENGTHS.get(kind, ("", ""))
    if least and field.get("len_min") is not None:
        shown[least] = field.get("len_min")
    elif kind == "string":
        shown[least] = 1
    if most and field.get("len_max") is not None:
        shown[most] = field.get("len_max")
    if field.get("uuid"):
        shown["format"] = "uuid"
    if "default" in field.attributes:
        shown["default"] = field.default()
    return shown


def _error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["message"],
        "properties": {
            "code": {"type": "integer"},
            "name": {"type": "string"},
            "message": {"type": "string"},
            "fields": {"type": "object"},
            "options": {"type": "object"},
        },
    }


def _path_item(endpoint: Endpoint) -> dict[str, Any]:
    item: dict[str, Any] = {
        method.lower(): _operation(endpoint, method) for method in sorted(endpoint.methods)
    }
    named = parameters(endpoint.path)
    if named:
        item["parameters"] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
            }
            for name in named
        ]
    return item


def _operation(endpoint: Endpoint, method: str) -> dict[str, Any]:
    slug = re.sub("[^A-Za-z0-9]+", "_", endpoint.path).strip("_") or "index"
    operation: dict[str, Any] = {"operationId": f"{method.lower()}_{slug}"}
    if not endpoint.entity:
        operation["responses"] = {
            "2XX": {"description": "Done"},
            "4XX": _response("Refused", _ERROR),
            "5XX": _response("Not possible now", _ERROR),
        }
        return operation
    operation["tags"] = [endpoint.entity]
    summary = _SUMMARIES.get((method, endpoint.collection), "{0}")
    operation["summary"] = summary.format(endpoint.entity)
    if method in ("POST", "PUT", "PATCH"):
        operation["requestBody"] = _request_body(endpoint.entity, method)
    if method == "GET" and endpoint.collection:
        operation["parameters"] = _paging()
    operation["responses"] = _responses(endpoint, method)
    return operation


def _request_body(entity: str, method: str) -> dict[str, Any]:
    sent: dict[str, Any] = {"$ref": f"#/components/schemas/{entity}.write"}
    if method == "PATCH":
        sent = {"type": "object", "description": f"The fields of {entity} to change."}
    return {"required": True, "content": {"application/json": {"schema": sent}}}


def _responses(endpoint: Endpoint, method: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"$ref": f"#/components/schemas/{endpoint.entity}"}
    responses: dict[str, Any] = {
        "400": _response("What was sent is not acceptable", _ERROR),
        "404": _response("There is no such thing", _ERROR),
        "405": _response("That cannot be done here", _ERROR),
    }
    if method == "DELETE":
        responses["204"] = {"description": "Gone"}
    elif method == "GET" and endpoint.collection:
        responses["200"] = _response("A page", _page_schema(shown))
    elif method == "POST":
        responses["201"] = _response("Created", shown)
    else:
        responses["200"] = _response("The entity", shown)
    if method in ("POST", "PUT", "PATCH"):
        responses["409"] = _response("A value is taken", _ERROR)
        responses["413"] = _response("The body is too large", _ERROR)
        responses["415"] = _response("The type of the body is not known", _ERROR)
    return responses


def _response(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _page_schema(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "items": item},
            "next": {"type": ["string", "null"]},
            "offset": {"type": "string"},
        },
    }


def _paging() -> list[dict[str, Any]]:
    size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": 100}
    return [
        {"name": "size", "in": "query", "schema": size},
        {"name": "offset", "in": "query", "schema": {"type": "string"}},
        {"name": "tags", "in": "query", "schema": {"type": "string"}},
    ]
