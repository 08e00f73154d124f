"""What can be wrong with plugins."""

from kongtx.errors import KongtxError


class PluginError(KongtxError):
    """A plugin cannot be loaded, or its rows cannot be used."""


class PluginNotInstalled(PluginError):
    """The C{plugins} property names a plugin that is not there."""

    def __init__(self, name: str, available: list[str]) -> None:
        super().__init__(
            f"{name} plugin is enabled but not installed; it must be one of: "
            f"{', '.join(available)}, or a package with an entry point in the group kongtx.plugins"
        )
        self.name = name
