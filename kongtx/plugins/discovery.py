"""Finding plugins: the bundled ones, those of installed packages, and C{twisted.plugin}'s."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from twisted.plugin import getPlugins
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from kongtx.conf.bundled import PLUGINS
from kongtx.plugins.bound import check_phases
from kongtx.plugins.errors import PluginError, PluginNotInstalled
from kongtx.plugins.interfaces import IPlugin

ENTRY_POINTS = "kongtx.plugins"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def bundled_names() -> list[str]:
    """The names of the plugins that come with kongtx, sorted."""
    return list(PLUGINS)


def load(wanted: Iterable[str]) -> dict[str, IPlugin]:
    """Load plugins by the words of the C{plugins} property.

    @param wanted: names; C{bundled} stands for all that come with kongtx, C{off} for none.
    @raise PluginNotInstalled: if there is no plugin of a name.
    @raise PluginError: if a plugin is not one, or cannot be imported.
    """
    names: list[str] = []
    for word in wanted:
        if word == "bundled":
            names += bundled_names()
        elif word != "off":
            names.append(word)
    others = _Others()
    return {name: _load_one(name, others) for name in dict.fromkeys(names)}


def by_name(plugins: Iterable[IPlugin]) -> dict[str, IPlugin]:
    """Plugins that somebody has already made, by name.

    @raise PluginError: if one is none.
    """
    found = list(plugins)
    for plugin in found:
        check(plugin)
    return {plugin.name: plugin for plugin in found}


class _Others:
    """Plugins from outside of kongtx, looked for once and only if need be."""

    def __init__(self) -> None:
        self._points: dict[str, EntryPoint] | None = None
        self._twisted: dict[str, IPlugin] | None = None

    def find(self, name: str) -> IPlugin | None:
        if self._points is None:
            self._points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        if name in self._points:
            return _made(_import(name, self._points[name].load))
        if self._twisted is None:
            self._twisted = {each.name: each for each in getPlugins(IPlugin)}
        return self._twisted.get(name)


def _load_one(name: str, others: _Others) -> IPlugin:
    if name in bundled_names():
        module = _import(name, lambda: import_module(f"kongtx.plugins.{name.replace('-', '_')}"))
        plugin: IPlugin | None = module.plugin
    else:
        plugin = others.find(name)
    if plugin is None:
        raise PluginNotInstalled(name, bundled_names())
    check(plugin)
    if plugin.name != name:
        raise PluginError(f"plugin {name}: the plugin found calls itself {plugin.name!r}")
    return plugin


def check(plugin: IPlugin) -> None:
    """Refuse what is not a plugin.

    @raise PluginError: saying what is wrong with it.
    """
    try:
        verifyObject(IPlugin, plugin)
    except Invalid as error:
        raise PluginError(f"plugin {plugin!r} does not provide IPlugin: {error}") from None
    if not _NAME.fullmatch(plugin.name):
        raise PluginError(
            f"plugin name {plugin.name!r}: must be lower-case letters and digits joined by hyphens"
        )
    if not isinstance(plugin.priority, int) or isinstance(plugin.priority, bool):
        raise PluginError(f"plugin {plugin.name}: priority {plugin.priority!r} must be an integer")
    if not _VERSION.fullmatch(plugin.version):
        raise PluginError(f"plugin {plugin.name}: version {plugin.version!r} must be X.Y.Z")
    check_phases(plugin)


def _import(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:
        raise PluginError(f"plugin {name} cannot be imported: {error}") from error


def _made(found: Any) -> IPlugin:
    """A plugin from an entry point: the object itself, or an instance of the class it names."""
    plugin: IPlugin = found() if isinstance(found, type) else found
    return plugin
