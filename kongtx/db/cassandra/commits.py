"""Commits: what waits is planned together, and applied if nobody else was faster."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kongtx.db.cassandra import layout, parcels, planning
from kongtx.db.cassandra.layout import SENTINEL, Address, Place
from kongtx.db.cassandra.partition import QUORUM, SCOPE, SERIAL, Moved, Partition, State, chunks
from kongtx.db.cassandra.session import OutcomeUnknownError, together
from kongtx.db.cassandra.view import Announced, Known, Missing, View
from kongtx.db.clusterlog import Announce
from kongtx.db.errors import ConflictError, DatabaseError, StoreError
from kongtx.db.tables import Catalogue, Table
from kongtx.db.writes import Change
from kongtx.lib import ids

_GROUP = 200  # submissions that are committed together at most
_PURGED_AT_ONCE = 100
_LOG_SECONDS = 3600.0  # a commit's record is looked for no later than this
_HEAVY = 500  # rows and places: planning with them takes long enough to be done in a thread
_PURGE_LAG = 600.0
_BACK_OFF_SECONDS = (0.002, 0.25)

T = TypeVar("T")
Rows = Mapping[Address, str | None]


class Work(Protocol):
    """Something to do in a commit; it may be called again after more was read."""

    def __call__(self, view: View, plan: Plan) -> Any: ...


@attrs.frozen
class Plan:
    """What there is to plan with.

    @ivar catalogue: all tables that there are rows of.
    @ivar stored: the tables as the partition's rows were made by.
    @ivar purged: how many rows were removed because their time was over.
    """

    catalogue: Catalogue
    stored: Mapping[str, Table]
    purged: int


@attrs.define(eq=False)
class Submission:
    """Work that waits for its commit.

    @ivar changes: finds in the work's result what is to be announced.
    @ivar is_alone: whether it changes what others are planned with.
    """

    work: Work
    addresses: frozenset[Address] = frozenset()
    places: frozenset[Place] = frozenset()
    changes: Callable[[Any], Sequence[Change]] = lambda _: ()
    is_alone: bool = False
    done: Deferred[Any] = attrs.field(factory=Deferred)


@attrs.frozen
class _Attempt:
    """A commit that was sent.

    @ivar results: by submission; an exception where it was refused.
    """

    id: str
    version: int
    results: list[Any]


class Commits:
    """Applies what is submitted, in order.

    @param partition: what is written to.
    @param reactor: for waiting between attempts.
    @param now: seconds since the epoch, for rows that expire.
    @param patience: seconds after which a commit that others keep overtaking, or whose outcome
        cannot be found out, is given up.
    """

    _log = Logger()

    def __init__(
        self,
        partition: Partition,
        reactor: Any,
        now: Callable[[], float],
        patience: float,
        chance: random.Random | None = None,
    ) -> None:
        self._partition = partition
        self._reactor = reactor
        self._now = now
        self._patience = patience
        self._chance = chance or random.Random()
        self._waiting: list[Submission] = []
        self._is_busy = False
        self._drained: list[Deferred[None]] = []
        self._own = Catalogue.of([])
        self._layout: str | None = None
        self._stored: dict[str, Table] = {}
        self._catalogue = self._own
        self._purged_to = ""
        self._announce: Announce | None = None
        self._node_id = ""
        self._lives = 0.0

    def know(self, catalogue: Catalogue) -> None:
        """Take note of the node's own tables."""
        self._own = catalogue
        self._merge()

    def announce_with(self, announce: Announce, node_id: str, lives: float) -> None:
        """See L{IClusterLog.announce_with}."""
        self._announce, self._node_id, self._lives = announce, node_id, lives

    def announced(self, changes: Sequence[Change]) -> list[Announced]:
        """What some changes are announced by."""
        events = self._announce(changes) if self._announce is not None and changes else ()
        return [Announced(event, self._node_id, self._lives) for event in events]

    def leave(self, events: Sequence[Announced]) -> Deferred[None]:
        """Commit some events and nothing else."""
        return self.submit(Submission(lambda view, _: view.events.extend(events)))

    def submit(self, submission: Submission) -> Deferred[Any]:
        """Do some work in the next commit."""
        self._waiting.append(submission)
        if not self._is_busy:
            self._flush()
        return submission.done

    def drained(self) -> Deferred[None]:
        """Fire when nothing waits any more."""
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        if not self._is_busy:
            self._flush()
        return done

    def _flush(self) -> None:
        """Commit what waits, and again until nothing does."""
        group = self._next_group()
        self._is_busy = bool(group)
        if not group:
            drained, self._drained = self._drained, []
            for each in drained:
                each.callback(None)
            return
        work = ensureDeferred(self._commit(group))
        work.addCallbacks(
            lambda results: _deliver(group, results),
            lambda failure: _deliver(group, [failure.value] * len(group)),
        )
        work.addErrback(lambda failure: self._log.failure("a commit's taker", failure))
        work.addBoth(lambda _: self._flush())

    def _next_group(self) -> list[Submission]:
        waiting, count = self._waiting, 0
        while count < min(len(waiting), _GROUP) and not waiting[count].is_alone:
            count += 1
        count = count or min(1, len(waiting))
        group, self._waiting = waiting[:count], waiting[count:]
        return group

    async def _commit(self, group: Sequence[Submission]) -> list[Any]:
        """Try until it is done or refused.

        @return: a result or an exception for each submission.
        @raise DatabaseError: it could not be done.
        """
        give_up = self._reactor.seconds() + self._patience
        uncertain: list[_Attempt] = []
        tries, trouble = 0, None
        while True:
            try:
                results = await self._attempt(group, uncertain)
                if results is not None:
                    return results
                trouble = None
            except Moved:
                trouble = None
            except OutcomeUnknownError as error:
                if not uncertain:
                    raise
                trouble = error
            except DatabaseError:
                if len(group) == 1:
                    raise
                # What the database refuses may be one of them.
                return [await self._result(each) for each in group]
            if self._reactor.seconds() >= give_up:
                raise trouble or DatabaseError(
                    f"{self._partition.session.settings.label}: "
                    f"other nodes were faster, {tries} times"
                )
            tries += 1
            first, last = _BACK_OFF_SECONDS
            await deferLater(
                self._reactor, self._chance.uniform(0, min(last, first * 2 ** min(tries, 10)))
            )

    async def _result(self, submission: Submission) -> Any:
        try:
            [result] = await self._commit([submission])
        except DatabaseError as error:
            return error
        return result

    async def _attempt(
        self, group: Sequence[Submission], uncertain: list[_Attempt]
    ) -> list[Any] | None:
        """Plan and apply once.

        @return: L{None} if it has to be tried again.
        @raise OutcomeUnknownError: the database did not answer; a commit that was sent has been
            noted as uncertain.
        """
        consistency = SERIAL if uncertain else QUORUM
        known, addresses, places = Known(), set[Address](), set[Place]()
        for submission in group:
            addresses |= submission.addresses
            places |= submission.places
        records = {each.version: Address(*layout.log_place(each.version), "") for each in uncertain}
        due = ensureDeferred(self._due())
        state = await self._partition.read(
            known, addresses | set(records.values()), places, consistency
        )
        if state.pending is not None:
            await self._partition.settle(state.pending)
            return None
        for attempt in uncertain:
            record = known.rows[records[attempt.version]]
            if record is not None and json.loads(record)["id"] == attempt.id:
                return attempt.results
        if state.layout != self._layout:
            await self._read_definitions(consistency)
            return None
        view, results = await self._plan(group, known, state, await due)
        rows = self._with_layout(view.difference(), view)
        if not rows and not view.events:
            return results
        assert state.version is not None
        attempt = _Attempt(ids.uuid4(), state.version + 1, results)
        try:
            was_applied = await self._write(attempt, state, rows, view)
        except OutcomeUnknownError:
            uncertain.append(attempt)
            raise
        return results if was_applied else None

    async def _plan(
        self,
        group: Sequence[Submission],
        known: Known,
        state: State,
        due: Sequence[tuple[str, str]],
    ) -> tuple[View, list[Any]]:
        """Do all work in memory, reading what it asks for.

        @raise Moved: the partition changed meanwhile.
        """
        is_heavy = _is_heavy(group)
        while True:
            outcome = await self._apart(is_heavy, partial(self._planned, group, known, due))
            if not isinstance(outcome, Missing):
                view, results = outcome
                for submission, result in zip(group, results, strict=True):
                    if not isinstance(result, Exception):
                        view.events += self.announced(submission.changes(result))
                return view, results
            wanted = outcome
            found = await self._partition.read(known, wanted.addresses, wanted.places, QUORUM)
            if found != state:
                raise Moved

    def _planned(
        self, group: Sequence[Submission], known: Known, due: Sequence[tuple[str, str]]
    ) -> tuple[View, list[Any]] | Missing:
        """The view with what each submission did, or what has to be read first."""
        view = View(known)
        try:
            purged = planning.purge(view, due, self._catalogue)
            plan = Plan(self._catalogue, self._stored, purged)
            return view, [self._outcome(each, view, plan) for each in group]
        except Missing as missing:
            return missing

    async def _apart(self, is_heavy: bool, work: Callable[[], T]) -> T:
        """Do some work, in a thread if it is heavy."""
        return await self._partition.session.in_thread(work) if is_heavy else work()

    def _outcome(self, submission: Submission, view: View, plan: Plan) -> Any:
        mark = view.mark()
        try:
            return submission.work(view, plan)
        except Missing:
            raise
        except (StoreError, ConflictError) as error:
            return error
        except Exception as error:
            self._log.failure("a write could not be planned")
            view.back_to(mark)
            return error

    async def _write(self, attempt: _Attempt, state: State, rows: Rows, view: View) -> bool:
        """Apply what was planned.

        @return: whether it was; otherwise somebody else was faster.
        """
        ttl = math.ceil(max(_LOG_SECONDS, *(each.lives for each in view.events), 0))
        log = parcels.record(attempt.version, attempt.id, view.events)
        header = Address(*layout.log_place(attempt.version), "")
        written: list[parcels.Sent] = [(*address, value, ttl) for address, value in log.items()]
        written += [(*address, value, 0) for address, value in rows.items()]
        changed = view.layout or state.layout
        pending = None
        parts = await self._apart(len(written) > _HEAVY, partial(parcels.divided, written))
        if parts is not None:
            await self._intend(attempt.id, parts)
            pending = f"{attempt.id} {len(parts)}"
            written = [(*header, log[header], ttl)]
        statements = self._partition.statements
        items: list[tuple[str, Sequence[Any]]]
        if pending is None and changed == state.layout:
            items = [(statements.advance, [attempt.version, SCOPE, state.version])]
        else:
            after = [attempt.version, changed, pending]
            items = [(statements.advance_all, [*after, SCOPE, state.version])]
        for *address, value, row_ttl in written:
            if value is None:
                items.append((statements.remove, [SCOPE, *address]))
            else:
                items.append((statements.put, [SCOPE, *address, value, row_ttl]))
        found = await self._partition.session.execute_batch(items, self._partition.writing())
        if not found[0][0]:
            return False
        if pending is not None:
            await self._partition.settle(pending)
        return True

    async def _intend(self, identity: str, parts: Sequence[str]) -> None:
        """Write the parts of a large commit where nobody looks."""
        session, statement = self._partition.session, self._partition.statements.put_intent
        for some in chunks(enumerate(parts), 4):
            await together(
                session.execute(statement, [identity, number, part], QUORUM)
                for number, part in some
            )

    # Tables as the partition's rows were made by

    async def prepare(self, create: bool) -> None:
        """Store the node's own tables where they differ from the stored ones, and index anew.

        @param create: whether there may be nothing at all so far.
        """
        statements = self._partition.statements
        if create:
            items: list[tuple[str, Sequence[Any]]] = [
                (statements.advance, [0, SCOPE, None]),
                (statements.put, [SCOPE, *SENTINEL, "", 0]),
            ]
            await self._partition.session.execute_batch(items, self._partition.writing())
        await self._read_definitions(QUORUM)
        if any(self._stored.get(table.name) != table for table in self._own):

            def work(view: View, plan: Plan) -> None:
                planning.redefine(view, self._own, plan.stored)

            await self.submit(Submission(work, is_alone=True))
            await self._read_definitions(QUORUM)

    async def _read_definitions(self, consistency: Any) -> None:
        place = Place(layout.TABLE, "")
        while True:
            known = Known()
            try:
                named = await self._partition.read(known, [], [place], consistency)
                addresses = [Address(*place, name) for name in sorted(known.places[place])]
                state = await self._partition.read(known, addresses, [], consistency)
            except Moved:
                continue
            if state.pending is not None:
                await self._partition.settle(state.pending)
            elif state == named:
                break
        texts = [known.rows[address] for address in addresses]
        self._stored = {
            table.name: table for table in (layout.from_json(text) for text in texts if text)
        }
        self._layout = state.layout
        self._merge()

    def _merge(self) -> None:
        own = {table.name: table for table in self._own}
        self._catalogue = Catalogue.of({**own, **self._stored}.values())

    def _with_layout(self, rows: dict[Address, str | None], view: View) -> dict[Any, Any]:
        """Note in the view which layout holds after its changes."""
        defined = {key.key: value for key, value in rows.items() if key.kind == layout.TABLE}
        if defined:
            before = {name: layout.to_json(table) for name, table in self._stored.items()}
            text = layout.dump(sorted({**before, **defined}.items()))
            view.layout = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        return rows

    # Rows whose time is over

    async def _due(self) -> list[tuple[str, str]]:
        """Tables and keys of what has expired and was not removed so far."""
        if not any(table.expires and not layout.stands_alone(table) for table in self._catalogue):
            return []
        now = self._now()
        begin = min(self._purged_to, layout.moment(now - _PURGE_LAG))
        end = layout.moment(now) + "\x01"
        parameters = [layout.EXPIRY, "", begin, end, _PURGED_AT_ONCE]
        statement = self._partition.statements.keys_from
        try:
            rows = await self._partition.session.execute(statement, [SCOPE, *parameters], QUORUM)
        except DatabaseError as error:
            self._log.warn("expired rows cannot be found: {error}", error=error)
            return []
        self._purged_to = rows[0][1] if rows else layout.moment(now)
        return [(name, key) for _, name, key in (layout.parted(row[1]) for row in rows)]


def _deliver(group: Sequence[Submission], results: Sequence[Any]) -> None:
    for submission, result in zip(group, results, strict=True):
        if isinstance(result, Exception):
            submission.done.errback(result)
        else:
            submission.done.callback(result)


def _is_heavy(group: Sequence[Submission]) -> bool:
    return sum(len(each.addresses) + len(each.places) for each in group) > _HEAVY
