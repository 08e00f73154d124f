"""An entity's schema: its record, its keys, and what the Admin API and the store do with it.

Writing goes C{process_insert} / C{process_upsert} / C{process_update}: each takes what a client
sent and returns the whole entity to store, or raises. Nothing here waits or looks anything up:
foreign entities named by anything but their id are for the store to resolve before
(C{foreign_lookups}).

Entities are plain dicts in the Admin API's JSON form; C{None} is null, a missing key is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from kongtx.schema import lua
from kongtx.schema.checks import EntityCheck, Errors
from kongtx.schema.context import Context
from kongtx.schema.errors import (
    IMMUTABLE,
    MISSING_PK,
    REQUIRED,
    DefinitionError,
    FieldError,
    SchemaViolation,
    ShorthandViolation,
)
from kongtx.schema.field import ABSENT, INSERT, RAW, UPDATE, Field, Mode
from kongtx.schema.record import (
    Operation,
    Plan,
    Record,
    adjust,
    require_records,
)
from kongtx.schema.transformations import Transformation


def _alike(left: Any, right: Any) -> bool:
    """Whether values are the same but for the order of lists."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(item in right for item in left)
    return bool(left == right)


@attrs.frozen
class ForeignLookup:
    """A foreign field that names its entity by something else than the primary key.

    @ivar field: the field's name, as in C{service}.
    @ivar entity: the schema name of the entity it refers to.
    @ivar candidates: unique fields given, with their values, in the order to try.
    """

    field: str
    entity: str
    candidates: tuple[tuple[str, Any], ...]


class Subschema:
    """What one kind of an entity (one plugin, one vault, one protocol) puts in place of fields.

    @param fields: replacements of the parent's fields of the same name and type.
    @param entity_checks: run after the parent's.
    @param transformations: run after the parent's.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        *,
        entity_checks: Iterable[EntityCheck] = (),
        transformations: Iterable[Transformation] = (),
    ) -> None:
        self.fields = require_records(fields)
        self.entity_checks = tuple(entity_checks)
        self.transformations = tuple(transformations)

    def to_schema_json(self) -> dict[str, Any]:
        """The body of ``/schemas/plugins/{name}`` and ``/schemas/vaults/{name}``."""
        return {
            "fields": [{name: field.to_json()} for name, field in self.fields.items()],
            "entity_checks": [check.to_json() for check in self.entity_checks],
        }


class Schema(Record):
    """The definition of an entity.

    @param name: the entity's name (C{services}).
    @param fields: name to field, in the order in which they are shown.
    @param primary_key: names of the fields that identify a row.
    @param endpoint_key: a field usable instead of the id in URLs and references.
    @param cache_key: fields that together are unique and under which the entity is cached.
    @param workspaceable: whether rows belong to a workspace, and unique values are unique in it.
    @param ttl: whether rows may expire.
    @param db_export: whether exports hold the entity.
    @param generate_admin_api: whether the Admin API has endpoints for it.
    @param admin_path: the collection's path (C{key-sets}); the name when not given.
    @param nested_name: the path below a parent's (C{key-auth}); the admin path when not given.
    @param subschema_key: the field whose value chooses a subschema.
    @param subschema_error: the text for an unknown one; C{%s} is its name.
    @param entity_checks, shorthand_fields, transformations: see C{Record}.
    """

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Field],
        *,
        primary_key: Sequence[str] = ("id",),
        endpoint_key: str | None = None,
        cache_key: Sequence[str] = (),
        workspaceable: bool = False,
        ttl: bool = False,
        db_export: bool = True,
        generate_admin_api: bool = True,
        admin_path: str | None = None,
        nested_name: str | None = None,
        subschema_key: str | None = None,
        subschema_error: str = "unknown type: %s",
        entity_checks: Iterable[EntityCheck] = (),
        shorthand_fields: Mapping[str, Field] | None = None,
        transformations: Iterable[Transformation] = (),
    ) -> None:
        # Fields are copied, so that two registries can link the same definition differently.
        own = {key: field.extend() for key, field in require_records(fields).items()}
        super().__init__(
            own,
            entity_checks=entity_checks,
            shorthand_fields=shorthand_fields,
            transformations=transformations,
        )
        self.name = name
        self.primary_key = tuple(primary_key)
        self.endpoint_key = endpoint_key
        self.cache_key = tuple(cache_key)
        self.workspaceable = workspaceable
        self.ttl = ttl
        self.db_export = db_export
        self.generate_admin_api = generate_admin_api
        self.admin_path = admin_path or name
        self.nested_name = nested_name or self.admin_path
        self.subschema_key = subschema_key
        self.subschema_error = subschema_error
        self.subschemas: dict[str, Subschema] = {}
        self._plans: dict[str, Plan] = {}
        self.unvalidated = frozenset(("updated_at", "ttl") if ttl else ("updated_at",))
        self.foreign_fields: dict[str, Field] = {
            key: field for key, field in self.fields.items() if field.kind == "foreign"
        }
        self.unique_fields = tuple(key for key, field in self.fields.items() if field.get("unique"))
        self.tags = "tags" in self.fields
        # A shorthand named as a field changes that field on reads as well (upstreams do this).
        self._rewrites = any(key in self.fields for key in self.shorthand_fields)
        for key in (*self.primary_key, *self.cache_key, *filter(None, (endpoint_key,))):
            if key not in self.fields:
                raise DefinitionError(f"{name}: the key field '{key}' is not defined")

    def __repr__(self) -> str:
        return f"<Schema {self.name}>"

    # -- subschemas

    def add_subschema(self, key: str, subschema: Subschema) -> None:
        """Register what one kind puts in place of this entity's fields.

        @raise DefinitionError: it adds a field, or changes the type of one.
        """
        if self.subschema_key is None:
            raise DefinitionError(
                f"error in definition of '{key}': entities of type '{self.name}' "
                "cannot have subschemas"
            )
        for name, field in subschema.fields.items():
            parent = self.fields.get(name)
            if parent is None:
                raise DefinitionError(
                    f"error in definition of '{key}': {name}: cannot create a new field"
                )
            if parent.kind != field.kind and (parent.kind, field.kind) != ("record", "json"):
                raise DefinitionError(
                    f"error in definition of '{key}': {name}: "
                    "cannot change type in a specialized field"
                )
        self.subschemas[key] = subschema
        self._plans.pop(key, None)

    def subschema_name(self, data: Mapping[str, Any]) -> str | None:
        """The name of the subschema that applies to this data, if a known one does."""
        if self.subschema_key is None:
            return None
        key = data.get(self.subschema_key)
        if isinstance(key, str):
            return key if key in self.subschemas else None
        if isinstance(key, list):
            for item in key:
                if isinstance(item, str) and item in self.subschemas:
                    return item
        return None

    def plan(self, data: Mapping[str, Any]) -> Plan:
        if self.subschema_key is None:
            return self._plan
        name = self.subschema_name(data)
        if name is None:
            return self._plan
        plan = self._plans.get(name)
        if plan is None:
            subschema = self.subschemas[name]
            plan = self._plans[name] = Plan(
                {**self.fields, **subschema.fields},
                (self.entity_checks, subschema.entity_checks),
            )
        return plan

    def _transformations(self, data: Mapping[str, Any]) -> Sequence[Transformation]:
        name = self.subschema_name(data)
        if name is None:
            return self.transformations
        return self.transformations + self.subschemas[name].transformations

    # -- writing

    def process_insert(
        self, data: Mapping[str, Any], context: Context, *, transform: bool = True
    ) -> dict[str, Any]:
        """The entity to store for what a client sent to create one.

        @param data: what was sent; foreign fields are objects with the parent's id, or null.
        @param context: the moment, and makers of ids and secrets.
        @param transform: whether to run write transformations (hash passwords...).
        @raise SchemaViolation: the data is not acceptable.
        @raise TransformationError: a transformation failed.
        """
        return self._write(data, "insert", context, transform)

    def process_upsert(
        self, data: Mapping[str, Any], context: Context, *, transform: bool = True
    ) -> dict[str, Any]:
        """As C{process_insert}, for PUT: put the key of the URL into C{data} first."""
        return self._write(data, "upsert", context, transform)

    def process_update(
        self,
        data: Mapping[str, Any],
        stored: Mapping[str, Any],
        context: Context,
        *,
        transform: bool = True,
    ) -> dict[str, Any]:
        """The entity to store for what a client sent to change one: records merge deeply.

        @param data: what was sent.
        @param stored: the entity as it is.
        @param context: the moment, and makers of ids and secrets.
        @param transform: whether to run write transformations.
        @raise SchemaViolation: the merged entity is not acceptable, or an immutable field changes.
        @raise TransformationError: a transformation failed.
        """
        before = self.hide_shorthands(stored)
        if self.subschema_key is not None and self.subschema_key not in data:
            # Else the parts that a subschema defines could not be processed.
            data = {self.subschema_key: before.get(self.subschema_key), **data}
        try:
            changes = self.process(data, "update", context)
        except ShorthandViolation as error:
            raise SchemaViolation(error.fields) from None
        fixed: Errors = {
            name: IMMUTABLE
            for name in self.plan(before).immutable
            if name in changes
            and before.get(name) is not None
            and not _alike(changes[name], before[name])
        }
        if fixed:
            raise SchemaViolation(fixed)
        merged = self._merged(changes, before, context)
        errors = self.validate(merged, full=False, mode=UPDATE, original=data, stored=before)
        if errors:
            raise SchemaViolation(errors)
        if transform:
            merged = self.transform(merged, data)
        return self._settle(self._complete(merged))

    def _merged(
        self, changes: dict[str, Any], before: dict[str, Any], context: Context
    ) -> dict[str, Any]:
        """Changes over what was; of another kind, what the old kind defined is not kept."""
        if self.subschema_name(changes) == self.subschema_name(before):
            return self.merge(changes, before)
        own = {name for name, field in self.fields.items() if field.get("abstract")}
        rest = {name: value for name, value in before.items() if name not in own}
        merged = self.merge(changes, rest)
        for name, field in self.plan(merged).items:
            if name in own:
                value = adjust(field, changes.get(name, ABSENT), "insert", context)
                if value is not ABSENT:
                    merged[name] = value
        return merged

    def _complete(self, merged: dict[str, Any]) -> dict[str, Any]:
        """Absent fields as null, required ones left null as their default, as reads show it."""
        out = self.process(merged, "select")
        if self.ttl and "ttl" in merged:
            out["ttl"] = merged["ttl"]
        return out

    def _write(
        self,
        data: Mapping[str, Any],
        operation: Operation,
        context: Context,
        transform: bool,
    ) -> dict[str, Any]:
        try:
            entity = self.process(data, operation, context)
        except ShorthandViolation as error:
            raise SchemaViolation(error.fields) from None
        errors = self.validate(entity, mode=INSERT, original=data)
        if errors:
            raise SchemaViolation(errors)
        if transform:
            entity = self.transform(entity, data)
        if self._rewrites:
            entity = self._complete(entity)
        return self._settle(entity)

    def _settle(self, entity: dict[str, Any]) -> dict[str, Any]:
        """Foreign fields reduced to primary keys, in lower case."""
        for name, field in self.foreign_fields.items():
            value = entity.get(name)
            if isinstance(value, dict):
                keys = field.target.primary_key if field.target is not None else ("id",)
                entity[name] = {
                    key: item.lower() if isinstance(item := value.get(key), str) else item
                    for key in keys
                }
        return entity

    def read(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The entity as reads show it: read transformations, defaults of required fields left null,
        and deprecated shorthands echoed. Fields that the schema does not know are dropped.
        """
        data = dict(stored)
        if any(item.on_read for item in self._transformations(data)):
            data = self.transform(data, reading=True)
        out = self.present(self.process(self.hide_shorthands(data), "select"))
        if self.ttl:
            out["ttl"] = data.get("ttl")
        return out

    # -- validation

    def validate(
        self,
        data: Mapping[str, Any],
        *,
        full: bool = True,
        mode: Mode = RAW,
        original: Mapping[str, Any] | None = None,
        stored: Mapping[str, Any] | None = None,
    ) -> Errors:
        """Everything wrong with an entity; empty when it is good. See C{Record.errors}."""
        if self.subschema_key is not None and self.subschema_name(data) is None:
            # Without a known kind nothing more can be said.
            return {self.subschema_key: self._subschema_failure(data.get(self.subschema_key))}
        return self.errors(data, mode, full=full, original=original, stored=stored)

    def _subschema_failure(self, key: Any) -> str:
        if key is None:
            return REQUIRED
        if isinstance(key, list):
            key = key[0] if key else "nil"
        return self.subschema_error.replace("%s", lua.tostring(key))

    def validate_primary_key(self, key: Any, *, ignore_others: bool = False) -> Errors:
        """What is wrong with a primary key such as ``{"id": "..."}``; empty when it is good."""
        errors: Errors = {}
        values = key if isinstance(key, dict) else {}
        for name in self.primary_key:
            field = self.fields[name]
            value = values.get(name, ABSENT)
            if value is ABSENT or value is False:
                errors[name] = MISSING_PK
            elif value is None and (field.required or field.auto):
                errors[name] = REQUIRED
            else:
                error = field.validate(value)
                if error is not None:
                    errors[name] = error
        if not ignore_others:
            for name in values:
                if name not in self.primary_key:
                    errors[name] = "not a primary key"
        return errors

    def validate_foreign(self, value: Any, mode: Mode) -> FieldError | None:
        """What is wrong with a reference to an entity of this schema, or None."""
        errors = self.validate_primary_key(value, ignore_others=True)
        if errors and isinstance(value, dict):
            raw = UPDATE if mode.updating else RAW
            return self.validate(value, full=False, mode=raw) or errors
        return errors or None

    def validate_unique(self, name: str, value: Any) -> FieldError | None:
        """The error of a value looked up in a unique field or endpoint key (Kong's code 10)."""
        return self.fields[name].validate(value)

    # -- keys

    def primary_key_of(self, entity: Mapping[str, Any]) -> dict[str, Any]:
        """The primary key of an entity, as in ``{"id": "..."}``."""
        return {name: entity.get(name) for name in self.primary_key}

    def cache_key_of(self, entity: Mapping[str, Any], workspace: str = "") -> str:
        """The text under which an entity is cached and, with several fields, kept unique.

        Seven parts joined by colons: the schema's name, up to five values of C{cache_key} fields
        (of the primary key when all of those are null), the workspace's id.
        Source: Kong: C{DAO:cache_key}.
        """
        values = [self._key_part(name, entity) for name in self.cache_key]
        if not any(values):
            values = [self._key_part(name, entity) for name in self.primary_key]
        values += [""] * (5 - len(values))
        return ":".join((self.name, *values, workspace if self.workspaceable else ""))

    def _key_part(self, name: str, entity: Mapping[str, Any]) -> str:
        value = entity.get(name)
        if isinstance(value, dict) and name in self.foreign_fields:
            value = value.get("id")
        return "" if value is None else lua.tostring(value)

    def foreign_lookups(self, data: Mapping[str, Any]) -> list[ForeignLookup]:
        """Foreign fields given by a unique field, as in ``{"service": {"name": "users"}}``.

        The store replaces each value by ``{"id": ...}`` before processing, or answers that the
        foreign key is unresolved.
        """
        out: list[ForeignLookup] = []
        for name, field in self.foreign_fields.items():
            value = data.get(name)
            target = field.target
            if target is None or not isinstance(value, dict):
                continue
            if not target.validate_primary_key(value, ignore_others=True):
                continue
            candidates = tuple(
                (key, value[key])
                for key in target.unique_fields
                if value.get(key) is not None and target.fields[key].validate(value[key]) is None
            )
            if candidates:
                out.append(ForeignLookup(name, target.name, candidates))
        return out

    # -- shown

    def to_schema_json(self) -> dict[str, Any]:
        """The body of ``/schemas/{entity}``."""
        return {
            "fields": [{name: field.to_json()} for name, field in self.fields.items()],
            "entity_checks": [check.to_json() for check in self.entity_checks],
        }
