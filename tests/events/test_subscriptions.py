"""Who hears which event."""

import gc

import pytest_twisted
from twisted.internet.defer import Deferred

from kongtx.events.subscriptions import Subscriptions


def record(heard, name="x"):
    return lambda data, channel, event, worker_id: heard.append(
        (name, data, channel, event, worker_id)
    )


def test_subscribers_of_the_event_hear_it_before_those_of_the_channel():
    subscriptions, heard = Subscriptions(), []
    subscriptions.add("c", None, record(heard, "all"))
    subscriptions.add("c", "e", record(heard, "one"))
    subscriptions.add("c", "other", record(heard, "other"))
    subscriptions.add("d", None, record(heard, "d"))
    subscriptions.dispatch({"a": 1}, "c", "e", 3)
    assert heard == [("one", {"a": 1}, "c", "e", 3), ("all", {"a": 1}, "c", "e", 3)]


def test_an_ended_subscription_hears_nothing_and_may_be_ended_again():
    subscriptions, heard = Subscriptions(), []
    end = subscriptions.add("c", "e", record(heard))
    end()
    end()
    subscriptions.dispatch(None, "c", "e", 0)
    assert heard == []
    assert len(subscriptions) == 0
    assert not subscriptions.wants("c", "e")


def test_the_same_callback_subscribed_twice_is_called_twice():
    subscriptions, heard = Subscriptions(), []
    callback = record(heard)
    end = subscriptions.add("c", "e", callback)
    subscriptions.add("c", "e", callback)
    subscriptions.dispatch(None, "c", "e", 0)
    assert len(heard) == 2
    end()
    subscriptions.dispatch(None, "c", "e", 0)
    assert len(heard) == 3


def test_a_failing_subscriber_harms_no_other(caplog_twisted):
    subscriptions, heard = Subscriptions(), []
    subscriptions.add("c", "e", lambda *_: 1 / 0)
    subscriptions.add("c", "e", record(heard))
    subscriptions.dispatch(None, "c", "e", 0)
    assert len(heard) == 1
    (logged,) = [event for event in caplog_twisted if "log_failure" in event]
    assert logged["log_failure"].type is ZeroDivisionError
    assert logged["channel"] == "c"


def test_a_subscriber_may_unsubscribe_while_it_is_called():
    subscriptions, heard = Subscriptions(), []
    ends = []
    ends.append(subscriptions.add("c", "e", lambda *_: ends[0]()))
    subscriptions.add("c", "e", record(heard))
    subscriptions.dispatch(None, "c", "e", 0)
    subscriptions.dispatch(None, "c", "e", 0)
    assert len(heard) == 2


@pytest_twisted.ensureDeferred
async def test_a_failing_coroutine_is_logged(caplog_twisted):
    async def fails(data, channel, event, worker_id):
        raise ValueError("late")

    subscriptions = Subscriptions()
    subscriptions.add("c", "e", fails)
    subscriptions.dispatch(None, "c", "e", 0)
    (logged,) = [event for event in caplog_twisted if "log_failure" in event]
    assert logged["log_failure"].getErrorMessage() == "late"


def test_a_deferred_that_fails_later_is_logged(caplog_twisted):
    waiting = Deferred()
    subscriptions = Subscriptions()
    subscriptions.add("c", "e", lambda *_: waiting)
    subscriptions.dispatch(None, "c", "e", 0)
    waiting.errback(KeyError("gone"))
    (logged,) = [event for event in caplog_twisted if "log_failure" in event]
    assert logged["log_failure"].type is KeyError


class Listener:
    def __init__(self, heard):
        self.heard = heard

    def hear(self, data, channel, event, worker_id):
        self.heard.append(data)


def test_a_weak_subscription_of_a_method_ends_with_its_object():
    subscriptions, heard = Subscriptions(), []
    listener = Listener(heard)
    subscriptions.add("c", "e", listener.hear, weak=True)
    subscriptions.dispatch(1, "c", "e", 0)
    del listener
    gc.collect()
    subscriptions.dispatch(2, "c", "e", 0)
    assert heard == [1]
    assert len(subscriptions) == 0


def test_a_weak_subscription_of_a_function_ends_with_it():
    subscriptions, heard = Subscriptions(), []
    callback = record(heard)
    subscriptions.add("c", None, callback, weak=True)
    subscriptions.dispatch(1, "c", "e", 0)
    del callback
    gc.collect()
    subscriptions.dispatch(2, "c", "e", 0)
    assert [entry[1] for entry in heard] == [1]
