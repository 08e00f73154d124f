"""The versions that matter when something goes wrong."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from kongtx import KONG_VERSION, __version__

_LIBRARIES = ("Twisted", "uvloop", "httptools", "h2", "cryptography", "lmdb")


def versions() -> dict[str, str]:
    """Each version by the name of what it is the version of, kongtx's own first."""
    found = {
        "kongtx": __version__,
        "Kong": KONG_VERSION,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
