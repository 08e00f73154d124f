"""The second level of the cache: LMDB shared between workers."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kongtx.cache.errors import ValueTooLarge
from kongtx.cache.shared import Entry, SharedMemory, process_start


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[SharedMemory]:
    memory = SharedMemory(tmp_path / "cache", 256 * 1024)
    yield memory
    memory.close()


def test_an_entry_comes_back_as_it_was_put(memory: SharedMemory) -> None:
    memory.put(b"a:k", b"payload", 12.5)
    memory.put(b"a:none", None, math.inf, stale=True)
    memory.put(b"a:empty", b"", 1.0)
    assert memory.get(b"a:k") == Entry(b"payload", 12.5, False)
    assert memory.get(b"a:none") == Entry(None, math.inf, True)
    assert memory.get(b"a:empty") == Entry(b"", 1.0, False)
    assert memory.get(b"a:other") is None


def test_keys_of_any_length_and_content_are_told_apart(memory: SharedMemory) -> None:
    keys = [b"a:" + b"x" * 5000 + end for end in (b"1", b"2", b"\x00", b"")]
    for number, key in enumerate(keys):
        memory.put(key, b"%d" % number, math.inf)
    assert [memory.get(key).payload for key in keys] == [b"0", b"1", b"2", b"3"]
    assert memory.purge(b"a:") == 4


def test_the_oldest_make_room_and_what_is_used_stays_bounded(memory: SharedMemory) -> None:
    for number in range(2000):
        memory.put(b"a:%d" % number, b"v" * 1000, math.inf)
    statistics = memory.statistics()
    assert statistics["used"] <= statistics["capacity"]
    assert statistics["entries"] + statistics["evictions"] == 2000
    assert memory.get(b"a:1999") is not None
    assert memory.get(b"a:0") is None


def test_a_value_larger_than_the_memory_is_refused_and_evicts_nothing(
    memory: SharedMemory,
) -> None:
    memory.put(b"a:small", b"v", math.inf)
    with pytest.raises(ValueTooLarge, match=r"'a:big'.*raise mem_cache_size"):
        memory.put(b"a:big", b"v" * 300_000, math.inf)
    assert memory.get(b"a:small") is not None


def test_deleting_everything_frees_everything(memory: SharedMemory) -> None:
    for number in range(50):
        memory.put(b"a:%d" % number, b"v" * number * 100, math.inf)
        memory.put(b"a:%d" % number, b"v" * number * 50, math.inf)
    for number in range(50):
        memory.delete(b"a:%d" % number)
    assert memory.statistics() == {
        "capacity": 256 * 1024, "used": 0, "entries": 0, "evictions": 0,
    }  # fmt: skip


def test_purging_touches_one_prefix_and_what_has_expired_alone_if_asked(
    memory: SharedMemory,
) -> None:
    memory.put(b"a:old", b"", 1.0)
    memory.put(b"a:new", b"", 3.0)
    memory.put(b"b:old", b"", 1.0)
    assert memory.purge(b"a:", before=2.0) == 1
    assert memory.get(b"a:new") is not None
    assert memory.get(b"b:old") is not None
    assert memory.purge(b"a:") == 1
    assert memory.get(b"b:old") is not None


def test_a_lock_is_held_until_it_is_given_back(memory: SharedMemory) -> None:
    assert memory.lock(b"k")
    assert not memory.lock(b"k")
    memory.unlock(b"k")
    assert memory.lock(b"k")


def test_a_lock_whose_process_is_gone_or_is_another_is_taken_over(memory: SharedMemory) -> None:
    memory.lock(b"k")
    assert memory.lock(b"k", running=lambda pid: 0)
    assert memory.lock(b"k", running=lambda pid: process_start(pid) + 1)


def test_a_value_read_before_its_key_was_deleted_or_put_is_not_held(
    memory: SharedMemory,
) -> None:
    memory.lock(b"k")
    memory.delete(b"k")
    assert not memory.put(b"k", b"old", math.inf, unless_spoiled=True)
    assert memory.get(b"k") is None
    memory.unlock(b"k")
    memory.lock(b"k")
    memory.put(b"k", b"set", math.inf)
    assert not memory.put(b"k", b"old", math.inf, unless_spoiled=True)
    assert memory.get(b"k").payload == b"set"


def test_purging_spoils_what_is_being_computed(memory: SharedMemory) -> None:
    memory.lock(b"a:k")
    memory.purge(b"a:")
    assert not memory.put(b"a:k", b"old", math.inf, unless_spoiled=True)


def test_a_process_knows_when_it_started_and_that_none_has_id_zero() -> None:
    assert process_start(os.getpid()) > 0
    assert process_start(2**31 - 1) == 0


def test_another_process_sees_entries_and_its_lock_dies_with_it(
    memory: SharedMemory, tmp_path: Path
) -> None:
    memory.put(b"a:k", b"mine", math.inf)
    script = (
        "import os, sys; from kongtx.cache.shared import SharedMemory\n"
        f"m = SharedMemory({str(tmp_path / 'cache')!r}, 262144)\n"
        "assert m.get(b'a:k').payload == b'mine'\n"
        "m.put(b'a:k', b'theirs', 5.0); assert m.lock(b'l'); print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert child.stdout.readline() == b"locked\n"
        assert memory.get(b"a:k") == Entry(b"theirs", 5.0, False)
        assert not memory.lock(b"l")
        child.kill()
        child.wait()
        assert memory.lock(b"l")
    finally:
        child.kill()
        child.communicate()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"b", b"c" * 600]), st.integers(-1, 40_000)),
        max_size=30,
    )
)
def test_what_is_used_is_the_sum_of_what_is_held(
    memory: SharedMemory, operations: list[tuple[bytes, int]]
) -> None:
    memory.purge(b"")
    model: dict[bytes, int] = {}
    for key, length in operations:
        if length < 0:
            memory.delete(key)
            model.pop(key, None)
        else:
            memory.put(key, b"v" * length, math.inf)
            model[key] = length
    assert {k: len(memory.get(k).payload) for k in model} == model
    assert memory.statistics()["entries"] == len(model)
    memory.purge(b"")
    assert memory.statistics()["used"] == 0
