"""The configuration of syslog: log entries sent to the system's log."""

from __future__ import annotations

from kongtx.plugins.typedefs import custom_fields_by_lua
from kongtx.schema import Field, Subschema, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "log_level": string(
                required=True,
                default="info",
                one_of=["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
            ),
            "successful_severity": string(
                required=True,
                default="info",
                one_of=["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
            ),
            "client_errors_severity": string(
                required=True,
                default="info",
                one_of=["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
            ),
            "server_errors_severity": string(
                required=True,
                default="info",
                one_of=["debug", "info", "notice", "warning", "err", "crit", "alert", "emerg"],
            ),
            "custom_fields_by_lua": custom_fields_by_lua(),
            "facility": string(
                required=True,
                default="user",
                one_of=[
                    "auth",
                    "authpriv",
                    "cron",
                    "daemon",
                    "ftp",
                    "kern",
                    "lpr",
                    "mail",
                    "news",
                    "syslog",
                    "user",
                    "uucp",
                    "local0",
                    "local1",
                    "local2",
                    "local3",
                    "local4",
                    "local5",
                    "local6",
                    "local7",
                ],
            ),
        }
    )


def subschema() -> Subschema:
    """What plugins named syslog put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
