"""What is kept for acme, whatever keeps it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.acme.redis import RedisStorage
from kongtx.plugins.acme.storage import DatabaseStorage, FileStorage, IStorage
from kongtx.plugins.acme.storages import storage_of
from kongtx.plugins.counting.redis import RedisClient, RedisSettings
from kongtx.testing.gateway import GatewayUnderTest
from tests.plugins.redis_server import redis_server

Make = Callable[[], IStorage]


@pytest.fixture(params=["kong", "shm", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes storages, each as another worker would, over the same keys."""
    with ExitStack() as ending:
        if request.param == "kong":
            gateway: GatewayUnderTest = request.getfixturevalue("gateway")
            yield lambda: DatabaseStorage(gateway.store)
        elif request.param == "shm":
            yield lambda: FileStorage(str(tmp_path / "acme"), reactor.seconds)
        else:
            server = ending.enter_context(redis_server(tmp_path))
            clients = []

            def connect() -> IStorage:
                clients.append(RedisClient(RedisSettings("127.0.0.1", server.port, 5), reactor))
                return RedisStorage(clients[-1], "a[b]*:", 1)

            yield connect
            for client in clients:
                pytest_twisted.blockon(client.close())


@pytest_twisted.ensureDeferred
async def test_what_one_worker_keeps_the_others_see(make: Make) -> None:
    one, other = make(), make()
    verifyObject(IStorage, one)
    assert await other.get("k:1") is None
    await one.put("k:1", "first")
    await one.put("k:1", "second")
    await one.put("other:1", "ü")
    assert (await other.get("k:1"), await other.get("other:1")) == ("second", "ü")
    assert (await other.keys("k:"), await other.keys("x")) == (["k:1"], [])
    assert len(await other.keys("")) == 2
    await other.delete("k:1")
    await other.delete("k:1")
    assert await one.get("k:1") is None


@pytest_twisted.ensureDeferred
async def test_only_one_adds_a_key_until_its_time_is_over(make: Make) -> None:
    one, other = make(), make()
    assert [await each.add("lock", "x", 1) for each in (one, other, one)] == [True, False, False]
    assert await other.get("lock") == "x"
    await deferLater(reactor, 2.1)  # Redis and the database have clocks of their own
    assert (await one.get("lock"), await one.keys("lock")) == (None, [])
    assert await other.add("lock", "y", 60)
    await one.delete("lock")
    assert await one.add("lock", "z", 60)


@pytest_twisted.ensureDeferred
async def test_files_are_their_owners_and_what_has_expired_goes(tmp_path: Path) -> None:
    now = 1000.0
    storage = FileStorage(str(tmp_path / "acme"), lambda: now)
    await storage.put("short", "secret", 5)
    await storage.put("long", "secret")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "acme").iterdir()}
    assert (modes, (tmp_path / "acme").stat().st_mode & 0o777) == ({0o600}, 0o700)
    now = 1006.0
    assert await storage.keys("") == ["long"]
    await storage.put("other", "x")
    assert len(list((tmp_path / "acme").glob("*.json"))) == 2
    for path in (tmp_path / "acme").glob("*.json"):
        path.write_text("{")
    assert (await storage.get("long"), await storage.keys("")) == (None, [])


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ACMEError, match="file/acme cannot be written: Not a directory"):
        await FileStorage(str(tmp_path / "file" / "acme"), reactor.seconds).put("a", "b")


@pytest_twisted.ensureDeferred
async def test_a_name_of_shm_leads_nowhere_else(gateway: GatewayUnderTest) -> None:
    options = {"shm": {"shm_name": "../../x"}}
    config = {"storage": "shm", "storage_config": options}
    storage = storage_of(config, gateway.node.plugin_node, reactor.seconds)
    await storage.put("a", "b")
    assert os.listdir(gateway.conf.prefixed("acme")) == ["______x"]


@pytest_twisted.ensureDeferred
async def test_a_server_that_does_not_answer_is_told() -> None:
    client = RedisClient(RedisSettings("127.0.0.1", 1, 1), reactor)
    with pytest.raises(ACMEError, match=r"Redis: .*[Rr]efused"):
        await RedisStorage(client, "", 10).get("a")


def test_storages_that_are_not_there_are_refused(gateway: GatewayUnderTest) -> None:
    config: dict[str, Any] = {"storage": "consul", "storage_config": {"consul": {}}}
    with pytest.raises(ACMEError, match='the storage "consul" is not there'):
        storage_of(config, gateway.node.plugin_node, reactor.seconds)
