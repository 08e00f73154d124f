"""Entities with rules of their own, beyond what their schemas can say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kongtx.db import errors
from kongtx.db.dao import MAX_PAGE_SIZE, EntityStore, Key, page_size
from kongtx.db.interfaces import IConnector
from kongtx.db.paging import Page, Tags
from kongtx.db.tables import Entity
from kongtx.db.writes import Delete, Insert, Update, Upsert, Write
from kongtx.schema.formats import parse_address


class Certificates(EntityStore):
    """Certificates carry the names of their SNIs, which are entities of their own.

    The field C{snis} is never stored: writes turn it into SNIs, in the same transaction.
    """

    async def select(self, key: Key) -> Entity | None:
        return await self._with_names(await super().select(key))

    async def page(
        self, size: float | None = None, offset: str | None = None, tags: Tags | None = None
    ) -> Page:
        page = await super().page(size, offset, tags)
        for certificate in page.rows:
            await self._with_names(certificate)
        return page

    async def insert(self, data: Mapping[str, Any]) -> Entity:
        names = _names(data)
        entity = await self.prepare_insert(data)
        return await self._write(Insert(self.table, _bare(entity)), names or [])

    async def upsert(self, key: Key, data: Mapping[str, Any]) -> Entity:
        names = _names(data)
        entity = await self.prepare_upsert(self._key(key), data)
        return await self._write(Upsert(self.table, _bare(entity)), names)

    async def delete(self, key: Key) -> bool:
        """Remove a certificate with its SNIs."""
        key = self._key(key)
        writes: list[Write] = [
            Delete(self.store["snis"].table, {"id": sni["id"]}) for sni in await self._snis(key)
        ]
        changes = await self.store.apply([*writes, Delete(self.table, key)])
        return bool(changes[-1])

    async def _replace(self, row: Entity, data: Mapping[str, Any]) -> Entity:
        names = _names(data)
        write = await self.prepare_update(row, data)
        return await self._write(Update(self.table, _bare(write.entity), write.was), names)

    async def _write(self, write: Insert | Update | Upsert, names: Sequence[str] | None) -> Entity:
        """Write a certificate, and the SNIs so that they are those named (if any are)."""
        key = {"id": write.entity["id"]}
        writes: list[Write] = [write]
        if names is not None:
            writes += await self._sni_writes(key, names)
        changes = await self.store.apply(writes)
        shown = await self._with_names(self.show(changes[0][0].new or write.entity))
        assert shown is not None
        return shown

    async def _sni_writes(self, key: Mapping[str, Any], names: Sequence[str]) -> list[Write]:
        snis = self.store["snis"]
        for name in names:
            found = await snis.current_row_by("name", name)
            if found is not None and found["certificate"]["id"] != key["id"]:
                raise errors.SchemaViolationError(
                    {
                        "snis": f"{name} already associated with existing certificate "
                        f"'{found['certificate']['id']}'"
                    }
                )
        present = {sni["name"]: sni for sni in await self._snis(key)}
        writes: list[Write] = []
        for name in names:
            if name not in present:
                data = {"name": name, "certificate": dict(key)}
                writes.append(Insert(snis.table, await snis.prepare_insert(data)))
        for name, sni in present.items():
            if name not in names:
                writes.append(Delete(snis.table, {"id": sni["id"]}))
        return writes

    async def _snis(self, key: Mapping[str, Any]) -> list[Entity]:
        return [sni async for sni in self.store["snis"].each_for("certificate", key)]

    async def _with_names(self, certificate: Entity | None) -> Entity | None:
        if certificate is not None:
            snis = await self._snis({"id": certificate["id"]})
            certificate["snis"] = sorted(sni["name"] for sni in snis)
        return certificate


class CACertificates(EntityStore):
    """CA certificates stay while services or plugins name them in a list."""

    async def delete(self, key: Key) -> bool:
        key = self._key(key)
        for kind in ("services", "plugins"):
            async for entity in self.store[kind].each_stored():
                holder = entity if kind == "services" else entity.get("config") or {}
                named = holder.get("ca_certificates")
                if isinstance(named, list) and key["id"] in named:
                    raise errors.ReferencedByOthersError(
                        f"ca certificate {key['id']} is still referenced by {kind} "
                        f"(id = {entity['id']})"
                    )
        return await super().delete(key)


class Plugins(EntityStore):
    """A plugin has to speak a protocol of the route or service that it is for."""

    async def prepare_insert(self, data: Mapping[str, Any]) -> Entity:
        entity = await super().prepare_insert(data)
        await self._check_protocols(entity)
        return entity

    async def prepare_upsert(self, key: Mapping[str, Any], data: Mapping[str, Any]) -> Entity:
        entity = await super().prepare_upsert(key, data)
        await self._check_protocols(entity)
        return entity

    async def prepare_update(self, row: Entity, data: Mapping[str, Any]) -> Update:
        write = await super().prepare_update(row, data)
        if any(name in data for name in ("protocols", "service", "route")):
            await self._check_protocols(write.entity)
        return write

    async def _check_protocols(self, plugin: Entity) -> None:
        routes = self.store["routes"]
        if plugin.get("route"):
            route = await routes.select(plugin["route"])
            if route is not None and not _share_protocol(plugin, [route]):
                raise errors.SchemaViolationError(
                    {"protocols": "must match the associated route's protocols"}
                )
        elif plugin.get("service"):
            found = [route async for route in routes.each_for("service", plugin["service"])]
            if found and not _share_protocol(plugin, found):
                raise errors.SchemaViolationError(
                    {
                        "protocols": "must match the protocols of at least one route pointing to "
                        "this Plugin's service"
                    }
                )


class Targets(EntityStore):
    """Targets of an upstream are shown newest first, one for each address.

    Creating one refuses a bad address alone and in other words than changing one does, as in Kong.
    """

    async def prepare_insert(self, data: Mapping[str, Any]) -> Entity:
        _check_address(data)
        return await super().prepare_insert(data)

    async def prepare_upsert(self, key: Mapping[str, Any], data: Mapping[str, Any]) -> Entity:
        _check_address(data)
        return await super().prepare_upsert(key, data)

    async def page_active(
        self, upstream: Key, size: float | None = None, offset: str | None = None
    ) -> Page:
        """Some targets of an upstream, newest first; an older one of the same address is left out.

        @param offset: how many to skip, in decimal, as the page before said.
        """
        rows = list((await self._newest(upstream)).values())
        first = _decimal(offset)
        last = first + page_size(None if size is None else min(size, MAX_PAGE_SIZE))
        return Page(rows[first:last], str(last) if len(rows) > last else None)

    async def select_in(self, upstream: Key, address: str) -> Entity | None:
        """The newest target of an upstream with an address, in the form it is shown in."""
        return (await self._newest(upstream)).get(address)

    async def _newest(self, upstream: Key) -> dict[str, Entity]:
        """The newest target of each address, by address, newest first."""
        everything = [target async for target in self.each_for("upstream", upstream)]
        everything.sort(key=lambda target: (target["created_at"], target["id"]), reverse=True)
        newest: dict[str, Entity] = {}
        for target in everything:
            newest.setdefault(target["target"], target)
        return newest


class TagViews(EntityStore):
    """Tags are seen through the entities that have them, and cannot be written."""

    async def page(
        self, size: float | None = None, offset: str | None = None, tags: Tags | None = None
    ) -> Page:
        return await self.store.connector.page_tags(None, page_size(size), offset)

    async def page_by_tag(
        self, tag: str, size: float | None = None, offset: str | None = None
    ) -> Page:
        """The entities that have a tag.

        @raise InvalidUniqueError: no tag can be written so.
        """
        error = self.schema.fields["tag"].validate(tag)
        if error is not None:
            raise errors.InvalidUniqueError("tag", str(error))
        return await self.store.connector.page_tags(tag, page_size(size), offset)

    async def _row_by(self, connector: IConnector, field: str, value: Any) -> Entity | None:
        raise _no_tag_writes()

    async def insert(self, data: Mapping[str, Any]) -> Entity:
        raise _no_tag_writes()

    async def update(self, key: Key, data: Mapping[str, Any]) -> Entity:
        raise _no_tag_writes()

    async def upsert(self, key: Key, data: Mapping[str, Any]) -> Entity:
        raise _no_tag_writes()

    async def delete(self, key: Key) -> bool:
        raise _no_tag_writes()


SPECIAL: dict[str, type[EntityStore]] = {
    "ca_certificates": CACertificates,
    "certificates": Certificates,
    "plugins": Plugins,
    "tags": TagViews,
    "targets": Targets,
}


def _no_tag_writes() -> errors.StoreError:
    return errors.SchemaViolationError(
        {"tags": "does not support insert/upsert/update/delete operations"}
    )


def _check_address(data: Mapping[str, Any]) -> None:
    target = data.get("target")
    if isinstance(target, str) and isinstance(parse_address(target), str):
        raise errors.SchemaViolationError(
            {"target": "Invalid target; not a valid hostname or ip address"}
        )


def _names(data: Mapping[str, Any]) -> list[str] | None:
    """The SNI names sent with a certificate, sorted; L{None} if they are not spoken of.

    What is no list of texts is left to the schema to refuse.
    """
    if "snis" not in data:
        return None
    names = data["snis"]
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    for name in names:
        if names.count(name) > 1:
            raise errors.SchemaViolationError({"snis": f"{name} is duplicated"})
    return sorted(names)


def _bare(certificate: Entity) -> Entity:
    """A certificate as it is stored."""
    return {name: value for name, value in certificate.items() if name != "snis"}


def _share_protocol(plugin: Entity, routes: Iterable[Entity]) -> bool:
    spoken = set(plugin.get("protocols") or ())
    return any(spoken & set(route.get("protocols") or ()) for route in routes)


def _decimal(offset: str | None) -> int:
    if offset is None:
        return 0
    if not (offset.isascii() and offset.isdecimal() and len(offset) < 10):
        raise errors.InvalidOffsetError(offset, "bad base64 encoding")
    return int(offset)
