"""The configuration of loggly: log entries sent to Loggly."""

from __future__ import annotations

from kongtx.plugins.typedefs import custom_fields_by_lua
from kongtx.schema import Field, Subschema, number, record, set_of, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "host": t.host(default="logs-01.loggly.com"),
            "port": t.port(default=514),
            "key": string(required=True, referenceable=True, encrypted=True),
            "tags": set_of(string(), default=["kong"]),
            "log_level": string(
                default="info",
                one_of=["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
            ),
            "successful_severity": string(
                default="info",
                one_of=["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
            ),
            "client_errors_severity": string(
                default="info",
                one_of=["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
            ),
            "server_errors_severity": string(
                default="info",
                one_of=["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
            ),
            "timeout": number(default=10000),
            "custom_fields_by_lua": custom_fields_by_lua(),
        }
    )


def subschema() -> Subschema:
    """What plugins named loggly put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
