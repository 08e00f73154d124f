"""What a node was told while it ran, after one of its workers has died, and after a reload."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Gateway, running
from tests.runtime.running import wait_until

Node = tuple[Gateway, "subprocess.Popen[bytes]"]
#: Requests after which each of two workers has surely answered one.
MANY = 30


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node with two workers and without database, which begins with a file."""
    file = tmp_path / "kong.json"
    file.write_text(json.dumps(document("of-the-file")))
    with running(tmp_path, database="off", declarative_config=str(file)) as started:
        yield started


def document(name: str) -> dict[str, Any]:
    return {"_format_version": "3.0", "services": [{"name": name, "url": "http://127.0.0.1:1"}]}


def ask(url: str, data: Any = None) -> tuple[int, Any]:
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def services(urls: Gateway) -> set[str]:
    """The names of all services, as any worker may know them."""
    answers = [ask(f"{urls.admin}/services")[1] for _ in range(MANY)]
    return {service["name"] for answer in answers for service in answer["data"]}


def readiness(urls: Gateway) -> set[tuple[int, str]]:
    """What any worker may say of whether the node is ready."""
    answers = [ask(f"{urls.status}/status/ready") for _ in range(MANY)]
    return {(status, answer["message"]) for status, answer in answers}


def lose_a_worker(folder: Path, urls: Gateway) -> None:
    """Kill a worker, and wait for its successor to be ready."""
    _, told = ask(f"{urls.admin}/")
    change(folder, lambda: os.kill(told["pids"]["workers"][1], signal.SIGKILL), "is ready", 1)


def reload(folder: Path, node: Node) -> None:
    """Have new workers take the place of the old ones, and wait for the old to be gone."""
    change(folder, lambda: node[1].send_signal(signal.SIGHUP), "generation 1 are gone", 1)


def change(folder: Path, act: Callable[[], object], line: str, times: int) -> None:
    """Do something, and wait until the log has a line more often than before."""
    log = folder / "prefix" / "logs" / "error.log"
    before = log.read_text().count(line)
    act()
    wait_until(lambda: log.read_text().count(line) >= before + times, 60)


def test_a_posted_configuration_outlives_a_worker_but_no_reload(tmp_path: Path, node: Node) -> None:
    urls, _ = node
    assert services(urls) == {"of-the-file"}
    assert ask(f"{urls.admin}/config", document("posted"))[0] == 201
    lose_a_worker(tmp_path, urls)
    assert services(urls) == {"posted"}
    reload(tmp_path, node)
    assert services(urls) == {"of-the-file"}


def test_draining_outlives_a_worker_but_no_reload(tmp_path: Path, node: Node) -> None:
    urls, _ = node
    assert readiness(urls) == {(200, "ready")}
    assert ask(f"{urls.status}/status/ready", {"status": "draining"})[0] == 204
    lose_a_worker(tmp_path, urls)
    assert readiness(urls) == {(503, "draining")}
    reload(tmp_path, node)
    assert readiness(urls) == {(200, "ready")}
