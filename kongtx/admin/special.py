"""Entities that the Admin API finds or changes in their own way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kongtx.admin.answers import NOT_FOUND, AbortError, Answer, abort
from kongtx.admin.bodies import FORM, MULTIPART
from kongtx.admin.call import Call
from kongtx.admin.generated import Finder, Generator, Resources, collection, find_entity
from kongtx.admin.routing import Endpoint
from kongtx.db.errors import EntityNotFoundError
from kongtx.db.paging import Page
from kongtx.db.special import TagViews, Targets
from kongtx.db.tables import Entity
from kongtx.lib.ids import is_uuid, uuid4
from kongtx.schema.formats import normalise_target


class CertificateResources(Resources):
    """A certificate can be named by one of its SNIs."""

    async def find(self, call: Call) -> Entity | None:
        key = await self._id(call)
        if key is None:
            raise abort(404, "SNI not found")
        return await self.entities.select(key)

    async def upsert(self, call: Call, extra: Mapping[str, Any]) -> Entity:
        key, data = await self._id(call), {**self.data(call), **extra}
        name = call.parameter("certificates")
        names = data.get("snis")
        if not is_uuid(name) and (names is None or (isinstance(names, list) and name not in names)):
            data["snis"] = [*(names or ()), name]
        data.setdefault("snis", None)
        return await self.entities.upsert(key or uuid4(), data)

    async def update(self, call: Call, extra: Mapping[str, Any]) -> Entity:
        entity = await self.find(call)
        key = self.key_of(entity) if entity else {"id": call.parameter("certificates")}
        return await self.entities.update(key, {**extra, **self.data(call)})

    async def delete(self, call: Call) -> None:
        entity = await self.find(call)
        if entity is not None:
            await self.entities.delete(self.key_of(entity))

    def data(self, call: Call, like: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = super().data(call, like)
        lenient = call.body.kind in (FORM, MULTIPART) or call.method in ("PUT", "PATCH")
        if isinstance(data.get("snis"), str) and lenient:
            data["snis"] = [data["snis"]]
        return data

    async def _id(self, call: Call) -> str | None:
        key = call.parameter("certificates")
        if is_uuid(key):
            return key
        sni = await self.store["snis"].select_by("name", key)
        return None if sni is None else str(sni["certificate"]["id"])


class TargetResources(Resources):
    """Targets live below their upstream; an address names the newest one that has it."""

    async def find(self, call: Call) -> Entity | None:
        key = call.parameter("targets")
        if is_uuid(key):
            return await self.entities.select(key)
        entities = self.entities
        assert isinstance(entities, Targets)
        upstream = await find_entity(self.store["upstreams"], call.parameter("upstreams"))
        if upstream is None:
            return None
        return await entities.select_in(self.key_of(upstream), normalise_target(key))

    async def page_for(self, call: Call, field: str, parent: Entity) -> Page:
        entities = self.entities
        assert isinstance(entities, Targets)
        return await entities.page_active(self.key_of(parent), call.size(), call.first("offset"))

    async def update(self, call: Call, extra: Mapping[str, Any]) -> Entity:
        entity = await self.get(call)
        return await self.entities.update(self.key_of(entity), {**extra, **self.data(call)})

    async def upsert(self, call: Call, extra: Mapping[str, Any]) -> Entity:
        """A change, as in Kong: clients take the 404 as the sign to create."""
        entity = await self.get(call)
        if any(entity.get(field) != value for field, value in extra.items()):
            raise AbortError(NOT_FOUND)
        return await self.entities.update(self.key_of(entity), {**extra, **self.data(call)})


class ACLResources(Resources):
    """Below a consumer, a group can be named by itself."""

    async def find(self, call: Call) -> Entity | None:
        if not self._names_group(call):
            return await super().find(call)
        consumer = await find_entity(self.store["consumers"], call.parameter("consumers"))
        if consumer is None:
            raise AbortError(NOT_FOUND)
        group = call.parameter("acls")
        async for entity in self.entities.each_for("consumer", {"id": consumer["id"]}):
            if entity["group"] == group:
                return entity
        return None

    async def upsert(self, call: Call, extra: Mapping[str, Any]) -> Entity:
        if not self._names_group(call):
            return await super().upsert(call, extra)
        entity = await self.find(call)
        data = {"group": call.parameter("acls"), **self.data(call), **extra}
        return await self.entities.upsert(uuid4() if entity is None else entity["id"], data)

    async def update(self, call: Call, extra: Mapping[str, Any]) -> Entity:
        if not self._names_group(call):
            return await super().update(call, extra)
        entity = await self.get(call)
        return await self.entities.update(self.key_of(entity), {**extra, **self.data(call)})

    @staticmethod
    def _names_group(call: Call) -> bool:
        return "consumers" in call.raw and not is_uuid(call.parameter("acls"))


class PluginResources(Resources):
    """A change to a plugin that does not exist is answered before it is looked at."""

    async def update(self, call: Call, extra: Mapping[str, Any]) -> Entity:
        await self.get(call)
        return await super().update(call, extra)


class TagResources(Resources):
    """A tag stands for the list of its uses."""

    async def page(self, call: Call) -> Page:
        return await self.entities.page(call.size(), call.first("offset"))


SPECIAL: dict[str, Finder] = {
    "acls": ACLResources,
    "certificates": CertificateResources,
    "plugins": PluginResources,
    "tags": TagResources,
    "targets": TargetResources,
}


def endpoints(generator: Generator) -> Iterator[Endpoint]:
    """Endpoints that differ from the generated ones of the same path, or are beside them."""
    store = generator.store

    async def certificate(call: Call) -> Answer:
        entity = await generator.resources("certificates").find(call)
        if entity is None:
            raise EntityNotFoundError.by_key({"id": call.parameter("certificates")})
        return Answer(200, entity)

    async def consumers(call: Call) -> Answer:
        if "custom_id" not in call.query:
            return await list_consumers(call)
        custom_id = call.query["custom_id"]
        if not isinstance(custom_id, str) or not custom_id:
            raise abort(400, "custom_id must be an unempty string")
        found = await store["consumers"].select_by("custom_id", custom_id)
        return Answer(200, {"data": [] if found is None else [found], "next": None})

    async def uses_of_tag(call: Call) -> Answer:
        views = store["tags"]
        assert isinstance(views, TagViews)
        page = await views.page_by_tag(call.parameter("tags"), call.size(), call.first("offset"))
        return collection(page, f"/tags/{call.raw['tags']}")

    async def all_targets(call: Call) -> Answer:
        upstream = await generator.resources("upstreams").get(call)
        page = await store["targets"].page_for(
            "upstream", upstream["id"], call.size(), call.first("offset")
        )
        return collection(page, f"/upstreams/{call.raw['upstreams']}/targets/all")

    list_consumers = next(
        endpoint.methods["GET"]
        for endpoint in generator.endpoints()
        if endpoint.path == "/consumers"
    )
    yield Endpoint("/certificates/{certificates}", {"GET": certificate})
    yield Endpoint("/consumers", {"GET": consumers})
    yield Endpoint("/tags/{tags}", {"GET": uses_of_tag}, entity="tags", collection=True)
    yield Endpoint(
        "/upstreams/{upstreams}/targets/all",
        {"GET": all_targets},
        entity="targets",
        collection=True,
    )


#: Paths that the schemas would give, but that are no part of the API.
DISABLED = (
    "/targets",
    "/targets/{targets}",
    "/targets/{targets}/upstream",
    "/snis/{snis}/certificate",
)
