"""file-log."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest_twisted
import treq
from twisted.logger import capturedLogs

from kongtx.plugins.file_log.handler import FileLog
from kongtx.testing.plugins import PluginRunner
from kongtx.testing.request import FakeRequest


def log(plugin: FileLog, path: Path, reopen: bool = False, status: int = 200) -> None:
    runner = PluginRunner(plugin, {"path": str(path), "reopen": reopen})
    runner.run("log", FakeRequest(phase="log", status=status))


def statuses(path: Path) -> list[int]:
    return [json.loads(line)["response"]["status"] for line in path.read_text().splitlines()]


def test_each_entry_is_a_line_that_is_added(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"response":{"status":1}}\n')
    plugin = FileLog()
    log(plugin, path, status=200)
    log(plugin, path, status=404)
    assert statuses(path) == [1, 200, 404]


def test_a_file_stays_open_unless_it_is_to_be_reopened(tmp_path: Path) -> None:
    path, moved = tmp_path / "log", tmp_path / "moved"
    plugin = FileLog()
    log(plugin, path)
    os.rename(path, moved)
    log(plugin, path, status=201)
    assert (statuses(moved), path.exists()) == ([200, 201], False)
    log(plugin, path, reopen=True, status=202)
    assert (statuses(moved), statuses(path)) == ([200, 201], [202])


def test_a_new_file_is_for_its_owner_to_write(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log(FileLog(), tmp_path / "log")
    finally:
        os.umask(before)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o644


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with capturedLogs() as captured:
        log(FileLog(), tmp_path / "no" / "log")
    assert captured[0]["error"] == "No such file or directory"


@pytest_twisted.ensureDeferred
async def test_proxied_requests_are_logged(
    make_gateway: Any, upstream: Any, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    plugins = [{"name": "file-log", "config": {"path": str(path)}}]
    gateway = await make_gateway(
        {
            "services": [
                {
                    "name": "s",
                    "url": upstream.url,
                    "routes": [{"paths": ["/r"], "plugins": plugins}],
                }
            ]
        }
    )
    await treq.content(await treq.get(f"{gateway.url}/r"))
    assert statuses(path) == [200]
