"""What the word C{bundled} stands for. Kong: kong/constants.lua."""

from pathlib import Path


def _plugins() -> tuple[str, ...]:
    """The packages of C{kongtx.plugins} that have a handler; no code of them is imported."""
    handlers = (Path(__file__).parents[1] / "plugins").glob("*/handler.py")
    return tuple(sorted(handler.parent.name.replace("_", "-") for handler in handlers))


#: Names of the plugins that come with kongtx.
PLUGINS = _plugins()

VAULTS = ("env",)


def loaded(names: tuple[str, ...], bundled: tuple[str, ...]) -> frozenset[str]:
    """The names in a list of plugins or vaults; C{off} as the first item means none.

    @param names: the items, among which C{bundled} stands for the second argument.
    """
    if names[:1] == ("off",):
        return frozenset()
    return frozenset(
        name
        for item in names
        if item != "off"
        for name in (bundled if item == "bundled" else (item,))
    )
