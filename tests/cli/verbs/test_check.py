"""C{check}."""

import re
from pathlib import Path

from tests.cli.conftest import Run

STAMP = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"


def test_a_valid_file_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("log_level = debug\n")
    result = run("check", "my.conf")
    assert (result.exit_code, result.output) == (0, "configuration at my.conf is valid\n")


def test_every_error_is_a_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("log_level = loud\n\npg_ssl = yes\n")
    result = run("check", "my.conf")
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(rf"{STAMP} \[error\] log_level has an invalid .* \[my.conf:1\]", lines[0])
    assert re.fullmatch(rf"{STAMP} \[error\] pg_ssl is not a boolean: .* \[my.conf:3\]", lines[1])


def test_warnings_are_told_beside_errors(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("databse = off\nlog_level = loud\n")
    for arguments in (["check", "my.conf"], ["start", "-c", "my.conf"]):
        result = run(*arguments)
        assert result.exit_code == 1
        first, second, *_ = result.stderr.splitlines()
        assert first.endswith(
            "[warn] unknown configuration property 'databse' is ignored, did you mean 'database'? "
            "[my.conf:1]"
        )
        assert "log_level has an invalid value: 'loud'" in second


def test_a_missing_file_is_an_error(run: Run) -> None:
    result = run("check", "none.conf")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(rf"{STAMP} \[error\] no file at: none.conf\n", result.stderr)


def test_without_a_file_the_usual_one_is_checked(run: Run) -> None:
    result = run("check")
    assert result.exit_code == 1
    assert result.stderr.endswith("[error] no file at: /nowhere/kongtx.conf\n")


def test_warnings_leave_it_valid(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("log_levl = debug\n")
    result = run("check", "my.conf")
    assert (result.exit_code, result.stdout) == (0, "configuration at my.conf is valid\n")
    assert "[warn] unknown configuration property 'log_levl' is ignored" in result.stderr


def test_the_environment_is_checked_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").touch()
    result = run("check", "my.conf", KONG_LOG_LEVEL="loud")
    assert result.exit_code == 1
    assert result.stderr.endswith("[environment variable KONG_LOG_LEVEL]\n")


def test_a_reference_without_a_value_is_a_warning(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("pg_password = {vault://env/not-here}\n")
    result = run("check", "my.conf")
    assert result.exit_code == 0
    assert "[warn] failed to dereference '{vault://env/not-here}'" in result.stderr


def test_what_is_not_there_yet_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("stream_listen = 127.0.0.1:9\n")
    result = run("check", "my.conf")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith(
        "[error] stream_listen = 127.0.0.1:9 is not supported yet; take off [my.conf:1]\n"
    )
