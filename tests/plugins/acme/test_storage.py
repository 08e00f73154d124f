"""What is kept for acme, whatever keeps it."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from kongtx.plugins.acme.errors import ACMEError
from kongtx.plugins.acme.handler import ACME
from kongtx.plugins.acme.storages.choice import storage_of
from kongtx.plugins.acme.storages.consul import ConsulStorage
from kongtx.plugins.acme.storages.database import DatabaseStorage
from kongtx.plugins.acme.storages.files import FileStorage
from kongtx.plugins.acme.storages.interfaces import IStorage
from kongtx.plugins.acme.storages.redis import RedisStorage
from kongtx.plugins.acme.storages.vault import VaultStorage
from kongtx.plugins.counting.redis import RedisClient, RedisSettings
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.plugins import make_entity, make_registry
from tests.plugins.acme.keyvalue import TOKEN, Consul, Vault, serving, vault_engine
from tests.plugins.redis_server import redis_server
from tests.tls.kit import ca_pem, issued

Make = Callable[[], IStorage]


def make_node(*authorities: str) -> Any:
    """As much of a node as storages need, with authorities to trust."""
    return SimpleNamespace(
        clock=reactor,
        reactor=reactor,
        shared={},
        configuration=SimpleNamespace(lua_ssl_trusted_certificate=authorities),
    )


def options_of(kind: str, port: int, **more: Any) -> dict[str, Any]:
    """The plugin's C{storage_config} for a server, as its schema completes it."""
    given = {"host": "127.0.0.1", "port": port, "token": TOKEN, **more}
    config = {"account_email": "a@b.test", "storage": kind, "storage_config": {kind: given}}
    row = make_entity(make_registry(ACME()), "plugins", name="acme", config=config)
    found: dict[str, Any] = row["config"]["storage_config"][kind]
    return found


@pytest.fixture(params=["kong", "shm", "redis", "consul", "vault", "vault engine"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes storages, each as another worker would, over the same keys."""
    with ExitStack() as ending:
        if request.param == "kong":
            gateway: GatewayUnderTest = request.getfixturevalue("gateway")
            yield lambda: DatabaseStorage(gateway.store)
        elif request.param == "shm":
            yield lambda: FileStorage(str(tmp_path / "acme"), reactor.seconds)
        elif request.param == "consul":
            consul = ending.enter_context(serving(Consul))
            yield lambda: ConsulStorage(options_of("consul", consul.port), make_node(), time.time)
        elif request.param == "vault":
            vault = ending.enter_context(serving(Vault))
            yield lambda: VaultStorage(options_of("vault", vault.port), make_node())
        elif request.param == "vault engine":
            port = ending.enter_context(vault_engine(tmp_path))
            yield lambda: VaultStorage(options_of("vault", port), make_node())
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
    racing = [Deferred.fromCoroutine(each.add("race", "x", 60)) for each in (one, other, one)]
    assert sorted(await gatherResults(racing)) == [False, False, True]
    await one.put("lock", "for ever")
    assert await other.get("lock") == "for ever"


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


@pytest_twisted.ensureDeferred
async def test_consul_holds_what_kong_would_write_and_read() -> None:
    with serving(Consul) as server:
        storage = ConsulStorage(options_of("consul", server.port), make_node(), lambda: 1000.0)
        await storage.put("kong_acme:account:https://ca.test:YQ==", "{}")
        await storage.put("lock", "x", 2.5)
        assert {key: entry["Flags"] for key, entry in server.entries.items()} == {
            "acme/kong_acme:account:https:--ca.test:YQ==": 0,
            "acme/lock": 1_002_500,
        }
        below = ConsulStorage(
            options_of("consul", server.port, kv_path="/a b/c/"), make_node(), lambda: 1000.0
        )
        await below.put("k", "v")
        assert "a b/c/k" in server.entries
        assert await below.keys("") == ["k"]


@pytest_twisted.ensureDeferred
async def test_vault_holds_what_kong_would_write_and_read() -> None:
    with serving(Vault) as server:
        await VaultStorage(options_of("vault", server.port), make_node()).put("a/b", "1")
        below = VaultStorage(options_of("vault", server.port, kv_path="secret/x/y"), make_node())
        await below.put("k", "2", 1.5)
        told = {key: entry["data"]["value"] for key, entry in server.entries.items()}
        assert told == {"a-b": "1", "x/y/k": "2"}
        assert server.metadata == {"a-b": 0, "x/y/k": 1.5}
        assert await below.keys("") == ["k"]
        # What is kept for a time and then for ever stays.
        await below.put("k", "3")
        assert server.metadata["x/y/k"] == 0


@pytest.mark.parametrize("kind", ["consul", "vault"])
@pytest_twisted.ensureDeferred
async def test_a_token_that_may_not_is_told_and_not_shown(kind: str) -> None:
    with serving(Consul if kind == "consul" else Vault) as server:
        options = options_of(kind, server.port, token="a-wrong-one")
        config = {"storage": kind, "storage_config": {kind: options}}
        storage = storage_of(config, make_node(), time.time)
        with pytest.raises(ACMEError) as refused:
            await storage.get("k")
        assert "the token is not allowed to GET /v1/" in str(refused.value)
        assert "a-wrong-one" not in f"{refused.value} {storage!r}"


@pytest.mark.parametrize("kind", ["consul", "vault"])
@pytest_twisted.ensureDeferred
async def test_a_server_that_cannot_be_asked_is_told(kind: str) -> None:
    with serving(Consul if kind == "consul" else Vault) as server:
        config = {
            "storage": kind,
            "storage_config": {kind: options_of(kind, server.port, timeout=200)},
        }
        node = make_node()
        storage = storage_of(config, node, time.time)
        assert storage_of(config, node, time.time) is storage
        server.delay = 1.0
        with pytest.raises(ACMEError, match=r"no answer within 0\.2 seconds"):
            await storage.get("k")
    config["storage_config"][kind]["timeout"] = 2000
    with pytest.raises(ACMEError, match=r"[Rr]efused"):
        await storage_of(config, node, time.time).get("k")


@pytest_twisted.ensureDeferred
async def test_a_service_of_kubernetes_logs_in_and_again_when_its_token_is_over(
    tmp_path: Path,
) -> None:
    jwt = tmp_path / "jwt"
    jwt.write_text("ey.j.wt")
    with serving(Vault) as server:
        server.jwts["gateway", "ey.j.wt"] = "s.first"
        server.tokens = {"s.first"}
        options = options_of(
            "vault", server.port, token=None, auth_method="kubernetes", auth_path="k8s",
            auth_role="gateway", jwt_path=str(jwt),
        )  # fmt: skip
        storage = VaultStorage(options, make_node())
        await storage.put("k", "v")
        assert (await storage.get("k"), server.logins) == ("v", 1)
        server.jwts["gateway", "ey.j.wt"] = "s.second"
        server.tokens = {"s.second"}
        assert (await storage.get("k"), server.logins) == ("v", 2)
        server.tokens = set()
        with pytest.raises(ACMEError, match="the token is not allowed"):
            await storage.get("k")
        server.jwts.clear()
        with pytest.raises(ACMEError, match="nobody can log in: invalid role name"):
            await storage.get("k")
        jwt.unlink()
        with pytest.raises(ACMEError, match="jwt cannot be read"):
            await storage.get("k")


@pytest_twisted.ensureDeferred
async def test_servers_with_tls_are_verified() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued("vault.test").configure_cert(context)
    with serving(Vault, context) as server:
        for name, authorities, verify, is_trusted in (
            ("vault.test", [ca_pem()], True, True),
            ("other.test", [ca_pem()], True, False),
            ("vault.test", [ca_pem(1)], True, False),
            ("other.test", [ca_pem(1)], False, True),
        ):
            options = options_of(
                "vault", server.port, https=True, tls_server_name=name, tls_verify=verify
            )
            storage = VaultStorage(options, make_node(*authorities))
            if is_trusted:
                await storage.put("k", name)
            else:
                with pytest.raises(ACMEError, match="Vault: "):
                    await storage.get("k")
