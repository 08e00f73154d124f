"""The file that says which process is the master."""

import os
import subprocess
import sys

import pytest

from kongtx.runtime.errors import AlreadyRunningError, PrefixError
from kongtx.runtime.processes.pidfile import PidFile, running_pid


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "kongtx.pid")


def test_while_it_is_held_it_names_the_process(path):
    file = PidFile(path, "/prefix")
    file.acquire()
    file.write()
    assert running_pid(path) == os.getpid()
    with open(path) as read:
        assert read.read() == f"{os.getpid()}\n"
    file.release()
    assert running_pid(path) is None
    assert not os.path.exists(path)


def test_a_second_master_is_refused(path):
    first, second = PidFile(path, "/prefix"), PidFile(path, "/prefix")
    first.acquire()
    first.write()
    with pytest.raises(AlreadyRunningError, match="kongtx is already running in /prefix") as caught:
        second.acquire()
    assert caught.value.pid == os.getpid()
    first.release()
    second.acquire()
    second.release()


def test_what_a_killed_master_left_says_nothing(path):
    # Process 1 lives, and is no kongtx.
    with open(path, "w") as left:
        left.write("1\n")
    assert running_pid(path) is None
    file = PidFile(path, "/prefix")
    file.acquire()
    file.write()
    assert running_pid(path) == os.getpid()
    file.release()


def test_the_lock_ends_with_the_process(path):
    code = (
        "import os, sys; from kongtx.runtime.processes.pidfile import PidFile\n"
        "file = PidFile(sys.argv[1], 'p'); file.acquire(); file.write()\n"
        "print(os.getpid(), flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert int(process.stdout.readline()) == process.pid == running_pid(path)
    process.kill()
    process.communicate()
    assert running_pid(path) is None
    assert os.path.exists(path)


def test_without_a_file_nothing_runs(path):
    assert running_pid(path) is None


def test_before_the_number_is_written_it_is_zero(path):
    file = PidFile(path, "/prefix")
    file.acquire()
    assert running_pid(path) == 0
    file.release()


def test_a_file_that_cannot_be_written_is_named():
    with pytest.raises(PrefixError, match=r"cannot write /nowhere/x\.pid: No such file"):
        PidFile("/nowhere/x.pid", "/nowhere").acquire()
