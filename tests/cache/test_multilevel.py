"""The multi-level cache, over several workers that share memory and a bus."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kongtx.cache.errors import LockTimeout
from kongtx.cache.interfaces import ICache
from kongtx.cache.multilevel import MultiLevelCache
from kongtx.cache.shared import SharedMemory
from kongtx.cache.values import L1, L2, LOADER, MISS, STALE, Found, Loaded, Options  # fmt: skip
from tests.cache.bus import DirectBus


class Loader:
    """A loader that counts its calls."""

    def __init__(self, result: Any = "value") -> None:
        self.result, self.calls = result, 0

    def __call__(self) -> Any:
        self.calls += 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@attrs.define
class Node:
    """Workers of one node: their caches share memory, bus and clock."""

    memory: SharedMemory
    clock: Clock = attrs.Factory(Clock)
    bus: DirectBus = attrs.Factory(DirectBus)
    caches: list[MultiLevelCache] = attrs.Factory(list)

    def worker(self, name: str = "main", lru_size: int = 100, **options: Any) -> MultiLevelCache:
        cache = MultiLevelCache(
            name,
            self.memory,
            self.bus,
            self.clock,
            Options(**options),
            lru_size,
            self.clock.seconds,
        )
        self.caches.append(cache)
        return cache


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(SharedMemory(tmp_path / "cache", 1024 * 1024))
    yield node
    for cache in node.caches:
        cache.close()
    node.memory.close()


def result(deferred: Any) -> Any:
    """What a Deferred that has fired holds; its failure is raised."""
    assert isinstance(deferred, Deferred)
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "has not fired"
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


def test_it_is_a_cache(node: Node) -> None:
    assert verifyObject(ICache, node.worker())


def test_a_value_is_loaded_once_then_found_at_the_first_level(node: Node) -> None:
    cache, load = node.worker(), Loader()
    assert result(cache.fetch("k", load)) == Found("value", LOADER)
    assert cache.fetch("k", load) == Found("value", L1)
    assert cache.get("k", load) == "value"
    assert load.calls == 1


def test_another_worker_finds_it_at_the_second_level_at_once(node: Node) -> None:
    one, other, load = node.worker(), node.worker(), Loader({"id": 1, "tags": [b"x", None]})
    result(one.get("k", load))
    assert other.fetch("k", load) == Found({"id": 1, "tags": [b"x", None]}, L2)
    assert other.fetch("k", load) == Found({"id": 1, "tags": [b"x", None]}, L1)
    assert load.calls == 1


def test_loaders_may_be_deferreds_and_coroutines_with_arguments(node: Node) -> None:
    cache = node.worker()

    async def add(a: int, b: int) -> int:
        return a + await succeed(b)

    assert result(cache.get("k", add, 1, 2)) == 3
    assert result(cache.get("d", lambda: succeed(4))) == 4


def test_values_expire_after_ttl_and_misses_after_neg_ttl(node: Node) -> None:
    cache, value, miss = node.worker(ttl=30, neg_ttl=5), Loader(), Loader(None)
    result(cache.get("v", value))
    assert result(cache.get("m", miss)) is None
    node.clock.advance(4.9)
    assert cache.fetch("m", miss) == Found(None, L1)
    node.clock.advance(0.1)
    assert result(cache.fetch("m", miss)) == Found(None, LOADER)
    assert cache.fetch("v", value) == Found("value", L1)
    node.clock.advance(25)
    assert result(cache.fetch("v", value)) == Found("value", LOADER)
    assert (value.calls, miss.calls) == (2, 2)


def test_a_ttl_of_zero_is_for_ever(node: Node) -> None:
    cache = node.worker(ttl=0)
    result(cache.get("k", Loader()))
    node.clock.advance(1e9)
    assert cache.fetch("k", Loader("other")) == Found("value", L1)
    assert cache.peek("k").remaining == math.inf


def test_a_call_and_a_loader_override_how_long_a_value_is_held(node: Node) -> None:
    cache = node.worker(ttl=30)
    result(cache.get("short", Loader(), options=Options(ttl=1)))
    result(cache.get("loader", Loader(Loaded("x", 2))))
    assert (cache.peek("short").remaining, cache.peek("loader").remaining) == (1, 2)
    assert result(cache.get("never", Loader(Loaded("x", -1)))) == "x"
    assert cache.peek("never") is None
    assert result(cache.fetch("never", Loader("y"))) == Found("y", LOADER)


def test_without_a_loader_a_missing_key_is_a_miss(node: Node) -> None:
    assert node.worker().fetch("k", None) == Found(None, MISS)


def test_a_loaders_error_reaches_every_asker_and_is_not_held(node: Node) -> None:
    cache, gate = node.worker(), Deferred()
    askers = [cache.get("k", lambda: gate) for _ in range(3)]
    gate.errback(RuntimeError("database is down"))
    for asker in askers:
        with pytest.raises(RuntimeError, match="database is down"):
            result(asker)
    assert result(cache.get("k", Loader())) == "value"
    with pytest.raises(KeyError):
        result(cache.get("other", Loader(KeyError("raised at once"))))


def test_many_askers_of_many_workers_run_one_loader(node: Node) -> None:
    gate: Deferred[str] = Deferred()
    calls: list[int] = []

    def load() -> Deferred[str]:
        calls.append(1)
        return gate

    workers = [node.worker() for _ in range(4)]
    askers = [worker.get("k", load) for worker in workers for _ in range(250)]
    gate.callback("value")
    node.clock.pump([0.05] * 5)
    assert [result(asker) for asker in askers] == ["value"] * 1000
    assert len(calls) == 1


def test_a_waiter_loads_itself_when_the_holder_fails(node: Node) -> None:
    one, other, gate = node.worker(), node.worker(), Deferred()
    first, second = one.get("k", lambda: gate), other.get("k", Loader("mine"))
    gate.errback(RuntimeError())
    node.clock.advance(0.1)
    with pytest.raises(RuntimeError):
        result(first)
    assert result(second) == "mine"


def test_a_waiter_gives_up_after_the_lock_timeout(node: Node) -> None:
    one, other = node.worker(), node.worker(lock_timeout=1.0)
    one.get("k", Deferred)
    waiting = other.get("k", Loader())
    node.clock.pump([0.05] * 30)
    with pytest.raises(LockTimeout, match=r"'k'.*within 1 s"):
        result(waiting)


def test_a_waiter_that_may_resurrect_gets_the_expired_value_instead(node: Node) -> None:
    one, other = node.worker(), node.worker(lock_timeout=1.0, resurrect_ttl=10)
    one.set("k", "old", Options(ttl=1))
    node.clock.advance(2)
    one.get("k", Deferred)
    waiting = other.fetch("k", Loader())
    node.clock.pump([0.05] * 30)
    assert result(waiting) == Found("old", STALE)


def test_an_expired_value_serves_again_when_its_loader_fails(node: Node) -> None:
    cache, other = node.worker(ttl=1, resurrect_ttl=10), node.worker(resurrect_ttl=10)
    result(cache.get("k", Loader("old")))
    node.clock.advance(2)
    assert result(cache.fetch("k", Loader(RuntimeError()))) == Found("old", STALE)
    assert cache.fetch("k", Loader()) == Found("old", L1)
    assert other.fetch("k", Loader()) == Found("old", STALE)
    assert cache.peek("k").stale
    node.clock.advance(10)
    assert result(cache.fetch("k", Loader("new"))) == Found("new", LOADER)
    assert not cache.peek("k").stale
    assert cache.statistics.resurrected == 1


def test_without_an_expired_value_the_loaders_error_is_raised(node: Node) -> None:
    cache = node.worker(resurrect_ttl=10)
    with pytest.raises(RuntimeError, match="down"):
        result(cache.get("k", Loader(RuntimeError("down"))))


def test_the_serializer_makes_what_the_first_level_holds(node: Node) -> None:
    made: list[str] = []

    def serializer(value: str) -> tuple[str]:
        made.append(value)
        return (value,)

    one, other = node.worker(serializer=serializer), node.worker(serializer=serializer)
    assert result(one.get("k", Loader())) == ("value",)
    assert one.get("k", Loader()) == ("value",)
    assert other.get("k", Loader()) == ("value",)
    assert result(one.get("miss", Loader(None))) is None
    assert made == ["value", "value"]


def test_a_serializers_error_is_the_askers_and_nothing_is_held(node: Node) -> None:
    def broken(value: str) -> str:
        raise ValueError("cannot make it")

    cache = node.worker(serializer=broken)
    with pytest.raises(ValueError, match="cannot make it"):
        result(cache.get("k", Loader()))
    assert cache.peek("k") is None
    assert result(cache.get("k", Loader(), options=Options())) == "value"


def test_an_expired_value_of_no_use_leaves_the_askers_the_loaders_error(node: Node) -> None:
    def broken(value: str) -> str:
        raise ValueError("cannot make it")

    one, other = node.worker(ttl=1), node.worker(serializer=broken, resurrect_ttl=10)
    one.set("k", "old")
    node.clock.advance(2)
    with pytest.raises(RuntimeError, match="down"):
        result(other.get("k", Loader(fail(RuntimeError("down")))))
    with pytest.raises(RuntimeError, match="down"):
        result(other.get("k", Loader(RuntimeError("down"))))
    assert node.memory.lock(b"main:k")


def test_a_value_of_no_use_that_appears_with_the_lock_is_the_askers_error(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(value: str) -> str:
        raise ValueError("cannot make it")

    one, other = node.worker(), node.worker(serializer=broken)
    lock = node.memory.lock

    def made_meanwhile(*args: Any) -> bool:
        one.set("k", "value")
        return lock(*args)

    monkeypatch.setattr(node.memory, "lock", made_meanwhile)
    with pytest.raises(ValueError, match="cannot make it"):
        result(other.get("k", Loader()))
    assert lock(b"main:k")
    assert other.get("k", Loader(), options=Options()) == "value"


def test_a_value_that_cannot_be_encoded_is_the_askers_error(node: Node) -> None:
    cache = node.worker()
    with pytest.raises(TypeError):
        result(cache.get("k", Loader(object())))
    assert result(cache.get("k", Loader())) == "value"


def test_peek_promotes_nothing_and_tells_of_expired_values_if_asked(node: Node) -> None:
    cache = node.worker(ttl=10)
    assert cache.peek("k") is None
    cache.set("k", "value")
    node.clock.advance(4)
    assert attrs.astuple(cache.peek("k")) == ("value", 6.0, False)
    node.clock.advance(8)
    assert cache.peek("k") is None
    assert attrs.astuple(cache.peek("k", stale=True)) == ("value", -2.0, True)


def test_set_replaces_what_other_workers_hold(node: Node) -> None:
    one, other = node.worker(), node.worker()
    result(other.get("k", Loader("old")))
    assert other.get("k", None) == "old"
    result(one.set("k", "new"))
    assert one.fetch("k", None) == Found("new", L1)
    assert other.fetch("k", None) == Found("new", L2)


def test_probing_tells_what_is_left_and_loads_nothing(node: Node) -> None:
    cache = node.worker(ttl=30)
    assert cache.probe("k") is None
    result(cache.safe_set("k", 1))
    node.clock.advance(10)
    probed = cache.probe("k")
    assert probed is not None
    assert (probed.value, probed.remaining, probed.stale) == (1, 20, False)


def test_renewing_replaces_what_other_workers_hold(node: Node) -> None:
    one, other, load = node.worker(ttl=30), node.worker(ttl=30), Loader()
    result(one.get("k", load))
    assert other.get("k", load) == "value"
    node.clock.advance(10)
    load.result = Loaded("newer", 100)
    assert result(one.renew("k", load)) == "newer"
    assert other.get("k", load) == "newer"
    node.clock.advance(99)
    assert other.get("k", load) == "newer"
    assert load.calls == 2


def test_what_cannot_be_renewed_stays(node: Node) -> None:
    cache, load = node.worker(), Loader()
    result(cache.get("k", load))
    load.result = ConnectionError("away")
    with pytest.raises(ConnectionError):
        result(cache.renew("k", load))
    assert cache.get("k", load) == "value"


@pytest.mark.parametrize("drop", ["delete", "invalidate_local", "invalidate"])
def test_dropping_a_key_drops_it_in_every_worker(node: Node, drop: str) -> None:
    one, other = node.worker(), node.worker()
    result(one.get("k", Loader()))
    result(one.get("kept", Loader()))
    assert other.get("k", None) == "value"
    result(getattr(one, drop)("k"))
    assert one.fetch("k", None) == Found(None, MISS)
    assert other.fetch("k", None) == Found(None, MISS)
    assert other.fetch("kept", None) == Found("value", L2)


@pytest.mark.parametrize(
    "change",
    [
        lambda cache: cache.set("k", "new"),
        lambda cache: cache.delete("k"),
        lambda cache: cache.invalidate("k"),
        lambda cache: cache.purge(),
    ],
    ids=["set", "delete", "invalidate", "purge"],
)
def test_a_change_of_any_key_forgets_in_every_worker_what_was_made_of_values(
    node: Node, change: Any
) -> None:
    one, other = node.worker(), node.worker()
    for cache in (one, other):
        value = cache.get("k", Loader())
        value = result(value) if isinstance(value, Deferred) else value
        cache.derived.hold("made", "of it", {"k": value})
        assert cache.derived.get("made") == "of it"
    result(change(one))
    assert [cache.derived.get("made") for cache in (one, other)] == [None, None]


def test_invalidating_also_tells_the_cluster(node: Node) -> None:
    result(node.worker("named").invalidate("k"))
    assert node.bus.local == [("cluster", "invalidate", {"cache": "named", "key": "k"})]


def test_purging_drops_one_cache_and_leaves_its_neighbours(node: Node) -> None:
    one, other, neighbour = node.worker("a"), node.worker("a"), node.worker("ab")
    for cache in (one, neighbour):
        result(cache.get("k", Loader()))
    assert other.get("k", None) == "value"
    result(one.purge())
    assert other.fetch("k", None) == Found(None, MISS)
    assert neighbour.fetch("k", None) == Found("value", L1)


def test_what_is_let_expire_is_loaded_again_or_serves_on_if_that_fails(node: Node) -> None:
    one, other = node.worker("a", resurrect_ttl=10), node.worker("a", resurrect_ttl=10)
    neighbour = node.worker("ab")
    for cache in (one, neighbour):
        result(cache.get("k", Loader("old")))
        result(cache.get("l", Loader("old")))
    assert other.get("k", None) == "old"
    result(one.expire())
    assert result(other.fetch("k", Loader("new"))) == Found("new", LOADER)
    assert result(other.fetch("l", Loader(RuntimeError()))) == Found("old", STALE)
    assert neighbour.fetch("k", None) == Found("old", L1)


def test_what_is_let_expire_while_it_is_loaded_is_not_held(node: Node) -> None:
    cache = node.worker()
    loading: Deferred[str] = Deferred()
    waiting = cache.get("k", lambda: loading)
    result(cache.expire())
    loading.callback("old")
    assert result(waiting) == "old"
    assert cache.fetch("k", None) == Found(None, MISS)


def test_purging_what_has_expired_frees_memory_alone(node: Node) -> None:
    cache = node.worker()
    cache.set("old", 1, Options(ttl=1))
    cache.set("new", 2, Options(ttl=10))
    node.clock.advance(2)
    result(cache.purge(only_expired=True))
    assert node.memory.statistics()["entries"] == 1
    assert cache.get("new", None) == 2


@pytest.mark.parametrize(
    "drop",
    [lambda c: c.delete("k"), lambda c: c.purge(), lambda c: c.set("k", "set meanwhile")],
    ids=["deleted", "purged", "set"],
)
@pytest.mark.parametrize("where", ["here", "in another worker"])
def test_a_value_read_before_the_key_changed_is_handed_out_but_not_held(
    node: Node, drop: Callable[[MultiLevelCache], object], where: str
) -> None:
    one, other, gate = node.worker(), node.worker(), Deferred()
    asker = one.get("k", lambda: gate)
    drop(one if where == "here" else other)
    gate.callback("read before")
    assert result(asker) == "read before"
    held = one.peek("k")
    assert (held and held.value) != "read before"
    assert one.fetch("k", None).value != "read before"


def test_bulk_answers_in_order_and_keeps_errors_to_their_keys(node: Node) -> None:
    cache, gates = node.worker(), [Deferred() for _ in range(5)]
    started: list[int] = []

    def load(number: int) -> Any:
        started.append(number)
        return gates[number]

    cache.set("held", "held")
    wanted = [("held", None, ()), *((f"k{n}", load, (n,)) for n in range(5))]
    bulk = cache.get_bulk(wanted, concurrency=2)
    assert started == [0, 1]
    gates[1].callback("one")
    assert started == [0, 1, 2]
    gates[2].errback(RuntimeError("down"))
    for number in (0, 3, 4):
        gates[number].callback(number)
    found = result(bulk)
    assert [f.value for f in found] == ["held", 0, "one", None, 3, 4]
    assert [f.error and f.error.type for f in found] == [None, None, None, RuntimeError, None, None]


def test_bulk_refuses_no_concurrency(node: Node) -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        node.worker().get_bulk([], concurrency=0)


def test_a_cancelled_asker_leaves_the_others_alone(node: Node) -> None:
    cache, gate = node.worker(), Deferred()
    one, other = cache.get("k", lambda: gate), cache.get("k", lambda: gate)
    one.cancel()
    gate.callback("value")
    with pytest.raises(CancelledError):
        result(one)
    assert result(other) == "value"


def test_closing_cancels_who_waits_and_leaves_no_timer(node: Node) -> None:
    one, other = node.worker(), node.worker()
    loading, waiting = one.get("k", Deferred), other.get("k", Loader())
    one.close()
    other.close()
    node.caches.clear()
    for asker in (loading, waiting):
        with pytest.raises(CancelledError):
            result(asker)
    assert node.clock.getDelayedCalls() == []
    assert node.memory.lock(b"main:k")


def test_the_first_level_forgets_before_the_second(node: Node) -> None:
    cache = node.worker(lru_size=2)
    for key in "abc":
        result(cache.get(key, Loader(key)))
    assert cache.fetch("a", None) == Found("a", L2)


def test_statistics_count_where_values_came_from(node: Node) -> None:
    one, other = node.worker(), node.worker()
    result(one.get("k", Loader()))
    one.get("k", None)
    other.get("k", None)
    result(fail(RuntimeError()).addErrback(lambda _: None))
    with pytest.raises(RuntimeError):
        result(one.get("e", Loader(RuntimeError())))
    assert attrs.astuple(one.statistics) == (1, 0, 2, 1, 0)
    assert attrs.astuple(other.statistics) == (0, 1, 0, 0, 0)


def test_a_name_with_a_colon_is_refused(node: Node) -> None:
    with pytest.raises(ValueError, match="must not have a colon"):
        node.worker("a:b")


WORKER = """
    import sys
    from pathlib import Path
    from twisted.internet import reactor, task
    from twisted.internet.defer import gatherResults
    from kongtx.cache.multilevel import MultiLevelCache
    from kongtx.cache.values import Options
    from kongtx.cache.shared import SharedMemory
    from tests.cache.bus import DirectBus

    folder, behaviour = Path(sys.argv[1]), sys.argv[2]
    memory = SharedMemory(folder / "cache", 1024 * 1024)
    cache = MultiLevelCache("main", memory, DirectBus(), reactor, Options(ttl=0))

    def load():
        with open(folder / "loads", "a") as log:
            log.write("load\\n")
        if behaviour == "hang":
            print("loading", flush=True)
            return task.deferLater(reactor, 60, lambda: "late")
        return task.deferLater(reactor, 0.2, lambda: "value")

    def done(values):
        print(len(values), set(values), flush=True)
        reactor.stop()

    print("ready", flush=True)
    sys.stdin.readline()
    reactor.callWhenRunning(
        lambda: gatherResults([cache.get("k", load) for _ in range(250)]).addCallback(done)
    )
    reactor.run()
"""


def start_worker(folder: Path, behaviour: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER), str(folder), behaviour],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])},
    )
    assert child.stdout.readline() == b"ready\n"
    return child


def test_a_thousand_askers_in_four_processes_make_one_load(tmp_path: Path) -> None:
    workers = [start_worker(tmp_path, "load") for _ in range(4)]
    for worker in workers:
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
    assert [worker.communicate(timeout=20)[0] for worker in workers] == [b"250 {'value'}\n"] * 4
    assert (tmp_path / "loads").read_text() == "load\n"


def test_a_killed_loader_blocks_nobody(tmp_path: Path) -> None:
    hanging, other = start_worker(tmp_path, "hang"), start_worker(tmp_path, "load")
    hanging.stdin.write(b"go\n")
    hanging.stdin.flush()
    assert hanging.stdout.readline() == b"loading\n"
    other.stdin.write(b"go\n")
    other.stdin.flush()
    hanging.kill()
    assert other.communicate(timeout=20)[0] == b"250 {'value'}\n"
    hanging.communicate()


def test_a_worker_that_missed_events_forgets_its_first_level(node: Node) -> None:
    one, other = node.worker(), node.worker()
    result(one.get("k", Loader("old")))
    node.memory.put(b"main:k", None, math.inf)  # as another worker does, unheard
    assert one.get("k", None) == "old"
    one.forget()
    assert one.fetch("k", None) == Found(None, L2)
    assert other.fetch("k", None) == Found(None, L2)
