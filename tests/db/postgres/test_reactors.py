"""Connections that break off and come back harm no reactor."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.postgres_server import Database

#: Twenty clients write, read and give up, while connections are ended again and again.
CLIENTS = """
import random, sys
if sys.argv[3] == "kongtx":
    from kongtx.net import reactor
    reactor.install()
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, ensureDeferred, gatherResults
from twisted.internet.task import LoopingCall, deferLater
from kongtx.db.errors import DatabaseError
from kongtx.db.postgres import Endpoint, PostgresConnector
from kongtx.db.postgres.pool import LAST_PAUSE, Pool
from kongtx.db.writes import Insert
from tests.db.conformance import CATALOGUE, CHILDREN, PARENTS, child, numbers, parent

ROUNDS, chance = 150, random.Random(11)
endpoint = Endpoint("127.0.0.1", int(sys.argv[1]), "kong", database=sys.argv[2], connections=5)
connector = PostgresConnector(endpoint, reactor)
killer = Pool(reactor, endpoint)
kept, given_up, broken = set(), 0, 0

async def kill():
    async with killer.link() as link:
        await link.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND application_name = 'kongtx' AND random() < 0.5"
        )

async def client(number):
    global given_up, broken
    for turn in range(ROUNDS):
        key = number * ROUNDS + turn
        rows = [Insert(PARENTS, parent(key, f"n{key}")), Insert(CHILDREN, child(key, of=key))]
        for work in (connector.apply(rows), connector.select_by(PARENTS, "name", f"n{key}")):
            if chance.random() < 0.1:
                work.cancel()  # before the loop has seen the descriptor
            elif chance.random() < 0.2:
                reactor.callLater(chance.random() * 0.01, work.cancel)
            try:
                if isinstance(await work, list):
                    kept.add(key)
            except CancelledError:
                given_up += 1
            except DatabaseError:
                broken += 1

async def main():
    await connector.start(CATALOGUE)
    await connector.create(CATALOGUE)
    connector.watch_events(lambda: None)
    killing = LoopingCall(lambda: ensureDeferred(kill()))
    killing.start(0.1)
    await gatherResults([ensureDeferred(client(number)) for number in range(20)])
    killing.stop()
    await killer.close()
    await deferLater(reactor, LAST_PAUSE)
    found = set(await numbers(connector, PARENTS))
    print(kept <= found, found == set(await numbers(connector, CHILDREN)), given_up > 0, broken > 0)
    await connector.stop()

done = ensureDeferred(main())
done.addErrback(lambda failure: failure.printTraceback(sys.stderr))
done.addBoth(lambda _: reactor.stop())
reactor.run()
print(len(reactor.getReaders()) + len(reactor.getWriters()) < 5)
"""


@pytest.mark.long
@pytest.mark.parametrize("reactor_name", ["epoll", "kongtx"])
def test_nothing_is_lost_mixed_up_or_left_over(
    postgres_database: Database, reactor_name: str
) -> None:
    port = str(postgres_database.server.port)
    done = subprocess.run(
        [sys.executable, "-c", CLIENTS, port, postgres_database.name, reactor_name],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True True True True\nTrue\n"
