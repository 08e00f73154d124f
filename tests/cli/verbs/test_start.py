"""C{start}, C{restart}, C{reload} and C{prepare}, with real masters and workers."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kongtx.cli.process import find_process, wait_until
from kongtx.conf import effective
from tests.cli.conftest import Run, failure

#: The command, with workers that answer every request with their process id.
KONGTX = """
import functools
from kongtx.cli.main import main
from kongtx.runtime.processes import master
master.run = functools.partial(master.run, node="tests.runtime.nodes.echo", kinds=("proxy",))
main(prog_name="kongtx")
"""

#: The command with the workers that it really has.
REAL = """
from kongtx.cli.main import main
main(prog_name="kongtx")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Node:
    """A node in a directory of its own. @ivar port: where its workers answer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prefix = directory / "prefix"
        self.prefix.mkdir()
        self.port = free_port()
        self.program = KONGTX
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KONG_", "KONGTX_"))
        }
        self.environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self.configure(nginx_worker_processes="1")

    def configure(self, **settings: str) -> None:
        """Write the node's file."""
        settings = {
            "prefix": str(self.prefix),
            "proxy_listen": f"127.0.0.1:{self.port}",
            "admin_listen": "off",
            "admin_gui_listen": "off",
            "status_listen": "off",
            **settings,
        }
        lines = (f"{name} = {value}\n" for name, value in settings.items())
        (self.directory / "my.conf").write_text("".join(lines))

    def popen(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin to run a command."""
        return subprocess.Popen(
            [sys.executable, "-c", self.program, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command. Gives its exit code and what it printed."""
        process = self.popen(*arguments)
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def ask(self, port: int | None = None) -> str:
        """The process id of the worker that answers."""
        url = f"http://127.0.0.1:{port or self.port}/"
        with urllib.request.urlopen(url, timeout=60) as response:
            return str(response.read().decode().split()[0])

    def master(self) -> int | None:
        """The process id of the running master."""
        process = find_process(f"{self.prefix}/pids/kongtx.pid")
        return process and process.pid


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node that is killed in the end, if it still runs."""
    node = Node(tmp_path)
    yield node
    pid = node.master()
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not wait_until(lambda: node.master() is None, 60):
            os.kill(pid, signal.SIGKILL)


def test_a_node_starts_serves_reloads_and_stops(node: Node) -> None:
    assert node.run("start", "-c", "my.conf") == (0, "kongtx started\n", "")
    master, worker = node.master(), node.ask()
    assert node.run("health", "-p", "prefix") == (
        0,
        f"kongtx......running\n\nkongtx is healthy at {node.prefix}\n",
        "",
    )
    assert node.run("reload", "-p", "prefix") == (0, "kongtx reloaded\n", "")
    assert wait_until(lambda: node.ask() != worker, 60)
    assert node.master() == master
    assert node.run("stop", "-p", "prefix") == (0, "kongtx stopped\n", "")
    assert wait_until(lambda: node.master() is None, 60)


def test_starting_twice_leaves_the_first_alone(node: Node) -> None:
    node.run("start", "-c", "my.conf")
    master = node.master()
    before = (node.prefix / ".kongtx_env").read_text()
    node.configure(log_level="debug")
    assert node.run("start", "-c", "my.conf") == (
        1,
        "",
        failure(f"kongtx is already running in {node.prefix}"),
    )
    assert (node.prefix / ".kongtx_env").read_text() == before
    assert node.master() == master


def test_a_node_quits_when_its_requests_have_ended(node: Node) -> None:
    node.run("start", "-c", "my.conf")
    assert node.run("quit", "-p", "prefix") == (0, "kongtx stopped (gracefully)\n", "")
    assert node.master() is None


def test_a_reload_takes_what_a_file_sets(node: Node) -> None:
    node.run("start", "-c", "my.conf")
    port = free_port()
    (node.directory / "changes.conf").write_text(f"proxy_listen = 127.0.0.1:{port}\n")
    result = node.run("reload", "-p", "prefix", "-c", "changes.conf")
    assert result == (0, "kongtx reloaded\n", "")

    def answers() -> bool:
        try:
            return bool(node.ask(port))
        except OSError:
            return False

    assert wait_until(answers, 60)
    assert effective.read(str(node.prefix)).proxy_listen == (f"127.0.0.1:{port}",)


def test_a_reload_with_mistakes_changes_nothing(node: Node) -> None:
    node.run("start", "-c", "my.conf")
    worker = node.ask()
    before = (node.prefix / ".kongtx_env").read_text()
    (node.directory / "changes.conf").write_text("log_level = loud\n")
    code, out, err = node.run("reload", "-p", "prefix", "-c", "changes.conf")
    assert (code, out) == (1, "")
    assert "log_level has an invalid value: 'loud'" in err
    assert "[changes.conf:1]" in err
    assert (node.prefix / ".kongtx_env").read_text() == before
    assert node.ask() == worker


@pytest.mark.long
def test_a_restart_is_another_master(node: Node) -> None:
    node.run("start", "-c", "my.conf")
    master = node.master()
    assert node.run("restart", "-c", "my.conf") == (0, "kongtx started\n", "")
    assert node.master() not in (None, master)
    assert node.ask()


def test_a_restart_that_cannot_be_stops_nothing(node: Node) -> None:
    node.run("start", "-c", "my.conf")
    master = node.master()
    node.configure(log_level="loud")
    code, out, err = node.run("restart", "-c", "my.conf")
    assert (code, out) == (1, "")
    assert err.startswith("Error: log_level has an invalid value: 'loud' ")
    assert node.master() == master


def test_a_restart_starts_a_node_that_does_not_run(node: Node) -> None:
    assert node.run("restart", "-c", "my.conf") == (0, "kongtx started\n", "")
    assert node.ask()


def test_a_restart_in_a_prefix_needs_a_node_there(node: Node) -> None:
    assert node.run("restart", "-c", "my.conf", "-p", "prefix") == (
        1,
        "",
        failure(f"no file at: {node.prefix}/.kongtx_env"),
    )


def test_the_foreground_lasts_until_the_node_is_stopped(node: Node) -> None:
    node.configure(nginx_daemon="off", nginx_worker_processes="1")
    process = node.popen("start", "-c", "my.conf")
    assert wait_until(lambda: node.master() == process.pid, 60)

    def answers() -> bool:
        try:
            return bool(node.ask())
        except OSError:
            return False

    assert wait_until(answers, 60)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=90)
    assert process.returncode == 0
    assert node.master() is None


def test_a_taken_port_is_told(node: Node) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        node.configure(proxy_listen=f"127.0.0.1:{port}")
        code, out, err = node.run("start", "-c", "my.conf")
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert f"127.0.0.1:{port}" in err
    assert node.master() is None


def test_a_prefix_that_is_a_file_is_told(node: Node) -> None:
    node.prefix.rmdir()
    node.prefix.touch()
    assert node.run("start", "-c", "my.conf") == (
        1,
        "",
        failure(f"{node.prefix} is not a directory"),
    )


def test_a_reference_without_a_value_prevents_the_start(node: Node) -> None:
    node.configure(pg_password="{vault://env/not-here}")
    code, out, err = node.run("start", "-c", "my.conf")
    assert (code, out) == (1, "")
    assert err.startswith(
        "Error: failed to dereference '{vault://env/not-here}': could not get value from external "
        "vault (no value found) for config option 'pg_password' [my.conf:"
    )
    assert list(node.prefix.iterdir()) == []


def test_a_reference_is_not_needed_to_stop(node: Node) -> None:
    node.configure(pg_password="{vault://env/my-secret}")
    node.environment["MY_SECRET"] = "s3cret"
    assert node.run("start", "-c", "my.conf") == (0, "kongtx started\n", "")
    del node.environment["MY_SECRET"]
    assert node.run("stop", "-p", "prefix") == (0, "kongtx stopped\n", "")
    assert "s3cret" not in (node.prefix / ".kongtx_env").read_text()


def test_a_missing_file_is_told(node: Node) -> None:
    assert node.run("start", "-c", "none.conf") == (1, "", failure("no file at: none.conf"))


def test_reloading_what_does_not_run_is_told(node: Node) -> None:
    assert node.run("reload", "-c", "my.conf") == (
        1,
        "",
        failure(f"kongtx not running in prefix: {node.prefix}"),
    )
    assert node.run("reload", "-p", "none") == (
        1,
        "",
        failure(f"no such prefix: {node.directory}/none"),
    )


@pytest.mark.long
def test_a_gateway_starts_with_a_declarative_file(node: Node) -> None:
    node.program = REAL
    declared = node.directory / "kong.yml"
    declared.write_text(
        """
        _format_version: "3.0"
        services:
        - {name: s, url: "http://127.0.0.1:9", routes: [{name: r, paths: [/there]}]}
        """
    )
    node.configure(database="off", declarative_config="kong.yml", nginx_worker_processes="1")
    assert node.run("start", "-c", "my.conf") == (0, "kongtx started\n", "")
    statuses = []
    for path in ("/", "/there"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{node.port}{path}", timeout=60)
        statuses.append(caught.value.code)
        caught.value.close()
    assert statuses == [404, 502]
    assert node.run("quit", "-p", "prefix") == (0, "kongtx stopped (gracefully)\n", "")


def test_a_declarative_file_with_mistakes_prevents_the_start(node: Node) -> None:
    node.program = REAL
    declared = node.directory / "kong.yml"
    declared.write_text('_format_version: "3.0"\nservices: [{name: s, host: h, protocol: foo}]\n')
    node.configure(database="off", declarative_config="kong.yml", nginx_worker_processes="1")
    code, out, err = node.run("start", "-c", "my.conf")
    assert (code, out) == (1, "")
    assert err.startswith(
        f"Error: error parsing declarative config file {declared}:\n"
        "in 'services':\n"
        "  - in entry 1 of 'services':\n"
        "    in 'protocol': expected one of: "
    )
    assert node.master() is None


class TestPrepare:
    """kongtx prepare."""

    def test_it_makes_the_prefix(self, run: Run, tmp_path: Path) -> None:
        result = run("prepare", "-p", "prefix")
        assert (result.exit_code, result.stderr) == (0, "")
        prefix = tmp_path / "prefix"
        assert result.stdout == f"prefix directory {prefix} not found, trying to create it\n"
        assert sorted(path.name for path in prefix.iterdir()) == [
            ".kongtx_env",
            "acme",
            "logs",
            "pids",
            "sockets",
            "ssl",
        ]
        assert stat.S_IMODE((prefix / "ssl").stat().st_mode) == 0o700

    def test_it_says_nothing_when_the_prefix_is_there(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "prefix").mkdir()
        result = run("prepare", "-p", "prefix")
        assert (result.exit_code, result.output) == (0, "")

    def test_it_removes_sockets_of_a_killed_node(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "prefix" / "sockets" / "x.sock"
        path.parent.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as dangling:
            dangling.bind(str(path))
        result = run("prepare", "-p", "prefix")
        assert (result.exit_code, result.stdout) == (0, "")
        assert re.search(r"\[warn\] Found dangling unix sockets in the prefix", result.stderr)
        assert f"[warn] removing unix socket: {path}\n" in result.stderr
        assert not path.exists()

    def test_it_leaves_a_running_node_alone(
        self, run: Run, prefix: Path, start_master: Callable[..., object]
    ) -> None:
        start_master()
        result = run("prepare", "-p", str(prefix))
        assert (result.exit_code, result.stderr) == (
            1,
            failure(f"kongtx is already running in {prefix}"),
        )

    def test_it_tells_what_has_no_effect(self, run: Run) -> None:
        result = run("prepare", "-p", "prefix", "--nginx-conf", "x")
        assert result.exit_code == 0
        assert "[warn] there is no nginx, so this has no effect: --nginx-conf\n" in result.stderr


@pytest.mark.parametrize("verb", ["start", "prepare", "restart"])
def test_what_is_not_there_yet_starts_nothing(run: Run, tmp_path: Path, verb: str) -> None:
    result = run(verb, KONG_PREFIX=str(tmp_path / "prefix"), KONG_STREAM_LISTEN="127.0.0.1:9")
    assert (result.exit_code, result.stderr) == (
        1,
        failure(
            "stream_listen = 127.0.0.1:9 is not supported yet; take off "
            "[environment variable KONG_STREAM_LISTEN]"
        ),
    )
    assert not (tmp_path / "prefix").exists()


def test_reload_refuses_what_is_not_there_yet(
    run: Run, prefix: Path, start_master: Callable[..., object], tmp_path: Path
) -> None:
    start_master()
    before = (prefix / ".kongtx_env").read_text()
    (tmp_path / "new.conf").write_text("stream_listen = 127.0.0.1:9000\n")
    result = run("reload", "-c", "new.conf", "-p", str(prefix))
    assert (result.exit_code, result.stderr) == (
        1,
        failure("stream_listen = 127.0.0.1:9000 is not supported yet; take off [new.conf:1]"),
    )
    assert (prefix / ".kongtx_env").read_text() == before


def test_the_database_timeout_reaches_the_node(node: Node) -> None:
    node.run("start", "-c", "my.conf", "--db-timeout", "2.5")
    assert effective.read(str(node.prefix)).pg_timeout == 2500
    assert effective.read(str(node.prefix)).cassandra_timeout == 2500
