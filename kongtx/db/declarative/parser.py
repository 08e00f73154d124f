"""Declarative configuration: a document of nested entities as flat, complete, checked entities.

Pure: no database, no files; everything wrong is found at once, and nothing is half accepted.

Source: Kong: C{kong/db/schema/others/declarative_config.lua}, C{kong/db/declarative/init.lua}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from kongtx.db.declarative.errors import DeclarativeError
from kongtx.db.declarative.identity import stable_id
from kongtx.db.declarative.migration import migrate
from kongtx.db.declarative.reading import check_depth, content_hash, read
from kongtx.db.declarative.references import Flattened, flatten
from kongtx.db.declarative.tree import ErrorTree, merge_errors, null_errors
from kongtx.db.declarative.variants import COMMENTS, Variants, child_fields, known_entities
from kongtx.db.interfaces import EMPTY_DIGEST
from kongtx.entities import DEFAULT_WORKSPACE
from kongtx.schema import Context, Field, Record, SchemaRegistry, boolean, string
from kongtx.schema.errors import UNKNOWN, ShorthandViolation
from kongtx.schema.field import INSERT, copy_value
from kongtx.schema.secrets import deprecations

VERSIONS = ("1.1", "2.1", "3.0")

Entities = dict[str, dict[str, dict[str, Any]]]
#: Called now and then with how many entities are done and how many there are.
Progress = Callable[[int, int], None]
_PROGRESS_STEP = 1000


@attrs.frozen
class Configuration:
    """What a document holds.

    @ivar entities: by entity name, in dependency order, then by primary key: complete entities
        with foreign keys as ``{"id": ...}``, not transformed.
    @ivar transform: whether write transformations are still to run (C{_transform}).
    @ivar hash: MD5 of the text or, without one, of the document; 32 zeros when there are no
        entities.
    @ivar warnings: of deprecated fields that the document uses.
    """

    entities: Entities
    transform: bool
    hash: str
    warnings: tuple[str, ...] = ()


@attrs.define(eq=False)
class Node:
    """One entity of a document.

    @ivar entity: its schema's name.
    @ivar path: keys and positions (from one) that lead to it.
    @ivar own: what was written, but for its children, with an id.
    @ivar parent: the entity it is nested in.
    @ivar parent_field: its foreign field to that.
    @ivar lasting: whether its id is the same at every load.
    @ivar processed: complete, with foreign keys as written.
    """

    entity: str
    path: tuple[str | int, ...]
    own: dict[str, Any]
    parent: Node | None
    parent_field: str | None
    lasting: bool
    processed: dict[str, Any] = attrs.field(factory=dict)


_DOCUMENT = Record(
    {
        "_format_version": string(required=True, one_of=list(VERSIONS)),
        "_transform": boolean(),
        **COMMENTS,
    }
)


class DeclarativeFormat:
    """Reads configurations for the entities and plugins of a registry.

    @param registry: all entities and plugins in use.
    """

    def __init__(self, registry: SchemaRegistry) -> None:
        self.registry = registry
        self.children = child_fields(registry)
        self._known = known_entities(registry)
        self._variants = {name: Variants(registry[name]) for name in self._known}

    def parse_text(
        self,
        text: str | bytes,
        context: Context,
        *,
        filename: str | None = None,
        default_workspace: bool = True,
        progress: Progress | None = None,
    ) -> Configuration:
        """As C{parse}, for JSON or YAML text; see C{reading.read} for C{filename}."""
        document = read(text, filename)
        return self.parse(
            document,
            context,
            hash=content_hash(text),
            default_workspace=default_workspace,
            progress=progress,
        )

    def parse(
        self,
        document: Mapping[str, Any],
        context: Context,
        *,
        hash: str | None = None,  # noqa: A002 - the field's own name
        default_workspace: bool = True,
        progress: Progress | None = None,
    ) -> Configuration:
        """The entities of a document.

        @param document: as read; not changed.
        @param context: the moment, and makers of ids and secrets.
        @param hash: that of the text, if there is one.
        @param default_workspace: whether to add the workspace C{default} when there is none.
        @param progress: told how many entities are done.
        @raise DeclarativeError: something is wrong; everything wrong is in it.
        """
        if hash is None:
            _check_shape(document)
        migrated = migrate(dict(document))
        reading = _Reading(self._variants, self.children, context, progress)
        errors = reading.read(migrated, self._known)
        if errors:
            raise self._refused(errors, migrated)
        flattened = flatten(reading.nodes, self.registry)
        if flattened.errors:
            raise self._refused(flattened.errors, _with_ids(migrated, reading.nodes))
        entities = self._ordered(flattened)
        empty = not any(name != "workspaces" for name in entities)
        if default_workspace:
            self._add_workspace(entities, context)
        if hash is None:
            hash = content_hash(json.dumps(document, default=str))  # noqa: A001
        return Configuration(
            entities,
            migrated.get("_transform") is not False,
            EMPTY_DIGEST if empty else hash,
            reading.warnings(),
        )

    def _refused(self, errors: dict[str, Any], document: dict[str, Any]) -> DeclarativeError:
        return DeclarativeError(errors, document, self.children)

    def _ordered(self, flattened: Flattened) -> Entities:
        return {
            name: flattened.entities[name] for name in self._known if name in flattened.entities
        }

    def _add_workspace(self, entities: Entities, context: Context) -> None:
        workspaces = entities.get("workspaces", {})
        if not any(workspace["name"] == "default" for workspace in workspaces.values()):
            added = self.registry["workspaces"].process_insert(
                {"id": DEFAULT_WORKSPACE, "name": "default"}, context
            )
            rest = {name: found for name, found in entities.items() if name != "workspaces"}
            entities.clear()
            entities["workspaces"] = {**workspaces, DEFAULT_WORKSPACE: added}
            entities.update(rest)


class _Reading:
    """One pass over a document, and a second one when the first finds something wrong."""

    def __init__(
        self,
        variants: Mapping[str, Variants],
        children: Mapping[str, Mapping[str, str]],
        context: Context,
        progress: Progress | None,
    ) -> None:
        self.nodes: list[Node] = []
        self._variants = variants
        self._children = children
        self._context = context
        self._progress = progress
        self._total = 0
        self._structure = ErrorTree()
        self._found = ErrorTree()

    def read(self, document: dict[str, Any], known: list[str]) -> dict[str, Any]:
        """Fill C{nodes}; returns everything wrong with the document."""
        head = {name: value for name, value in document.items() if name not in self._variants}
        for name, error in _DOCUMENT.errors(_DOCUMENT.process(head, "insert"), INSERT).items():
            self._structure.add((name,), error)
        if "updated_at" in head:  # no entity's, so nothing excuses it here
            self._structure.add(("updated_at",), UNKNOWN)
        if self._progress is not None:
            self._total = sum(_count(document, self._children, name) for name in known)
        for name in known:
            self._list(name, document.get(name), (name,), None, None)
        if self._progress is not None:
            self._progress(len(self.nodes), self._total)
        if not self._found and not self._structure:
            return {}
        resolved = ErrorTree()
        if self._found:
            self._check_resolved(resolved)
        # An error of the first pass only counts when the second has it too, but for references
        # given where the nesting already says them.
        found = merge_errors(resolved.root, null_errors(self._found.root) if resolved else {})
        errors = ErrorTree(merge_errors(self._structure.root, found))
        return errors.to_json() if errors else {}

    def warnings(self) -> tuple[str, ...]:
        """What to warn of; plugins are the entities that have deprecated fields."""
        found: dict[str, None] = {}
        for node in self.nodes:
            if node.entity == "plugins":
                schema = self._variants[node.entity].schema
                found.update(dict.fromkeys(deprecations(schema, node.own)))
        return tuple(found)

    def _list(
        self,
        entity: str,
        items: Any,
        path: tuple[str | int, ...],
        parent: Node | None,
        parent_field: str | None,
    ) -> None:
        if items is None:
            return
        if not isinstance(items, list):
            self._structure.add(path, "expected an array")
            return
        for index, item in enumerate(items, 1):
            if isinstance(item, dict):
                self._item(entity, item, (*path, index), parent, parent_field)
            else:
                text = "required field missing" if item is None else "expected a record"
                self._structure.add((*path, index), text)

    def _item(
        self,
        entity: str,
        item: dict[str, Any],
        path: tuple[str | int, ...],
        parent: Node | None,
        parent_field: str | None,
    ) -> None:
        variants = self._variants[entity]
        children = self._children[entity]
        own = {name: value for name, value in item.items() if name not in children}
        lasting = "id" in own
        if not lasting and "id" in variants.schema.fields:
            parent_id = parent.own.get("id") if parent is not None and parent.lasting else None
            made = stable_id(variants.schema, own, parent_field, parent_id)
            lasting = made is not None
            own["id"] = made or self._context.new_id()
        node = Node(entity, path, own, parent, parent_field, lasting)
        self.nodes.append(node)
        if self._progress is not None and len(self.nodes) % _PROGRESS_STEP == 0:
            self._progress(len(self.nodes), self._total)
        variant = variants.top if parent is None else variants.nested
        try:
            node.processed = variant.process(own, "insert", self._context)
        except ShorthandViolation as error:
            self._found.add(path, error.fields)
        else:
            errors = variant.errors(node.processed, INSERT)
            if errors:
                self._found.add(path, errors)
        for child, field in children.items():
            if child in item:
                self._list(child, item[child], (*path, child), node, field)

    def _check_resolved(self, into: ErrorTree) -> None:
        """Validate again with the references looked up in the document."""
        by_key: dict[tuple[str, str], str] = {}
        for node in self.nodes:
            schema = self._variants[node.entity].schema
            identity = node.own.get("id")
            if not isinstance(identity, str):
                continue
            by_key.setdefault((node.entity, identity.lower()), identity)
            name = node.own.get(schema.endpoint_key) if schema.endpoint_key else None
            if isinstance(name, str):
                by_key.setdefault((node.entity, name), identity)
        for node in self.nodes:
            variants = self._variants[node.entity]
            data = dict(node.own)
            parent_field = node.parent_field
            if node.parent is not None and parent_field and data.get(parent_field) is None:
                data[parent_field] = {"id": node.parent.own.get("id")}
            for name, field in variants.schema.foreign_fields.items():
                value = data.get(name)
                if isinstance(value, str):
                    found = by_key.get((field.reference, value)) or by_key.get(
                        (field.reference, value.lower())
                    )
                    data[name] = value if found is None else {"id": found}
            try:
                processed = variants.resolved.process(data, "insert", self._context)
            except ShorthandViolation as error:
                into.add(node.path, error.fields)
            else:
                errors = variants.resolved.errors(processed, INSERT)
                if errors:
                    into.add(node.path, errors)


def _check_shape(document: Mapping[str, Any]) -> None:
    """What was not read here may be nested without end."""
    try:
        check_depth(document)
    except ValueError as error:
        raise DeclarativeError({"error": str(error)}) from None


def _with_ids(document: dict[str, Any], nodes: list[Node]) -> dict[str, Any]:
    """A copy of a document with the ids that its entities got, where they are lasting."""
    out: dict[str, Any] = copy_value(document)
    for node in nodes:
        place: Any = out
        for step in node.path:
            place = place[step - 1 if isinstance(step, int) else step]
        if node.lasting:
            place.setdefault("id", node.own["id"])
    return out


def _count(item: Mapping[str, Any], children: Mapping[str, Mapping[str, str]], name: str) -> int:
    items = item.get(name)
    if not isinstance(items, list):
        return 0
    return len(items) + sum(
        _count(each, children, child)
        for each in items
        if isinstance(each, dict)
        for child in children[name]
        if child in each
    )


def transformed(
    configuration: Configuration, registry: SchemaRegistry
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each entity as it is to be stored, with its entity's name, parents first.

    Passwords are hashed here, unless the document says C{_transform: false}.
    """
    for name, rows in configuration.entities.items():
        schema = registry[name]
        for row in rows.values():
            yield name, schema.transform(dict(row)) if configuration.transform else row


__all__ = [
    "Configuration",
    "DeclarativeFormat",
    "Entities",
    "Field",
    "Progress",
    "transformed",
]
