"""A real Cassandra for tests: started when the first of them asks, and stopped at the end.

Take the fixture C{cassandra_server} for the session's server (a test may restart it, and leaves it
running), and give each module a keyspace of its own.
"""

from __future__ import annotations

import contextlib
import glob
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
import yaml
from cassandra.cluster import NoHostAvailable
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate

from kongtx.db.cassandra.session import make_cluster
from kongtx.db.cassandra.settings import Settings

USER = "cassandra"
PASSWORD = "cassandra"  # those that a new server has
JARS = Path(__file__).parent.parent / ".cassandra" / "lib"

_START_SECONDS = 180.0
_STORE_PASSWORD = "changeit"
_READY = b"Starting listening for CQL"
_OPENED = {
    "java.base": (
        "jdk.internal.misc jdk.internal.ref jdk.internal.loader jdk.internal.reflect "
        "jdk.internal.math jdk.internal.module jdk.internal.util.jar sun.nio.ch java.io java.nio "
        "java.lang java.lang.module java.lang.reflect java.util java.util.concurrent "
        "java.util.concurrent.atomic java.util.concurrent.locks java.net"
    ),
    "java.rmi": (
        "java.rmi.registry sun.rmi.registry sun.rmi.server sun.rmi.transport sun.rmi.transport.tcp"
    ),
    "java.management.rmi": "com.sun.jmx.remote.internal.rmi",
    "java.sql": "java.sql",
    "java.logging": "java.util.logging",
    "jdk.management": "com.sun.management.internal",
    "jdk.management.jfr": "jdk.management.jfr",
}
_LOGBACK = """
<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %date{ISO8601} %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""


def missing() -> str | None:
    """What of the programs is not there; L{None} if they all are."""
    if shutil.which("java") is None:
        return "java is not installed: run tests/install-programs"
    if not glob.glob(str(JARS / "cassandra-all-*.jar")):
        return f"{JARS} does not hold Cassandra: run tests/install-programs, which needs Maven"
    return None


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class CassandraServer:
    """One node with its own data on the loopback; it asks for passwords, and offers TLS.

    @ivar port: where it speaks CQL, with and without TLS; the same after a restart.
    @ivar authority: the file with the authority that signed its certificate for C{127.0.0.1}.
    @ivar folder: its files, which are removed with it.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kongtx-cassandra-"))
        self.port, self._storage_port, self._ssl_storage_port = free_ports(3)
        self.authority = self.folder / "authority.pem"
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    def settings(self) -> Settings:
        """How it is reached."""
        return Settings((self.host,), self.port, username=USER, password=PASSWORD)

    def start(self) -> None:
        """Start it, and wait until it takes connections.

        @raise RuntimeError: it does not come up.
        """
        begin = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        give_up = time.monotonic() + _START_SECONDS
        while _READY not in (said := self._log.read_bytes()[begin:]):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                raise RuntimeError(f"Cassandra did not start:\n{said.decode()[-4000:]}")
            time.sleep(0.1)
        self._await_user(give_up)

    def _await_user(self, give_up: float) -> None:
        """Wait until a new server has made its first user, which it does after it listens."""
        while True:
            cluster = make_cluster(self.settings())
            try:
                cluster.connect()
            except NoHostAvailable as error:
                if time.monotonic() > give_up:
                    self.kill()
                    said = self._log.read_text()[-4000:]
                    raise RuntimeError(f"Cassandra lets nobody in: {error}\n{said}") from error
                time.sleep(0.1)
            else:
                return
            finally:
                cluster.shutdown()

    def stop(self) -> None:
        """Stop it as an operator does, if it runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop it as a power cut does, if it runs."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it neither answer nor close connections."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # One of its threads has to be given time for it to stop all of them.
        threads = Path(f"/proc/{self._process.pid}/task").glob("*/stat")
        for thread in list(threads):
            while thread.read_text().rpartition(")")[2].split()[0] != "T":
                time.sleep(0.01)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _command(self) -> list[str]:
        opened = [
            f"--add-{what}={module}/{package}=ALL-UNNAMED"
            for module, packages in _OPENED.items()
            for package in packages.split()
            for what in ("opens", "exports")
        ]
        properties = {
            "cassandra.config": f"file://{self.folder}/cassandra.yaml",
            "cassandra.storagedir": str(self.folder),
            "logback.configurationFile": f"{self.folder}/logback.xml",
            "cassandra.skip_wait_for_gossip_to_settle": "0",
            "cassandra.ring_delay_ms": "100",
            "cassandra.superuser_setup_delay_ms": "0",
            "cassandra-foreground": "yes",
            "java.awt.headless": "true",
        }
        [agent] = glob.glob(str(JARS / "jamm-*.jar"))
        # Should the tests be killed, the server goes with them.
        tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        return [
            *tied,
            "java",
            f"-javaagent:{agent}",
            "-Xms512m",
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=4",
            *opened,
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-cp",
            f"{self.folder}:{JARS}/*",
            "org.apache.cassandra.service.CassandraDaemon",
        ]

    def _make(self) -> None:
        self._make_certificate()
        (self.folder / "logback.xml").write_text(_LOGBACK)
        settings = {
            "cluster_name": "kongtx",
            "num_tokens": 1,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            # Else what was acknowledged in the last moments before a crash is lost.
            "commitlog_sync": "batch",
            "endpoint_snitch": "SimpleSnitch",
            "listen_address": self.host,
            "rpc_address": self.host,
            "native_transport_port": self.port,
            "storage_port": self._storage_port,
            "ssl_storage_port": self._ssl_storage_port,
            "auto_snapshot": False,
            "authenticator": {"class_name": "PasswordAuthenticator"},
            "client_encryption_options": {
                "enabled": True,
                "optional": True,
                "keystore": str(self.folder / "keys.p12"),
                "keystore_password": _STORE_PASSWORD,
                "store_type": "PKCS12",
            },
            "seed_provider": [
                {
                    "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                    "parameters": [{"seeds": f"{self.host}:{self._storage_port}"}],
                }
            ],
            "data_file_directories": [str(self.folder / "data")],
        }
        for name in ("commitlog", "saved_caches", "hints", "cdc_raw"):
            settings[f"{name}_directory"] = str(self.folder / name)
        (self.folder / "cassandra.yaml").write_text(yaml.safe_dump(settings))

    def _make_certificate(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        issued = authority.issue_cert(self.host)
        keys = pkcs12.serialize_key_and_certificates(
            b"server",
            load_pem_private_key(issued.private_key_pem.bytes(), None),  # type: ignore[arg-type]
            load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()),
            None,
            BestAvailableEncryption(_STORE_PASSWORD.encode()),
        )
        path = self.folder / "keys.p12"
        path.touch(mode=0o600)
        path.write_bytes(keys)


@pytest.fixture(scope="session")
def cassandra_server() -> Iterator[CassandraServer]:
    """The session's server."""
    reason = missing()
    if reason is not None:
        warnings.warn(f"no test runs on Cassandra: {reason}", stacklevel=1)
        pytest.skip(reason)
    server = CassandraServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def cassandra_properties(cassandra_server: CassandraServer) -> Iterator[dict[str, str]]:
    """The properties of nodes with a keyspace of the test's own, which is not there yet."""
    keyspace = f"test_{time.time_ns()}"
    yield {
        "database": "cassandra",
        "cassandra_contact_points": cassandra_server.host,
        "cassandra_port": str(cassandra_server.port),
        "cassandra_username": USER,
        "cassandra_password": PASSWORD,
        "cassandra_keyspace": keyspace,
    }
    cluster = make_cluster(cassandra_server.settings())
    cluster.connect().execute(f"DROP KEYSPACE IF EXISTS {keyspace}", timeout=60)
    cluster.shutdown()
