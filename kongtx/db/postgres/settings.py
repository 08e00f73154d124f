"""Where the database is and how it is used, read from the configuration."""

from __future__ import annotations

from typing import Any

import attrs

from kongtx.conf import Configuration

#: Connections of one worker, if the configuration does not say.
DEFAULT_CONNECTIONS = 10
#: Seconds after which an idle connection is closed, if the configuration does not say.
DEFAULT_IDLE_SECONDS = 60.0

_VERSIONS = {"tlsv1_1": "TLSv1.1", "tlsv1_2": "TLSv1.2", "tlsv1_3": "TLSv1.3", "any": "TLSv1"}
_NO_FILE = "/nonexistent/kongtx"
_INHERITED = (
    "port",
    "timeout",
    "user",
    "password",
    "database",
    "schema",
    "ssl",
    "ssl_verify",
    "ssl_required",
    "ssl_version",
    "max_concurrent_queries",
    "semaphore_timeout",
    "keepalive_timeout",
    "pool_size",
    "backlog",
)


@attrs.frozen
class Endpoint:
    """A server and how to use it.

    @ivar host: a name, an address, or the folder of a UNIX socket, which begins with a slash.
    @ivar schema: L{None} for what the server's search path says.
    @ivar timeout: seconds for connecting, and for each statement.
    @ivar tls: whether to use TLS if the server can.
    @ivar required: whether to refuse a server that cannot.
    @ivar verify: whether to refuse a server without a valid certificate for the host's name.
    @ivar lowest: the lowest version of TLS, as libpq names them.
    @ivar authorities: the file of certificates that may sign the server's.
    @ivar connections: how many there are at most.
    @ivar backlog: how many queries may wait for a connection; L{None} sets no limit.
    @ivar wait: seconds that a query waits for a connection.
    @ivar idle: seconds after which an idle connection is closed; L{None} sets no limit.
    """

    host: str = "127.0.0.1"
    port: int = 5432
    user: str | None = "kong"
    password: str | None = attrs.field(default=None, repr=False)
    database: str = "kong"
    schema: str | None = None
    timeout: float = 5.0
    tls: bool = False
    required: bool = False
    verify: bool = False
    lowest: str = "TLSv1.2"
    authorities: str | None = None
    connections: int = DEFAULT_CONNECTIONS
    backlog: int | None = None
    wait: float = 60.0
    idle: float | None = DEFAULT_IDLE_SECONDS

    @property
    def is_local(self) -> bool:
        """Whether it is a UNIX socket."""
        return self.host.startswith("/")

    def __str__(self) -> str:
        """The address as messages name it."""
        if self.is_local:
            return f"{self.host}/.s.PGSQL.{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def options(self, addresses: str | None) -> dict[str, Any]:
        """The connection's parameters for libpq.

        @param addresses: what the host's name stands for, separated by commas.
        """
        options: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "application_name": "kongtx",
            "client_encoding": "UTF8",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "sslmode": self._mode(),
            "ssl_min_protocol_version": self.lowest,
            "gssencmode": "disable",
        }
        if addresses is not None:
            count = addresses.count(",") + 1
            options["hostaddr"] = addresses
            options["host"] = ",".join([self.host] * count)
        if self.user is not None:
            options["user"] = self.user
        # Otherwise libpq would look into the home folder and the environment of whoever runs.
        options["password"] = self.password or ""
        options |= dict.fromkeys(("passfile", "sslcert", "sslkey", "sslcrl"), _NO_FILE)
        options["sslrootcert"] = self.authorities if self.verify and self.authorities else _NO_FILE
        return options

    def _mode(self) -> str:
        if self.is_local or not self.tls:
            return "disable"
        if self.verify:
            return "verify-full"
        return "require" if self.required else "prefer"


def main_endpoint(conf: Configuration, authorities: str | None) -> Endpoint:
    """The server that is written to.

    @param authorities: a file with the trusted certificates.
    """
    return _endpoint(conf, "pg_", authorities)


def replica_endpoint(conf: Configuration, authorities: str | None) -> Endpoint | None:
    """The server that only answers reads; L{None} if there is none."""
    return _endpoint(conf, "pg_ro_", authorities) if conf.pg_ro_host else None


def _endpoint(conf: Configuration, prefix: str, authorities: str | None) -> Endpoint:
    values = {name: _value(conf, prefix, name) for name in _INHERITED}
    bounds = [values[name] for name in ("max_concurrent_queries", "pool_size") if values[name]]
    idle = values["keepalive_timeout"]
    return Endpoint(
        host=getattr(conf, f"{prefix}host"),
        port=values["port"],
        user=values["user"],
        password=values["password"],
        database=values["database"],
        schema=values["schema"],
        timeout=values["timeout"] / 1000,
        tls=values["ssl"],
        required=values["ssl_required"],
        verify=values["ssl_verify"],
        lowest=_VERSIONS[values["ssl_version"]],
        authorities=authorities,
        connections=min(bounds, default=DEFAULT_CONNECTIONS),
        backlog=values["backlog"],
        wait=values["semaphore_timeout"] / 1000,
        idle=DEFAULT_IDLE_SECONDS if idle is None else idle / 1000 or None,
    )


def _value(conf: Configuration, prefix: str, name: str) -> Any:
    """A property; those of the replica that are not set are as the main ones."""
    found = getattr(conf, f"{prefix}{name}")
    return getattr(conf, f"pg_{name}") if found is None else found
