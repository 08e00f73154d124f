"""Finding plugins."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from kongtx.conf.bundled import PLUGINS
from kongtx.plugins.base import Plugin
from kongtx.plugins.discovery import bundled_names, check, load
from kongtx.plugins.errors import PluginError, PluginNotInstalled
from kongtx.plugins.schemas import BUNDLED, OWN
from kongtx.schema.fields import record
from kongtx.schema.schema import Subschema

FACTS: dict[str, Any] = {
    "name": "mine", "priority": 1, "subschema": Subschema({"config": record({})}),
}  # fmt: skip

PACKAGE = """
from kongtx.plugins.base import Plugin
from kongtx.schema.fields import record
from kongtx.schema.schema import Subschema

class Mine(Plugin):
    name = "mine"
    priority = 7
    subschema = Subschema({"config": record({})})
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from, as an installed package would be."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("mine_plugin", None)


def install(site: Path, entry: str, code: str = PACKAGE) -> None:
    (site / "mine_plugin.py").write_text(code)
    info = site / "mine_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[kongtx.plugins]\n{entry}\n")


def test_off_loads_nothing_and_names_are_loaded_once() -> None:
    assert load(["off"]) == {}
    assert sorted(load(["bundled", "bundled"])) == bundled_names()


def test_every_bundled_plugin_loads_under_its_own_name() -> None:
    for name, plugin in load(["bundled"]).items():
        assert plugin.name == name


def test_a_plugin_of_an_installed_package_is_found(site: Path) -> None:
    install(site, "mine = mine_plugin:Mine")
    assert load(["mine"])["mine"].priority == 7


def test_a_plugin_in_a_module_of_twisted_plugins_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twisted.plugins.__path__", [str(tmp_path)])
    (tmp_path / "mine_dropin.py").write_text(f"{PACKAGE}\nplugin = Mine()\n")
    assert load(["mine"])["mine"].priority == 7
    sys.modules.pop("twisted.plugins.mine_dropin", None)


def test_an_unknown_plugin_names_what_would_be_right() -> None:
    with pytest.raises(
        PluginNotInstalled, match="nope plugin is enabled but not installed; it must"
    ):
        load(["nope"])


def test_a_plugin_that_cannot_be_imported_says_why(site: Path) -> None:
    install(site, "mine = mine_plugin:Mine", "raise ZeroDivisionError('at import')")
    with pytest.raises(PluginError, match="plugin mine cannot be imported: at import"):
        load(["mine"])


def test_a_plugin_under_another_name_is_refused(site: Path) -> None:
    install(site, "other = mine_plugin:Mine")
    with pytest.raises(PluginError, match="plugin other: the plugin found calls itself 'mine'"):
        load(["other"])


async def coroutine(self: Plugin, config: Any, kong: Any) -> None:
    """A phase method that could wait."""


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"name": "My_Plugin"}, "plugin name 'My_Plugin': must be lower-case"),
        ({"priority": "high"}, "priority 'high' must be an integer"),
        ({"version": "1"}, "version '1' must be X.Y.Z"),
        ({"header_filter": coroutine}, "header_filter must not be a coroutine function"),
        (
            {"response": coroutine, "body_filter": lambda *a: None},
            "response cannot be used together with",
        ),
    ],
)
def test_what_cannot_work_is_refused(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        check(type("Mine", (Plugin,), {**FACTS, **facts})())


def test_an_object_that_is_no_plugin_is_refused() -> None:
    with pytest.raises(PluginError, match="does not provide IPlugin"):
        check(object())  # type: ignore[arg-type]


def test_the_word_bundled_and_the_code_that_is_there_agree() -> None:
    package = import_module("kongtx.plugins")
    found = [
        module.name.replace("_", "-")
        for module in iter_modules(package.__path__)
        if module.ispkg and find_spec(f"kongtx.plugins.{module.name}.handler")
    ]
    assert sorted(found) == bundled_names() == list(PLUGINS)
    assert set(PLUGINS) <= {*BUNDLED, *OWN}
