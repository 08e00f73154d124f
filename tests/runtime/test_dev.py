"""Development mode: code that changes is served, also with workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from kongtx.cli.process import wait_until
from kongtx.plugins.discovery import load
from kongtx.runtime.dev import EVERY, CodeWatcher, code_of, forget, packages_of
from tests.cli.verbs.test_start import free_port

HANDLER = """
from kongtx.plugins.base import Plugin
from kongtx.schema import Subschema, record

class Devel(Plugin):
    name = "devel"
    priority = 1
    subschema = Subschema({"config": record({})})

    def access(self, config, kong):
        kong.response.exit(200, "%s")
"""


def write_package(site: Path, text: str = "one") -> Path:
    """An installed package with a plugin; gives its code."""
    code = site / "devel_plugin" / "__init__.py"
    code.parent.mkdir(parents=True)
    code.write_text(HANDLER % text)
    info = site / "devel_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: devel-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kongtx.plugins]\ndevel = devel_plugin:Devel\n")
    return code


class TestWatcher:
    def test_changes_are_told_once(self, tmp_path: Path) -> None:
        code, other = tmp_path / "p" / "a.py", tmp_path / "single.py"
        code.parent.mkdir()
        for file in (code, other):
            file.write_text("1")
        told: list[list[Path]] = []
        clock = Clock()
        roots = [code.parent, other]
        watcher = CodeWatcher(roots, told.append, clock, time.time_ns() + 10**9)
        watcher.startService()
        clock.pump([EVERY] * 3)
        assert told == []
        os.utime(other, ns=(1, 1))
        clock.advance(EVERY)
        (code.parent / "new.py").write_text("2")
        (code.parent / "data.txt").write_text("3")
        clock.pump([EVERY] * 2)
        code.unlink()
        clock.advance(EVERY)
        assert told == [[other], [code.parent / "new.py"], [code]]
        watcher.stopService()
        (code.parent / "new.py").unlink()
        clock.pump([EVERY] * 2)
        assert len(told) == 3
        assert clock.getDelayedCalls() == []

    def test_what_changed_while_it_was_being_loaded_is_not_missed(self, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text("1")
        told: list[list[Path]] = []
        clock = Clock()
        watcher = CodeWatcher([tmp_path], told.append, clock, since_ns=0)
        watcher.startService()
        clock.advance(EVERY)
        clock.advance(EVERY)
        watcher.stopService()
        assert told == [[tmp_path / "a.py"]]


def test_the_code_of_others_is_watched_and_loaded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    code = write_package(tmp_path)
    plugins = load(["devel", "cors"])
    assert packages_of(plugins) == ["devel_plugin"]
    assert code.parent in code_of(plugins)
    first = type(plugins["devel"])
    code.write_text(HANDLER % "two")
    assert type(load(["devel"])["devel"]) is first
    forget(["devel_plugin"])
    assert type(load(["devel"])["devel"]) is not first
    forget(["devel_plugin"])


class Node:
    """A node in development mode, as its author starts it."""

    def __init__(self, directory: Path, workers: int, *options: str) -> None:
        self.site = directory / "site"
        self.code = write_package(self.site)
        self.port = free_port()
        self.prefix = directory / "prefix"
        file = directory / "kong.json"
        route = {"name": "r", "paths": ["/"], "plugins": [{"name": "devel"}]}
        file.write_text(json.dumps({"_format_version": "3.0", "routes": [route]}))
        hidden = ("KONG_", "KONGTX_")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(hidden)},
            "PYTHONPATH": os.pathsep.join([str(self.site), *filter(None, sys.path)]),
            "KONG_PREFIX": str(self.prefix),
            "KONG_PLUGINS": "bundled,devel",
            "KONG_DATABASE": "off",
            "KONG_DECLARATIVE_CONFIG": str(file),
            "KONG_PROXY_LISTEN": f"127.0.0.1:{self.port}",
            "KONG_ADMIN_LISTEN": "off",
            "KONG_ADMIN_GUI_LISTEN": "off",
            "KONG_STATUS_LISTEN": "off",
            "KONG_NGINX_WORKER_PROCESSES": str(workers),
            "KONG_LMDB_MAP_SIZE": "16m",
            "KONG_MEM_CACHE_SIZE": "4m",
        }
        self.run("start", *options)

    def run(self, *arguments: str) -> None:
        """Run a command."""
        subprocess.run(
            [sys.executable, "-m", "kongtx.cli.main", *arguments],
            env=self.environment,
            check=True,
            timeout=60,
            capture_output=True,
        )

    def ask(self) -> str:
        """The body of an answer."""
        url = f"http://127.0.0.1:{self.port}/"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()


@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 1])
def test_changed_code_is_served_and_broken_code_is_not(tmp_path: Path, workers: int) -> None:
    node = Node(tmp_path, workers, "--dev")
    try:
        assert node.ask() == "one"
        node.code.write_text(HANDLER % "second")
        assert wait_until(lambda: node.ask() == "second", 20)
        node.code.write_text("this is no Python")
        log = node.prefix / "logs" / "error.log"
        assert wait_until(lambda: "plugin devel cannot be imported" in log.read_text(), 20)
        assert node.ask() == "second"
        node.code.write_text((HANDLER % "third").replace('200, "third"', "1 / 0"))
        assert wait_until(lambda: "ZeroDivisionError" in node.ask(), 20)
    finally:
        node.run("stop")


@pytest.mark.long
def test_code_is_left_alone_otherwise(tmp_path: Path) -> None:
    node = Node(tmp_path, 1)
    try:
        node.code.write_text(HANDLER % "second")
        assert not wait_until(lambda: node.ask() != "one", 4 * EVERY)
    finally:
        node.run("stop")
