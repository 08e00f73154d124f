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
            made = self._look()
            if made is None:
                self._run()
                return
            self._levels.unlock(self._key)
            self._end(made)
        elif self._waited >= self._options.lock_timeout:
            self._give_up()
        else:
            self._delayed = self._clock.callLater(self._wait, self._look_again)

    def _look_again(self) -> None:
        self._delayed = None
        self._waited += self._wait
        self._wait = min(self._wait * 2, _LONGEST_WAIT)
        made = self._look()
        if made is None:
            self.start()
        else:
            self._end(made)

    def _look(self) -> Found | Failure | None:
        """What another worker has made meanwhile, or why it is of no use here."""
        try:
            return self._levels.find(self._key, self._options)
        except Exception:  # the serializer's
            return Failure()

    def _give_up(self) -> None:
        held = self._levels.peek(self._key, stale=True)
        if held is not None and self._options.resurrect_ttl is not None:
            self._end(Found(held.value, STALE))
        else:
            self._end(Failure(LockTimeout(self._key, self._options.lock_timeout)))

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
        outcome: Found | Failure
        try:
            held = self._levels.hold(self._key, value, self._options, ttl, spoiled=self.spoiled)
            outcome = Found(held, LOADER)
        except Exception:  # the serializer's, or a value that cannot be encoded
            outcome = Failure()
        self._levels.unlock(self._key)
        self._end(outcome)

    def _load_failed(self, failure: Failure) -> None:
        self._levels.statistics.load_errors += 1
        found = None
        try:
            found = self._levels.resurrect(self._key, self._options)
        except Exception as error:  # the serializer's
            self._log.debug(
                "cache key {key}: the expired value is of no use: {error}",
                key=self._key,
                error=str(error),
            )
        self._levels.unlock(self._key)
        if found is not None:
            self._log.warn(
                "cache key {key}: its loader failed ({error}); the expired value serves on",
                key=self._key,
                error=failure.getErrorMessage(),
            )
        self._end(found or failure)

    def _end(self, outcome: Found | Failure) -> None:
        self._over()
        askers, self._askers = self._askers, []
        for asker in askers:
            asker.callback(outcome)

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
