"""The loading of one key, for all who ask for it: by this worker, or by another of the node."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutine
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kongtx.cache.errors import LockTimeout
from kongtx.cache.levels import Levels
from kongtx.cache.values import LOADER, STALE, Found, Loaded, Options

_FIRST_WAIT = 0.001
_LONGEST_WAIT = 0.05


class Pending:
    """One key that this worker lacks, and everyone here who waits for it.

    @param over: called once, before the askers hear of the outcome.
    @ivar spoiled: the key was invalidated meanwhile: the value is handed over and not held.
    """

    _log = Logger()

    def __init__(
        self,
        levels: Levels,
        clock: IReactorTime,
        key: str,
        load: Callable[..., Any],
        args: tuple[Any, ...],
        options: Options,
        over: Callable[[], object],
    ) -> None:
        self._levels = levels
        self._clock = clock
        self._key = key
        self._load = load
        self._args = args
        self._options = options
        self._over = over
        self._askers: list[Deferred[Found]] = []
        self._waited = 0.0
        self._wait = _FIRST_WAIT
        self._delayed: Any = None
        self._loading: Deferred[Any] | None = None
        self.spoiled = False

    def ask(self) -> Deferred[Found]:
        """A Deferred of the outcome; cancelling it leaves the other askers alone."""
        asker: Deferred[Found] = Deferred(self._leave)
        self._askers.append(asker)
        return asker

    def _leave(self, asker: Deferred[Found]) -> None:
        if asker in self._askers:
            self._askers.remove(asker)

    def start(self) -> None:
        """Load if the lock is to be had, else look again a little later."""
        if self._levels.lock(self._key):
            # Another worker may have finished between our look and our lock.
            found = self._levels.find(self._key, self._options)
            if found is not None:
                self._levels.unlock(self._key)
                self._finish(found)
                return
            self._run()
            return
        if self._waited >= self._options.lock_timeout:
            self._give_up()
            return
        self._delayed = self._clock.callLater(self._wait, self._look_again)

    def _look_again(self) -> None:
        self._delayed = None
        self._waited += self._wait
        self._wait = min(self._wait * 2, _LONGEST_WAIT)
        try:
            found = self._levels.find(self._key, self._options)
            if found is None:
                self.start()
                return
        except Exception:  # the serializer's
            self._fail(Failure())
            return
        self._finish(found)

    def _give_up(self) -> None:
        held = self._levels.peek(self._key, stale=True)
        if held is not None and self._options.resurrect_ttl is not None:
            self._finish(Found(held.value, STALE))
        else:
            self._fail(Failure(LockTimeout(self._key, self._options.lock_timeout)))

    def _run(self) -> None:
        self._levels.statistics.loads += 1
        try:
            result = self._load(*self._args)
        except Exception:
            self._load_failed(Failure())
            return
        if iscoroutine(result):
            result = ensureDeferred(result)
        if isinstance(result, Deferred):
            self._loading = result
            result.addCallbacks(self._loaded, self._load_failed)
        else:
            self._loaded(result)

    def _loaded(self, result: Any) -> None:
        value, ttl = (result.value, result.ttl) if isinstance(result, Loaded) else (result, None)
        try:
            held = self._levels.hold(self._key, value, self._options, ttl, spoiled=self.spoiled)
        except Exception:  # the serializer's, or a value that cannot be encoded
            self._levels.unlock(self._key)
            self._fail(Failure())
            return
        self._levels.unlock(self._key)
        self._finish(Found(held, LOADER))

    def _load_failed(self, failure: Failure) -> None:
        self._levels.statistics.load_errors += 1
        found = None
        try:
            found = self._levels.resurrect(self._key, self._options)
        finally:
            self._levels.unlock(self._key)
        if found is None:
            self._fail(failure)
            return
        self._log.warn(
            "cache key {key}: its loader failed ({error}); the expired value serves on",
            key=self._key,
            error=failure.getErrorMessage(),
        )
        self._finish(found)

    def _finish(self, found: Found) -> None:
        self._over()
        askers, self._askers = self._askers, []
        for asker in askers:
            asker.callback(found)

    def _fail(self, failure: Failure) -> None:
        self._over()
        askers, self._askers = self._askers, []
        for asker in askers:
            asker.errback(failure)

    def cancel(self) -> None:
        """Stop waiting or loading."""
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None
        if self._loading is not None:
            self._loading.cancel()
        for asker in list(self._askers):
            asker.cancel()
        self._over()
