"""What of the log is new."""

from __future__ import annotations

from kongtx.cluster.reading import LogReader, Seen
from kongtx.db.clusterlog import LoggedEvent, LogPage


def event(event_id: str, at: float, node_id: str = "other") -> LoggedEvent:
    return LoggedEvent(event_id, node_id, at, at, "channel", "data")


def begun(now: float = 1000.0) -> LogReader:
    reader = LogReader({"me"}, 20.0, 3600.0)
    reader.begin(now)
    return reader


def test_nothing_is_asked_for_before_the_time_is_known() -> None:
    reader = LogReader({"me"}, 20.0, 3600.0)
    assert reader.since(5.0) is None
    reader.begin(1000.0)
    assert reader.since(5.0) == 995.0


def test_a_stretch_is_asked_for_again_but_never_more_than_the_reach() -> None:
    assert begun().since(50.0) == 980.0


def test_an_event_is_taken_once_and_that_of_the_own_node_never() -> None:
    reader = begun()
    page = LogPage(1003.0, [event("a", 1001.0), event("b", 1002.0, "me")])
    assert [each.id for each in reader.take(page)] == ["a"]
    assert reader.take(page) == []


def test_an_event_that_appears_behind_younger_ones_is_taken() -> None:
    reader = begun()
    reader.take(LogPage(1003.0, [event("b", 1002.0)]))
    page = LogPage(1004.0, [event("late", 1001.5), event("b", 1002.0)])
    assert [each.id for each in reader.take(page)] == ["late"]


def test_the_position_never_goes_back() -> None:
    reader = begun()
    reader.take(LogPage(999.0, []))
    assert reader.position == 1000.0


def test_events_are_missing_when_they_lived_shorter_than_the_time_away() -> None:
    reader = begun()
    assert not reader.misses(LogPage(1000.0 + 3579.0, []))
    assert reader.misses(LogPage(1000.0 + 3580.0, []))


def test_events_are_missing_when_the_clock_was_put_back() -> None:
    reader = begun()
    assert not reader.misses(LogPage(996.0, []))
    assert reader.misses(LogPage(995.0, []))
    reader.begin(980.0)
    assert reader.since(0.0) == 980.0


def test_progress_stays_behind_an_event_that_waits() -> None:
    reader = begun()
    waiting = event("a", 1001.0)
    reader.take(LogPage(1005.0, [waiting]))
    reader.put_off(waiting)
    assert reader.progress() == 1001.0
    reader.done(waiting)
    assert reader.progress() == 1005.0


def test_what_another_worker_acted_on_is_not_taken() -> None:
    reader = begun()
    reader.learn(1005.0, ["a"])
    assert reader.since(1.0) == 1004.0
    assert reader.take(LogPage(1006.0, [event("a", 1004.5)])) == []


def test_what_waited_is_taken_again_by_a_worker_that_gave_it_up() -> None:
    reader = begun()
    waiting = event("a", 1001.0)
    reader.take(LogPage(1002.0, [waiting]))
    reader.put_off(waiting)
    reader.give_up()
    assert reader.take(LogPage(1003.0, [waiting])) == [waiting]


def test_a_worker_that_gave_up_knows_the_log_up_to_what_waited() -> None:
    reader = begun()
    waiting = event("a", 1001.0)
    reader.take(LogPage(1100.0, [waiting]))
    reader.put_off(waiting)
    reader.give_up()
    assert reader.position == 1001.0


def test_ids_are_forgotten_when_they_are_old_or_too_many() -> None:
    seen = Seen(3)
    assert [seen.add(name, at) for at, name in enumerate("abab")] == [True, True, False, False]
    seen.forget(0.0)
    assert "a" not in seen
    assert "b" in seen
    for at, name in enumerate("cdef", 4):
        seen.add(name, at)
    assert [name in seen for name in "bcdef"] == [False, False, True, True, True]
    assert len(seen) == 3
