"""A real PostgreSQL for tests: started when the first of them asks, and stopped at the end.

Take the fixture C{postgres_database} for an empty database of one's own on the session's server,
C{postgres_server} for the server (a test may restart it, and leaves it running).
"""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg2
import pytest
import trustme

USER = "kong"
PASSWORD = "a pass'word"

# Small, since several test processes may each have one. What a killed server had acknowledged is
# there again without fsync, too: only the machine's own crash would lose it.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "max_wal_size": "64MB",
    # For a copy that follows from far behind: it is there for all tests, and may be held back.
    "wal_keep_size": "4GB",
    "autovacuum": "off",
    "ssl": "on",
    "log_min_messages": "warning",
}
_ACCESS = """
local all all trust
host with_password all all scram-sha-256
host replication all all trust
host all all all trust
"""
_START_SECONDS = 30.0


def programs() -> str:
    """The folder of the newest server's programs.

    @raise RuntimeError: there is none; C{tests/install-programs} installs it.
    """
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        raise RuntimeError("the tests need PostgreSQL: run tests/install-programs")
    newest = max(found, key=lambda path: int(path.split("/")[4]), default=on_path)
    return os.path.dirname(os.path.realpath(str(newest)))


@functools.cache
def _identity() -> dict[str, Any]:
    """Arguments of L{subprocess.Popen} for a user other than root, which the server refuses."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """One server with its own data, on the loopback and a socket in its folder.

    @ivar port: where it listens; the same after a restart.
    @ivar authority: the file with the authority that signed its certificate for C{localhost}.
    @ivar folder: its files, which are removed with it; also the folder of its UNIX socket.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kongtx-postgres-"))
        self._own(self.folder)
        self.folder.chmod(0o755)
        self.port = free_port()
        self.data = self.folder / "data"
        self.authority = self.folder / "authority.pem"
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def make(self) -> None:
        """Make its files; they are empty but for the user C{kong}, who may do everything."""
        arguments = ["-D", str(self.data), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"]
        self._initdb([*arguments, "--locale=C"])
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        certificate = authority.issue_cert("localhost")
        self._write("server.key", certificate.private_key_pem.bytes())
        self._write("server.crt", b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        self._write("pg_hba.conf", _ACCESS.encode())
        settings = "".join(f"{name} = {value}\n" for name, value in _SETTINGS.items())
        self._write("postgresql.conf", settings.encode())

    def copy(self) -> PostgresServer:
        """A replica of this server, made and started; it follows what is written here."""
        replica = PostgresServer()
        base = [f"{programs()}/pg_basebackup", "-D", str(replica.data), "-U", USER, "-R", "-Xs"]
        address = ["-h", self.host, "-p", str(self.port), "--checkpoint=fast", "--no-sync"]
        subprocess.run([*base, *address], check=True, capture_output=True, **_identity())
        replica.start()
        return replica

    def start(self) -> None:
        """Start it, and return when it takes connections.

        Only in the main thread: the server ends with the thread that started it.
        """
        # Should these tests be killed, the server goes with them.
        command = ["setpriv", "--pdeathsig", "QUIT"]
        command += [f"{programs()}/postgres", "-D", str(self.data), "-p", str(self.port)]
        command += ["-h", self.host, "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_identity()
            )
        give_up = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(psycopg2.OperationalError):
                self.connect().close()
                return
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log()}")
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks connections off, SIGQUIT lets it crash; the files stay."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(_START_SECONDS)

    def kill(self) -> None:
        """Let it crash, if it runs."""
        self.stop(signal.SIGQUIT)

    def restart(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it and start it on the same port."""
        self.stop(number)
        self.start()

    def reload(self) -> None:
        """Have it read its settings again, and return when it has."""
        before = self.run("SELECT pg_conf_load_time()")
        self.run("SELECT pg_reload_conf()")
        while self.run("SELECT pg_conf_load_time()") == before:
            time.sleep(0.01)

    def remove(self) -> None:
        """End it and remove its files."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What it has written so far."""
        return (self.folder / "log").read_text(errors="replace")

    def connect(self, database: str = "postgres", **options: Any) -> Any:
        """A blocking connection that commits each statement."""
        given = {"host": self.host, "port": self.port, "user": USER, "dbname": database, **options}
        connection = psycopg2.connect(connect_timeout=5, **{"sslmode": "disable", **given})
        connection.autocommit = True
        return connection

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement; its rows, if it gives any."""
        with contextlib.closing(self.connect(database)) as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def create_database(self) -> Database:
        """An empty database with a name of its own."""
        self._databases += 1
        database = Database(self, f"test_{self._databases}")
        self.run(f"CREATE DATABASE {database.name}")
        return database

    def _initdb(self, arguments: list[str]) -> None:
        # Run where that user may be, which is not so of everyone's checkout.
        done = subprocess.run(
            [f"{programs()}/initdb", *arguments],
            capture_output=True,
            cwd=self.folder,
            check=False,
            **_identity(),
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.decode()}")

    def _write(self, name: str, content: bytes) -> None:
        path = self.data / name
        path.write_bytes(content)
        path.chmod(0o600)
        self._own(path)

    def _own(self, path: Path) -> None:
        identity = _identity()
        if identity:
            os.chown(path, identity["user"], identity["group"])


@attrs.frozen
class Database:
    """One database of a server."""

    server: PostgresServer
    name: str

    def properties(self) -> dict[str, str]:
        """The properties of kongtx's configuration with which a node uses it."""
        return {
            "database": "postgres",
            "pg_host": self.server.host,
            "pg_port": str(self.server.port),
            "pg_user": USER,
            "pg_database": self.name,
        }

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in it; its rows, if it gives any."""
        return self.server.run(statement, self.name)

    def drop(self) -> None:
        """Remove it, whoever uses it."""
        self.server.run(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")


@attrs.frozen
class Lag:
    """Holds a copy of a server back."""

    main: PostgresServer
    copy: PostgresServer

    def begin(self) -> None:
        """Let it get what there is, and nothing more."""
        self.catch_up()
        self.copy.run("SELECT pg_wal_replay_pause()")
        while self.copy.run("SELECT pg_get_wal_replay_pause_state()") != [("paused",)]:
            time.sleep(0.01)

    def catch_up(self) -> None:
        """Let it have everything."""
        self.copy.run("SELECT pg_wal_replay_resume()")
        [(position,)] = self.main.run("SELECT pg_current_wal_insert_lsn()::text")
        give_up = time.monotonic() + 60
        while self.copy.run(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") != [(True,)]:
            assert time.monotonic() < give_up, self.copy.log()[-2000:]
            time.sleep(0.01)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server, the same for all tests of a process."""
    server = PostgresServer()
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[Database]:
    """An empty database, for one test."""
    database = postgres_server.create_database()
    yield database
    database.drop()


@pytest.fixture(scope="session")
def postgres_copy(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """A running server that follows the session's."""
    server = postgres_server.copy()
    yield server
    server.remove()


@pytest.fixture
def lag(
    postgres_server: PostgresServer, postgres_copy: PostgresServer, postgres_database: Database
) -> Iterator[Lag]:
    """Holds the copy back, until the end of a test at most."""
    made = Lag(postgres_server, postgres_copy)
    yield made
    made.catch_up()
    # A copy with sessions in a database could not follow its end.
    postgres_copy.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{postgres_database.name}'"
    )
