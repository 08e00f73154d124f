"""C{vault get}."""

import json
from pathlib import Path

import pytest

from kongtx.conf import effective, load
from tests.cli.conftest import Kongtx, Run, failure


@pytest.mark.parametrize("reference", ["env/secret", "{vault://env/secret}", "env/SECRET#1"])
def test_a_secret_is_printed(run: Run, reference: str) -> None:
    result = run("vault", "get", reference, SECRET="s3cret")
    assert (result.exit_code, result.output) == (0, "s3cret\n")


def test_a_member_of_a_secret_is_printed(run: Run) -> None:
    result = run("vault", "get", "env/login/user", LOGIN='{"user": "me"}')
    assert (result.exit_code, result.output) == (0, "me\n")


def test_the_vaults_settings_apply(run: Run) -> None:
    result = run("vault", "get", "env/secret", MY_SECRET="s3cret", KONG_VAULT_ENV_PREFIX="MY_")
    assert (result.exit_code, result.output) == (0, "s3cret\n")


def test_the_settings_of_the_node_apply(run: Run, tmp_path: Path) -> None:
    configuration = load(
        overrides={"prefix": str(tmp_path), "vault_env_prefix": "MY_"},
        environment={},
        search_paths=(),
    )
    effective.write(configuration)
    result = run("vault", "get", "env/secret", "-p", str(tmp_path), MY_SECRET="s3cret")
    assert (result.exit_code, result.output) == (0, "s3cret\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the 'get' command needs a <reference> argument\nkongtx vault get <reference>"),
        (("none/x",), "could not find vault (none)"),
        (("env/not-here",), "could not get value from external vault (no value found)"),
        (("env",), "reference url is missing path [{vault://env}]"),
    ],
)
def test_what_has_no_value_is_told(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("vault", "get", *arguments)
    assert (result.exit_code, result.stderr) == (1, failure(message))


@pytest.mark.long
def test_a_vault_of_the_database_is_asked_by_its_prefix(kongtx: Kongtx, tmp_path: Path) -> None:
    vault = {"name": "env", "prefix": "mine", "config": {"prefix": "MY_"}}
    file = tmp_path / "vaults.yml"
    file.write_text(json.dumps({"_format_version": "3.0", "vaults": [vault]}))
    assert kongtx("prepare").returncode == 0
    assert kongtx("migrations", "bootstrap").returncode == 0
    done = kongtx("config", "db_import", str(file))
    assert done.returncode == 0, done.stderr
    found = kongtx("vault", "get", "mine/secret", MY_SECRET="s3cret")
    assert (found.returncode, found.stdout) == (0, "s3cret\n"), found.stderr
    unknown = kongtx("vault", "get", "yours/secret")
    assert (unknown.returncode, "could not find vault (yours)" in unknown.stderr) == (1, True)
