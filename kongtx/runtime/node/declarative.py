"""The declarative configuration of a node without database: read at start, replaced as a whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from zope.interface import implementer

from kongtx.admin.interfaces import IDeclarativeLoader
from kongtx.conf import Configuration
from kongtx.db.declarative import (
    Configuration as Declared,
)
from kongtx.db.declarative import (
    DeclarativeError,
    DeclarativeFormat,
    content_hash,
    export_yaml,
    exported_entities,
    transformed,
)
from kongtx.db.interfaces import ISnapshotLoader
from kongtx.db.store import Store
from kongtx.errors import KongtxError
from kongtx.runtime.node.identity import master_of

Entity = dict[str, Any]

log = Logger()


class DeclarativeFileError(KongtxError):
    """The file or text that the configuration names is not acceptable; says where and why."""


@attrs.frozen
class _Configured:
    """The configuration that properties name; C{what} it is called in errors."""

    filename: str | None
    content: bytes
    what: str


@implementer(IDeclarativeLoader)
class DeclarativeLoader:
    """Loads declarative configurations into a connector that keeps nothing else.

    @param generation: of this worker; see L{kongtx.runtime.interfaces.NodeContext}.
    @param loaded: called when another configuration is in force; what it returns is waited for.
    """

    def __init__(
        self,
        store: Store,
        conf: Configuration,
        generation: int,
        loaded: Callable[[], Deferred[None]],
    ) -> None:
        self._store = store
        self._conf = conf
        self._generation = generation
        self._loaded = loaded
        self._connector = ISnapshotLoader(store.connector)
        self._format = DeclarativeFormat(store.registry)

    async def load_configured(self) -> None:
        """Load what C{declarative_config} or C{declarative_config_string} names, if either does.

        The first worker of a generation loads it for the node. The others find it done, and so does
        one that is started again: what was loaded since stays in force.

        @raise DeclarativeFileError: if it is not acceptable.
        """
        configured = self._configured()
        if configured is None:
            return
        mark = f"{master_of(self._conf)} {self._generation}\n".encode()
        lock = os.open(self._conf.prefixed("declarative.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            # Workers start side by side and wait here for each other; nothing else runs yet.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.pread(lock, len(mark) + 1, 0) != mark:
                await self._begin_with(configured)
                os.ftruncate(lock, 0)
                os.pwrite(lock, mark, 0)
        finally:
            os.close(lock)

    def _configured(self) -> _Configured | None:
        path, text = self._conf.declarative_config, self._conf.declarative_config_string
        if path:
            try:
                content = Path(path).read_bytes()
            except OSError as error:
                raise DeclarativeFileError(
                    f"declarative_config: cannot read {path}: {error.strerror}"
                ) from error
            return _Configured(path, content, f"declarative config file {path}")
        return _Configured(None, text.encode(), "declarative string") if text else None

    async def _begin_with(self, configured: _Configured) -> None:
        if await self._connector.digest() == content_hash(configured.content):
            return
        try:
            declared = self._format.parse_text(
                configured.content, self._store.context(), filename=configured.filename
            )
        except DeclarativeError as error:
            raise DeclarativeFileError(
                f"error parsing {configured.what}:\n{error.tree()}"
            ) from error
        await self._connector.load(self._stored(declared), declared.hash)

    def digest(self) -> Deferred[str]:
        """The digest of the configuration in force; 32 zeros when it is empty."""
        return self._connector.digest()

    async def export(self) -> str:
        """The configuration in force, as YAML."""
        entities: dict[str, list[Entity]] = {}
        for name in exported_entities(self._store.registry):
            entities[name] = [row async for row in self._store[name].each_stored()]
        parts: list[str] = []
        export_yaml(entities, self._store.registry, parts.append)
        return "".join(parts)

    async def load(
        self, document: str | Mapping[str, Any], unless: str | None = None
    ) -> dict[str, dict[str, Entity]] | None:
        """Replace the configuration by another.

        @param document: YAML or JSON text, or the parsed document.
        @param unless: the digest for which nothing is to be done.
        @return: the entities by schema name and key, complete, with secrets as they were given,
            workspaces left out; L{None} when nothing was to be done.
        @raise DeclarativeError: it is not acceptable; nothing changed.
        @raise kongtx.db.errors.ConfigurationTooLargeError: it does not fit; nothing changed.
        """
        if unless is not None and isinstance(document, str) and content_hash(document) == unless:
            return None
        parse = self._format.parse_text if isinstance(document, str) else self._format.parse
        # Parsing takes seconds for large ones; requests go on meanwhile.
        declared = await deferToThread(parse, document, self._store.context())  # type: ignore[arg-type]
        await self._connector.load(self._stored(declared), declared.hash)
        await self._loaded()
        return {name: rows for name, rows in declared.entities.items() if name != "workspaces"}

    def _stored(self, declared: Declared) -> dict[str, list[Entity]]:
        for warning in declared.warnings:
            log.warn("{warning}", warning=warning)
        stored: dict[str, list[Entity]] = {}
        for name, entity in transformed(declared, self._store.registry):
            stored.setdefault(name, []).append(self._store[name].restored(entity).entity)
        return stored
