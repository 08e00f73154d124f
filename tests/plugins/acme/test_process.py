"""Certificates from an authority for all workers of a node as it is run."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.plugins.acme.pebble import Pebble, pebble
from tests.runtime.running import RunningNode, wait_until
from tests.tls.kit import fetch


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Pebble]:
    """An authority for one test."""
    with pebble(tmp_path) as server:
        yield server


def _all_show(port: int, name: str, wanted: str) -> bool:
    """Whether a dozen handshakes, which both workers have their share of, show a certificate."""
    return all(fetch(port, name).names == [wanted] for _ in range(12))


@pytest.mark.long
@pytest.mark.parametrize("way", ["http-01", "tls-alpn-01"])
def test_all_workers_prove_show_and_remember(authority: Pebble, tmp_path: Path, way: str) -> None:
    config = {
        "account_email": "a@b.test",
        "api_uri": authority.directory,
        "cert_type": "ecc",
        "domains": ["all.test"],
    }
    file = tmp_path / "kong.json"
    route = {"paths": ["/"]}
    declared = {
        "_format_version": "3.0",
        "plugins": [{"name": "acme", "config": config}],
        "services": [{"url": "http://127.0.0.1:1", "routes": [route]}],
    }
    file.write_text(json.dumps(declared))
    node = RunningNode(
        "kongtx.runtime.node.composition.build_node",
        nginx_worker_processes="2",
        proxy_listen=f"127.0.0.1:{authority.tls_port} ssl reuseport,"
        f"127.0.0.1:{authority.http_port} reuseport",
        admin_listen="off",
        status_listen="off",
        database="off",
        declarative_config=str(file),
        lua_ssl_trusted_certificate=authority.authority,
        acme_challenge=way,
    ).start()
    try:
        port = authority.tls_port
        assert fetch(port, "all.test").names == ["localhost"]
        wait_until(partial(_all_show, port, "all.test", "all.test"), 60)
        first = fetch(port, "all.test").certificate
        node.send(signal.SIGHUP)
        node.wait_for_log("the workers of generation 1 are gone")
        wait_until(partial(_all_show, port, "all.test", "all.test"), 60)
        assert fetch(port, "all.test").certificate == first
    finally:
        node.close()
