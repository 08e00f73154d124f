"""Coroutines run without a task."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from kongtx.net.driving import Driven, run_to_end


@pytest.fixture
def loop():
    loop = uvloop.new_event_loop()
    yield loop
    loop.close()


def turn(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_what_waits_for_nothing_is_run_at_once():
    async def answer():
        return 42

    assert run_to_end(answer()) == 42


def test_what_waits_is_not_run_to_its_end(loop):
    async def wait():
        await loop.create_future()

    with pytest.raises(RuntimeError, match="was expected not to wait"):
        run_to_end(wait())


def test_a_result_and_a_failure_are_told(loop):
    future, outcomes = loop.create_future(), []

    async def wait(then):
        value = await future
        if then:
            raise then
        return value

    Driven(wait(None), outcomes.append, outcomes.append)
    error = ValueError("x")
    Driven(wait(error), outcomes.append, outcomes.append)
    assert outcomes == []
    future.set_result(1)
    turn(loop)
    assert outcomes == [1, error]


def test_a_future_that_fails_fails_what_waits(loop):
    future, outcomes = loop.create_future(), []

    async def wait():
        await future

    Driven(wait(), outcomes.append, outcomes.append)
    future.set_exception(asyncio.CancelledError())
    turn(loop)
    assert [type(each) for each in outcomes] == [asyncio.CancelledError]


def test_what_is_cancelled_cleans_up_and_tells_nothing(loop):
    future, outcomes, cleaned = loop.create_future(), [], []

    async def wait():
        try:
            await future
        finally:
            cleaned.append(True)

    driven = Driven(wait(), outcomes.append, outcomes.append)
    driven.cancel()
    driven.cancel()
    turn(loop)
    assert (outcomes, cleaned, future.cancelled(), driven.waiting) == ([], [True], True, False)
