"""Whole nodes that start, or lose a worker, while their database is away."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import running
from tests.integration.test_fleet import Fleet, Node, bootstrap
from tests.integration.test_postgres import ask as ask_for_json
from tests.postgres_server import Database
from tests.runtime.running import RunningNode, children_of, wait_until

pytestmark = pytest.mark.long

WAITING = re.compile(
    r"waiting for the database, for \d+ s more at most: PostgreSQL at 127\.0\.0\.1:\d+: \w"
)


@pytest.fixture
def properties(postgres_database: Database, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a node on a database that is set up; its server runs again at the end."""
    found = postgres_database.properties()
    bootstrap(found, tmp_path)
    yield found
    postgres_database.server.restart()


def test_a_node_starts_when_its_database_comes(
    properties: dict[str, str], postgres_database: Database, tmp_path: Path
) -> None:
    server = postgres_database.server
    server.stop()
    log = tmp_path / "prefix" / "logs" / "error.log"

    is_over = threading.Event()

    def come() -> None:
        wait_until(lambda: log.exists() and WAITING.search(log.read_text()))
        server.start()
        is_over.wait()  # for the server may end with the thread that started it
        server.stop()

    coming = threading.Thread(target=come)
    coming.start()
    try:
        with running(tmp_path, **properties) as (urls, _):
            assert ask_for_json(f"{urls.status}/status/ready")[0] == 200
    finally:
        is_over.set()
        coming.join()
    assert "the database answers" in log.read_text()


@pytest.mark.parametrize("foreground", [True, False])
def test_whoever_starts_a_node_is_told_that_its_database_does_not_come(
    properties: dict[str, str], postgres_database: Database, foreground: bool
) -> None:
    postgres_database.server.stop()
    node = RunningNode(
        node="kongtx.runtime.node.composition.build_node",
        db_start_timeout="1.5",
        admin_listen="off",
        status_listen="off",
        **properties,
    )
    try:
        ended = node.run(foreground=foreground)
    finally:
        node.close()
    assert ended.returncode != 0
    assert WAITING.search(ended.stderr)
    assert "the database did not answer within 1.5 seconds (db_start_timeout): Postgre" in (
        ended.stderr
    )


def test_a_node_and_a_worker_that_start_during_an_outage_serve_by_the_copy(
    properties: dict[str, str], postgres_database: Database, tmp_path: Path
) -> None:
    properties["db_offline_start"] = "on"
    node = Node(tmp_path / "node", properties)
    fleet = Fleet([node], properties)
    node.start()
    try:
        answer = {"name": "request-termination", "config": {"status_code": 200}}
        fleet.admin(node, "/plugins", answer)
        fleet.admin(node, "/routes", {"paths": ["/r"]})
        copies = tmp_path / "node" / "prefix" / "database-copy.lmdb"
        wait_until(
            lambda: any(b'"/r"' in file.read_bytes() for file in copies.glob("*/data.mdb")), 30
        )
        postgres_database.server.stop()

        victims = children_of(node.process.pid)
        os.kill(victims[0], signal.SIGKILL)

        def is_replaced() -> bool:
            workers = children_of(node.process.pid)
            return len(workers) == 2 and victims[0] not in workers

        wait_until(is_replaced, 20)
        fleet.settle("/r", 200)
        node.stop()
        node.start(ready="/status")
        fleet.settle("/r", 200)
        assert ask_for_json(f"{node.urls.status}/status/ready")[0] == 503
        assert ask_for_json(f"{node.urls.admin}/services", {"host": "h"})[0] == 503
        postgres_database.server.start()
        wait_until(lambda: ask_for_json(f"{node.urls.status}/status/ready")[0] == 200, 20)
        # The other worker may look for the database a moment later.
        wait_until(
            lambda: ask_for_json(f"{node.urls.admin}/routes", {"paths": ["/n"]})[0] == 201, 20
        )
        fleet.settle("/n", 200)
    finally:
        node.stop()
