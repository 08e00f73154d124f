"""Development mode: noticing that code has changed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

import kongtx
from kongtx.plugins.interfaces import IPlugin

#: Seconds between two looks at the files.
EVERY = 0.5
#: Directories of installed packages; code in them is not being worked on.
_INSTALLED = {"site-packages", "dist-packages"}

log = Logger()


class CodeWatcher(Service):
    """Looks at files now and then.

    @param roots: directories of packages, and single files.
    @param changed: called with the paths of the files that have changed, appeared or gone.
    @param since_ns: nanoseconds since the epoch: files that are newer have changed already.
    """

    def __init__(
        self,
        roots: Iterable[Path],
        changed: Callable[[list[Path]], object],
        clock: IReactorTime,
        since_ns: int,
    ) -> None:
        self._roots = list(roots)
        self._changed = changed
        self._known = dict(_files(self._roots))
        for path, modified_ns in self._known.items():
            if modified_ns > since_ns:
                self._known[path] = 0
        self._loop = LoopingCall(self.look)
        self._loop.clock = clock

    def startService(self) -> None:
        """Begin to look."""
        Service.startService(self)
        self._loop.start(EVERY, now=False)

    def stopService(self) -> None:
        """Look no more."""
        if self.running:
            Service.stopService(self)
            self._loop.stop()

    def look(self) -> None:
        """Compare the files with what was known of them."""
        now = dict(_files(self._roots))
        before, self._known = self._known, now
        changed = {path for path, _ in now.items() ^ before.items()}
        if changed:
            self._changed(sorted(changed))


def code_of(plugins: Mapping[str, IPlugin]) -> list[Path]:
    """Where the code is that may be worked on: of plugins that do not come with kongtx, and
    kongtx itself unless it is installed."""
    roots: set[Path] = set()
    own = Path(kongtx.__file__).parent
    if _INSTALLED.isdisjoint(own.parts):
        roots.add(own)
    for name in packages_of(plugins):
        module = sys.modules[name]
        paths = getattr(module, "__path__", None) or [module.__file__]
        roots.update(Path(path) for path in paths if path)
    return sorted(roots)


def packages_of(plugins: Mapping[str, IPlugin]) -> list[str]:
    """The packages (or modules) of plugins that do not come with kongtx."""
    names = set()
    for plugin in plugins.values():
        module = type(plugin).__module__
        top = module.partition(".")[0]
        if top != "kongtx":
            # All of C{twisted} is much to look at for a module in C{twisted.plugins}.
            names.add(module if top == "twisted" else top)
    return sorted(name for name in names if name in sys.modules)


def forget(packages: Iterable[str]) -> None:
    """Make packages be imported anew when they are next needed; for nodes in one process."""
    for package in packages:
        for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
            del sys.modules[name]
    importlib.invalidate_caches()


def ask_for_reload(bus: Any, plugins: Mapping[str, IPlugin], paths: list[Path]) -> None:
    """Tell the master that code has changed."""
    log.info("changed: {paths}", paths=", ".join(map(str, paths)))
    asked = bus.call("runtime.reload", packages_of(plugins))
    asked.addErrback(lambda failure: log.failure("cannot ask for a reload", failure=failure))


def _files(roots: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    for root in roots:
        for path in root.rglob("*.py") if root.is_dir() else [root]:
            try:
                yield path, path.stat().st_mtime_ns
            except OSError:  # gone meanwhile
                continue
