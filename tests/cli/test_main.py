"""What all commands have in common."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kongtx.cli.main import VERBS, main
from tests.cli.conftest import Run, failure, unstyled

STAMP = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"


def kongtx(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "kongtx.cli.main", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def test_it_is_installed_as_a_program() -> None:
    text = (Path(__file__).parents[2] / "setup.cfg").read_text()
    assert "kongtx = kongtx.cli.main:main" in text


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_goes_to_stderr_and_exits_with_1(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Usage: kongtx [OPTIONS] COMMAND [ARGS]...\n")


def test_help_lists_the_verbs_sorted(run: Run) -> None:
    listed = run("--help").stderr.partition("Commands:\n")[2]
    assert re.findall(r"^  (\S+)", listed, re.MULTILINE) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    result = run(verb, "--help")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Usage: kongtx {verb} ")
    assert "--vv" in result.stderr


def test_an_unknown_verb_is_told_with_the_usage(run: Run) -> None:
    result = run("foobar")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("No such command: foobar\n\nUsage: kongtx ")


def test_an_unknown_subcommand_is_told_with_the_usage(run: Run) -> None:
    result = run("vault", "foobar")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("No such command for vault: foobar\n\nUsage: kongtx vault ")


def test_a_missing_subcommand_shows_the_usage(run: Run) -> None:
    result = run("vault")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Usage: kongtx vault ")


def test_an_unknown_option_is_told_with_the_usage(run: Run) -> None:
    result = run("check", "--foobar")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("No such option")
    assert "Usage: kongtx check " in result.stderr


def test_a_failure_is_told_on_stderr(run: Run) -> None:
    result = run("stop", "-p", "/no/prefix")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == failure("no such prefix: /no/prefix")


@pytest.mark.parametrize("option", ["-v", "--v", "-vv", "--vv"])
def test_a_failure_has_its_traceback_when_more_is_asked_for(run: Run, option: str) -> None:
    result = run("stop", "-p", "/no/prefix", option)
    assert result.exit_code == 1
    assert "Error:\nTraceback (most recent call last):\n" in result.stderr
    assert "CommandError: no such prefix: /no/prefix" in result.stderr


def test_verbose_lines_have_time_and_level(run: Run) -> None:
    result = run("vault", "get", "env/x", "--v", "-p", "/p", X="1")
    lines = result.stdout.splitlines()
    assert re.fullmatch(rf"{STAMP} \[verbose\] kongtx: [\d.]+", lines[0])
    assert [line[20:] for line in lines[1:-1]] == [
        "[verbose] no config file found at /nowhere/kongtx.conf",
        "[verbose] no config file, skip loading",
        "[verbose] prefix in use: /p",
    ]
    assert lines[-1] == "1"


def test_debug_lines_show_environment_and_settings_without_secrets(run: Run) -> None:
    result = run(
        "vault",
        "get",
        "env/x",
        "--vv",
        X="1",
        KONG_LOG_LEVEL="debug",
        KONGTX_PG_PASSWORD="s3cret",
        KONG_VAULT_HCV_TOKEN="s3cret",
    )
    assert '[debug] KONG_VAULT_HCV_TOKEN ENV found with "******"\n' in result.stdout
    assert '[debug] KONG_LOG_LEVEL ENV found with "debug"\n' in result.stdout
    assert '[debug] KONGTX_PG_PASSWORD ENV found with "******"\n' in result.stdout
    assert '[debug] log_level = "debug"\n' in result.stdout
    assert '[debug] pg_password = "******"\n' in result.stdout
    assert "[debug] pg_port = 5432\n" in result.stdout
    assert "s3cret" not in result.output
    settings = re.findall(r"\[debug\] (\w+) = ", result.stdout)
    assert settings == sorted(settings)


def test_the_file_that_is_read_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("log_levl = debug\n")
    result = run("vault", "get", "env/x", "-c", "my.conf", "--v", X="1")
    assert "[verbose] reading config file at my.conf\n" in result.stdout
    assert re.search(
        rf"{STAMP} \[warn\] unknown configuration property 'log_levl' is ignored, did you mean "
        r"'log_level'\? \[my.conf:1\]\n",
        result.stderr,
    )


def test_all_mistakes_in_a_file_are_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("log_level = loud\npg_ssl = yes\n")
    result = run("vault", "get", "env/x", "-c", "my.conf")
    assert result.exit_code == 1
    assert result.stderr == failure(
        "log_level has an invalid value: 'loud' (debug, info, notice, warn, error, crit, alert, "
        "emerg) [my.conf:1]\n"
        "pg_ssl is not a boolean: 'yes' (on, off, true, false) [my.conf:2]"
    )


def test_help_is_coloured_on_a_terminal_only() -> None:
    coloured = CliRunner().invoke(main, ["--help"], color=True, prog_name="kongtx").stderr
    plain = CliRunner().invoke(main, ["--help"], prog_name="kongtx").stderr
    assert "\x1b[36m" in coloured
    assert "\x1b" not in plain
    assert unstyled(coloured) == plain


def test_it_runs_as_a_process() -> None:
    result = kongtx("version")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(r"\d+\.\d+\.\d+ \(Kong 3\.9\.\d+\)\n", result.stdout)


def test_a_process_exits_with_1_when_it_fails() -> None:
    result = kongtx("stop", "-p", "/no/prefix")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == failure("no such prefix: /no/prefix")
