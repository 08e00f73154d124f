"""The counters of a node, and what workers count by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from kongtx.cache.counters import Counters, Taken, counter_key
from kongtx.cache.shared import SharedMemory
from kongtx.plugins.counting.windows import Windows
from kongtx.plugins.rate_limiting.interfaces import IPolicy
from kongtx.plugins.rate_limiting.local import LocalPolicy
from kongtx.plugins.rate_limiting.share import Share, least_of

NOW = 1_700_000_040.0 - 1_700_000_040 % 3600
WINDOWS = Windows(["minute", "hour"])


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[Counters]:
    memory = SharedMemory(tmp_path / "shared", 1024 * 1024)
    yield memory.counters
    memory.close()


def shared(counters: Counters, identity: bytes, now: float = NOW) -> list[int]:
    return counters.read([counter_key(each.key, identity) for each in WINDOWS.at(now)])


def passed(policy: LocalPolicy, identity: bytes, limits: list[int], requests: int) -> int:
    taken = [policy.take(identity, WINDOWS.at(NOW), limits, NOW) for _ in range(requests)]
    return sum(isinstance(each, Share) or each.reached is None for each in taken)


def counted(policy: LocalPolicy, identity: bytes, limits: list[int]) -> list[int]:
    """Count a request; the counts before it."""
    taken = policy.take(identity, WINDOWS.at(NOW), limits, NOW)
    if isinstance(taken, Taken):
        assert taken.reached is None
        return list(taken.counts)
    used = [limit - left for limit, left in zip(limits, taken.left, strict=True)]
    return [each + taken.unsent - 1 for each in used]


def test_where_little_remains_every_request_is_in_the_shared_counters(counters: Counters) -> None:
    policy = LocalPolicy(counters, workers=1)
    assert verifyObject(IPolicy, policy)
    limits = [10, 1_000_000]
    for count in range(10):
        assert policy.take(b"a", WINDOWS.at(NOW), limits, NOW) == Taken([count] * 2, None)
        assert shared(counters, b"a") == [count + 1] * 2
    assert policy.take(b"a", WINDOWS.at(NOW), limits, NOW) == Taken([10, 10], 0)
    assert shared(counters, b"a") == [10, 10]


def test_of_a_large_limit_a_part_is_counted_beside_them(counters: Counters) -> None:
    policy = LocalPolicy(counters, workers=2)
    limits = [4000, 100_000]  # 4000 / 200 / 2: ten requests
    assert [counted(policy, b"a", limits) for _ in range(12)] == [[n, n] for n in range(12)]
    assert shared(counters, b"a") == [12, 12]
    policy.take(b"a", WINDOWS.at(NOW), limits, NOW)
    assert shared(counters, b"a") == [12, 12]
    policy.take(b"a", WINDOWS.at(NOW), limits, NOW + 0.2)  # looks again after a while
    assert shared(counters, b"a") == [14, 14]


def test_what_was_counted_is_told_when_windows_change_and_at_the_end(counters: Counters) -> None:
    policy = LocalPolicy(counters, workers=1)
    limits = [100_000, 100_000]
    for _ in range(5):
        policy.take(b"a", WINDOWS.at(NOW), limits, NOW)
    later = NOW + 60
    assert policy.take(b"a", WINDOWS.at(later), limits, later) == Taken([0, 5], None)
    for _ in range(3):
        policy.take(b"a", WINDOWS.at(later), limits, later)
    policy.stop()
    assert shared(counters, b"a", later) == [4, 9]


@pytest.mark.parametrize("limit", [1, 100, 799, 5000, 20_000])
def test_workers_in_turn_let_no_more_than_one_in_two_hundred_too_much_pass(
    counters: Counters, limit: int
) -> None:
    workers = [LocalPolicy(counters, workers=4) for _ in range(4)]
    limits = [limit, 10 * limit]
    total, rounds = 0, 0
    while rounds < limit + 10:
        rounds += 1
        now = sum(passed(worker, b"a", limits, 1 + index) for index, worker in enumerate(workers))
        total += now
        if now == 0:
            break
    assert limit <= total <= limit * 1.005
    assert limit >= 800 or total == limit


@pytest.mark.parametrize(("left", "least"), [([3.0], 0), ([2, 5], 0), ([5, 2], 1), ([2, 2, 7], 1)])
def test_of_equal_rests_that_of_the_longer_window_is_the_least(
    left: list[float], least: int
) -> None:
    assert least_of(left) == least


def share_of(policy: LocalPolicy, limits: list[int], now: float = NOW) -> Share:
    policy.take(b"a", WINDOWS.at(now), limits, now)
    share = policy.take(b"a", WINDOWS.at(now), limits, now)
    assert isinstance(share, Share)
    return share


@pytest.mark.parametrize(
    ("after", "counts"), [(-0.01, False), (0.0, True), (0.09, True), (0.11, False)]
)
def test_a_share_lasts_a_moment_from_then_on(
    counters: Counters, after: float, counts: bool
) -> None:
    share = share_of(LocalPolicy(counters, workers=1), [100_000, 100_000])
    assert share.take(NOW + after) is counts
    assert share.unsent == 1 + counts


def test_no_window_ends_while_a_share_lasts(counters: Counters) -> None:
    share = share_of(LocalPolicy(counters, workers=1), [100_000, 100_000], NOW + 59.95)
    assert share.take(NOW + 59.99)
    assert not share.take(NOW + 60)


def test_a_share_that_was_given_up_counts_nothing(counters: Counters) -> None:
    policy = LocalPolicy(counters, workers=1)
    share = share_of(policy, [100_000, 100_000])
    policy.take(b"a", WINDOWS.at(NOW), [50_000, 50_000], NOW)  # other limits
    assert not share.take(NOW)
    assert shared(counters, b"a") == [3, 3]
    share = share_of(policy, [50_000, 50_000])
    policy.take(b"a", WINDOWS.at(NOW), share.limits, NOW)
    policy.stop()
    assert not share.take(NOW)


def test_a_share_ends_where_little_is_left_of_a_limit(counters: Counters) -> None:
    policy = LocalPolicy(counters, workers=1)
    limits = [250, 100_000]
    share = share_of(policy, limits)
    for _ in range(60):
        policy.take(b"a", WINDOWS.at(NOW), limits, NOW)
    assert not share.take(NOW)
