"""A runner of command lines, and processes to act on."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from kongtx.cli.main import main
from kongtx.conf import effective, from_values

Run = Callable[..., Result]
Kongtx = Callable[..., "subprocess.CompletedProcess[str]"]

#: A process that holds the pid file as a master does, and ends on the signals that one ends on.
MASTER = """
import signal, sys
from kongtx.runtime.processes.pidfile import PidFile
stop = lambda *_: sys.exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGQUIT, signal.SIG_IGN if "busy" in sys.argv else stop)
signal.signal(signal.SIGHUP, lambda *_: print("reload", flush=True))
pid_file = PidFile(sys.argv[1], "prefix")
pid_file.acquire()
pid_file.write()
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command line in this process, in an empty directory and environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("KONG_", "KONGTX_"))]:
        monkeypatch.delenv(name)
    # A node may run on this machine, where nodes run by default.
    default = str(tmp_path / "default-prefix")
    monkeypatch.setattr("kongtx.conf.loader.default_prefix", lambda *_: default)
    monkeypatch.setattr("kongtx.cli.nodes.SEARCH_PATHS", ("/nowhere/kongtx.conf",))
    monkeypatch.setattr("kongtx.cli.verbs.check.SEARCH_PATHS", ("/nowhere/kongtx.conf",))

    def runner(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, arguments, env=environment, prog_name="kongtx")

    return runner


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """The prefix directory of a node that was started there, but does not run."""
    path = tmp_path / "prefix"
    (path / "pids").mkdir(parents=True)
    effective.write(from_values(prefix=str(path)))
    return path


@pytest.fixture
def start_master(prefix: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that behaves like the master of the node in the prefix directory."""
    processes = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", MASTER, f"{prefix}/pids/kongtx.pid", *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def failure(message: str) -> str:
    """What a failed command prints on stderr."""
    return f"Error: {message}\n\n  Run with --v (verbose) or --vv (debug) for more details\n"


def unstyled(text: str) -> str:
    """Text without colours."""
    return click.unstyle(text)


@pytest.fixture
def kongtx(tmp_path: Path) -> Kongtx:
    """Runs the command in a process of its own, with a prefix in the test's folder."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KONG_", "KONGTX_"))
        }
        return subprocess.run(
            [sys.executable, "-m", "kongtx.cli.main", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            check=False,
            timeout=60,
            env={
                **clean,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "KONG_PREFIX": str(tmp_path / "prefix"),
                **environment,
            },
        )

    return run
