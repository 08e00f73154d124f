"""Servers that restart, crash, hang or are not there, and nodes that are killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from kongtx.db import errors
from kongtx.db.postgres import Endpoint, PostgresConnector, link
from kongtx.db.postgres.pool import LAST_PAUSE
from kongtx.db.writes import Insert, Update
from tests.db.conformance import CATALOGUE, CHILDREN, PARENTS, numbers, parent, uid
from tests.db.postgres.conftest import Open
from tests.postgres_server import Database, PostgresServer, free_port


async def until(question: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait until the answer is true."""
    tries = round(seconds / 0.02)
    for _ in range(tries):
        if question():
            return
        await deferLater(reactor, 0.02)
    raise AssertionError(f"not so within {seconds} seconds")


@contextlib.contextmanager
def held(database: Database, table: str = "kongtx_entity_parents") -> Iterator[None]:
    """Nobody else can read or write the table meanwhile."""
    with contextlib.closing(database.server.connect(database.name)) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def waiting_backends(database: Database) -> list[int]:
    """The server's processes that wait for a lock on behalf of nodes."""
    rows = database.server.run(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'kongtx' "
        f"AND datname = '{database.name}' AND wait_event_type = 'Lock'"
    )
    return [pid for (pid,) in rows]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
@pytest_twisted.ensureDeferred
async def test_a_restart_between_queries_is_not_noticed(
    opened: Open, postgres_server: PostgresServer, number: signal.Signals
) -> None:
    connector = await opened()
    await gatherResults([connector.apply([Insert(PARENTS, parent(n))]) for n in range(9)])
    postgres_server.restart(number)
    found = await gatherResults([connector.select(PARENTS, {"id": uid(n)}) for n in range(9)])
    assert [row["id"] for row in found] == [uid(n) for n in range(9)]
    postgres_server.restart(number)
    await connector.apply([Insert(PARENTS, parent(9))])
    assert len(await numbers(connector, PARENTS)) == 10


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest_twisted.ensureDeferred
async def test_what_is_under_way_fails_when_the_server_goes_and_what_follows_works(
    opened: Open, postgres_database: Database, kind: str
) -> None:
    connector = await opened()
    await connector.apply([Insert(PARENTS, parent(1, "a"))])
    server = postgres_database.server
    with held(postgres_database):
        if kind == "read":
            asked: Deferred[Any] = connector.select(PARENTS, {"id": uid(1)})
        else:
            asked = connector.apply([Update(PARENTS, parent(1, "b"))])
        await until(lambda: waiting_backends(postgres_database))
        # At a softer end the one that holds the lock may go first, and the other be served.
        server.kill()
        try:
            with pytest.raises(
                errors.DatabaseError, match=f"PostgreSQL at 127.0.0.1:{server.port}: "
            ):
                await asked
        finally:
            server.start()
    await deferLater(reactor, LAST_PAUSE / 10)
    assert (await connector.select(PARENTS, {"id": uid(1)})) == parent(1, "a")
    await connector.apply([Update(PARENTS, parent(1, "c"))])


@pytest_twisted.ensureDeferred
async def test_without_server_all_fails_at_once_and_soon_after_its_return_all_works(
    opened: Open, postgres_server: PostgresServer
) -> None:
    connector = await opened()
    postgres_server.stop()
    try:
        for _ in range(20):
            with pytest.raises(errors.DatabaseError, match="Connection refused"):
                await connector.ping()
            with pytest.raises(errors.DatabaseError, match="Connection refused"):
                await connector.apply([Insert(PARENTS, parent(1))])
    finally:
        postgres_server.start()
    await deferLater(reactor, LAST_PAUSE)
    await connector.apply([Insert(PARENTS, parent(1))])
    assert await connector.ping() is None


@pytest_twisted.ensureDeferred
async def test_a_start_without_server_names_it(endpoint: Endpoint) -> None:
    port = free_port()
    connector = PostgresConnector(Endpoint("localhost", port), reactor)
    with pytest.raises(errors.DatabaseError, match=f"PostgreSQL at localhost:{port}: "):
        await connector.start(CATALOGUE)
    await connector.stop()


@pytest_twisted.ensureDeferred
async def test_a_host_that_has_no_address_is_named(endpoint: Endpoint) -> None:
    connector = PostgresConnector(Endpoint("nowhere.invalid"), reactor)
    with pytest.raises(errors.DatabaseError, match=r"the name nowhere\.invalid is not known"):
        await connector.start(CATALOGUE)
    await connector.stop()


@pytest_twisted.ensureDeferred
async def test_a_server_that_never_answers_is_given_up() -> None:
    port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    number = port.getHost().port
    connector = PostgresConnector(Endpoint("127.0.0.1", number, timeout=0.1), reactor)
    with pytest.raises(
        errors.DatabaseError,
        match=f"^PostgreSQL at 127.0.0.1:{number}: no connection within 0.1 seconds$",
    ):
        await connector.start(CATALOGUE)
    await connector.stop()
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    endpoint: Endpoint, postgres_database: Database, opened: Open
) -> None:
    await opened()
    hasty = await opened(endpoint=attrs.evolve(endpoint, timeout=0.2))
    with held(postgres_database):
        with pytest.raises(
            errors.DatabaseError, match="canceling statement due to statement timeout"
        ):
            await hasty.select(PARENTS, {"id": uid(1)})
        assert waiting_backends(postgres_database) == []
    assert await hasty.select(PARENTS, {"id": uid(1)}) is None


@pytest_twisted.ensureDeferred
async def test_a_server_that_falls_silent_is_not_waited_for(
    endpoint: Endpoint,
    postgres_database: Database,
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await opened()
    monkeypatch.setattr(link, "GRACE_SECONDS", 0.1)
    hasty = await opened(endpoint=attrs.evolve(endpoint, timeout=1.0, connections=1))
    with held(postgres_database):
        asked = hasty.select(PARENTS, {"id": uid(1)})
        await until(lambda: waiting_backends(postgres_database))
        [backend] = waiting_backends(postgres_database)
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(errors.DatabaseError, match=r"no answer within 1\.1 seconds"):
                await asked
        finally:
            os.kill(backend, signal.SIGCONT)
    assert await hasty.select(PARENTS, {"id": uid(1)}) is None


@pytest.mark.parametrize("kind", ["read", "write"])
@pytest_twisted.ensureDeferred
async def test_who_gives_up_is_free_at_once_and_the_server_stops_working(
    opened: Open, postgres_database: Database, kind: str
) -> None:
    connector = await opened()
    with held(postgres_database):
        if kind == "read":
            asked: Deferred[Any] = connector.select(PARENTS, {"id": uid(1)})
        else:
            asked = connector.apply([Insert(PARENTS, parent(1))])
        await until(lambda: waiting_backends(postgres_database))
        asked.cancel()
        with pytest.raises(CancelledError):
            await asked
        await until(lambda: not waiting_backends(postgres_database), 3)
    assert await connector.select(PARENTS, {"id": uid(1)}) is None


@pytest_twisted.ensureDeferred
async def test_who_gives_up_in_the_middle_of_a_transaction_leaves_nothing(
    opened: Open, postgres_database: Database
) -> None:
    connector = await opened()
    with held(postgres_database, "kongtx_entity_children"):
        rows = [Insert(PARENTS, parent(1)), Insert(CHILDREN, {"id": uid(1), "parent": None})]
        asked = connector.apply(rows)
        await until(lambda: waiting_backends(postgres_database))
        asked.cancel()
        with pytest.raises(CancelledError):
            await asked
        await until(lambda: not waiting_backends(postgres_database), 3)
    assert await numbers(connector, PARENTS) == []
    await connector.apply(rows)
    assert await numbers(connector, CHILDREN) == [1]


WRITER = """
import sys
if sys.argv[3] == "kongtx":
    from kongtx.net import reactor
    reactor.install()
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from kongtx.db.errors import DatabaseError
from kongtx.db.postgres import Endpoint, PostgresConnector
from kongtx.db.writes import Insert, Upsert
from tests.db.conformance import CATALOGUE, CHILDREN, PARENTS, child, parent

async def write():
    endpoint = Endpoint("127.0.0.1", int(sys.argv[1]), "kong", database=sys.argv[2])
    connector = PostgresConnector(endpoint, reactor)
    await connector.start(CATALOGUE)
    await connector.create(CATALOGUE)
    number = 0
    while True:
        number += 1
        rows = [Insert(PARENTS, parent(number, f"p{number}", ["t"]))]
        rows.append(Insert(CHILDREN, child(number, of=number)))
        try:
            await connector.apply(rows)
        except DatabaseError:
            print("failed", flush=True)
            reactor.stop()
            return
        print(number, flush=True)

ensureDeferred(write())
reactor.run()
"""


def writer(database: Database, reactor_name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(database.server.port), database.name, reactor_name],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize("reactor_name", ["epoll", "kongtx"])
@pytest.mark.parametrize("victim", ["node", "server"])
@pytest_twisted.ensureDeferred
async def test_no_acknowledged_write_is_lost_by_a_kill(
    opened: Open, postgres_database: Database, victim: str, reactor_name: str
) -> None:
    process = writer(postgres_database, reactor_name)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 60:
            break
    if victim == "node":
        process.send_signal(signal.SIGKILL)
    else:
        postgres_database.server.restart(signal.SIGQUIT)
    rest = process.stdout.read().split()
    assert process.wait(10) == (-signal.SIGKILL if victim == "node" else 0)
    assert ("failed" in rest) == (victim == "server")
    acknowledged = max([60, *(int(line) for line in rest if line != "failed")])
    again = await opened()
    parents, children = await numbers(again, PARENTS), await numbers(again, CHILDREN)
    assert parents == children == list(range(1, len(parents) + 1))
    assert len(parents) in (acknowledged, acknowledged + 1)
    tags = await again.page_tags("t", 1000, None)
    assert len(tags.rows) == len(parents)
