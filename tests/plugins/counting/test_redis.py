"""A connection to Redis, over its whole life."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_twisted
import trustme
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.error import ConnectionRefusedError as Refused

from kongtx.plugins.counting.redis import RedisClient, RedisSettings, client_of
from kongtx.plugins.errors import PluginError
from tests.plugins.redis_server import RedisServer, redis_server

CONFIG: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 1,
    "timeout": 500,
    "username": None,
    "password": None,
    "database": 0,
    "ssl": False,
    "ssl_verify": False,
    "server_name": None,
}


async def add(client: RedisClient) -> list[int]:
    try:
        return await client.add([(b"key", 1, 60)])
    finally:
        await client.close()


def client(server: RedisServer, *trusted: str, **config: Any) -> RedisClient:
    settings = RedisSettings.of({**CONFIG, "port": server.port, **config})
    return RedisClient(settings, reactor, trusted)


def test_settings_are_those_of_the_configuration_and_keep_the_password_secret() -> None:
    settings = RedisSettings.of({**CONFIG, "password": "secret", "username": "u"})
    assert (settings.timeout, settings.password) == (0.5, "secret")
    assert "secret" not in repr(settings)


def test_plugins_share_a_connection_until_the_worker_stops() -> None:
    node = SimpleNamespace(shared={}, closing=[], reactor=reactor)
    one = client_of(RedisSettings.of(CONFIG), node)
    assert client_of(RedisSettings.of(dict(CONFIG)), node) is one
    assert client_of(RedisSettings.of({**CONFIG, "database": 1}), node) is not one
    assert node.closing[0] == one.close


@pytest_twisted.ensureDeferred
async def test_many_first_commands_make_one_connection(
    client: RedisClient, redis: RedisServer
) -> None:
    await gatherResults([ensureDeferred(client.read([b"a"])) for _ in range(10)])
    protocol: Any = await client.connected()
    clients = (await protocol.execute_command("CLIENT", "LIST")).strip().splitlines()
    assert len(clients) == 1


@pytest_twisted.ensureDeferred
async def test_a_lost_connection_is_made_again(client: RedisClient, redis: RedisServer) -> None:
    assert await client.add([(b"key", 1, 60)]) == [1]
    redis.stop()
    with pytest.raises(Exception, match=r"refused|Lost connection|Not connected"):
        await client.read([b"key"])
    with pytest.raises(Refused):
        await client.read([b"key"])
    redis.start()
    assert await client.add([(b"key", 1, 60)]) == [1]


@pytest_twisted.ensureDeferred
async def test_scripts_that_the_server_forgot_are_sent_again(client: RedisClient) -> None:
    assert await client.add([(b"key", 1, 60)]) == [1]
    protocol: Any = await client.connected()
    await protocol.execute_command("SCRIPT", "FLUSH")
    assert await client.add([(b"key", 1, 60)]) == [2]


@pytest_twisted.ensureDeferred
async def test_passwords_and_databases_are_used(tmp_path: Path) -> None:
    user = ("--user", "u", "on", ">up", "~*", "+@all")
    with redis_server(tmp_path, "--requirepass", "pw", *user) as server:
        assert await add(client(server, password="pw", database=1)) == [1]
        assert await add(client(server, password="up", username="u", database=1)) == [2]
        assert await add(client(server, password="pw")) == [1]
        with pytest.raises(Exception, match="WRONGPASS"):
            await add(client(server, password="wrong"))
        with pytest.raises(Exception, match="NOAUTH"):
            await add(client(server))
        with pytest.raises(Exception, match="out of range"):
            await add(client(server, password="pw", database=99))


@pytest_twisted.ensureDeferred
async def test_tls_is_spoken_and_verified_if_so_configured(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "cert.pem")
    )
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate, ca = str(tmp_path / "cert.pem"), str(tmp_path / "ca.pem")
    options = ("--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "no")
    files = ("--tls-cert-file", certificate, "--tls-key-file", certificate, "--tls-ca-cert-file")
    with redis_server(tmp_path, *options, *files, ca) as server:
        assert await add(client(server, ssl=True)) == [1]
        verified = {"ssl": True, "ssl_verify": True, "server_name": "localhost"}
        assert await add(client(server, ca, **verified)) == [2]
        assert await add(client(server, Path(ca).read_text(), **verified)) == [3]
        for name, trusted in (("localhost", ()), ("other", (ca,))):
            with pytest.raises(Exception, match="Lost connection"):
                await add(client(server, *trusted, **{**verified, "server_name": name}))


@pytest_twisted.ensureDeferred
async def test_without_the_package_it_is_told_what_is_missing(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "txredisapi", None)
    with pytest.raises(PluginError, match=r"pip install kongtx\[redis\]"):
        await add(client(redis))
