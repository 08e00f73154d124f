"""How long to wait before a crashed worker's successor."""

from kongtx.runtime.processes.backoff import MAX_DELAY, SOUND_AFTER, Backoff


def test_the_first_crash_is_answered_at_once_and_later_ones_ever_later():
    backoff = Backoff()
    assert [backoff.delay(0.1) for _ in range(8)] == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]


def test_a_worker_that_lived_long_starts_over():
    backoff = Backoff()
    for _ in range(5):
        backoff.delay(0.1)
    assert backoff.delay(SOUND_AFTER) == 0.0
    assert backoff.delay(0.1) == 0.1


def test_the_wait_has_a_limit_however_often_it_crashes():
    backoff = Backoff()
    for _ in range(5000):
        backoff.delay(0.0)
    assert backoff.delay(0.0) == MAX_DELAY
