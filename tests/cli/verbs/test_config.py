"""C{config init} and C{config parse}."""

import json
import re
from pathlib import Path

import pytest
import yaml

from kongtx.cli.declarative import show_progress
from tests.cli.conftest import Run, failure

SERVICE = {"name": "s", "url": "http://example.com", "routes": [{"name": "r", "paths": ["/"]}]}


def write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(("arguments", "name"), [((), "kong.yml"), (("my.yml",), "my.yml")])
def test_an_example_is_written(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], name: str
) -> None:
    result = run("config", "init", *arguments)
    assert (result.exit_code, result.output) == (0, "")
    document = yaml.safe_load((tmp_path / name).read_text())
    assert (document["_format_version"], document["_transform"]) == ("3.0", True)


def test_the_example_is_right(run: Run) -> None:
    run("config", "init")
    assert run("config", "parse", "kong.yml").output == "parse successful\n"


def test_the_example_is_right_when_everything_in_it_is_taken(run: Run, tmp_path: Path) -> None:
    run("config", "init")
    path = tmp_path / "kong.yml"
    head, mark, examples = path.read_text().partition("_comment:")
    lines = examples.splitlines()
    taken = [re.sub(r"^# ", "", line) for line in lines if re.match(r"# ( |-|[a-z_]+:)", line)]
    path.write_text("\n".join([head + mark + lines[0], *taken]))
    assert set(yaml.safe_load(path.read_text())) >= {
        "services",
        "routes",
        "consumers",
        "plugins",
        "upstreams",
    }
    result = run("config", "parse", "kong.yml")
    assert (result.exit_code, result.output) == (0, "parse successful\n")


def test_the_defaults_are_printed(run: Run) -> None:
    result = run("config", "defaults")
    kept = Path(__file__).parents[3] / "conf" / "kongtx.conf.default"
    assert (result.exit_code, result.output) == (0, kept.read_text())


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kong.yml").write_text("kept")
    result = run("config", "init")
    assert (result.exit_code, result.stderr) == (
        1,
        failure(f"{tmp_path}/kong.yml already exists.\nWill not overwrite it."),
    )
    assert (tmp_path / "kong.yml").read_text() == "kept"


@pytest.mark.parametrize("name", ["my.json", "my.yml", "my.yaml"])
def test_a_right_file_is_told(run: Run, tmp_path: Path, name: str) -> None:
    write(tmp_path / name, {"_format_version": "3.0", "services": [SERVICE]})
    result = run("config", "parse", name)
    assert (result.exit_code, result.output) == (0, "parse successful\n")


def test_everything_wrong_is_told_as_a_tree(run: Run, tmp_path: Path) -> None:
    service = {"host": 1, "port": -12, "routes": "x"}
    write(tmp_path / "my.json", {"_format_version": "3.0", "services": [service]})
    result = run("config", "parse", "my.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == failure(
        "Failed parsing:\n"
        "in 'services':\n"
        "  - in entry 1 of 'services':\n"
        "    in 'host': expected a string\n"
        "    in 'port': value should be between 0 and 65535\n"
        "    in 'routes': expected an array"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected a declarative configuration file; see `kongtx config --help`"),
        (("none.yml",), "No such file or directory: none.yml"),
    ],
)
def test_a_file_is_needed(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("config", "parse", *arguments)
    assert (result.exit_code, result.stderr) == (1, failure(message))


def test_other_kinds_of_files_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.txt").touch()
    result = run("config", "parse", "my.txt")
    assert result.exit_code == 1
    assert f"unknown file type: {tmp_path}/my.txt. (Accepted types: json, yaml)" in result.stderr


def test_plugins_that_are_not_loaded_are_not_known(run: Run, tmp_path: Path) -> None:
    document = {"_format_version": "3.0", "plugins": [{"name": "key-auth"}]}
    write(tmp_path / "my.json", document)
    assert run("config", "parse", "my.json").exit_code == 0
    result = run("config", "parse", "my.json", KONG_PLUGINS="basic-auth")
    assert result.exit_code == 1
    assert "plugin 'key-auth' not enabled" in result.stderr


def test_deprecated_fields_are_warned_of(run: Run, tmp_path: Path) -> None:
    old = {"name": "http-log", "config": {"http_endpoint": "http://x", "flush_timeout": 5}}
    write(tmp_path / "my.json", {"_format_version": "3.0", "plugins": [old]})
    result = run("config", "parse", "my.json")
    assert (result.exit_code, result.stdout) == (0, "parse successful\n")
    assert result.stderr.endswith(
        "[warn] http-log: config.flush_timeout is deprecated, please use "
        "config.queue.max_coalescing_delay instead\n"
    )


def test_a_plugin_that_is_not_installed_is_told(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "my.json", {"_format_version": "3.0"})
    result = run("config", "parse", "my.json", KONG_PLUGINS="bundled,my-own")
    assert result.exit_code == 1
    assert "my-own" in result.stderr


def test_expressions_need_their_flavor_and_are_checked(run: Run, tmp_path: Path) -> None:
    def document(expression: str) -> dict[str, object]:
        route = {"name": "r", "expression": expression}
        return {"_format_version": "3.0", "routes": [route]}

    write(tmp_path / "right.json", document('http.path ^= "/x"'))
    write(tmp_path / "wrong.json", document("http.path ^="))
    assert run("config", "parse", "right.json").exit_code == 1
    assert run("config", "parse", "right.json", KONG_ROUTER_FLAVOR="expressions").exit_code == 0
    result = run("config", "parse", "wrong.json", KONG_ROUTER_FLAVOR="expressions")
    assert result.exit_code == 1
    assert "in 'routes':\n  - in entry 1 of 'routes':" in result.stderr


def test_the_reading_of_a_large_file_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for done in (1000, 10_000):
        show_progress(done, 10_000)
    show_progress(5, 5)
    assert capsys.readouterr().err == "\r1000 of 10000 entities\r10000 of 10000 entities\n"
