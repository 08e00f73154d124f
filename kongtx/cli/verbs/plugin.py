"""C{kongtx plugin}: beginning a plugin of one's own."""

from __future__ import annotations

import re
from importlib.resources import files
from keyword import iskeyword
from pathlib import Path
from string import Template

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.options import Group, pass_output
from kongtx.cli.output import Output
from kongtx.conf.bundled import PLUGINS

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TEMPLATES = "plugin_project"
#: What the files of a project import by name.
_USED = frozenset(("Any", "FakeRequest", "Kong", "Plugin", "PluginRunner"))

#: The files of a project, and what they are made from.
PROJECT = {
    "pyproject.toml": "pyproject.toml",
    "README.rst": "README.rst",
    ".gitignore": "gitignore",
    "src/{package}/__init__.py": "__init__.py",
    "src/{package}/handler.py": "handler.py",
    "src/{package}/schema.py": "schema.py",
    "src/{package}/py.typed": "",
    "tests/test_{module}.py": "test_plugin.py",
}


@click.group("plugin", cls=Group)
def command() -> None:
    """Write plugins."""


@command.command("new")
@click.argument("name")
@click.option(
    "-d",
    "--directory",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write it; a directory of the plugin's name by default.",
)
@pass_output
def new(output: Output, name: str, directory: Path | None) -> None:
    """Write a ready project for a plugin called NAME.

    It has code, configuration schema, tests and packaging, passes its own tests and can be
    installed.
    """
    target = directory if directory is not None else Path(name)
    write(name, target)
    output.info(f"wrote the plugin {name} to {target}")
    output.info(
        "next:\n"
        f"  cd {target}\n"
        "  pip install -e '.[test]'\n"
        "  pytest\n"
        f"  KONG_PLUGINS=bundled,{name} kongtx start --dev"
    )


def write(name: str, target: Path) -> list[Path]:
    """Write the project of a plugin.

    @param target: a directory that is not there yet, or is empty.
    @return: the files.
    @raise CommandError: the name cannot be a plugin's, or the directory is in use.
    """
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"{name!r} cannot be the name of a plugin: it must be lower-case letters and digits, "
            "joined by hyphens, as in my-plugin"
        )
    if name in PLUGINS:
        raise CommandError(f"{name} is a plugin that comes with kongtx; choose another name")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CommandError(f"{target} is there already, and not an empty directory")
    module = name.replace("-", "_")
    words = {
        "name": name,
        "module": module,
        "package": f"kongtx_{module}",
        "distribution": f"kongtx-{name}",
        "class_name": class_name(name),
        "title": "-".join(word.capitalize() for word in name.split("-")),
        "underline": "=" * len(name),
    }
    written = []
    for path, template in PROJECT.items():
        file = target / path.format(**words)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_text(template, words), encoding="utf-8")
        written.append(file)
    return written


def class_name(name: str) -> str:
    """What a plugin's class is called: not as a word of Python, nor as what it is used with."""
    made = "".join(word.capitalize() for word in name.split("-"))
    return f"{made}Plugin" if iskeyword(made) or made in _USED else made


def _text(template: str, words: dict[str, str]) -> str:
    if not template:
        return ""
    source = files("kongtx.cli").joinpath(_TEMPLATES, f"{template}.tmpl")
    return Template(source.read_text(encoding="utf-8")).substitute(words)
