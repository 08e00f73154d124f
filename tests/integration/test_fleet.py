"""Three nodes of two workers each on one database: changes, deaths, and the database's restart."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from tests.cassandra_server import PASSWORD, USER, CassandraServer
from tests.integration.conftest import Gateway, running
from tests.postgres_server import Database
from tests.runtime.running import children_of, wait_until

pytestmark = pytest.mark.long

NODES = 3
#: Seconds between two polls of Cassandra, which wakes nobody.
FREQUENCY = 0.5
#: Seconds in which a change is with all workers of all nodes, in the median.
FAST = {"postgres": 0.15, "cassandra": FREQUENCY + 0.15}
#: Seconds that the slowest of some may take, on a machine with much else to do.
SLOWEST = 3.0


@attrs.define
class Node:
    """One node of the fleet; a killed one is started again in its prefix, at other ports."""

    folder: Path
    properties: dict[str, str]
    urls: Gateway = attrs.field(factory=lambda: Gateway("", "", ""))
    process: Any = None
    _stack: contextlib.ExitStack = attrs.Factory(contextlib.ExitStack)

    def start(self, ready: str = "/status/ready") -> Node:
        """Start it, and wait until it is ready.

        @param ready: what of its Status API answers then.
        """
        self.folder.mkdir(exist_ok=True)
        started = running(self.folder, ready, **self.properties)
        self.urls, self.process = self._stack.enter_context(started)
        return self

    def kill(self) -> None:
        """Kill its master and all of its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._stack.close()

    def stop(self) -> None:
        """Stop it."""
        self._stack.close()


@attrs.define
class Fleet:
    """Nodes on one database."""

    nodes: list[Node]
    properties: dict[str, str]

    def admin(self, node: Node, path: str, data: Any = None, method: str | None = None) -> Any:
        """Ask the Admin API of a node; the answer's body.

        @raise HTTPError: it refuses.
        """
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(
            f"{node.urls.admin}{path}", body, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def usernames(self, node: Node) -> set[str]:
        """The names of all consumers, as a node shows them."""
        names: set[str] = set()
        path: str | None = "/consumers?size=1000"
        while path:
            page = self.admin(node, path)
            names.update(row["username"] for row in page["data"])
            path = page["next"]
        return names

    def settle(self, path: str, status: int, seconds: float = 30.0) -> float:
        """Wait until every worker answers a path with a status.

        Workers share a port, so each is asked by some of many new connections.

        @return: the seconds until the last other answer.
        """
        began = last = time.monotonic()
        good = 0
        while good < 8 * len(self.nodes):
            for node in self.nodes:
                good += 1
                if ask(node.urls.proxy, path)[0] != status:
                    good, last = 0, time.monotonic()
            assert last - began < seconds, f"{path} is not {status} after {seconds} s"
        return last - began


def ask(url: str, path: str, **headers: str) -> tuple[int, bytes]:
    """Status and body of a request on a connection of its own."""
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def bootstrap(properties: dict[str, str], folder: Path) -> None:
    """Set the database up."""
    subprocess.run(
        [sys.executable, "-m", "kongtx.cli.main", "migrations", "bootstrap"],
        env={
            **os.environ,
            **{f"KONG_{name.upper()}": value for name, value in properties.items()},
            "KONG_PREFIX": str(folder / "setup"),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        check=True,
        stdout=subprocess.DEVNULL,
    )


@pytest.fixture
def on_postgres(postgres_database: Database) -> dict[str, str]:
    """The properties of nodes on PostgreSQL."""
    return postgres_database.properties()


@pytest.fixture
def on_cassandra(cassandra_server: CassandraServer) -> dict[str, str]:
    """The properties of nodes on Cassandra."""
    return {
        "database": "cassandra",
        "cassandra_contact_points": cassandra_server.host,
        "cassandra_port": str(cassandra_server.port),
        "cassandra_username": USER,
        "cassandra_password": PASSWORD,
        "cassandra_keyspace": f"fleet_{time.time_ns()}",
        "db_update_frequency": str(FREQUENCY),
    }


@pytest.fixture
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """Nodes that answer requests of their routes themselves; on PostgreSQL, unless a test says."""
    database = getattr(request, "param", "postgres")
    properties: dict[str, str] = request.getfixturevalue(f"on_{database}")
    bootstrap(properties, tmp_path)
    nodes = [Node(tmp_path / f"n{number}", {**properties}) for number in range(NODES)]
    # As a copied prefix would give it to both.
    nodes[0].properties["node_id"] = nodes[1].properties["node_id"] = str(uuid.uuid4())
    try:
        for node in nodes:
            node.start()
        fleet = Fleet(nodes, properties)
        answer = {"name": "request-termination", "config": {"status_code": 200}}
        fleet.admin(nodes[0], "/plugins", answer)
        yield fleet
    finally:
        for node in nodes:
            node.stop()


both = pytest.mark.parametrize("fleet", ["postgres", "cassandra"], indirect=True)


@both
def test_a_change_at_any_node_reaches_every_worker_of_every_node(fleet: Fleet) -> None:
    fleet.admin(fleet.nodes[0], "/routes", {"paths": ["/ready"]})
    fleet.settle("/ready", 200)
    took = []
    for number in range(21):
        node = fleet.nodes[number % NODES]
        path = f"/p{number}"
        route = fleet.admin(node, "/routes", {"paths": [path]})
        took.append(fleet.settle(path, 200))
        fleet.admin(node, f"/routes/{route['id']}", method="DELETE")
        took.append(fleet.settle(path, 404))
    sys.stdout.write(f"median {statistics.median(took):.3f} s, slowest {max(took):.3f} s\n")
    assert statistics.median(took) <= FAST[fleet.properties["database"]], took
    assert max(took) <= SLOWEST, took


def repeat(work: Callable[[int], None], is_over: threading.Event) -> threading.Thread:
    """Do something with ever higher numbers until an event."""

    def run() -> None:
        number = 0
        while not is_over.is_set():
            work(number)
            number += 1

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@both
def test_killed_workers_and_nodes_lose_no_acknowledged_write_and_leave_no_lock(
    fleet: Fleet,
) -> None:
    chance = random.Random(20)
    acknowledged: list[str] = []
    is_over = threading.Event()

    def writer(index: int) -> Callable[[int], None]:
        def write(number: int) -> None:
            name = f"c{index}-{number}"
            try:
                fleet.admin(fleet.nodes[index], "/consumers", {"username": name})
                fleet.admin(fleet.nodes[index], "/routes", {"paths": [f"/{name}"]})
            except (OSError, HTTPException):
                time.sleep(0.01)
            else:
                acknowledged.append(name)

        return write

    writers = [repeat(writer(index), is_over) for index in range(NODES)]
    try:
        for turn in range(9):
            time.sleep(chance.uniform(0.1, 0.6))
            node = chance.choice(fleet.nodes)
            if turn % 3 == 2:
                node.kill()
                node.start()
            else:
                for worker in children_of(node.process.pid)[:1]:
                    os.kill(worker, signal.SIGKILL)
    finally:
        is_over.set()
        for each in writers:
            each.join()
    assert len(acknowledged) > 50
    assert set(acknowledged) <= fleet.usernames(fleet.nodes[0])
    began = time.monotonic()
    fleet.admin(fleet.nodes[1], "/routes", {"paths": ["/after"]})
    assert time.monotonic() - began < SLOWEST
    fleet.settle("/after", 200)
    for name in chance.sample(acknowledged, 50):
        fleet.settle(f"/{name}", 200)


def test_a_killed_node_leaves_no_lock_in_the_database(
    fleet: Fleet, postgres_database: Database
) -> None:
    is_over = threading.Event()

    def write(number: int) -> None:
        with contextlib.suppress(OSError, HTTPException):
            fleet.admin(fleet.nodes[0], "/consumers", {"username": f"c{number}"})

    writer = repeat(write, is_over)
    time.sleep(0.5)
    fleet.nodes[0].kill()
    is_over.set()
    writer.join()
    began = time.monotonic()
    fleet.admin(fleet.nodes[1], "/consumers", {"username": "after"})
    assert time.monotonic() - began < SLOWEST
    stuck = (
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' "
        "AND datname = current_database()"
    )
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    for question in (stuck, waiting):
        wait_until(lambda question=question: postgres_database.run(question) == [(0,)], SLOWEST)
    fleet.nodes[0].start()


class Traffic:
    """Requests with a key at a pace, over connections that are kept.

    @ivar answers: how many requests were answered as they should be.
    @ivar failures: what else happened.
    """

    def __init__(self, fleet: Fleet, rate: float, clients: int = 6) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._lock = threading.Lock()
        self._pause = clients / rate
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(fleet.nodes[number % NODES].urls.proxy,))
            for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, url: str) -> None:
        parts = urlsplit(url)
        connection = HTTPConnection(str(parts.hostname), parts.port, timeout=20)
        due = time.monotonic()
        while not self._over.is_set():
            try:
                connection.request("GET", "/keyed", headers={"apikey": "k"})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, HTTPException) as error:
                self._failed(repr(error))
                connection.close()
            else:
                if answer.status == 200:
                    with self._lock:
                        self.answers += 1
                else:
                    self._failed(f"{answer.status} {body!r}")
            due = max(due + self._pause, time.monotonic() - 1)
            time.sleep(max(0.0, due - time.monotonic()))
        connection.close()

    def _failed(self, what: str) -> None:
        with self._lock:
            self.failures.append(what)

    def stop(self) -> None:
        """End it."""
        self._over.set()
        for thread in self._threads:
            thread.join()


@both
def test_no_request_fails_while_the_database_restarts(
    fleet: Fleet, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(f"{fleet.properties['database']}_server")
    stops = [server.stop, server.kill]
    node = fleet.nodes[0]
    fleet.admin(node, "/routes", {"name": "keyed", "paths": ["/keyed"]})
    fleet.admin(node, "/routes/keyed/plugins", {"name": "key-auth"})
    fleet.admin(node, "/consumers", {"username": "u"})
    fleet.admin(node, "/consumers/u/key-auth", {"key": "k"})
    fleet.settle("/keyed", 401)
    for each in fleet.nodes:
        for _ in range(8):  # so that it is in the memory of all workers
            assert ask(each.urls.proxy, "/keyed", apikey="k")[0] == 200
    traffic = Traffic(fleet, 500)
    began = time.monotonic()
    try:
        for stop in stops:
            time.sleep(1)
            stop()
            time.sleep(1.5)
            server.start()
            time.sleep(2.5)
    finally:
        traffic.stop()
    rate = traffic.answers / (time.monotonic() - began)
    sys.stdout.write(f"{traffic.answers} answers, {rate:.0f} a second\n")
    assert traffic.failures == []
    assert traffic.answers > 1000
    began = time.monotonic()
    while True:
        with contextlib.suppress(urllib.error.HTTPError):
            fleet.admin(node, "/routes", {"paths": ["/healed"]})
            break
        assert time.monotonic() - began < 30
        time.sleep(0.05)
    fleet.settle("/healed", 200)
