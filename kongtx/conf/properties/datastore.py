"""Properties of the places where entities are kept."""

import math
import re

from kongtx.conf.properties.model import (
    Bounds,
    Check,
    Kind,
    Mark,
    Property,
    Section,
    array,
    at_least,
    between,
    boolean,
    declare,
    enumeration,
    integer,
    size,
    string,
)

# Kong's words; zero is fine.
_PG_COUNT = Bounds(0, math.inf, "must be greater than 0", "must be an integer greater than 0")
_TLS_VERSIONS = ("tlsv1_1", "tlsv1_2", "tlsv1_3", "any")
_PORT = between(1, 65535, "must be a port from 1 to 65535")


def _read_only() -> tuple[Property, ...]:
    """The pg_ro properties: as the pg ones, for the connection that only reads."""

    def about(name: str) -> str:
        return f"``pg_{name}`` of the read-only connection; by default that value."

    def counted(name: str, check: Check = _PG_COUNT) -> Property:
        return integer(
            f"pg_ro_{name}", None, about(name), check=check, shown_default=f"<pg_{name}>"
        )

    def text(name: str, sensitive: bool = False) -> Property:
        return string(
            f"pg_ro_{name}",
            None,
            about(name),
            sensitive=sensitive,
            shown_default=f"<pg_{name}>",
        )

    def flag(name: str) -> Property:
        return boolean(f"pg_ro_{name}", None, about(name), shown_default=f"<pg_{name}>")

    return (
        string(
            "pg_ro_host",
            None,
            """Host of a PostgreSQL replica that answers what traffic reads; writes and the Admin
            API go to ``pg_host``. Without a value all goes there.""",
        ),
        counted("port", _PORT),
        counted("timeout"),
        text("user"),
        text("password", sensitive=True),
        text("database"),
        text("schema"),
        flag("ssl"),
        flag("ssl_verify"),
        flag("ssl_required"),
        enumeration(
            "pg_ro_ssl_version",
            None,
            _TLS_VERSIONS,
            about("ssl_version"),
            shown_default="<pg_ssl_version>",
        ),
        counted("max_concurrent_queries"),
        counted("semaphore_timeout"),
        counted("keepalive_timeout"),
        counted("pool_size"),
        counted("backlog"),
    )


_LEVELS = ("ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM")


def _consistencies() -> tuple[Property, ...]:
    names = ("cassandra_write_consistency", "cassandra_read_consistency")
    return (
        declare(
            Kind.ENUM,
            "cassandra_consistency",
            None,
            "Older name of the next two.",
            choices=_LEVELS,
            copied_to=names,
            deprecated_for=" / ".join(names),
        ),
        enumeration(
            names[0],
            "LOCAL_QUORUM",
            _LEVELS,
            """How many replicas must have a write when it is answered. Whatever it is, writes are
            decided by a majority of all replicas (``SERIAL``).""",
        ),
        enumeration(
            names[1],
            "LOCAL_QUORUM",
            _LEVELS,
            """How many replicas must agree when reading. With less than a majority for both, a node
            may read what is no longer true.""",
        ),
    )


def _keyspace(value: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9_]{1,48}", value):
        return None
    return " must be of letters, digits and _, 48 at most"


def _data_centers(value: tuple[str, ...]) -> str | None:
    for item in value:
        name, _, count = item.rpartition(":")
        if not (name and count.isascii() and count.isdigit() and int(count)):
            return f": '{item}' is no data centre with its number of replicas, as in dc1:2"
    return None


SECTION = Section(
    "Datastore",
    "Routes, services, plugins and the rest are kept in a database, which all nodes of a cluster "
    "share, or (``database = off``) come from one declarative file. kongtx starts without any "
    "setting on SQLite, which serves one node.",
    (
        enumeration(
            "database",
            "sqlite",
            ("sqlite", "postgres", "cassandra", "off"),
            """Where entities are kept: ``sqlite`` (a file below the prefix, for one node),
            ``postgres``, ``cassandra``, or ``off`` (the declarative file).""",
        ),
        string(
            "sqlite_path",
            "kongtx.sqlite",
            "The SQLite file, relative to the prefix unless it is absolute.",
        ),
        string(
            "pg_host",
            "127.0.0.1",
            """Host of the PostgreSQL server: a name, an address, or the folder of a UNIX socket,
            which begins with a slash.""",
        ),
        integer("pg_port", "5432", "Port of the PostgreSQL server.", check=_PORT),
        integer(
            "pg_timeout",
            "5000",
            "Milliseconds for connecting, and for each statement.",
        ),
        string("pg_user", "kong", "User of the database.", required=False),
        string("pg_password", None, "The user's password.", sensitive=True),
        string("pg_database", "kong", "Name of the database."),
        string(
            "pg_schema",
            None,
            "Schema in the database; without a value the server's search path decides.",
        ),
        boolean("pg_ssl", "off", "Whether the connection uses TLS where the server offers it."),
        boolean(
            "pg_ssl_verify",
            "off",
            """Whether, with ``pg_ssl``, a server is refused that has no certificate for its host
            from an authority in ``lua_ssl_trusted_certificate``.""",
        ),
        boolean(
            "pg_ssl_required",
            "off",
            "Whether, with ``pg_ssl``, a server is refused that does not offer TLS.",
        ),
        enumeration(
            "pg_ssl_version",
            "tlsv1_2",
            _TLS_VERSIONS,
            "The lowest version of TLS that is spoken.",
        ),
        integer(
            "pg_max_concurrent_queries",
            "0",
            "Queries that one worker may have under way; with 0, as many as it has connections.",
            check=_PG_COUNT,
        ),
        integer(
            "pg_semaphore_timeout",
            "60000",
            "Milliseconds that a query waits for a connection.",
            check=_PG_COUNT,
        ),
        integer(
            "pg_keepalive_timeout",
            None,
            """Milliseconds that an idle connection is kept: 60000 without a value, and 0 sets no
            limit.""",
            check=_PG_COUNT,
        ),
        integer(
            "pg_pool_size",
            None,
            "Connections that one worker makes at most: 10 without a value.",
            check=_PG_COUNT,
        ),
        integer(
            "pg_backlog",
            None,
            """Queries that may wait for a connection when all are in use; more fail at once.
            Without a value any number waits.""",
            check=_PG_COUNT,
        ),
        integer(
            "_debug_pg_ttl_cleanup_interval",
            "300",
            "Seconds between sweeps of expired rows.",
            hidden=True,
        ),
        *_read_only(),
        array(
            "cassandra_contact_points",
            "127.0.0.1",
            "Hosts of the Cassandra cluster that are asked first; they name the others.",
        ),
        integer("cassandra_port", "9042", "Port of all its hosts.", check=_PORT),
        string(
            "cassandra_keyspace",
            "kong",
            "Keyspace; ``kongtx migrations bootstrap`` makes it when it is not there.",
            check=_keyspace,
        ),
        *_consistencies(),
        integer(
            "cassandra_timeout",
            "5000",
            "Milliseconds for connecting, reading and writing.",
        ),
        boolean("cassandra_ssl", "off", "Whether the connections use TLS."),
        boolean(
            "cassandra_ssl_verify",
            "off",
            """Whether the hosts' certificates are verified, by the authorities in
            ``lua_ssl_trusted_certificate``.""",
        ),
        string("cassandra_username", None, "User name, where the cluster asks for one."),
        string("cassandra_password", None, "The user's password.", sensitive=True),
        enumeration(
            "cassandra_lb_policy",
            "RequestRoundRobin",
            ("RoundRobin", "RequestRoundRobin", "DCAwareRoundRobin", "RequestDCAwareRoundRobin"),
            """Which hosts are asked: all in turn, or those of ``cassandra_local_datacenter`` (the
            policies with ``DCAware``). Of these, hosts that have the data come first. Each request
            is dealt out by itself, also with the policies that do not say ``Request``.""",
        ),
        string(
            "cassandra_local_datacenter",
            None,
            "Data centre of this node, for the policies with ``DCAware``.",
        ),
        integer(
            "cassandra_refresh_frequency",
            "60",
            """Seconds between Kong's looks for new hosts. kongtx is told of them by the
            cluster.""",
            mark=Mark.NGINX,
        ),
        enumeration(
            "cassandra_repl_strategy",
            "SimpleStrategy",
            ("SimpleStrategy", "NetworkTopologyStrategy"),
            "Replication strategy of a keyspace that kongtx makes.",
        ),
        integer(
            "cassandra_repl_factor",
            "1",
            "Replicas of a keyspace that kongtx makes with ``SimpleStrategy``.",
            check=at_least(1),
        ),
        array(
            "cassandra_data_centers",
            "dc1:2,dc2:3",
            """Data centres and their numbers of replicas, for a keyspace that kongtx makes with
            ``NetworkTopologyStrategy``.""",
            check=_data_centers,
        ),
        integer(
            "cassandra_schema_consensus_timeout",
            "10000",
            "Milliseconds that migrations wait for all hosts to agree on a new schema.",
        ),
        string(
            "declarative_config",
            None,
            """File (YAML or JSON) with all entities, for ``database = off``. A data plane
            starts with it until the control plane has spoken.""",
        ),
        string(
            "declarative_config_string",
            None,
            "The same as text; the file wins when both are given.",
            sensitive=True,
        ),
        string(
            "lmdb_environment_path",
            "dbless.lmdb",
            """Directory for the entities of ``database = off`` and of data planes, relative to
            the prefix unless it is absolute.""",
        ),
        size(
            "lmdb_map_size",
            "2048m",
            """Size to which that directory may grow; a configuration that does not fit is
            refused.""",
        ),
        integer(
            "worker_events_max_payload",
            "65535",
            "Largest event between Kong's workers. kongtx sends larger ones in pieces.",
            mark=Mark.NGINX,
            hidden=True,
        ),
    ),
)
