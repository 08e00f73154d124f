"""TLS of a node as it is run: workers on the native reactor, looked at from outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest

from kongtx.conf import effective, from_values
from tests.runtime.running import RunningNode, free_port, wait_until
from tests.tls.kit import client_context, entity, fetch, issued, self_signed, stored

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start() -> Iterator[Callable[..., RunningNode]]:
    """Starts nodes whose proxy speaks TLS, and ends them after the test."""
    nodes: list[RunningNode] = []

    def run(kinds: Sequence[str] = ("proxy",), **values: Any) -> RunningNode:
        values = {"admin_listen": "off", "status_listen": "off", "database": "off", **values}
        node = RunningNode(
            "kongtx.runtime.node.composition.build_node", "http2 ssl reuseport", **values
        )
        node.options["kinds"] = list(kinds)
        nodes.append(node)
        return node.start()

    yield run
    for node in nodes:
        node.close()


def declarative(directory: Path, **entities: Any) -> str:
    """A declarative file."""
    path = directory / "kong.json"
    path.write_text(json.dumps({"_format_version": "3.0", **entities}))
    path.chmod(0o644)
    return str(path)


@pytest.mark.long
def test_any_worker_resumes_the_sessions_of_another(start: Callable[..., RunningNode]) -> None:
    node = start(nginx_worker_processes="2")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context()
        context.maximum_version = version
        session = fetch(node.port, context=context).session
        seen = [fetch(node.port, context=context, session=session) for _ in range(12)]
        assert [each.resumed for each in seen] == [True] * 12


@pytest.mark.long
def test_every_worker_shows_the_certificates_of_the_store(
    start: Callable[..., RunningNode], tmp_path: Path
) -> None:
    file = declarative(tmp_path, certificates=[entity(issued("own.test"), "own.test")])
    os.chmod(tmp_path, 0o755)
    node = start(nginx_worker_processes="2", declarative_config=file)
    names = {tuple(fetch(node.port, "own.test").names) for _ in range(12)}
    assert names == {("own.test",)}
    assert fetch(node.port, "other.test").names == ["localhost"]


@pytest.mark.long
def test_a_change_is_seen_by_the_next_handshake_of_every_worker(
    start: Callable[..., RunningNode],
) -> None:
    admin = free_port()
    listen = {"admin_listen": f"127.0.0.1:{admin}", "database": "sqlite"}
    node = start(nginx_worker_processes="2", kinds=["proxy", "admin"], **listen)
    url = f"http://127.0.0.1:{admin}/certificates/own.test"
    headers = {"Content-Type": "application/json"}
    for names in (["own.test"], ["own.test", "new.test"]):
        body = json.dumps(stored(issued(*names), "own.test")).encode()
        urlopen(Request(url, body, headers, method="PUT")).close()
        # The other worker is told at the same time, and may take some milliseconds.
        wait_until(partial(_all_show, node.port, names), 5)


def _all_show(port: int, names: list[str]) -> bool:
    """Whether a dozen handshakes, which both workers have their share of, show a certificate."""
    return all(fetch(port, "own.test").names == names for _ in range(12))


@pytest.mark.long
def test_a_reload_turns_tls_on_and_keeps_sessions(start: Callable[..., RunningNode]) -> None:
    node = start(nginx_worker_processes="1", proxy_listen=f"127.0.0.1:{free_port()} reuseport")
    assert "kong-default.crt" not in os.listdir(os.path.join(node.prefix, "ssl"))
    listen = f"127.0.0.1:{node.port} ssl reuseport"
    context, session = client_context(), None
    for generation in (1, 2):
        values = {"proxy_listen": listen, "nginx_http_keepalive_requests": str(generation)}
        effective.write(from_values({**node.values, **values}))
        node.send(signal.SIGHUP)
        node.wait_for_log(f"the workers of generation {generation} are gone")
        seen = fetch(node.port, context=context, session=session)
        assert (seen.names, seen.resumed) == (["localhost"], session is not None)
        session = seen.session


def sslyze() -> str:
    """The program, which has a virtual environment of its own: it wants other libraries."""
    places = f"{os.environ['PATH']}:{ROOT / '.venv-sslyze' / 'bin'}"
    found = shutil.which("sslyze", path=places)
    if found is None:
        pytest.skip("sslyze is not there: run tests/install-programs")
    return found


@pytest.mark.long
def test_sslyze_finds_nothing_weak_in_the_default_listener(
    start: Callable[..., RunningNode], tmp_path: Path
) -> None:
    program = sslyze()
    node = start(nginx_worker_processes="1")
    report = tmp_path / "report.json"
    finished = subprocess.run(
        [program, f"--json_out={report}", f"127.0.0.1:{node.port}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    result = json.loads(report.read_text())["server_scan_results"][0]["scan_result"]
    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        assert result[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"] == []
    for version in ("tls_1_2", "tls_1_3"):
        accepted = result[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"]
        names = [each["cipher_suite"]["name"] for each in accepted]
        assert names
        assert all("GCM" in name or "CHACHA20" in name for name in names)
    assert result["heartbleed"]["result"]["is_vulnerable_to_heartbleed"] is False
    assert result["openssl_ccs_injection"]["result"]["is_vulnerable_to_ccs_injection"] is False
    assert result["robot"]["result"]["robot_result"].startswith("NOT_VULNERABLE")
    assert result["tls_compression"]["result"]["supports_compression"] is False
    renegotiation = result["session_renegotiation"]["result"]
    assert renegotiation["is_vulnerable_to_client_renegotiation_dos"] is False
    assert renegotiation["supports_secure_renegotiation"] is True
    # Mozilla's intermediate profile, but for self-signed certificates and OpenSSL's curves.
    compliance = finished.stdout.partition("COMPLIANCE")[2]
    complaints = re.findall(r"^ +\* (\w+):", compliance, re.MULTILINE)
    known = {"certificate_path_validation", "maximum_certificate_lifespan", "tls_curves"}
    assert set(complaints) == known, compliance


@pytest.mark.long
def test_hostile_handshakes_end_and_cost_no_worker(start: Callable[..., RunningNode]) -> None:
    node = start(nginx_worker_processes="1", nginx_http_client_header_timeout="1s")
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(50)]
    began = time.monotonic()
    random = Random(7)
    hello = _client_hello()
    drip = socket.create_connection(("127.0.0.1", node.port))
    dripping = Thread(target=_drip, args=(drip, hello), daemon=True)
    dripping.start()
    for _ in range(300):
        fuzzed = bytearray(hello)
        for _ in range(random.randrange(1, 9)):
            fuzzed[random.randrange(5, len(fuzzed))] = random.randrange(256)
        with socket.create_connection(("127.0.0.1", node.port), 5) as client:
            client.sendall(bytes(fuzzed[: random.randrange(1, len(fuzzed) + 1)]))
            client.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while client.recv(65536):
                    pass
    assert fetch(node.port).status == 404
    for each in silent:
        each.settimeout(5)
        assert each.recv(1) == b""
        each.close()
    dripping.join(10)
    assert not dripping.is_alive()
    assert 0.5 < time.monotonic() - began < 15
    assert node.log().count("is ready") == 1
    assert "Traceback" not in node.log()


def _drip(client: socket.socket, data: bytes) -> None:
    """Send a byte at a time until the server ends it; all of them would take half a minute."""
    with client, suppress(ConnectionError):
        client.settimeout(0.05)
        for byte in data:
            client.sendall(bytes((byte,)))
            with suppress(TimeoutError):
                if not client.recv(1):
                    return


def _client_hello() -> bytes:
    """The first bytes of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.long
def test_a_huge_certificate_chain_is_refused(
    start: Callable[..., RunningNode], tmp_path: Path
) -> None:
    asking = {"name": "tls-handshake-modifier"}
    file = declarative(tmp_path, plugins=[asking])
    os.chmod(tmp_path, 0o755)
    node = start(nginx_worker_processes="1", declarative_config=file, log_level="info")
    pair = self_signed("client.test")
    chain = tmp_path / "chain.pem"
    chain.write_text(pair["key"] + pair["cert"] * 400)
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        fetch(node.port, context=context)
    assert fetch(node.port).status == 404
    wait_until(lambda: "excessive message size" in node.log(), 5, node.log)
