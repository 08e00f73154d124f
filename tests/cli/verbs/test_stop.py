"""C{stop}, C{quit} and C{health}, on processes that behave like masters."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kongtx.cli.process import Process, find_process, wait_until
from tests.cli.conftest import Run, failure

StartMaster = Callable[..., "subprocess.Popen[str]"]


def test_stop_ends_the_master(run: Run, prefix: Path, start_master: StartMaster) -> None:
    master = start_master("busy")
    result = run("stop", "-p", str(prefix))
    assert (result.exit_code, result.output) == (0, "kongtx stopped\n")
    assert master.wait(5) == 0


def test_quit_waits_for_the_master(run: Run, prefix: Path, start_master: StartMaster) -> None:
    master = start_master()
    result = run("quit", "-p", str(prefix))
    assert (result.exit_code, result.output) == (0, "kongtx stopped (gracefully)\n")
    assert master.wait(5) == 0


def test_quit_forces_a_master_that_takes_too_long(
    run: Run, prefix: Path, start_master: StartMaster
) -> None:
    master = start_master("busy")
    result = run("quit", "-p", str(prefix), "--timeout", "0", "--v")
    assert result.exit_code == 0
    assert [line[20:] for line in result.stdout.splitlines()[1:]] == [
        "[verbose] waiting for kongtx to finish processing requests",
        f"[verbose] kongtx is still running at {prefix}, forcing shutdown",
        "[info] Timeout, kongtx stopped forcefully",
    ]
    assert master.wait(5) == 0


def test_quit_waits_first_when_told_to(run: Run, prefix: Path, start_master: StartMaster) -> None:
    start_master()
    result = run("quit", "-p", str(prefix), "-w", "0.1", "--v")
    assert "waiting 0.1 seconds before quitting\n" in result.stdout
    assert result.stdout.endswith("kongtx stopped (gracefully)\n")


def test_quit_tells_when_the_master_is_gone_while_it_waits(
    run: Run, prefix: Path, start_master: StartMaster
) -> None:
    master = start_master()
    master.terminate()
    master.wait(5)
    result = run("quit", "-p", str(prefix), "-w", "5")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("[error] kongtx stopped while waiting (unexpected)\n")


@pytest.mark.parametrize("verb", ["stop", "quit"])
class TestWithoutNode:
    """What both say when there is nothing to stop."""

    def test_no_prefix(self, run: Run, verb: str, tmp_path: Path) -> None:
        result = run(verb, "-p", f"{tmp_path}/none")
        assert (result.exit_code, result.stderr) == (
            1,
            failure(f"no such prefix: {tmp_path}/none"),
        )

    def test_no_effective_configuration(self, run: Run, verb: str, tmp_path: Path) -> None:
        result = run(verb, "-p", str(tmp_path))
        assert (result.exit_code, result.stderr) == (
            1,
            failure(f"no file at: {tmp_path}/.kongtx_env"),
        )

    def test_no_pid_file(self, run: Run, verb: str, prefix: Path) -> None:
        result = run(verb, "-p", str(prefix))
        assert (result.exit_code, result.stderr) == (
            1,
            failure(f"kongtx not running in prefix: {prefix}"),
        )

    def test_a_stale_pid(
        self, run: Run, verb: str, prefix: Path, start_master: StartMaster
    ) -> None:
        master = start_master()
        master.terminate()
        master.wait(5)
        result = run(verb, "-p", str(prefix))
        assert (result.exit_code, result.stderr) == (
            1,
            failure(f"kongtx not running in prefix: {prefix}"),
        )

    def test_a_pid_that_is_another_program(self, run: Run, verb: str, prefix: Path) -> None:
        with subprocess.Popen(["sleep", "60"]) as other:
            (prefix / "pids" / "kongtx.pid").write_text(f"{other.pid}\n")
            result = run(verb, "-p", str(prefix))
            assert (result.exit_code, result.stderr) == (
                1,
                failure(f"kongtx not running in prefix: {prefix}"),
            )
            assert other.poll() is None
            other.kill()

    @pytest.mark.parametrize("content", ["", "x", "-1", "0"])
    def test_a_damaged_pid_file(self, run: Run, verb: str, prefix: Path, content: str) -> None:
        (prefix / "pids" / "kongtx.pid").write_text(content)
        assert run(verb, "-p", str(prefix)).exit_code == 1


def test_the_prefix_may_come_from_the_environment(run: Run, prefix: Path) -> None:
    result = run("stop", KONG_PREFIX=str(prefix))
    assert result.stderr == failure(f"kongtx not running in prefix: {prefix}")


def test_the_environment_need_not_be_that_of_the_start(
    run: Run, prefix: Path, start_master: StartMaster
) -> None:
    start_master()
    result = run("stop", "-p", str(prefix), KONG_PG_SSL="what", KONG_LOG_LEVEL="loud")
    assert (result.exit_code, result.output) == (0, "kongtx stopped\n")


class TestHealth:
    """kongtx health."""

    def test_a_node_that_runs(self, run: Run, prefix: Path, start_master: StartMaster) -> None:
        start_master()
        result = run("health", "-p", str(prefix))
        assert (result.exit_code, result.output) == (
            0,
            f"kongtx......running\n\nkongtx is healthy at {prefix}\n",
        )

    def test_a_node_that_does_not(self, run: Run, prefix: Path) -> None:
        result = run("health", "-p", str(prefix))
        assert (result.exit_code, result.stdout) == (1, "kongtx......not running\n\n")
        assert result.stderr == failure(f"kongtx is not running at {prefix}")

    def test_no_node(self, run: Run, tmp_path: Path) -> None:
        result = run("health", "-p", str(tmp_path))
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == failure(f"kongtx is not running at {tmp_path}")

    def test_no_prefix(self, run: Run, tmp_path: Path) -> None:
        result = run("health", "-p", f"{tmp_path}/none")
        assert result.stderr == failure(f"no such prefix: {tmp_path}/none")


def test_a_process_that_has_ended_but_was_not_waited_for_does_not_run(
    prefix: Path, start_master: StartMaster
) -> None:
    master = start_master()
    pid_file = str(prefix / "pids" / "kongtx.pid")
    assert find_process(pid_file) == Process(master.pid)
    os.kill(master.pid, signal.SIGKILL)
    os.waitid(os.P_PID, master.pid, os.WEXITED | os.WNOWAIT)
    assert find_process(pid_file) is None


def test_waiting_ends_with_the_time() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert not wait_until(lambda: False, 1, lambda: now[0], sleep)
    assert now[0] == pytest.approx(1, abs=0.06)
    assert wait_until(lambda: now[0] >= 1.5, 1, lambda: now[0], sleep)
