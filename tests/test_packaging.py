"""What is installed: every file, every dependency explained, from a wheel as from a checkout."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(TOP / "setup.cfg")
    return parser


def required(requirements: str) -> set[str]:
    """The names of the packages in a list of requirements, in the spelling of the list."""
    found = set()
    for line in requirements.split("\n"):
        name = re.match(r"[A-Za-z0-9.-]+", line.strip())
        if name is not None and name[0] != "kongtx":
            found.add(name[0])
    return found


def explained() -> set[str]:
    """The names in the tables of the page on dependencies."""
    text = (TOP / "docs" / "dependencies.rst").read_text()
    names = re.findall(r"^([A-Za-z0-9.-]+) {2,}\S", text, re.MULTILINE)
    return set(names) - {"package"}


def test_every_dependency_has_its_reason(setup: configparser.ConfigParser) -> None:
    wanted = required(setup["options"]["install_requires"])
    for requirements in setup["options.extras_require"].values():
        wanted |= required(requirements)
    assert explained() == wanted


def test_every_debian_package_has_its_reason() -> None:
    for line in (TOP / "tests" / "apt-packages.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|[a-z0-9.+-]+ +# \S.*", line), line


def test_every_file_of_the_package_is_installed(setup: configparser.ConfigParser) -> None:
    patterns = {"*.py", "py.typed"}
    for value in setup["options.package_data"].values():
        patterns |= {pattern.strip() for pattern in value.split(",")}
    files = [
        path
        for path in (TOP / "kongtx").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert len(files) > 400
    left_out = [
        str(path.relative_to(TOP))
        for path in files
        if not any(fnmatch(path.name, pattern) for pattern in patterns)
    ]
    assert left_out == []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory into which a wheel was unpacked."""
    # A copy, as a build leaves files in the tree that later builds would take for its own.
    source = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("kongtx", "twisted"):
        shutil.copytree(TOP / name, source / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.rst", "LICENSE"):
        shutil.copy(TOP / name, source)
    wheels = tmp_path_factory.mktemp("wheels")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "-q", str(source), "-w", str(wheels)),
            *("--no-deps", "--no-build-isolation", "--disable-pip-version-check"),
        ],
        check=True,
    )
    [wheel] = wheels.iterdir()
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def run(site: Path, directory: Path, *command: str) -> str:
    """What a program prints that finds kongtx in the unpacked wheel."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KONG_", "KONGTX_"))
    }
    done = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


CONFIGURATION = """
proxy_listen = 127.0.0.1:0
admin_listen = off
status_listen = off
nginx_worker_processes = 1
nginx_user = nobody
plugins = bundled
"""


@pytest.mark.long
def test_a_wheel_has_all_that_a_checkout_has(site: Path, tmp_path: Path) -> None:
    def kongtx(*arguments: str) -> str:
        return run(site, tmp_path, "-m", "kongtx.cli.main", *arguments)

    where = run(site, tmp_path, "-c", "import kongtx; print(kongtx.__file__)")
    assert where == f"{site}/kongtx/__init__.py\n"
    kongtx("config", "init", "kong.yml")
    assert kongtx("config", "parse", "kong.yml") == "parse successful\n"
    assert re.search("^    kongtx +An API gateway.$", twistd_help(site, tmp_path), re.MULTILINE)
    # Paths of UNIX sockets are short; pytest's directories are not.
    with tempfile.TemporaryDirectory() as prefix:
        (tmp_path / "my.conf").write_text(f"{CONFIGURATION}prefix = {prefix}/node\n")
        assert "kongtx started\n" in kongtx("start", "-c", "my.conf")
        try:
            assert "kongtx is healthy" in kongtx("health", "-p", f"{prefix}/node")
        finally:
            assert kongtx("quit", "-p", f"{prefix}/node") == "kongtx stopped (gracefully)\n"


def twistd_help(site: Path, directory: Path) -> str:
    program = "import sys; from twisted.scripts.twistd import run; sys.argv[1:] = ['--help']; run()"
    return run(site, directory, "-c", program)
