"""How a Cassandra cluster is reached and asked."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from kongtx.conf import Configuration


@attrs.frozen
class Settings:
    """See the C{cassandra_*} properties.

    @ivar timeout: seconds for connecting, and for one request.
    @ivar trusted: authorities as paths or PEM texts; empty for not verifying hosts.
    @ivar replication: what a keyspace that is made here gets.
    @ivar agreement_seconds: how long to wait for all hosts to agree on a schema.
    """

    contact_points: tuple[str, ...] = ("127.0.0.1",)
    port: int = 9042
    keyspace: str = "kong"
    timeout: float = 5.0
    ssl: bool = False
    trusted: tuple[str, ...] = ()
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    read_consistency: str = "LOCAL_QUORUM"
    write_consistency: str = "LOCAL_QUORUM"
    lb_policy: str = "RequestRoundRobin"
    local_datacenter: str | None = None
    replication: Mapping[str, str] = attrs.field(
        factory=lambda: {"class": "SimpleStrategy", "replication_factor": "1"}
    )
    agreement_seconds: float = 10.0

    @property
    def label(self) -> str:
        """The cluster as messages name it."""
        return f"cassandra at {', '.join(self.contact_points)} port {self.port}"

    @classmethod
    def of(cls, conf: Configuration) -> Settings:
        """Those that a configuration asks for."""
        return cls(
            contact_points=conf.cassandra_contact_points,
            port=conf.cassandra_port,
            keyspace=conf.cassandra_keyspace,
            timeout=conf.cassandra_timeout / 1000,
            ssl=conf.cassandra_ssl,
            trusted=conf.lua_ssl_trusted_certificate if conf.cassandra_ssl_verify else (),
            username=conf.cassandra_username,
            password=conf.cassandra_password,
            read_consistency=conf.cassandra_read_consistency,
            write_consistency=conf.cassandra_write_consistency,
            lb_policy=conf.cassandra_lb_policy,
            local_datacenter=conf.cassandra_local_datacenter,
            replication=_replication(conf),
            agreement_seconds=conf.cassandra_schema_consensus_timeout / 1000,
        )


def _replication(conf: Configuration) -> dict[str, str]:
    strategy = conf.cassandra_repl_strategy
    if strategy == "SimpleStrategy":
        return {"class": strategy, "replication_factor": str(conf.cassandra_repl_factor)}
    centres = (each.rpartition(":") for each in conf.cassandra_data_centers)
    return {"class": strategy, **{name: count for name, _, count in centres}}
