"""Error log lines."""

import json
import os
import re
import time

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from kongtx.lib.loglevel import Level, notice, raw_log
from kongtx.runtime.errors import LogFileError
from kongtx.runtime.logs.service import Logs, LogSettings


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start(tmp_path, clock):
    """Starts logs with the settings given; stops them after the test."""
    started = []

    def start(**settings):
        settings.setdefault("error_log", "error.log")
        logs = Logs(LogSettings(str(tmp_path), **settings), clock)
        logs.startService()
        started.append(logs)
        return logs

    yield start
    for logs in started:
        if logs.running:
            logs.stopService()


@pytest.fixture
def written(tmp_path):
    return lambda name="error.log": (tmp_path / name).read_text()


log = Logger("kongtx.test")


def test_the_observer_provides_its_interface(start):
    verifyObject(ILogObserver, start()._observer)


def test_a_line_looks_as_kongs(start, written):
    start()
    before = time.time()
    log.warn("upstream {name} is gone", name="u")
    stamp = re.fullmatch(
        rf"(\d{{4}}/\d\d/\d\d \d\d:\d\d:\d\d) \[warn\] {os.getpid()}#0: "
        r"\[kongtx\.test\] upstream u is gone\n",
        written(),
    )[1]
    at = time.mktime(time.strptime(stamp, "%Y/%m/%d %H:%M:%S"))
    assert int(before) <= at <= time.time()


def test_what_is_less_severe_than_the_level_is_left_out(start, written):
    logs = start()
    log.info("hidden")
    notice(log, "shown")
    logs.control.set(Level.INFO)
    log.info("shown later")
    logs.control.set(Level.ERROR)
    log.warn("hidden")
    lines = [line.rpartition("] ")[2] for line in written().splitlines()]
    assert lines == ["shown", "log level changed from notice to info", "shown later"]


def test_context_follows_as_in_nginx(start, written):
    start()
    log.error("refused", request_id="abc", client="127.0.0.1", other="not shown", request=None)
    assert written().endswith("[kongtx.test] refused, client: 127.0.0.1, request_id: abc\n")


def test_a_raw_entry_shows_its_place(start, written):
    start()
    raw_log("error", "odd {value}")
    assert re.search(
        r"\[error\] \d+#0: test_errorlog\.py:\d+: test_a_raw_entry_shows_its_place\(\): "
        r"odd \{value\}\n$",
        written(),
    )


def test_nobody_can_forge_a_line(start, written):
    start()
    log.error("{value}", value="one\n2026/01/01 00:00:00 [emerg] 1#0: forged", client="a\r\nb")
    assert written().count("\n") == 1
    assert "one\\x0A2026" in written()
    assert "client: a\\x0D\\x0Ab" in written()


def test_a_failure_shows_its_error_and_an_indented_traceback(start, written):
    start()
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.failure("could not {verb}", verb="work")
    first, *rest = written().splitlines()
    assert "[crit]" in first
    assert first.endswith("could not work: ValueError: first\\x0Asecond")
    assert rest
    assert all(line.startswith("  ") for line in rest)
    assert any("raise ValueError" in line for line in rest)


def test_json_lines_hold_the_fields(start, written):
    start(log_format="json")
    log.warn("upstream {name} is gone", name="u", peers=["a", "b"], odd=object)
    entry = json.loads(written())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "level": "warn",
        "pid": os.getpid(),
        "logger": "kongtx.test",
        "message": "upstream u is gone",
        "fields": {"name": "u", "peers": ["a", "b"], "odd": "<class 'object'>"},
    }


def test_json_lines_hold_the_place_and_the_traceback(start, written):
    start(log_format="json")
    raw_log("alert", "here", plugin="p")
    log.emit(LogLevel.error, "bad", log_failure=Failure(KeyError("k")))
    raw, failed = map(json.loads, written().splitlines())
    assert (raw["level"], raw["message"], raw["fields"]) == ("alert", "here", {"plugin": "p"})
    assert (raw["file"], raw["function"]) == (
        __file__,
        "test_json_lines_hold_the_place_and_the_traceback",
    )
    assert failed["exception"] == "KeyError"
    assert failed["message"] == "bad: KeyError: 'k'"
    assert "KeyError" in failed["traceback"]


def test_an_entry_that_cannot_be_shown_is_named(start, written):
    class Bad:
        def __str__(self):
            raise RuntimeError

    start(log_format="json")
    log.error("x", client=Bad())
    assert "a log entry of kongtx.test could not be shown: RuntimeError" in written()


def test_no_configured_secret_is_written(start, written):
    logs = start(secrets=("hunter2-secret",))
    log.error("cannot connect to {url}", url="postgres://kong:hunter2-secret@db/kong")
    logs.redactor.add("learnt-later")
    try:
        raise ValueError("learnt-later")
    except ValueError:
        log.failure("x")
    assert "hunter2" not in written()
    assert "learnt-later" not in written()
    assert "kong:******@db" in written()
    assert "hunter2" not in repr(logs.settings)


def test_the_admin_api_has_its_own_file_when_asked_for(start, written):
    start(admin_error_log="admin.log")
    Logger("kongtx.admin.routes").error("of the admin")
    Logger("kongtx.proxy").error("of the proxy")
    assert written("admin.log").endswith("of the admin\n")
    assert written("error.log").endswith("of the proxy\n")
    assert "admin" not in written("error.log")


def test_a_log_that_is_off_writes_nothing(start, tmp_path):
    start(error_log="off")
    log.error("x")
    assert list(tmp_path.iterdir()) == []


def test_reopening_goes_on_in_the_new_file(start, written, tmp_path):
    logs = start()
    log.error("old")
    (tmp_path / "error.log").rename(tmp_path / "error.log.1")
    logs.reopen()
    log.error("new")
    assert written("error.log.1").endswith("old\n")
    assert written().endswith("new\n")
    assert written().count("\n") == 1


def test_nothing_is_written_after_the_stop(start, written):
    logs = start()
    logs.stopService()
    log.error("late")
    assert written() == ""


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path, clock):
    logs = Logs(LogSettings(str(tmp_path), error_log="missing/error.log"), clock)
    with pytest.raises(LogFileError, match=r"missing/error\.log"):
        logs.startService()
    logs.stopService()
