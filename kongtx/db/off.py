"""No database: a declarative configuration, held for all processes of the node in LMDB.

Reads are memory-mapped and take microseconds, so they happen at once; the Deferreds of the contract
have always fired. A load writes the new content beside the old in one transaction: readers see
either, whole, and after a crash there is the old or the new.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

import lmdb
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from kongtx.db import errors
from kongtx.db.interfaces import EMPTY_DIGEST, IConnector, ISnapshotLoader
from kongtx.db.paging import Page, Query, Tags, decode_offset, encode_offset
from kongtx.db.tables import Catalogue, Entity, Table, index_text, key_text
from kongtx.db.writes import Change, Delete, Insert, Update, Write
from kongtx.lib.environments import close_environment, open_environment

T = TypeVar("T")

_ROW, _INDEX, _REFERENCE, _TAG, _TAGS, _META = (bytes([mark]) + b"\0" for mark in b"eirtam")
_TOGETHER = "\1together"
_DIGEST = _META + b"digest"
_LONG = 200
_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@implementer(IConnector, ISnapshotLoader)
class OffConnector:
    """The declarative configuration as a database that can only be read, or replaced as a whole.

    @param path: a folder for the LMDB files; made when missing.
    @param reactor: its thread pool loads new content.
    @param map_size: how many bytes the content may take; old and new together during a load.
    @param now: seconds since the epoch, for rows that expire.
    """

    name = "off"
    read_only = True

    def __init__(
        self,
        path: str,
        reactor: IReactorFromThreads,
        map_size: int = 2 << 30,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._reactor = reactor
        self._map_size = map_size
        self._now = now
        self._catalogue = Catalogue.of([])
        self._environment: lmdb.Environment | None = None

    def start(self, catalogue: Catalogue) -> Deferred[None]:
        """Open the files; never before a fork."""
        self._catalogue = catalogue

        def open_files() -> None:
            self._open()

        return execute(open_files)

    def stop(self) -> Deferred[None]:
        """Close the files."""
        if self._environment is not None:
            close_environment(self._environment)
            self._environment = None
        return execute(lambda: None)

    def ping(self) -> Deferred[None]:
        """Read something."""
        return self._read(lambda reader: None)

    def select(self, table: Table, key: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select}."""
        return self._read(lambda reader: reader.select(table, key))

    def select_by(self, table: Table, field: str, value: Any) -> Deferred[Entity | None]:
        """See L{IConnector.select_by}."""
        return self._read(lambda reader: reader.indexed(table, field, index_text(value)))

    def select_together(self, table: Table, entity: Mapping[str, Any]) -> Deferred[Entity | None]:
        """See L{IConnector.select_together}."""
        return self._read(
            lambda reader: reader.indexed(table, _TOGETHER, table.together_of(entity))
        )

    def page(self, table: Table, query: Query) -> Deferred[Page]:
        """See L{IConnector.page}."""
        return self._read(lambda reader: reader.page(table, query))

    def page_tags(self, tag: str | None, size: int, offset: str | None) -> Deferred[Page]:
        """See L{IConnector.page_tags}."""
        return self._read(lambda reader: reader.page_tags(tag, size, offset))

    def apply(self, writes: Sequence[Write]) -> Deferred[list[list[Change]]]:
        """Refuse every write, but for the removal of what is not there."""
        return self._read(lambda reader: [reader.refuse(write) for write in writes])

    def purge_expired(self) -> Deferred[int]:
        """Nothing: expired rows are only hidden."""
        return execute(lambda: 0)

    def load(self, entities: Mapping[str, Iterable[Entity]], digest: str) -> Deferred[None]:
        """See L{ISnapshotLoader.load}."""
        catalogue = self._catalogue

        def work() -> None:
            items = _items(catalogue, entities)
            try:
                with self._open().begin(write=True) as transaction:
                    transaction.drop(self._open().open_db(), delete=False)
                    for key, value in items:
                        transaction.put(key, value)
                    transaction.put(_DIGEST, digest.encode())
            except lmdb.MapFullError as error:
                raise errors.ConfigurationTooLargeError(
                    "Configuration does not fit in LMDB database, consider raising the "
                    '"lmdb_map_size" config for Kong'
                ) from error
            except lmdb.Error as error:
                raise errors.DatabaseError(f"{self.path}: {error}") from error

        pool = self._reactor.getThreadPool()  # type: ignore[attr-defined]
        return deferToThreadPool(self._reactor, pool, work)

    def digest(self) -> Deferred[str]:
        """See L{ISnapshotLoader.digest}."""
        return self._read(lambda reader: reader.digest())

    def _open(self) -> lmdb.Environment:
        if self._environment is None:
            try:
                os.makedirs(self.path, mode=0o700, exist_ok=True)
                self._environment = open_environment(
                    self.path, map_size=self._map_size, mode=0o600, readahead=False, max_readers=512
                )
                # Processes that were killed have left their places in the table of readers.
                self._environment.reader_check()
            except (OSError, lmdb.Error) as error:
                raise errors.DatabaseError(f"{self.path}: {error}") from error
        return self._environment

    def _read(self, work: Callable[[_Reader], T]) -> Deferred[T]:
        def run() -> T:
            if self._environment is None:
                raise errors.DatabaseError(f"{self.path}: the database is closed")
            try:
                with self._environment.begin() as transaction:
                    return work(_Reader(transaction, self._catalogue, self._now()))
            except lmdb.Error as error:
                raise errors.DatabaseError(f"{self.path}: {error}") from error

        return execute(run)


class _Reader:
    """Reads within one transaction, and so from one configuration."""

    def __init__(self, transaction: lmdb.Transaction, catalogue: Catalogue, now: float) -> None:
        self._transaction = transaction
        self._catalogue = catalogue
        self._now = now

    def select(self, table: Table, key: Mapping[str, Any]) -> Entity | None:
        return self._row(table, _key_bytes(key_text([key[field] for field in table.key])))

    def indexed(self, table: Table, field: str, text: str | None) -> Entity | None:
        if text is None:
            return None
        key = self._transaction.get(_index_key(_INDEX, table, field, text))
        return None if key is None else self._row(table, bytes(key))

    def page(self, table: Table, query: Query) -> Page:
        after = None if query.offset is None else decode_offset(query.offset, 1)[0].encode()
        rows: list[Entity] = []
        last = b""
        for key in self._keys(table, query, after):
            row = self._row(table, key)
            if row is None:
                continue
            if len(rows) == query.size:
                return Page(rows, encode_offset([last.decode()]))
            rows.append(row)
            last = key
        return Page(rows)

    def page_tags(self, tag: str | None, size: int, offset: str | None) -> Page:
        prefix = _TAGS if tag is None else _TAG + _digest(tag)
        after = None
        if offset is not None:
            key, name, text = decode_offset(offset, 3)
            after = _joined(key.encode(), name.encode(), _digest(text))
        rows: list[Entity] = []
        for suffix, value in self._after(prefix, after):
            key_bytes, name_bytes = suffix.split(b"\0")[:2]
            table = self._catalogue.tables.get(name_bytes.decode())
            if table is None or (table.expires and self._row(table, key_bytes) is None):
                continue
            if len(rows) == size:
                last = rows[-1]
                place = [_key_bytes(last["entity_id"]).decode(), last["entity_name"], last["tag"]]
                return Page(rows, encode_offset(place))
            rows.append(json.loads(value))
        return Page(rows)

    def refuse(self, write: Write) -> list[Change]:
        table = write.table
        if isinstance(write, Delete):
            if self.select(table, write.key) is None:
                return []
            verb = "remove"
        elif isinstance(write, Insert):
            verb = "create"
        elif isinstance(write, Update):
            verb = "update"
        else:
            verb = "create or update"
        raise errors.OperationUnsupportedError(
            f"cannot {verb} '{table.name}' entities when not using a database"
        )

    def digest(self) -> str:
        found = self._transaction.get(_DIGEST)
        return EMPTY_DIGEST if found is None else bytes(found).decode()

    def _row(self, table: Table, key: bytes) -> Entity | None:
        found = self._transaction.get(_ROW + table.name.encode() + b"\0" + key)
        if found is None:
            return None
        row: Entity = json.loads(bytes(found))
        if table.expires and row.get("ttl") is not None and row["ttl"] <= self._now:
            return None
        return row

    def _keys(self, table: Table, query: Query, after: bytes | None) -> Iterator[bytes]:
        """The keys of the rows that a query asks for, in order."""
        if query.tags is not None:
            wanted = sorted(self._tagged(table, query.tags))
            yield from (key for key in wanted if after is None or key > after)
            return
        if query.reference is not None:
            field, parent = query.reference
            prefix = _index_key(_REFERENCE, table, field, parent)
        else:
            prefix = _ROW + table.name.encode() + b"\0"
        for key, _ in self._after(prefix, after):
            yield key

    def _tagged(self, table: Table, tags: Tags) -> set[bytes]:
        name = table.name.encode()
        found: set[bytes] | None = None
        for tag in tags.names:
            having = set()
            for suffix, _ in self._after(_TAG + _digest(tag), None):
                key, entity = suffix.split(b"\0")[:2]
                if entity == name:
                    having.add(key)
            if found is None:
                found = having
            else:
                found = found | having if tags.any_of else found & having
        return found or set()

    def _after(self, prefix: bytes, after: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """What follows a prefix in the keys that have it, with the values, from a place on."""
        start = prefix if after is None else prefix + after
        with self._transaction.cursor() as cursor:
            if not cursor.set_range(start):
                return
            for found, value in cursor:
                key = bytes(found)
                if not key.startswith(prefix):
                    return
                if after is None or key != start:
                    yield key[len(prefix) :], bytes(value)


def _items(
    catalogue: Catalogue, entities: Mapping[str, Iterable[Entity]]
) -> Iterator[tuple[bytes, bytes]]:
    """Everything that is stored for some entities."""
    for name, rows in entities.items():
        table = catalogue.tables.get(name)
        if table is None:
            continue
        for row in rows:
            yield from _row_items(table, row)


def _row_items(table: Table, row: Entity) -> Iterator[tuple[bytes, bytes]]:
    text = table.key_of(row)
    key = _key_bytes(text)
    name = table.name.encode()
    yield _ROW + name + b"\0" + key, _dump(row).encode()
    for field in (*table.unique, *table.lookup):
        value = index_text(row.get(field))
        if value is not None:
            yield _index_key(_INDEX, table, field, value), key
    together = table.together_of(row)
    if together is not None:
        yield _index_key(_INDEX, table, _TOGETHER, together), key
    for reference in table.references:
        parent = index_text(row.get(reference.field))
        if parent is not None:
            yield _index_key(_REFERENCE, table, reference.field, parent) + key, b""
    for tag in row.get("tags") or () if table.tagged else ():
        use = _dump({"tag": tag, "entity_name": table.name, "entity_id": text}).encode()
        place = _joined(key, name, _digest(tag))
        yield _TAGS + place, use
        yield _TAG + _digest(tag) + place, use


def _joined(key: bytes, name: bytes, tag: bytes) -> bytes:
    return key + b"\0" + name + b"\0" + tag


def _key_bytes(text: str) -> bytes:
    """A key as LMDB can hold it, which is up to 511 bytes."""
    raw = text.encode()
    return raw if len(raw) <= _LONG else b"~" + _digest(text)


def _digest(text: str) -> bytes:
    """32 bytes that stand for a text of any length."""
    return blake2b(text.encode(), digest_size=16).hexdigest().encode()


def _index_key(mark: bytes, table: Table, field: str, text: str) -> bytes:
    return b"".join((mark, table.name.encode(), b"\0", field.encode(), b"\0", _digest(text)))
