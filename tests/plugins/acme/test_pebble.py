"""Certificates from a real ACME server that looks for the proofs at a real gateway."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import reactor
from twisted.internet.task import deferLater

from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream
from tests.plugins.acme.keyvalue import TOKEN, Consul, Vault, serving
from tests.plugins.acme.pebble import Pebble, pebble
from tests.plugins.redis_server import redis_server
from tests.tls.kit import Seen, entity, get, issued

Make = Callable[..., Awaitable[GatewayUnderTest]]
Start = Callable[..., Awaitable[GatewayUnderTest]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """An authority for the tests of this module."""
    with pebble(tmp_path_factory.mktemp("pebble")) as server:
        yield server


def plugin(server: Pebble, **config: Any) -> dict[str, Any]:
    """The plugin, for all names."""
    given = {
        "account_email": "admin@example.test",
        "api_uri": server.directory,
        "tos_accepted": True,
        "cert_type": "ecc",
        "allow_any_domain": True,
        "storage": "kong",
        **config,
    }
    return {"name": "acme", "config": given}


def listening(server: Pebble) -> dict[str, Any]:
    """The properties of a gateway at which the authority looks."""
    return {
        "proxy_listen": f"127.0.0.1:{server.tls_port} ssl, 127.0.0.1:{server.http_port}",
        "lua_ssl_trusted_certificate": server.authority,
    }


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of accounts that are made in no time."""
    monkeypatch.setattr("kongtx.plugins.acme.issuing._ACCOUNT_BITS", 2048)


@pytest.fixture
def start(make_gateway: Make, upstream: Upstream, authority: Pebble) -> Start:
    """Starts a gateway with the plugin."""

    async def started(
        server: Pebble = authority, properties: dict[str, Any] | None = None, **config: Any
    ) -> GatewayUnderTest:
        route = {"paths": ["/"], "protocols": ["http", "https"]}
        declared = {
            "services": [{"url": upstream.url, "routes": [route]}],
            "plugins": [plugin(server, **config)],
        }
        given = {**listening(server), **(properties or {})}
        if given.get("database") != "off":
            return await make_gateway(declared, **given)
        gateway = await make_gateway(**given, lmdb_map_size="16m")
        if not given.get("prefix"):
            await load(gateway, declared)
        return gateway

    return started


async def load(gateway: GatewayUnderTest, declared: dict[str, Any]) -> None:
    """Give a gateway without database its configuration."""
    answer = await gateway.admin.post("/config", json={"_format_version": "3.0", **declared})
    assert answer.status == 201, answer.text


async def shown(port: int, name: str, wanted: str) -> Seen:
    """What a client sees when the certificate for a name is there at last."""
    for _ in range(400):
        seen = await get(port, name)
        if seen.names == [wanted]:
            return seen
        await deferLater(reactor, 0.05)
    raise AssertionError(f"{name} still has the certificate of {seen.names}")


@pytest_twisted.ensureDeferred
async def test_the_first_handshake_asks_and_later_ones_show_the_certificate(
    start: Start, authority: Pebble
) -> None:
    gateway = await start()
    assert (await get(authority.tls_port, "First.test")).names == ["localhost"]
    await shown(authority.tls_port, "first.test", "first.test")

    context = ssl.create_default_context(cadata=authority.root())
    seen = await get(authority.tls_port, "first.test", context=context)
    assert isinstance(seen.certificate.public_key(), ec.EllipticCurvePublicKey)
    sni = await gateway.store["snis"].select_by("name", "first.test")
    certificate = await gateway.store["certificates"].select(sni["certificate"]["id"])
    assert (sni["tags"], certificate["tags"]) == (["managed-by-acme"], ["managed-by-acme"])
    keys = sorted([row["key"] async for row in gateway.store["acme_storage"].each()])
    assert [key.partition(":")[2].partition(":")[0] for key in keys] == ["account", "renew_config"]


@pytest_twisted.ensureDeferred
async def test_names_are_proven_over_tls_and_other_clients_see_no_difference(
    start: Start, authority: Pebble
) -> None:
    gateway = await start(properties={"acme_challenge": "tls-alpn-01"}, cert_type="rsa",
                          rsa_key_size=2048)  # fmt: skip
    pairs: list[Any] = []
    prove = gateway.node.listener_tls.prove

    def noted(name: str, pair: Any) -> None:
        prove(name, pair)
        pairs.append((name, pair is not None))

    gateway.node.listener_tls.prove = noted  # type: ignore[method-assign]
    # While the name is being proven, ordinary clients get what they always get.
    seen = [await get(authority.tls_port, "alpn.test")]
    while pairs != [("alpn.test", True), ("alpn.test", False)]:
        seen.append(await get(authority.tls_port, "alpn.test"))
        await deferLater(reactor, 0.01)
    assert {tuple(each.names) for each in seen} <= {("localhost",), ("alpn.test",)}
    assert (await shown(authority.tls_port, "alpn.test", "alpn.test")).status == 200


@pytest_twisted.ensureDeferred
async def test_without_database_certificates_are_kept_below_the_prefix_and_outlive_the_node(
    start: Start, authority: Pebble, tmp_path: Path
) -> None:
    gateway = await start(
        properties={"database": "off", "prefix": str(tmp_path / "p")}, storage="shm"
    )
    await load(
        gateway, {"plugins": [plugin(authority, storage="shm")],
                  "services": [{"url": "http://127.0.0.1:1", "routes": [{"paths": ["/"]}]}]},
    )  # fmt: skip
    await get(authority.tls_port, "kept.test")
    first = await shown(authority.tls_port, "kept.test", "kept.test")
    await gateway.stop(keep_prefix=True)
    files = list((tmp_path / "p" / "acme" / "kong").iterdir())
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}

    await start(properties={"database": "off", "prefix": str(tmp_path / "p")}, storage="shm")
    again = await shown(authority.tls_port, "kept.test", "kept.test")
    assert again.certificate == first.certificate


@contextmanager
def shared_storage(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    """The plugin's configuration for a server that keeps things, which runs meanwhile."""
    where: dict[str, Any]
    if kind == "redis":
        with redis_server(folder) as redis:
            extra = {"namespace": "acme[1]:"}
            where = {"host": "127.0.0.1", "port": redis.port, "extra_options": extra}
            yield {"storage": kind, "storage_config": {kind: where}}
    else:
        with serving(Consul if kind == "consul" else Vault) as server:
            where = {"host": "127.0.0.1", "port": server.port, "token": TOKEN}
            yield {"storage": kind, "storage_config": {kind: where}}


@pytest.mark.parametrize("kind", ["redis", "consul", "vault"])
@pytest_twisted.ensureDeferred
async def test_nodes_without_database_share_certificates(
    start: Start, make_gateway: Make, authority: Pebble, tmp_path: Path, kind: str
) -> None:
    with shared_storage(kind, tmp_path) as config:
        await start(properties={"database": "off"}, **config)
        other = await make_gateway(
            database="off", lmdb_map_size="16m", proxy_listen="127.0.0.1:0 ssl"
        )
        await load(other, {"plugins": [plugin(authority, **config)]})
        await get(authority.tls_port, "shared.test")
        first = await shown(authority.tls_port, "shared.test", "shared.test")
        port = int(other.url.rpartition(":")[2])
        assert (await shown(port, "shared.test", "shared.test")).certificate == first.certificate
        listed = await other.admin.get("/acme/certificates")
        assert [each["host"] for each in listed.json["data"]] == ["shared.test"]


@pytest_twisted.ensureDeferred
async def test_the_admin_api_asks_lists_shows_and_renews(start: Start, authority: Pebble) -> None:
    gateway = await start(renew_threshold_days=10_000)
    asked = await gateway.admin.post("/acme", json={"host": "api.test"})
    assert (asked.status, asked.json) == (
        201,
        {"message": "certificate for host api.test is created"},
    )
    first = await get(authority.tls_port, "api.test")
    assert first.names == ["api.test"]

    one = (await gateway.admin.get("/acme/certificates/api.test")).json["data"]
    assert {name: one[name] for name in ("host", "valid", "pubkey_type")} == {
        "host": "api.test", "valid": True, "pubkey_type": "id-ecPublicKey",
    }  # fmt: skip
    assert one["serial_number"].replace(":", "").lower() == (
        f"{first.certificate.serial_number:x}".zfill(len(one["serial_number"].replace(":", "")))
    )
    assert (await gateway.admin.get("/acme/certificates")).json == {"data": [one]}
    assert (await gateway.admin.get("/acme/certificates?invalid_only=1")).json == {"data": []}
    missing = await gateway.admin.get("/acme/certificates/none.test")
    assert (missing.status, missing.json) == (
        404,
        {"message": "Certificate for host none.test not found in storage"},
    )

    renewed = await gateway.admin.request("PATCH", "/acme")
    assert (renewed.status, renewed.json) == (
        202,
        {"message": "Renewal process started successfully"},
    )
    for _ in range(400):
        second = await get(authority.tls_port, "api.test")
        if second.certificate != first.certificate:
            break
        await deferLater(reactor, 0.05)
    assert second.certificate.serial_number != first.certificate.serial_number
    assert second.certificate.public_key() == first.certificate.public_key()
    await deferLater(reactor, 0.1)
    assert len([row async for row in gateway.store["certificates"].each()]) == 1


@pytest_twisted.ensureDeferred
async def test_names_that_are_not_configured_are_not_asked_for(
    start: Start, authority: Pebble
) -> None:
    gateway = await start(allow_any_domain=False, domains=["mine.test", "*.mine.test"])
    await gateway.add({"certificates": [{**entity(issued("own.mine.test"), "own.mine.test")}]})
    for name in ("other.test", "mine.test.evil.test", "own.mine.test", None):
        await get(authority.tls_port, name)
    await get(authority.tls_port, "a.mine.test")
    await shown(authority.tls_port, "a.mine.test", "a.mine.test")
    listed = (await gateway.admin.get("/acme/certificates")).json["data"]
    assert [each["host"] for each in listed] == ["a.mine.test"]
    assert (await get(authority.tls_port, "own.mine.test")).names == ["own.mine.test"]
    # What is not configured is not answered for either.
    port = authority.http_port
    client = gateway.client.__class__(f"http://127.0.0.1:{port}")
    path = "/.well-known/acme-challenge/x"
    ours = await client.get(path, headers={"Host": "mine.test"})
    assert (ours.status, ours.body) == (404, b"Not found\n")
    assert (await client.get(path, headers={"Host": "other.test"})).status == 200


@pytest_twisted.ensureDeferred
async def test_a_failure_is_told_and_not_repeated_for_a_while(
    start: Start, tmp_path: Path, errors: list[str]
) -> None:
    with pebble(tmp_path, domainBlocklist=["blocked.test"]) as server:
        gateway = await start(server)
        answer = await gateway.admin.post("/acme", json={"host": "blocked.test"})
        assert answer.status == 500
        told = answer.json["message"]
        begin = "failed to update certificate: no certificate for blocked.test: "
        assert told.startswith(f"{begin}the authority refuses: rejectedIdentifier: "), told
        await get(server.tls_port, "blocked.test")
        again = await gateway.admin.post("/acme", json={"host": "blocked.test"})
        wait = r"try again in (\d+) seconds for host blocked.test because of previous failure"
        found = re.search(wait, again.json["message"])
        assert found is not None
        assert 280 < int(found[1]) <= 300  # less what the machine took since
        assert [line for line in errors if "BEGIN" in line] == []


@pytest_twisted.ensureDeferred
async def test_a_proof_that_cannot_be_seen_is_told(make_gateway: Make, authority: Pebble) -> None:
    gateway = await make_gateway(
        {"plugins": [plugin(authority)]}, lua_ssl_trusted_certificate=authority.authority
    )
    answer = await gateway.admin.post("/acme", json={"host": "hidden.test"})
    begin = "failed to update certificate: no certificate for hidden.test: validation of "
    assert answer.json["message"].startswith(f"{begin}hidden.test failed: connection: ")
    keys = [row["key"] async for row in gateway.store["acme_storage"].each()]
    assert sorted(key.split(":")[1] for key in keys) == ["account", "fail_backoff"]


@pytest_twisted.ensureDeferred
async def test_an_authority_that_is_not_trusted_is_not_spoken_to(
    make_gateway: Make, authority: Pebble
) -> None:
    gateway = await make_gateway({"plugins": [plugin(authority)]})
    answer = await gateway.admin.post("/acme", json={"host": "a.test"})
    assert "the authority cannot be reached: " in answer.json["message"]
    assert "certificate verify failed" in answer.json["message"]


@pytest_twisted.ensureDeferred
async def test_an_account_may_be_bound_to_one_elsewhere(start: Start, tmp_path: Path) -> None:
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    with pebble(
        tmp_path, externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": secret}
    ) as server:
        gateway = await start(server, eab_kid="kid-1", eab_hmac_key=secret)
        answer = await gateway.admin.post("/acme", json={"host": "bound.test"})
        assert answer.json == {"message": "certificate for host bound.test is created"}


@pytest_twisted.ensureDeferred
async def test_no_certificate_is_asked_for_an_address(start: Start) -> None:
    gateway = await start()
    answer = await gateway.admin.post("/acme", json={"host": "127.0.0.1"})
    wrong = await gateway.admin.post("/acme", json={"host": "b\u00fc cher"})
    assert (wrong.status, wrong.json) == (
        500,
        {"message": "failed to update certificate: 'b\u00fc cher' is no name of a server"},
    )
    message = "127.0.0.1: clients ask for no address, so no certificate would be shown"
    assert answer.json == {"message": f"failed to update certificate: {message}"}


@pytest_twisted.ensureDeferred
async def test_the_proofs_way_can_be_tried(start: Start, authority: Pebble) -> None:
    gateway = await start(allow_any_domain=False, domains=["127.0.0.1"])
    for host, status, message in (
        (None, 400, "host must be provided and containing a single domain"),
        ("a.test:80", 400, "port is not allowed in host"),
        (
            "no.test",
            400,
            "problem found running sanity check for no.test: host is not included in plugin "
            "config.domains",
        ),
    ):
        asked = {"host": host, "test_http_challenge_flow": True}
        answer = await gateway.admin.post("/acme", json=asked)
        assert (answer.status, answer.json) == (status, {"message": message})


@pytest_twisted.ensureDeferred
async def test_without_the_plugin_there_is_nothing(make_gateway: Make) -> None:
    gateway = await make_gateway()
    assert (await gateway.admin.post("/acme", json={"host": "a.test"})).status == 404
    assert (await gateway.admin.get("/acme/certificates")).status == 404


@pytest_twisted.ensureDeferred
async def test_an_account_key_can_be_one_of_the_store(start: Start, authority: Pebble) -> None:
    key = issued("account.test")
    gateway = await start(account_key={"key_id": "k1"})
    pem = {"private_key": key.private_key_pem.bytes().decode(), "public_key": _public(key)}
    made = await gateway.admin.post("/keys", json={"kid": "k1", "pem": pem})
    assert made.status == 201, made.text
    answer = await gateway.admin.post("/acme", json={"host": "keyed.test"})
    assert answer.json == {"message": "certificate for host keyed.test is created"}
    rows = [row async for row in gateway.store["acme_storage"].each()]
    [account] = [row for row in rows if row["key"].startswith("kong_acme:account:")]
    assert json.loads(account["value"]) == {"key": pem["private_key"]}


def _public(leaf: Any) -> str:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    public = certificate.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest_twisted.ensureDeferred
async def test_a_gateway_that_stops_leaves_no_lock_behind(
    start: Start, authority: Pebble, tmp_path: Path, errors: list[str]
) -> None:
    prefix = tmp_path / "p"
    gateway = await start(properties={"prefix": str(prefix)}, storage="shm")
    await get(authority.tls_port, "stopped.test")
    while not any("update_lock" in path.read_text() for path in prefix.glob("acme/kong/*.json")):
        await deferLater(reactor, 0.01)
    await gateway.stop(keep_prefix=True)
    kept = [json.loads(path.read_text())["key"] for path in prefix.glob("acme/kong/*.json")]
    assert [key for key in kept if "account" not in key] == []
    assert errors == []


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_was_lost_is_renewed_no_more(
    start: Start, authority: Pebble
) -> None:
    gateway = await start(renew_threshold_days=1)
    await gateway.admin.post("/acme", json={"host": "lost.test"})
    sni = await gateway.store["snis"].select_by("name", "lost.test")
    await gateway.admin.request("PATCH", "/acme")
    await deferLater(reactor, 0.2)
    same = await gateway.store["snis"].select_by("name", "lost.test")
    assert same["certificate"] == sni["certificate"]
    await gateway.store["snis"].delete(sni["id"])
    await gateway.admin.request("PATCH", "/acme")
    keys = ["kong_acme:renew_config:lost.test"]
    while keys:
        await deferLater(reactor, 0.02)
        rows = [row["key"] async for row in gateway.store["acme_storage"].each()]
        keys = [key for key in rows if "renew_config" in key]
    assert "kong_acme:renew_last_run" in rows
