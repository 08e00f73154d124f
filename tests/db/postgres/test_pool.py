"""The pool keeps to its bounds, whatever the connections do."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from kongtx.db.errors import DatabaseError
from kongtx.db.postgres import Endpoint
from kongtx.db.postgres.failures import Disconnected
from kongtx.db.postgres.pool import FIRST_PAUSE, LAST_PAUSE, Pool


class FakeLink:
    """A connection that opens when told to."""

    def __init__(self, reactor: Any, endpoint: Endpoint, lost: Any) -> None:
        self.opening: Deferred[None] = Deferred()
        self.is_open = False
        self.is_new = True
        self.lost = lost
        self.quiet = True

    def is_quiet(self) -> bool:
        return self.quiet

    async def open(self) -> None:
        await self.opening
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


class Bench:
    """A pool with connections that are made at once, unless it is told otherwise."""

    def __init__(self, **endpoint: Any) -> None:
        self.clock = Clock()
        self.links: list[FakeLink] = []
        self.refuses: Exception | None = None
        self.hangs = False
        self.endpoint = Endpoint("db", **{"connections": 2, "wait": 5.0, **endpoint})
        self.pool = Pool(self.clock, self.endpoint, self.make)  # type: ignore[arg-type]

    def make(self, *arguments: Any) -> FakeLink:
        link = FakeLink(*arguments)
        self.links.append(link)
        if self.refuses is not None:
            link.opening.errback(self.refuses)
        elif not self.hangs:
            link.opening.callback(None)
        return link

    def use(self) -> User:
        return User(self.pool)


class User:
    """Somebody who takes a connection, and holds it until told."""

    def __init__(self, pool: Pool) -> None:
        self.link: Any = None
        self._enough: Deferred[None] = Deferred()
        self.done = Deferred.fromCoroutine(self._use(pool))
        self.failure: Any = None
        self.done.addErrback(self._failed)

    async def _use(self, pool: Pool) -> None:
        async with pool.link() as self.link:
            await self._enough

    def _failed(self, failure: Any) -> None:
        self.failure = failure

    def end(self) -> None:
        self._enough.callback(None)


def test_a_connection_is_used_again() -> None:
    bench = Bench()
    first = bench.use()
    first.end()
    second = bench.use()
    assert second.link is first.link
    assert len(bench.links) == 1


def test_no_more_are_made_than_allowed_and_the_first_to_wait_is_the_first_served() -> None:
    bench = Bench()
    users = [bench.use() for _ in range(4)]
    assert [user.link is not None for user in users] == [True, True, False, False]
    users[0].end()
    assert users[2].link is users[0].link
    users[1].end()
    assert users[3].link is users[1].link
    assert len(bench.links) == 2


def test_whoever_waits_makes_a_connection_in_place_of_one_that_broke() -> None:
    bench = Bench(connections=1)
    first, second = bench.use(), bench.use()
    first.link.close()
    first.end()
    assert second.link is bench.links[1]
    assert second.link.is_open


def test_waiting_has_an_end() -> None:
    bench = Bench(connections=1)
    first, second, third = bench.use(), bench.use(), bench.use()
    bench.clock.advance(5)
    assert second.failure.getErrorMessage() == (
        "PostgreSQL at db:5432: all 1 connections have been in use for 5 seconds"
    )
    assert third.failure is not None
    first.end()
    assert bench.use().link is bench.links[0]


def test_no_more_may_wait_than_the_backlog_says() -> None:
    bench = Bench(connections=1, backlog=1)
    _, second, third = bench.use(), bench.use(), bench.use()
    assert second.failure is None
    assert third.failure.check(DatabaseError)
    assert third.failure.getErrorMessage() == (
        "PostgreSQL at db:5432: all 1 connections are in use, and 1 queries wait for one already"
    )


def test_one_who_gives_up_waiting_holds_nothing() -> None:
    bench = Bench(connections=1)
    first, second, third = bench.use(), bench.use(), bench.use()
    second.done.cancel()
    assert second.failure.check(CancelledError)
    first.end()
    assert third.link is bench.links[0]


def test_one_who_gives_up_connecting_leaves_the_place_to_others() -> None:
    bench = Bench(connections=1)
    bench.hangs = True
    first = bench.use()
    bench.hangs = False
    second = bench.use()
    first.done.cancel()
    assert second.link is bench.links[1]


def test_idle_connections_are_closed_after_a_while() -> None:
    bench = Bench(idle=10.0)
    user = bench.use()
    user.end()
    bench.clock.advance(9)
    again = bench.use()
    again.end()
    bench.clock.advance(9)
    assert again.link.is_open
    bench.clock.advance(1)
    assert not again.link.is_open
    assert bench.use().link is bench.links[1]


def test_idle_connections_can_be_kept_for_ever() -> None:
    bench = Bench(idle=None)
    bench.use().end()
    assert bench.clock.getDelayedCalls() == []


def test_when_an_idle_connection_ends_the_others_are_not_trusted_either() -> None:
    bench = Bench()
    users = [bench.use(), bench.use()]
    for user in users:
        user.end()
    bench.links[0].lost(bench.links[0])
    assert not bench.links[1].is_open
    assert bench.use().link is bench.links[2]
    assert bench.clock.getDelayedCalls() == []


def test_an_idle_connection_of_which_something_was_heard_is_not_used_again() -> None:
    bench = Bench()
    user = bench.use()
    user.end()
    bench.links[0].quiet = False
    assert bench.use().link is bench.links[1]
    assert not bench.links[0].is_open


def test_after_a_refusal_nobody_tries_for_a_while() -> None:
    bench = Bench()
    bench.refuses = Disconnected("refused")
    pauses = []
    for _ in range(8):
        assert bench.use().failure.getErrorMessage() == "refused"
        tried = len(bench.links)
        assert bench.use().failure.getErrorMessage() == "refused"
        assert len(bench.links) == tried
        pauses.append(bench.pool.pause)
        bench.clock.advance(bench.pool.pause)
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LAST_PAUSE
    bench.refuses = None
    assert bench.use().link.is_open
    assert bench.pool.pause == 0


def test_all_who_wait_are_told_of_a_refusal() -> None:
    bench = Bench(connections=1)
    bench.hangs = True
    first, second, third = bench.use(), bench.use(), bench.use()
    bench.links[0].opening.errback(Disconnected("refused"))
    assert [user.failure.getErrorMessage() for user in (first, second, third)] == ["refused"] * 3


def test_closing_waits_for_those_who_work_and_those_who_wait() -> None:
    bench = Bench(connections=1)
    first, second = bench.use(), bench.use()
    closed: list[None] = []
    bench.pool.close().addCallback(closed.append)
    first.end()
    assert (second.link.is_open, closed) == (True, [])
    second.end()
    assert (second.link.is_open, closed) == (False, [None])
    late = bench.use()
    assert late.failure.getErrorMessage() == "PostgreSQL at db:5432: the database is closed"


@pytest.mark.parametrize("times", [1, 2])
def test_closing_may_be_repeated(times: int) -> None:
    bench = Bench()
    bench.use().end()
    for _ in range(times):
        assert bench.pool.close().result is None
    assert not bench.links[0].is_open
