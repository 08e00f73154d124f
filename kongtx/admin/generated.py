"""The endpoints that follow from the entities' schemas.

For an entity with the path C{/p}: C{/p} and C{/p/{key}}; for each of its foreign fields C{f} that
refers to a parent with the path C{/q}: C{/p/{key}/f}, C{/q/{parent}/p} and C{/q/{parent}/p/{key}}.

Source: Kong: C{kong/api/endpoints.lua}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from kongtx.admin.answers import NO_CONTENT, NOT_ALLOWED, NOT_FOUND, AbortError, Answer
from kongtx.admin.call import Call
from kongtx.admin.routing import Endpoint
from kongtx.db.dao import EntityStore
from kongtx.db.paging import Page
from kongtx.db.store import Store
from kongtx.db.tables import Entity
from kongtx.lib.ids import is_uuid, uuid4
from kongtx.schema import Schema
from kongtx.schema.forms import infer_value


class Resources:
    """The entities of one schema as the Admin API finds and changes them by a key in a path.

    A key with the form of a UUID is an id; any other is a value of the endpoint key.
    """

    def __init__(self, store: Store, schema: Schema) -> None:
        self.store = store
        self.schema = schema

    @property
    def entities(self) -> EntityStore:
        """The entities in the store."""
        return self.store[self.schema.name]

    @property
    def path(self) -> str:
        """The path of the collection."""
        return f"/{self.schema.admin_path}"

    def locate(self, call: Call) -> tuple[str | None, Any]:
        """By which field the path names an entity, and the value; L{None} is the primary key."""
        return _locate(self.schema, call.parameter(self.schema.name))

    async def find(self, call: Call) -> Entity | None:
        """The entity that the path names."""
        return await find_entity(self.entities, call.parameter(self.schema.name))

    async def get(self, call: Call) -> Entity:
        """As L{find}; ends the call if there is none."""
        entity = await self.find(call)
        if entity is None:
            raise AbortError(NOT_FOUND)
        return entity

    def key_of(self, entity: Entity) -> dict[str, Any]:
        """The primary key of an entity."""
        return self.schema.primary_key_of(entity)

    async def upsert(self, call: Call, extra: Mapping[str, Any]) -> Entity:
        """Replace or create the entity that the path names."""
        field, value = self.locate(call)
        data = {**self.data(call), **extra}
        if field is None:
            return await self.entities.upsert(value, data)
        return await self.entities.upsert_by(field, value, data)

    async def update(self, call: Call, extra: Mapping[str, Any]) -> Entity:
        """Change the entity that the path names; C{extra} counts where the body is silent."""
        field, value = self.locate(call)
        like = await self.find(call) if self.schema.subschema_key is not None else None
        data = {**extra, **self.data(call, like)}
        if field is None:
            return await self.entities.update(value, data)
        return await self.entities.update_by(field, value, data)

    async def delete(self, call: Call) -> None:
        """Remove the entity that the path names, if it is there."""
        field, value = self.locate(call)
        if field is None:
            await self.entities.delete(value)
        else:
            await self.entities.delete_by(field, value)

    def data(self, call: Call, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the body says of an entity."""
        return call.body.data(self.schema, like)

    async def page(self, call: Call) -> Page:
        """The page that the query asks for."""
        tags = call.tags() if self.schema.tags else None
        return await self.entities.page(call.size(), call.first("offset"), tags)

    async def page_for(self, call: Call, field: str, parent: Entity) -> Page:
        """The page of the entities that refer to a parent."""
        target = self.schema.fields[field].target
        assert target is not None
        key = target.primary_key_of(parent)
        return await self.entities.page_for(field, key, call.size(), call.first("offset"))


def _locate(schema: Schema, key: str) -> tuple[str | None, Any]:
    field = schema.endpoint_key
    if field is None or is_uuid(key):
        return None, key
    return field, infer_value(key, schema.fields[field])


async def find_entity(entities: EntityStore, key: str) -> Entity | None:
    """The entity with an id, or with a value of the endpoint key."""
    field, value = _locate(entities.schema, key)
    if field is None:
        return await entities.select(value)
    return await entities.select_by(field, value)


Finder = Callable[[Store, Schema], Resources]


class Generator:
    """Makes the endpoints of all schemas.

    @param store: where the entities are.
    @param special: by schema name, subclasses of L{Resources} for entities with other rules.
    """

    def __init__(self, store: Store, special: Mapping[str, Finder]) -> None:
        self.store = store
        self._resources = {
            name: special.get(name, Resources)(store, schema)
            for name, schema in store.registry.items()
        }

    def resources(self, name: str) -> Resources:
        """The resources of a schema."""
        return self._resources[name]

    def endpoints(self) -> Iterator[Endpoint]:
        """All endpoints."""
        for resources in self._resources.values():
            if not resources.schema.generate_admin_api:
                continue
            yield from _top_level(resources)
            for field, definition in resources.schema.foreign_fields.items():
                yield from _nested(resources, field, self._resources[definition.reference])


def collection(page: Page, link: str, more: str = "") -> Answer:
    """The answer for a page.

    @param link: the path of the next page, without its query.
    @param more: further arguments of the next page's query.
    """
    body: dict[str, Any] = {"data": page.rows, "next": None}
    if page.offset is not None:
        body["next"] = f"{link}?offset={quote(page.offset, safe='')}{more}"
        body["offset"] = page.offset
    return Answer(200, body)


def _top_level(resources: Resources) -> Iterator[Endpoint]:
    async def index(call: Call) -> Answer:
        more = ""
        tags, size = call.first("tags"), call.first("size")
        if tags:
            more += f"&tags={quote(tags, safe='', errors='surrogateescape')}"
        if size:
            more += f"&size={quote(size, safe='', errors='surrogateescape')}"
        return collection(await resources.page(call), resources.path, more)

    async def create(call: Call) -> Answer:
        return Answer(201, await resources.entities.insert(resources.data(call)))

    async def show(call: Call) -> Answer:
        return Answer(200, await resources.get(call))

    async def replace(call: Call) -> Answer:
        return Answer(200, await resources.upsert(call, {}))

    async def change(call: Call) -> Answer:
        return Answer(200, await resources.update(call, {}))

    async def delete(call: Call) -> Answer:
        await resources.delete(call)
        return NO_CONTENT

    name = resources.schema.name
    yield Endpoint(resources.path, {"GET": index, "POST": create}, entity=name, collection=True)
    yield Endpoint(
        f"{resources.path}/{{{name}}}",
        {"GET": show, "PUT": replace, "PATCH": change, "DELETE": delete},
        entity=name,
    )


def _nested(resources: Resources, field: str, parents: Resources) -> Iterator[Endpoint]:
    name, parent_name = resources.schema.name, parents.schema.name
    below = f"{parents.path}/{{{parent_name}}}/{resources.schema.nested_name}"
    yield _parent_of(resources, field, parents)

    async def index(call: Call) -> Answer:
        page = await resources.page_for(call, field, await parents.get(call))
        raw = call.raw[parent_name]
        return collection(page, f"{parents.path}/{raw}/{resources.schema.nested_name}")

    async def create(call: Call) -> Answer:
        parent = await parents.get(call)
        data = {**resources.data(call), field: parents.key_of(parent)}
        return Answer(201, await resources.entities.insert(data))

    async def owned(call: Call) -> tuple[Entity, Entity]:
        parent = await parents.get(call)
        entity = await resources.get(call)
        if entity.get(field) != parents.key_of(parent):
            raise AbortError(NOT_FOUND)
        return parent, entity

    async def show(call: Call) -> Answer:
        return Answer(200, (await owned(call))[1])

    async def replace(call: Call) -> Answer:
        parent = await parents.get(call)
        return Answer(200, await resources.upsert(call, {field: parents.key_of(parent)}))

    async def change(call: Call) -> Answer:
        parent, _ = await owned(call)
        return Answer(200, await resources.update(call, {field: parents.key_of(parent)}))

    async def delete(call: Call) -> Answer:
        _, entity = await owned(call)
        await resources.entities.delete(resources.key_of(entity))
        return NO_CONTENT

    yield Endpoint(below, {"GET": index, "POST": create}, entity=name, collection=True)
    yield Endpoint(
        f"{below}/{{{name}}}",
        {"GET": show, "PUT": replace, "PATCH": change, "DELETE": delete},
        entity=name,
    )


def _parent_of(resources: Resources, field: str, parents: Resources) -> Endpoint:
    """The parent as it is seen from a child: C{/routes/{routes}/service}."""

    async def locate(call: Call) -> Call:
        """The call as if it named the parent."""
        entity = await resources.get(call)
        key = entity.get(field)
        if key is None:
            raise AbortError(NOT_FOUND)
        return _for_parent(call, parents, key["id"])

    async def show(call: Call) -> Answer:
        return Answer(200, await parents.get(await locate(call)))

    async def replace(call: Call) -> Answer:
        entity = await resources.get(call)
        key = entity.get(field)
        if key is not None:
            return Answer(200, await parents.upsert(_for_parent(call, parents, key["id"]), {}))
        made = await parents.upsert(_for_parent(call, parents, uuid4()), {})
        await resources.entities.update(resources.key_of(entity), {field: parents.key_of(made)})
        return Answer(200, made)

    async def change(call: Call) -> Answer:
        return Answer(200, await parents.update(await locate(call), {}))

    async def delete(call: Call) -> Answer:
        await locate(call)
        return NOT_ALLOWED

    return Endpoint(
        f"{resources.path}/{{{resources.schema.name}}}/{field}",
        {"GET": show, "PUT": replace, "PATCH": change, "DELETE": delete},
        entity=parents.schema.name,
    )


def _for_parent(call: Call, parents: Resources, key: str) -> Call:
    raw = {**call.raw, parents.schema.name: key}
    return Call(call.method, raw, call.query, call.body, call.headers)
