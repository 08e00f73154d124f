"""How a cluster is reached: settings, passwords, TLS, and what errors tell of them."""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs
import pytest
import pytest_twisted
import trustme
from cassandra.policies import DCAwareRoundRobinPolicy, RoundRobinPolicy, TokenAwarePolicy
from twisted.internet import reactor

from kongtx.conf import ConfigurationError, from_values
from kongtx.db.cassandra import CassandraConnector, Settings
from kongtx.db.cassandra.session import make_cluster, tls_context
from kongtx.db.connectors import make_connector
from kongtx.db.errors import DatabaseError
from tests.cassandra_server import CassandraServer, free_ports
from tests.db.cassandra.conftest import settings_of
from tests.db.conformance import CATALOGUE


def test_a_configuration_says_it_all() -> None:
    conf = from_values(
        database="cassandra",
        cassandra_contact_points="10.0.0.1, db.test",
        cassandra_port=9999,
        cassandra_keyspace="mine",
        cassandra_timeout=1500,
        cassandra_ssl=True,
        cassandra_username="u",
        cassandra_password="secret",
        cassandra_read_consistency="ONE",
        cassandra_write_consistency="EACH_QUORUM",
        cassandra_lb_policy="DCAwareRoundRobin",
        cassandra_local_datacenter="here",
        cassandra_repl_strategy="NetworkTopologyStrategy",
        cassandra_data_centers="here:3, there:2",
        cassandra_schema_consensus_timeout=7000,
    )
    conf.require_supported()
    settings = Settings.of(conf)
    assert settings == Settings(
        contact_points=("10.0.0.1", "db.test"),
        port=9999,
        keyspace="mine",
        timeout=1.5,
        ssl=True,
        username="u",
        password="secret",
        read_consistency="ONE",
        write_consistency="EACH_QUORUM",
        lb_policy="DCAwareRoundRobin",
        local_datacenter="here",
        replication={"class": "NetworkTopologyStrategy", "here": "3", "there": "2"},
        agreement_seconds=7.0,
    )
    assert "secret" not in repr(settings)
    connector = make_connector(conf, reactor)
    assert isinstance(connector, CassandraConnector)
    assert connector.settings == settings


def test_defaults_are_a_majority_and_one_replica() -> None:
    settings = Settings.of(from_values(database="cassandra"))
    assert settings == Settings()
    assert (settings.read_consistency, settings.write_consistency) == ("LOCAL_QUORUM",) * 2
    assert settings.replication == {"class": "SimpleStrategy", "replication_factor": "1"}


def test_hosts_are_verified_by_the_authorities_that_are_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    conf = from_values(
        database="cassandra", cassandra_ssl_verify=True, lua_ssl_trusted_certificate=str(path)
    )
    settings = Settings.of(conf)
    assert settings.trusted == (str(path),)
    for trusted in (settings.trusted, (authority.cert_pem.bytes().decode(),)):
        context = tls_context(attrs.evolve(settings, trusted=trusted))
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert len(context.get_ca_certs()) == 1
    context = tls_context(attrs.evolve(settings, trusted=()))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    path.write_text("nonsense")
    with pytest.raises(DatabaseError, match=r"ca\.pem cannot be loaded"):
        tls_context(settings)


@pytest.mark.parametrize(
    ("policy", "inner"),
    [
        ("RoundRobin", RoundRobinPolicy),
        ("RequestRoundRobin", RoundRobinPolicy),
        ("DCAwareRoundRobin", DCAwareRoundRobinPolicy),
        ("RequestDCAwareRoundRobin", DCAwareRoundRobinPolicy),
    ],
)
def test_hosts_that_have_the_data_come_first_of_those_of_the_policy(
    policy: str, inner: type
) -> None:
    cluster = make_cluster(Settings(lb_policy=policy, local_datacenter="dc"))
    balancing = cluster.profile_manager.default.load_balancing_policy
    assert isinstance(balancing, TokenAwarePolicy)
    assert type(balancing._child_policy) is inner
    cluster.shutdown()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"cassandra_lb_policy": "DCAwareRoundRobin"},
            "cassandra_local_datacenter must be specified when DCAwareRoundRobin is configured",
        ),
        ({"cassandra_contact_points": ""}, "cassandra_contact_points must name a host"),
        ({"cassandra_data_centers": "dc1"}, "'dc1' is no data centre with its number"),
        ({"cassandra_data_centers": "dc1:0"}, "'dc1:0' is no data centre with its number"),
        ({"cassandra_keyspace": 'a"b'}, "cassandra_keyspace must be of letters, digits and _"),
        ({"cassandra_repl_factor": "0"}, "cassandra_repl_factor must be 1 or greater"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        from_values(database="cassandra", **values)


def test_the_older_name_of_the_consistencies_is_understood() -> None:
    conf = from_values(cassandra_consistency="ALL", cassandra_read_consistency="ONE")
    assert (conf.cassandra_write_consistency, conf.cassandra_read_consistency) == ("ALL", "ONE")
    [warning] = conf.warnings
    assert "'cassandra_write_consistency / cassandra_read_consistency' instead" in warning


async def reason(settings: Settings) -> str:
    """Why a node cannot connect."""
    node = CassandraConnector(settings, reactor)
    with pytest.raises(DatabaseError) as caught:
        await node.start(CATALOGUE)
    await node.stop()
    return caught.value.message


@pytest_twisted.ensureDeferred
async def test_a_cluster_that_is_not_there_is_named() -> None:
    [port] = free_ports(1)
    told = await reason(Settings(port=port, username="u", password="secret"))
    assert told.startswith(f"cassandra at 127.0.0.1 port {port}: Unable to connect to any servers")
    assert "refused" in told
    assert "secret" not in told


@pytest.mark.long
@pytest_twisted.ensureDeferred
async def test_a_wrong_password_is_named_but_not_told(cassandra_server: CassandraServer) -> None:
    told = await reason(settings_of(cassandra_server, password="no-such-password"))
    assert "cassandra and/or password are incorrect" in told
    assert "no-such-password" not in told


@pytest.mark.long
@pytest_twisted.ensureDeferred
async def test_connections_may_be_encrypted_and_hosts_verified(
    cassandra_server: CassandraServer, tmp_path: Path
) -> None:
    for trusted in ((str(cassandra_server.authority),), ()):
        node = CassandraConnector(settings_of(cassandra_server, ssl=True, trusted=trusted), reactor)
        await node.start(CATALOGUE)
        await node.ping()
        [host] = node._session._session.get_pools()
        assert isinstance(host.get_connections()[0]._socket, ssl.SSLSocket)
        await node.stop()
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    told = await reason(
        settings_of(cassandra_server, ssl=True, trusted=(str(tmp_path / "other.pem"),))
    )
    assert "certificate verify failed" in told
