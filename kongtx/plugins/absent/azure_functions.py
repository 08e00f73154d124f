"""The configuration of azure-functions: requests answered by an Azure function."""

from __future__ import annotations

from kongtx.schema import Field, Subschema, boolean, number, record, string
from kongtx.schema import typedefs as t


def _config() -> Field:
    return record(
        {
            "timeout": number(default=600000),
            "keepalive": number(default=60000),
            "https": boolean(default=True),
            "https_verify": boolean(default=False),
            "apikey": string(referenceable=True, encrypted=True),
            "clientid": string(referenceable=True, encrypted=True),
            "appname": string(required=True),
            "hostdomain": string(required=True, default="azurewebsites.net"),
            "routeprefix": string(default="api"),
            "functionname": string(required=True),
        }
    )


def subschema() -> Subschema:
    """What plugins named azure-functions put in place of the common fields."""
    return Subschema({"protocols": t.protocols(), "config": _config()})
