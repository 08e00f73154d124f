"""What operators are given works, and every metric is explained."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs" / "operations.rst").read_text()
CONF = TOP / "conf"


#: What the plugin's code has of this form that is no metric: a label, and a value of one.
LABELS = {"kong_subsystem", "kong_db_cache"}


def metrics() -> set[str]:
    """The names that the prometheus plugin gives to metrics; counters end with C{_total}."""
    found = set()
    for path in (TOP / "kongtx" / "plugins" / "prometheus").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.value if isinstance(node, ast.Constant) else None
            if isinstance(name, str) and re.fullmatch(r"kong_\w+", name):
                found.add(name)
    # A counter's family is named without the end of its samples' name.
    return {name for name in found if f"{name}_total" not in found} - LABELS


def test_every_metric_is_explained_and_no_other() -> None:
    explained = set(re.findall(r"^``(kong_\w+)``", PAGE, re.MULTILINE))
    assert {"kong_http_requests_total", "kong_node_info"} <= metrics()
    assert explained == metrics()


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    unit = tmp_path / "kongtx.service"
    text = (CONF / "kongtx.service").read_text()
    assert text.count("/opt/kongtx/bin/kongtx") == 2
    unit.write_text(text.replace("/opt/kongtx/bin/kongtx", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:/usr/lib/systemd/system"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


#: Says that it is ready, and then whether the signal came.
MASTER = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("ready", flush=True)
print(signal.sigwait([signal.SIGUSR1]).name, flush=True)
"""


def test_logs_are_rotated_and_the_master_is_told(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    (prefix / "logs").mkdir(parents=True)
    (prefix / "pids").mkdir()
    (prefix / "logs" / "error.log").write_text("a line\n")
    master = subprocess.Popen([sys.executable, "-c", MASTER], stdout=subprocess.PIPE, text=True)
    try:
        assert master.stdout is not None
        assert master.stdout.readline() == "ready\n"
        (prefix / "pids" / "kongtx.pid").write_text(f"{master.pid}\n")
        rotate(tmp_path, prefix)
        assert master.stdout.readline() == f"{signal.SIGUSR1.name}\n"
    finally:
        master.kill()
        master.communicate()
    assert (prefix / "logs" / "error.log.1").read_text() == "a line\n"


def test_logs_of_a_node_that_does_not_run_are_rotated(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    (prefix / "logs").mkdir(parents=True)
    (prefix / "logs" / "access.log").write_text("a line\n")
    rotate(tmp_path, prefix)
    assert (prefix / "logs" / "access.log.1").read_text() == "a line\n"


def rotate(directory: Path, prefix: Path) -> None:
    """Rotate the logs of a node now, whatever their age."""
    # Directories of others' writing are refused; those of tests are nobody else's.
    prefix.joinpath("logs").chmod(0o700)
    conf = directory / "kongtx.logrotate"
    text = (CONF / "kongtx.logrotate").read_text()
    conf.write_text(text.replace("/var/lib/kongtx", str(prefix)))
    conf.chmod(0o600)
    program = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.fail("the tests need logrotate: run tests/install-programs")
    command = [program, "--force", "--state", str(directory / "state"), str(conf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
