"""C{plugin new}: projects that pass their own tests, are installed and act in a gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kongtx.cli.verbs.plugin import PROJECT, class_name, write
from kongtx.plugins.discovery import check
from tests.cli.conftest import Run, failure
from tests.cli.verbs.test_start import free_port

CHECKOUT = Path(__file__).parents[3]


def test_a_project_is_written_with_what_to_do_next(run: Run, tmp_path: Path) -> None:
    result = run("plugin", "new", "say-hello")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("wrote the plugin say-hello to say-hello\nnext:\n")
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    package = "say-hello/src/kongtx_say_hello"
    assert found == {
        "say-hello/pyproject.toml",
        "say-hello/README.rst",
        "say-hello/.gitignore",
        f"{package}/__init__.py",
        f"{package}/handler.py",
        f"{package}/schema.py",
        f"{package}/py.typed",
        "say-hello/tests/test_say_hello.py",
    }
    assert len(found) == len(PROJECT)
    for path in found:
        assert "$" not in (tmp_path / path).read_text()


def test_the_plugin_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a1-b-c", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    from kongtx_a1_b_c import plugin  # type: ignore[import-not-found] # noqa: PLC0415

    check(plugin)
    assert (plugin.name, type(plugin).__name__) == ("a1-b-c", "A1BC")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("say-hello", "SayHello"),
        ("none", "NonePlugin"),
        ("kong", "KongPlugin"),
        ("fake-request", "FakeRequestPlugin"),
    ],
)
def test_the_class_has_a_name_of_its_own(name: str, expected: str, tmp_path: Path) -> None:
    assert class_name(name) == expected
    for path in write(name, tmp_path):
        if path.suffix == ".py":
            compile(path.read_text(), str(path), "exec")


@pytest.mark.parametrize("name", ["Say", "say_hello", "1st", "say--hello", "-x", "say hello"])
def test_names_that_no_plugin_can_have_are_refused(run: Run, name: str) -> None:
    result = run("plugin", "new", "--", name)
    assert result.exit_code == 1
    assert f"{name!r} cannot be the name of a plugin: it must be lower-case" in result.stderr


def test_what_is_there_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    taken = tmp_path / "mine"
    taken.mkdir()
    (taken / "file").write_text("precious")
    result = run("plugin", "new", "other", "--directory", "mine")
    assert result.stderr == failure("mine is there already, and not an empty directory")
    assert [path.name for path in taken.iterdir()] == ["file"]
    result = run("plugin", "new", "cors")
    assert result.stderr == failure("cors is a plugin that comes with kongtx; choose another name")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment with kongtx from a wheel, as users have it, and its dependencies."""
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    site = next(home.glob("lib/python*/site-packages"))
    # After what is installed here come the packages of the environment that runs this test.
    others = sysconfig.get_paths()["purelib"]
    (site / "zz_others.pth").write_text(f"import site; site.addsitedir({others!r})\n")
    source = tmp_path / "source"  # building writes beside what it builds
    source.mkdir()
    for name in ("kongtx", "twisted"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("setup.cfg", "pyproject.toml", "README.rst", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    install(home, str(source))
    return home


def install(venv: Path, *what: str) -> None:
    """Install into an environment without a network."""
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    subprocess.run(
        [venv / "bin/python", "-m", "pip", "install", *options, *what],
        check=True,
        env=environment(),
        timeout=120,
    )


def environment(**more: str) -> dict[str, str]:
    """Variables that lead to no other kongtx than that of the environment."""
    hidden = ("KONG_", "KONGTX_", "PYTHON", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}


@pytest.fixture
def kongtx(venv: Path, tmp_path: Path) -> Iterator[object]:
    """Runs the command of the environment; a node that it started is stopped."""
    prefix = tmp_path / "prefix"

    def command(*arguments: str, **variables: str) -> str:
        ran = subprocess.run(
            [venv / "bin/kongtx", *arguments],
            env=environment(KONG_PREFIX=str(prefix), **variables),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    yield command
    if (prefix / "pids").is_dir():
        command("stop", "-p", str(prefix))


@pytest.mark.long
def test_a_new_plugin_passes_its_tests_is_installed_and_acts(
    venv: Path, kongtx: object, tmp_path: Path
) -> None:
    assert callable(kongtx)
    kongtx("plugin", "new", "say-hello")
    project = tmp_path / "say-hello"
    install(venv, "-e", str(project))
    tested = subprocess.run(
        [venv / "bin/python", "-m", "pytest", "-q"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "2 passed" in tested.stdout, tested.stdout + tested.stderr

    port = free_port()
    service = {
        "name": "s",
        "url": "http://127.0.0.1:1",
        "routes": [{"paths": ["/"], "plugins": [{"name": "say-hello"}]}],
    }
    file = tmp_path / "kong.json"
    file.write_text(json.dumps({"_format_version": "3.0", "services": [service]}))
    kongtx(
        "start",
        KONG_PLUGINS="bundled,say-hello",
        KONG_DATABASE="off",
        KONG_DECLARATIVE_CONFIG=str(file),
        KONG_PROXY_LISTEN=f"127.0.0.1:{port}",
        KONG_ADMIN_LISTEN="off",
        KONG_ADMIN_GUI_LISTEN="off",
        KONG_STATUS_LISTEN="off",
        KONG_NGINX_WORKER_PROCESSES="1",
        KONG_LMDB_MAP_SIZE="16m",
        KONG_MEM_CACHE_SIZE="4m",
    )
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"X-Impolite": "1"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 400
    assert refused.value.headers["X-Say-Hello"] == "Hello"
    assert json.load(refused.value)["message"] == "Please be polite"
