"""The connector of a configuration."""

from __future__ import annotations

from typing import Any

from kongtx.conf import Configuration
from kongtx.db.postgres.authorities import authorities_file
from kongtx.db.postgres.connector import PostgresConnector
from kongtx.db.postgres.settings import main_endpoint, replica_endpoint


def connector_of(conf: Configuration, reactor: Any) -> PostgresConnector:
    """A node's connector, not yet started."""
    verifies = conf.pg_ssl_verify or conf.pg_ro_ssl_verify
    authorities = authorities_file(conf.lua_ssl_trusted_certificate) if verifies else None
    return PostgresConnector(
        main_endpoint(conf, authorities), reactor, replica=replica_endpoint(conf, authorities)
    )
