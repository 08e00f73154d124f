"""Counters shared by the workers of a node."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kongtx.cache.counters import Counters, Taken, counter_key, window_key
from kongtx.cache.shared import SharedMemory

NOW = 1_700_000_000
EXAMPLES = count()


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[Counters]:
    memory = SharedMemory(tmp_path / "shared", 1024 * 1024)
    yield memory.counters
    memory.close()


def test_requests_are_counted_until_the_first_limit_is_reached(counters: Counters) -> None:
    keys = [
        counter_key(window_key(NOW + 1, b"w"), b"a:second"),
        counter_key(window_key(NOW + 60, b"w"), b"a:minute"),
    ]
    assert counters.take(keys, [2, 3], NOW) == Taken([0, 0], None)
    assert counters.take(keys, [2, 3], NOW) == Taken([1, 1], None)
    assert counters.take(keys, [2, 3], NOW) == Taken([2, 2], 0)
    assert counters.read(keys) == [2, 2]
    later = [counter_key(window_key(NOW + 2, b"w"), b"a:second"), keys[1]]
    assert counters.take(later, [2, 3], NOW) == Taken([0, 2], None)
    assert counters.take(later, [2, 3], NOW) == Taken([1, 3], 1)
    assert counters.read([*keys, *later]) == [2, 3, 1, 3]


def test_any_amount_can_be_added(counters: Counters) -> None:
    keys = [
        counter_key(window_key(NOW + 1, b"w"), b"a"),
        counter_key(window_key(NOW + 1, b"w"), b"b"),
    ]
    assert counters.add(keys, 5, NOW) == [5, 5]
    assert counters.add(keys[:1], 2, NOW) == [7]
    assert counters.read(keys) == [7, 5]


def test_identities_of_any_length_are_told_apart(counters: Counters) -> None:
    keys = [counter_key(window_key(NOW + 1, b"w"), b"x" * 5000 + end) for end in (b"1", b"2")]
    counters.add(keys[:1], 1, NOW)
    assert counters.read(keys) == [1, 0]


def test_windows_that_have_ended_are_swept_away(counters: Counters) -> None:
    for number in range(1500):
        counters.add([counter_key(window_key(NOW + number, b"w"), b"a")], 1, NOW + number)
    assert len(counters) <= 1024
    assert counters.read([counter_key(window_key(NOW + 1499, b"w"), b"a")]) == [1]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5)), max_size=40))
def test_no_limit_is_ever_passed(counters: Counters, takes: list[tuple[int, int]]) -> None:
    example = next(EXAMPLES)
    counts = {1: 0, 2: 0, 3: 0}
    for who, limit in takes:
        key = counter_key(window_key(NOW + 1, b"w"), b"%d:%d" % (example, who))
        taken = counters.take([key], [limit], NOW)
        assert taken == Taken([counts[who]], 0 if counts[who] >= limit else None)
        counts[who] += taken.reached is None


def test_four_processes_together_pass_no_limit(tmp_path: Path) -> None:
    script = (
        "import sys; from kongtx.cache.shared import SharedMemory\n"
        "from kongtx.cache.counters import counter_key, window_key\n"
        f"c = SharedMemory({str(tmp_path / 'shared')!r}, 1048576).counters\n"
        "sys.stdin.readline()\n"
        f"k = [counter_key(window_key({NOW + 60}, b'w'), b'a')]\n"
        f"print(sum(c.take(k, [1000], {NOW}).reached is None for _ in range(600)))\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(4)
    ]
    passed = [int(child.communicate(b"go\n", timeout=30)[0]) for child in children]
    assert sum(passed) == 1000
