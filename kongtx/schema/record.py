"""Records: ordered fields with shorthands, checks and transformations.

A record is the body of an entity, of a plugin's configuration and of every nested record field.
Processing (C{process}) fills in what was not sent; validation (C{errors}) only looks.

Source: Kong: C{kong/db/schema/init.lua}, C{process_auto_fields} and C{validate}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from kongtx.schema import lua
from kongtx.schema.checks import BoundCheck, EntityCheck, Errors, add_entity_error
from kongtx.schema.context import Context
from kongtx.schema.errors import (
    ENTITY,
    REQUIRED,
    UNKNOWN,
    FieldError,
    ShorthandViolation,
    TransformationError,
)
from kongtx.schema.field import ABSENT, INSERT, Field, Mode, copy_value
from kongtx.schema.paths import get_path
from kongtx.schema.transformations import Transformation, arguments_of, check_transformation

Operation = Literal["insert", "update", "upsert", "select"]


class Plan:
    """The fields that apply to an entity (its subschema's in place of the abstract ones)."""

    __slots__ = ("_checks", "checks_of", "fields", "immutable", "items", "required")

    def __init__(
        self, fields: Mapping[str, Field], checks_of: Sequence[Sequence[EntityCheck]]
    ) -> None:
        self.fields = dict(fields)
        self.items = tuple(self.fields.items())
        self.required = tuple(name for name, field in self.items if field.required)
        self.immutable = tuple(name for name, field in self.items if field.get("immutable"))
        self.checks_of = checks_of
        self._checks: tuple[BoundCheck, ...] | None = None

    @property
    def checks(self) -> tuple[BoundCheck, ...]:
        """The entity checks, compiled on first use."""
        if self._checks is None:
            self._checks = tuple(
                check.bind(self.fields) for checks in self.checks_of for check in checks
            )
        return self._checks


class Record:
    """Named fields in order, with what holds between them.

    @param fields: name to field, in the order in which they are shown.
    @param entity_checks: checks over several fields.
    @param shorthand_fields: fields accepted on writes that stand for others (their C{func}).
    @param transformations: see C{Transformation}.
    """

    #: Names that are never refused as unknown fields.
    unvalidated: frozenset[str] = frozenset(("updated_at",))

    def __init__(
        self,
        fields: Mapping[str, Field],
        *,
        entity_checks: Iterable[EntityCheck] = (),
        shorthand_fields: Mapping[str, Field] | None = None,
        transformations: Iterable[Transformation] = (),
    ) -> None:
        self.fields: dict[str, Field] = dict(fields)
        self.entity_checks = tuple(entity_checks)
        self.shorthand_fields: dict[str, Field] = dict(shorthand_fields or {})
        self.transformations = tuple(transformations)
        self._plan = Plan(self.fields, (self.entity_checks,))

    def plan(self, data: Mapping[str, Any]) -> Plan:
        """The fields that apply to this data."""
        return self._plan

    def with_required_records(self) -> Record:
        """This record with nested records required unless they say otherwise, as in entities."""
        return Record(
            require_records(self.fields),
            entity_checks=self.entity_checks,
            shorthand_fields=self.shorthand_fields,
            transformations=self.transformations,
        )

    def to_json(self) -> dict[str, Any]:
        """Fields, checks and shorthands as C{/schemas} shows them."""
        out: dict[str, Any] = {
            "fields": [{name: field.to_json()} for name, field in self.fields.items()]
        }
        if self.entity_checks:
            out["entity_checks"] = [check.to_json() for check in self.entity_checks]
        if self.shorthand_fields:
            out["shorthand_fields"] = [
                {name: field.to_json()} for name, field in self.shorthand_fields.items()
            ]
        return out

    # -- processing

    def process(
        self, data: Mapping[str, Any], operation: Operation, context: Context | None = None
    ) -> dict[str, Any]:
        """A new dict with shorthands expanded, automatic values, defaults and explicit nulls.

        On updates only what was sent is there. Values of wrong types pass through, for validation
        to report.

        @param data: the fields sent; not changed.
        @param operation: what is being done.
        @param context: needed when the record has automatic fields.
        @raise ShorthandViolation: a shorthand has a bad value.
        """
        if self.shorthand_fields:
            data = self._expand_shorthands(data)
        plan = self.plan(data)
        out: dict[str, Any] = {}
        known = 0
        for name, field in plan.items:
            value = data.get(name, ABSENT)
            if value is not ABSENT:
                known += 1
            if field.auto and context is not None and operation != "select":
                value = _automatic(name, field, value, operation, context)
            value = (adjust if field.composite else _scalar)(field, value, operation, context)
            if value is not ABSENT:
                out[name] = value
        if known != len(data) and operation != "select":
            fields = plan.fields
            for name, value in data.items():
                # Accepted and ignored wherever it is sent, even where there is no such field.
                if name not in fields and name != "updated_at":
                    out[name] = value
        return out

    def _expand_shorthands(self, data: Mapping[str, Any]) -> dict[str, Any]:
        out = dict(data)
        errors: Errors = {}
        for name, field in self.shorthand_fields.items():
            value = out.get(name, ABSENT)
            if value is ABSENT:
                continue
            error = field.validate(value) or _mismatch(out, name, field, value)
            if error is not None:
                errors[name] = error
                continue
            del out[name]
            self._merge_shorthand(out, field, field.attributes["func"](value))
        if errors:
            raise ShorthandViolation(errors)
        return out

    @staticmethod
    def _merge_shorthand(
        out: dict[str, Any], field: Field, values: Mapping[str, Any] | None
    ) -> None:
        """Put what a shorthand stands for in place; a deprecated one yields to values sent."""
        deprecated = field.get("deprecation") is not None
        for key, value in (values or {}).items():
            current = out.get(key)
            if isinstance(value, dict) and isinstance(current, dict):
                out[key] = _merge_known(value, current) if deprecated else {**current, **value}
            elif not deprecated or current is None:
                out[key] = copy_value(value)

    def present(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The entity as reads show it: with deprecated shorthands echoed beside what replaced them.

        Nested records included. C{data} holds no shorthands (see C{process}).
        """
        out = dict(data)
        for name, field in self.plan(data).items:
            value = out.get(name)
            if field.record is not None and isinstance(value, dict):
                out[name] = field.record.present(value)
        for name, field in self.shorthand_fields.items():
            shown = _shown(data, field)
            if shown is not ABSENT:
                out[name] = shown
        return out

    def hide_shorthands(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The contrary of C{present}: the entity without the echoes of its shorthands."""
        out = {
            name: value
            for name, value in data.items()
            if name not in self.shorthand_fields or name in self.fields
        }
        for name, field in self.plan(data).items:
            value = out.get(name)
            if field.record is not None and isinstance(value, dict):
                out[name] = field.record.hide_shorthands(value)
        return out

    def merge(self, top: Mapping[str, Any], bottom: Mapping[str, Any] | None) -> dict[str, Any]:
        """Records merged deeply, all else replaced whole; C{top} wins where it says anything."""
        base = bottom or {}
        out = {**base, **top}
        for name, field in self.plan(base or top).items:
            value = top.get(name)
            if field.record is not None and isinstance(value, dict):
                below = base.get(name)
                out[name] = field.record.merge(value, below if isinstance(below, dict) else None)
        return out

    # -- validation

    def errors(
        self,
        data: Mapping[str, Any],
        mode: Mode,
        *,
        full: bool = True,
        original: Mapping[str, Any] | None = None,
        stored: Mapping[str, Any] | None = None,
    ) -> Errors:
        """Everything wrong with processed data; empty when it is good.

        @param data: processed data.
        @param mode: whether texts speak of an update, and whether nested records are processed.
        @param full: whether required fields must be present.
        @param original: what was sent, for transformations.
        @param stored: on updates, the entity before.
        """
        found: Errors = {}
        plan = self.plan(data)
        fields = plan.fields
        for name, value in data.items():
            field = fields.get(name)
            if field is not None:
                error = field.validate(value, mode)
                if error is not None:
                    found[name] = error
            elif name == ENTITY:
                add_entity_error(found, f"{ENTITY}: {UNKNOWN}")
            elif name not in self.unvalidated:
                found[_readable(name)] = UNKNOWN
        for name in plan.required:
            value = data.get(name, ABSENT)
            if value is None or (full and value is ABSENT):
                found[name] = REQUIRED
        if plan.checks:
            entity = dict(data)
            for check in plan.checks:
                check(entity, full, found, mode)
        for transformation in self._transformations(data):
            check_transformation(transformation, data, original, stored, found)
        return found

    def validate_nested(self, value: dict[str, Any], mode: Mode) -> FieldError | None:
        """The errors of a nested record, which is always checked as a complete one."""
        if not mode.processed:
            try:
                value = self.process(value, "insert", _PLACEHOLDERS)
            except ShorthandViolation as error:
                return error.fields
            mode = UPDATE_PROCESSED if mode.updating else INSERT
        return self.errors(value, mode) or None

    # -- transformations

    def _transformations(self, data: Mapping[str, Any]) -> Sequence[Transformation]:
        return self.transformations

    def transform(
        self,
        data: dict[str, Any],
        original: Mapping[str, Any] | None = None,
        *,
        reading: bool = False,
    ) -> dict[str, Any]:
        """Run the transformations for writing (or reading); C{original} is what was sent.

        @raise TransformationError: one of them failed.
        """
        changed = False
        out = data
        for transformation in self._transformations(data):
            function = transformation.on_read if reading else transformation.on_write
            if function is None:
                continue
            arguments: list[Any] | None = [out]
            if transformation.inputs or transformation.needs:
                arguments = arguments_of(transformation, data, original, out if changed else None)
            if arguments is None:
                continue
            try:
                result = function(*arguments)
            except ValueError as error:
                raise TransformationError(f"transformation failed: {error}") from error
            out = self.merge(result, out)
            changed = True
        return out


UPDATE_PROCESSED = Mode(updating=True, processed=True)
#: For nested records that are completed only to be validated.
_PLACEHOLDERS = Context(
    now=1.0,
    new_id=lambda: "00000000-0000-0000-0000-000000000000",
    new_secret=lambda: "0" * 32,
)
_NUMBERS = ("integer", "number")


def _readable(name: Any) -> str:
    """A name that was sent, fit to be part of an answer."""
    return lua.tostring(name).encode(errors="replace").decode()


def require_records(fields: Mapping[str, Field]) -> dict[str, Field]:
    """Fields with records required (deeply) unless they say otherwise; abstract ones untouched."""
    out: dict[str, Field] = {}
    for name, field in fields.items():
        if field.kind == "record" and field.record is not None and not field.get("abstract"):
            changes: dict[str, Any] = {"record": field.record.with_required_records()}
            if "required" not in field.attributes:
                changes["required"] = True
            out[name] = field.extend(**changes)
        else:
            out[name] = field
    return out


def missing(field: Field, context: Context | None = None) -> Any:
    """What stands for a field that was not sent: default, null, nested defaults, or ABSENT."""
    value = field.default()
    if value is not ABSENT:
        # A default may leave out parts that reads show.
        return adjust(field, value, "insert", context) if field.composite else value
    if not field.required:
        return None
    if field.record is not None and not field.get("abstract"):
        return field.record.process({}, "insert", context)
    return ABSENT


def _scalar(field: Field, value: Any, operation: Operation, context: Context | None) -> Any:
    if value is ABSENT:
        return ABSENT if operation == "update" else missing(field, context)
    if value.__class__ is float and value.is_integer() and field.kind in _NUMBERS:
        return int(value)
    if value is None and operation == "select" and field.required:
        return missing(field)
    return value


def _element(field: Field, value: Any, operation: Operation, context: Context | None) -> Any:
    if field.composite:
        return adjust(field, value, operation, context)
    if value.__class__ is str:
        # As where they are made: what refers to an entity is compared with its id as text.
        return value.lower() if field.get("uuid") else value
    if value.__class__ is float and value.is_integer() and field.kind in _NUMBERS:
        return int(value)
    return value


def adjust(field: Field, value: Any, operation: Operation, context: Context | None = None) -> Any:
    """An array, set, map or record with its parts processed; sets lose repeated elements."""
    if value is None and operation == "select" and field.required:
        return missing(field)
    if field.get("abstract"):
        return value
    if field.record is not None:
        if value is ABSENT and operation != "update" and field.required:
            value = missing(field, context)
        if isinstance(value, dict):
            return field.record.process(value, operation, context)
    elif isinstance(value, list) and field.elements is not None:
        elements = field.elements
        value = _without_repeats(value) if field.kind == "set" else list(value)
        value = [_element(elements, item, operation, context) for item in value]
    elif isinstance(value, dict) and field.values is not None:
        values = field.values
        value = {key: _element(values, item, operation, context) for key, item in value.items()}
    if value is ABSENT and operation != "update":
        return missing(field, context)
    return value


def _without_repeats(values: list[Any]) -> list[Any]:
    if len(values) < 2:
        return list(values)
    out: list[Any] = []
    seen: set[tuple[bool, Any]] = set()
    for value in values:
        if not isinstance(value, (dict, list)):
            key = (value.__class__ is bool, value)
            if key in seen:
                continue
            seen.add(key)
        out.append(value)
    return out


def _automatic(name: str, field: Field, value: Any, operation: Operation, context: Context) -> Any:
    creating = operation != "update"
    if field.get("uuid"):
        if value is ABSENT and creating:
            return context.new_id()
        # Stores compare ids as text; UUIDs are the same in either case.
        return value.lower() if isinstance(value, str) else value
    if field.kind == "string":
        return context.new_secret() if value is ABSENT and creating else value
    if name == "updated_at" or (
        name == "created_at" and creating and (value is None or value is ABSENT)
    ):
        if field.kind == "integer":
            return int(context.now)
        return round(context.now, 3)
    return value


def _mismatch(data: Mapping[str, Any], name: str, field: Field, value: Any) -> str | None:
    """The error of a deprecated field sent together with another value of what replaced it."""
    deprecation = field.get("deprecation")
    if value is None or not deprecation:
        return None
    for replacement in deprecation.get("replaced_with") or ():
        path = ".".join(replacement["path"])
        reverse = replacement.get("reverse")
        current = reverse(data) if reverse else get_path(data, path)
        if current is ABSENT or current is None or current is False or current == value:
            continue
        return (
            "both deprecated and new field are used but their values mismatch: "
            f"{name} = {lua.tostring(value)} vs {path} = {lua.tostring(current)}"
        )
    return None


def _shown(data: Mapping[str, Any], field: Field) -> Any:
    replaced_with = (field.get("deprecation") or {}).get("replaced_with")
    if not replaced_with:
        return ABSENT
    reverse = replaced_with[0].get("reverse")
    if reverse is not None:
        return reverse(data)
    return get_path(data, ".".join(replaced_with[0]["path"]))


def _merge_known(values: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(values)
    for key, value in current.items():
        if out.get(key) is None or value is not None:
            out[key] = value
    return out
