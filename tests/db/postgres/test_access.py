"""How the server is reached: names, sockets, passwords, schemas and TLS."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
import trustme
from twisted.internet import reactor

from kongtx.conf import from_values
from kongtx.db import errors
from kongtx.db.postgres import Endpoint, PostgresConnector, connector_of
from kongtx.db.postgres.authorities import authorities_file
from kongtx.db.postgres.settings import main_endpoint, replica_endpoint
from kongtx.db.writes import Insert
from tests.db.conformance import CATALOGUE, PARENTS, numbers, parent
from tests.postgres_server import PASSWORD, Database, PostgresServer


async def session(endpoint: Endpoint) -> tuple[Any, ...]:
    """What the server knows of a connection: whether it is by TLS, and its address."""
    connector = PostgresConnector(endpoint, reactor)
    await connector.start(CATALOGUE)
    try:
        async with connector._pool.link() as link:
            [row] = await link.execute(
                "SELECT ssl, inet_client_addr() IS NULL FROM pg_stat_ssl "
                "WHERE pid = pg_backend_pid()"
            )
    finally:
        await connector.stop()
    return row


async def refusal(endpoint: Endpoint) -> str:
    """Why one cannot connect."""
    connector = PostgresConnector(endpoint, reactor)
    with pytest.raises(errors.DatabaseError) as caught:
        await connector.start(CATALOGUE)
    await connector.stop()
    return caught.value.message


@pytest_twisted.ensureDeferred
async def test_the_host_may_be_a_name(endpoint: Endpoint) -> None:
    assert await session(attrs.evolve(endpoint, host="localhost")) == (False, False)


@pytest_twisted.ensureDeferred
async def test_the_host_may_be_the_folder_of_a_socket(
    endpoint: Endpoint, postgres_server: PostgresServer
) -> None:
    folder = str(postgres_server.folder)
    local = attrs.evolve(endpoint, host=folder, tls=True, verify=True)
    assert await session(local) == (False, True)
    wrong = await refusal(attrs.evolve(local, port=1))
    assert wrong.startswith(f"PostgreSQL at {folder}/.s.PGSQL.1: ")


class TestTLS:
    @pytest_twisted.ensureDeferred
    async def test_it_is_used_when_asked_for(self, endpoint: Endpoint) -> None:
        assert await session(endpoint) == (False, False)
        assert await session(attrs.evolve(endpoint, tls=True)) == (True, False)

    @pytest_twisted.ensureDeferred
    async def test_a_certificate_is_verified_with_its_name(
        self, endpoint: Endpoint, postgres_server: PostgresServer
    ) -> None:
        strict = attrs.evolve(
            endpoint,
            host="localhost",
            tls=True,
            verify=True,
            authorities=str(postgres_server.authority),
        )
        assert await session(strict) == (True, False)
        wrong_name = await refusal(attrs.evolve(strict, host="127.0.0.1"))
        assert 'server certificate for "localhost" does not match host name "127.0.0.1"' in (
            wrong_name
        )

    @pytest_twisted.ensureDeferred
    async def test_another_authority_is_not_enough(
        self, endpoint: Endpoint, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(other)
        strict = attrs.evolve(endpoint, host="localhost", tls=True, verify=True)
        text = await refusal(attrs.evolve(strict, authorities=str(other)))
        assert "certificate verify failed" in text
        assert "root certificate file" in await refusal(strict)

    @pytest_twisted.ensureDeferred
    async def test_a_server_without_tls_is_taken_unless_it_has_to_be_verified(
        self, endpoint: Endpoint, postgres_server: PostgresServer
    ) -> None:
        postgres_server.run("ALTER SYSTEM SET ssl = off")
        postgres_server.reload()
        try:
            plain = attrs.evolve(endpoint, host="localhost", tls=True)
            assert await session(plain) == (False, False)
            strict = attrs.evolve(plain, verify=True, authorities=str(postgres_server.authority))
            assert "server does not support SSL" in await refusal(strict)
            assert "server does not support SSL" in await refusal(
                attrs.evolve(plain, required=True)
            )
        finally:
            postgres_server.run("ALTER SYSTEM RESET ssl")
            postgres_server.reload()

    @pytest_twisted.ensureDeferred
    async def test_no_lower_version_is_spoken_than_allowed(
        self, endpoint: Endpoint, postgres_server: PostgresServer
    ) -> None:
        postgres_server.run("ALTER SYSTEM SET ssl_max_protocol_version = 'TLSv1.2'")
        postgres_server.reload()
        try:
            required = attrs.evolve(endpoint, tls=True, required=True)
            assert await session(required) == (True, False)
            text = await refusal(attrs.evolve(required, lowest="TLSv1.3"))
            assert "protocol version" in text
        finally:
            postgres_server.run("ALTER SYSTEM RESET ssl_max_protocol_version")
            postgres_server.reload()

    @pytest_twisted.ensureDeferred
    async def test_several_authorities_are_put_together(
        self, endpoint: Endpoint, postgres_server: PostgresServer
    ) -> None:
        trusted = [trustme.CA().cert_pem.bytes().decode(), str(postgres_server.authority)]
        together = authorities_file(trusted)
        strict = attrs.evolve(
            endpoint, host="localhost", tls=True, verify=True, authorities=together
        )
        assert await session(strict) == (True, False)

    def test_one_authority_is_read_where_it_is(self, tmp_path: Path) -> None:
        assert authorities_file([]) is None
        assert authorities_file([str(tmp_path / "one.pem")]) == str(tmp_path / "one.pem")
        with pytest.raises(errors.DatabaseError, match=r"lua_ssl_trusted_certificate: .*one\.pem"):
            authorities_file([str(tmp_path / "one.pem")] * 2)


class TestPasswords:
    @pytest.fixture
    def guarded(self, postgres_server: PostgresServer) -> Endpoint:
        """A database that wants a password."""
        for statement in (
            "DROP DATABASE IF EXISTS with_password",
            "CREATE DATABASE with_password",
            'DROP ROLE IF EXISTS "o\'neil"',
            "CREATE ROLE \"o'neil\" LOGIN PASSWORD '{}'".format(PASSWORD.replace("'", "''")),
        ):
            postgres_server.run(statement)
        return Endpoint(
            postgres_server.host,
            postgres_server.port,
            "o'neil",
            PASSWORD,
            "with_password",
            connections=1,
        )

    @pytest_twisted.ensureDeferred
    async def test_the_right_one_opens(self, guarded: Endpoint) -> None:
        assert await session(guarded) == (False, False)

    @pytest_twisted.ensureDeferred
    async def test_a_wrong_one_is_refused_and_never_told(
        self, guarded: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = attrs.evolve(guarded, password="not this one")
        text = await refusal(wrong)
        assert 'password authentication failed for user "o\'neil"' in text
        assert "not this one" not in text + repr(wrong)

    @pytest_twisted.ensureDeferred
    async def test_those_of_whoever_runs_the_node_are_not_used(
        self, guarded: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pgpass = tmp_path / ".pgpass"
        pgpass.write_text(f"*:*:*:*:{PASSWORD}\n")
        pgpass.chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("PGPASSFILE", str(pgpass))
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        assert "no password supplied" in await refusal(attrs.evolve(guarded, password=None))


class TestSchemas:
    @pytest_twisted.ensureDeferred
    async def test_a_schema_is_made_and_kept_to(
        self, endpoint: Endpoint, postgres_database: Database
    ) -> None:
        made = [
            PostgresConnector(attrs.evolve(endpoint, schema=schema), reactor)
            for schema in ('my "schema" 100%', "other")
        ]
        for number, connector in enumerate(made):
            await connector.start(CATALOGUE)
            assert await connector.executed() is None
            assert await connector.acquire("l", "one", 10)
            await connector.create(CATALOGUE)
            await connector.apply([Insert(PARENTS, parent(number, "a"))])
        assert [await numbers(connector, PARENTS) for connector in made] == [[0], [1]]
        await made[0].reset()
        assert await numbers(made[1], PARENTS) == [1]
        for connector in made:
            await connector.stop()

    @pytest_twisted.ensureDeferred
    async def test_tables_further_down_the_search_path_are_others(
        self, endpoint: Endpoint, connector: PostgresConnector, postgres_database: Database
    ) -> None:
        await connector.record("core", "000_base", False)
        await connector.acquire("l", "one", 10)
        postgres_database.run("CREATE SCHEMA kong")  # named as the user, it comes before public
        later = PostgresConnector(endpoint, reactor)
        await later.start(CATALOGUE)
        assert await later.executed() is None
        assert await later.acquire("l", "two", 10)
        await later.stop()

    @pytest_twisted.ensureDeferred
    async def test_what_others_keep_in_the_database_stays(
        self, connector: PostgresConnector, postgres_database: Database
    ) -> None:
        postgres_database.run("CREATE TABLE services (id int); CREATE TABLE kongtxt (id int)")
        await connector.record("core", "000_base", False)
        await connector.acquire("l", "one", 10)
        await connector.reset()
        assert await connector.executed() is None
        assert not await connector.acquire("l", "two", 10)
        left = postgres_database.run(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
        assert left == [("kongtx_locks",), ("kongtxt",), ("services",)]
        await connector.create(CATALOGUE)
        assert await numbers(connector, PARENTS) == []


@pytest_twisted.ensureDeferred
async def test_errors_do_not_repeat_what_was_written(
    connector: PostgresConnector, postgres_database: Database
) -> None:
    secret = "a very private key"
    postgres_database.run(
        "ALTER TABLE kongtx_entity_parents ADD CONSTRAINT no CHECK (field_name <> 'a very private "
        "key')"
    )
    with pytest.raises(errors.DatabaseError) as caught:
        await connector.apply([Insert(PARENTS, parent(1, secret))])
    assert 'violates check constraint "no"' in caught.value.message
    assert secret not in caught.value.message


@pytest_twisted.ensureDeferred
async def test_no_connection_is_left_behind(
    endpoint: Endpoint, postgres_server: PostgresServer
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await session(endpoint)
        await refusal(attrs.evolve(endpoint, database="not_there"))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


class TestSettings:
    def test_a_configuration_says_all_of_it(self) -> None:
        conf = from_values(
            database="postgres",
            pg_host="db.internal",
            pg_port="6000",
            pg_user="u",
            pg_password="p",
            pg_database="d",
            pg_schema="s",
            pg_timeout="1500",
            pg_ssl="on",
            pg_ssl_verify="on",
            pg_ssl_required="on",
            pg_ssl_version="tlsv1_3",
            pg_max_concurrent_queries="7",
            pg_semaphore_timeout="2500",
            pg_keepalive_timeout="30000",
            pg_pool_size="20",
            pg_backlog="3",
        )
        assert main_endpoint(conf, "file") == Endpoint(
            host="db.internal",
            port=6000,
            user="u",
            password="p",
            database="d",
            schema="s",
            timeout=1.5,
            tls=True,
            required=True,
            verify=True,
            lowest="TLSv1.3",
            authorities="file",
            connections=7,
            backlog=3,
            wait=2.5,
            idle=30.0,
        )
        assert replica_endpoint(conf, None) is None

    def test_a_replica_is_as_the_main_server_but_for_what_is_said(self) -> None:
        conf = from_values(
            database="postgres",
            pg_host="main",
            pg_password="p",
            pg_ssl="on",
            pg_timeout="1500",
            pg_ro_host="replica",
            pg_ro_port="6001",
            pg_ro_ssl="off",
            pg_ro_ssl_version="any",
            pg_ro_keepalive_timeout="0",
        )
        assert replica_endpoint(conf, None) == Endpoint(
            host="replica", port=6001, password="p", timeout=1.5, idle=None, lowest="TLSv1"
        )

    def test_passwords_do_not_show(self) -> None:
        assert "p4ss" not in repr(Endpoint(password="p4ss"))

    @pytest.mark.parametrize(
        ("host", "text"),
        [
            ("db", "db:5432"),
            ("::1", "[::1]:5432"),
            ("/run/postgresql", "/run/postgresql/.s.PGSQL.5432"),
        ],
    )
    def test_the_address_is_told_as_is_usual(self, host: str, text: str) -> None:
        assert str(Endpoint(host)) == text

    @pytest_twisted.ensureDeferred
    async def test_a_configuration_gives_a_connector(self, postgres_database: Database) -> None:
        conf = from_values(
            **postgres_database.properties(),
            pg_ssl="on",
            pg_ssl_verify="on",
            lua_ssl_trusted_certificate=str(postgres_database.server.authority),
        )
        connector = connector_of(conf, reactor)
        with pytest.raises(errors.DatabaseError, match="does not match host name"):
            await connector.start(CATALOGUE)
        await connector.stop()
