"""Twisted's own reactor test cases, built for this reactor; run by C{test_twisted_reactor_cases}.

C{python -m tests.net.twisted_cases results.json [pattern]} writes ``{case: [outcome, reason]}`` for
each case; the outcome is C{passed}, C{failed} or C{skipped}. With C{global} in front it runs those
tests of Twisted instead that talk over the installed reactor.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from asyncio import set_event_loop
from typing import Any

from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.trial import reporter, runner
from twisted.trial.unittest import SynchronousTestCase, TestCase

from kongtx.net import reactor

ReactorBuilder._reactors = [f"{__name__}.KongtxReactor"]
ReactorBuilder.timeout = 5

MODULES = [
    "core",
    "endpoints",
    "fdset",
    "inotify",
    "process",
    "sigchld",
    "socket",
    "stdio",
    "tcp",
    "threads",
    "time",
    "tls",
    "udp",
    "unix",
]


#: Tests over the installed reactor: streams, TLS, and protocols that lean on the order of things.
GLOBAL = [
    "twisted.test.test_tcp",
    "twisted.test.test_ssl",
    "twisted.test.test_unix",
    "twisted.test.test_ftp",
    "twisted.protocols.test.test_tls",
]


def KongtxReactor(case: Any) -> Any:
    """Build a reactor on a loop of its own, closed when the case ends."""
    import uvloop  # noqa: PLC0415

    from kongtx.net.reactor import KongtxReactor as Reactor  # noqa: PLC0415

    loop = uvloop.new_event_loop()

    def close() -> None:
        gc.collect()  # a Deferred's unhandled failure belongs to this case, not to a later one
        loop.close()
        set_event_loop(None)

    set_event_loop(loop)
    case.addCleanup(close)
    return Reactor(loop)


class Recorder(reporter.MinimalReporter):
    """Keeps the outcome of each case."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes: dict[str, tuple[str, str]] = {}

    def _keep(self, test: Any, outcome: str, reason: object = "") -> None:
        name = test.id().removeprefix("twisted.").removeprefix("internet.test.")
        if name not in self.outcomes or outcome != "passed":
            self.outcomes[name] = (outcome, str(reason))

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self._keep(test, "passed")

    def addError(self, test: Any, error: Any) -> None:
        super().addError(test, error)
        self._keep(test, "failed", self._formatted(error))

    def addFailure(self, test: Any, failure: Any) -> None:
        super().addFailure(test, failure)
        self._keep(test, "failed", self._formatted(failure))

    def addSkip(self, test: Any, reason: Any) -> None:
        super().addSkip(test, reason)
        self._keep(test, "skipped", reason)

    def _formatted(self, error: Any) -> str:
        return error.getTraceback() if hasattr(error, "getTraceback") else str(error)


def cases(pattern: str = "") -> runner.TestSuite:
    """Collect the cases that Twisted generates for each reactor."""
    suite = runner.TestSuite()
    loader = runner.TestLoader()
    for name in MODULES:
        module = importlib.import_module(f"twisted.internet.test.test_{name}")
        for value in sorted(vars(module).items()):
            case = value[1]
            if (
                isinstance(case, type)
                and issubclass(case, ReactorBuilder)
                and issubclass(case, SynchronousTestCase)
                and case.__module__ == module.__name__
                and case.__name__.endswith("_KongtxReactorTests")
            ):
                for test in loader.loadClass(case):
                    if pattern in test.id():
                        suite.addTest(test)
    return suite


def global_cases() -> runner.TestSuite:
    """Collect the tests that talk over the installed reactor."""
    loader = runner.TestLoader()
    return runner.TestSuite([loader.loadByName(name, recurse=True) for name in GLOBAL])


def run(results: str, suite: runner.TestSuite) -> None:
    """Run cases and write their outcomes."""
    made: list[Recorder] = []

    def make(*args: Any, **kwargs: Any) -> Recorder:
        made.append(Recorder(*args, **kwargs))
        return made[0]

    runner.TrialRunner(make, workingDirectory=f"{results}.trial", logfile="log").run(suite)
    with open(results, "w", encoding="utf-8") as file:
        json.dump(made[0].outcomes, file, indent=1, sort_keys=True)


if __name__ == "__main__":
    if sys.argv[1] == "global":
        reactor.install()
        TestCase.timeout = 20
        run(sys.argv[2], global_cases())
    else:
        run(sys.argv[1], cases(*sys.argv[2:]))
