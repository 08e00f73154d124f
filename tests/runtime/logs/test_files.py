"""Log files."""

import os

import pytest
from twisted.internet.task import Clock

from kongtx.runtime.errors import LogFileError
from kongtx.runtime.logs.files import FLUSH_AFTER, LogFile, LogFiles, log_path, open_log


def plain(data):
    return data


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.log"


@pytest.fixture
def file(path, clock):
    file = LogFile(str(path), clock, plain)
    yield file
    file.close()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("logs/error.log", "/prefix/logs/error.log"),
        ("/var/log/x.log", "/var/log/x.log"),
        ("/dev/stdout", "/dev/stdout"),
        ("off", None),
        ("", None),
        (None, None),
    ],
)
def test_paths_are_relative_to_the_prefix(value, path):
    assert log_path("/prefix", value) == path


def test_syslog_is_refused_with_the_way_out():
    with pytest.raises(LogFileError, match="syslog plugin"):
        log_path("/prefix", "syslog:server=unix:/dev/log")


def test_lines_are_written_at_once(file, path):
    file.write(b"one\n")
    assert path.read_bytes() == b"one\n"


def test_buffered_lines_are_written_after_a_moment_together(file, path, clock):
    file.write_later(b"one\n")
    file.write_later(b"two\n")
    assert path.read_bytes() == b""
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(FLUSH_AFTER)
    assert path.read_bytes() == b"one\ntwo\n"
    assert clock.getDelayedCalls() == []


def test_a_full_buffer_is_written_at_once(file, path):
    file.write_later(b"x" * 65_536 + b"\n")
    assert path.stat().st_size == 65_537


def test_lines_keep_their_order_between_both_ways(file, path):
    file.write_later(b"one\n")
    file.write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_closing_writes_what_waits_and_leaves_no_timer(path, clock):
    file = LogFile(str(path), clock, plain)
    file.write_later(b"last\n")
    file.close()
    file.close()
    assert path.read_bytes() == b"last\n"
    assert clock.getDelayedCalls() == []


def test_what_is_logged_after_closing_is_dropped(path, clock):
    file = LogFile(str(path), clock, plain)
    file.close()
    file.write(b"late\n")
    assert path.read_bytes() == b""


def test_reopening_goes_on_in_the_new_file(file, path):
    file.write(b"old\n")
    file.write_later(b"still old\n")
    path.rename(path.with_suffix(".1"))
    file.write_later(b"old too\n")
    file.reopen()
    file.write(b"new\n")
    assert path.with_suffix(".1").read_bytes() == b"old\nstill old\nold too\n"
    assert path.read_bytes() == b"new\n"


def test_a_file_that_cannot_be_reopened_goes_on_in_the_old_one(tmp_path, clock):
    directory = tmp_path / "logs"
    directory.mkdir()
    files = LogFiles(str(tmp_path), clock, plain)
    file = files.get("logs/x.log")
    moved = tmp_path / "moved"
    directory.rename(moved)
    (error,) = files.reopen()
    assert "cannot open the log" in str(error)
    file.write(b"on\n")
    files.close()
    assert (moved / "x.log").read_bytes() == b"on\n"


def test_everything_goes_through_the_filter(path, clock):
    file = LogFile(str(path), clock, lambda data: data.replace(b"secret", b"***"))
    file.write_later(b"a secret\n")
    file.close()
    assert path.read_bytes() == b"a ***\n"


def test_new_files_can_be_read_by_owner_and_group_alone(path):
    os.close(open_log(str(path)))
    assert path.stat().st_mode & 0o007 == 0


def test_standard_streams_are_duplicated(capfd, clock):
    file = LogFile("/dev/stderr", clock, plain)
    file.write(b"to stderr\n")
    file.close()
    os.write(2, b"still open\n")
    assert capfd.readouterr().err == "to stderr\nstill open\n"


def test_a_file_that_cannot_be_opened_is_named(clock):
    with pytest.raises(LogFileError, match=r"cannot open the log /nowhere/x\.log: No such file"):
        LogFile("/nowhere/x.log", clock, plain)


def test_a_full_disk_is_reported_once_and_raises_nothing(clock, capsys):
    file = LogFile("/dev/full", clock, plain)
    file.write(b"one\n")
    file.write(b"two\n")
    file.close()
    assert capsys.readouterr().err == "kongtx: cannot write to /dev/full: No space left on device\n"


def test_logs_with_the_same_path_share_a_file(tmp_path, clock):
    files = LogFiles(str(tmp_path), clock, plain)
    assert files.get("x.log") is files.get(str(tmp_path / "x.log"))
    assert files.get("y.log") is not files.get("x.log")
    assert files.get("off") is None
    files.close()
