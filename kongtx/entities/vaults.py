"""Vaults: where references to secrets are looked up."""

from __future__ import annotations

from kongtx.entities.options import EntityOptions
from kongtx.schema import Schema, Subschema, abstract_record, record, string
from kongtx.schema import typedefs as t


def schema(options: EntityOptions) -> Schema:
    """The schema of vaults, with the bundled vault C{env}."""
    made = Schema(
        "vaults",
        {
            "id": t.uuid(),
            "prefix": string(
                required=True,
                unique=True,
                unique_across_ws=True,
                match="^[a-z][a-z%d-]-[a-z%d]+$",
                not_one_of=list(options.vaults),
            ),
            "name": string(required=True),
            "description": string(),
            "config": abstract_record(),
            "created_at": t.auto_timestamp_s(),
            "updated_at": t.auto_timestamp_s(),
            "tags": t.tags(),
        },
        endpoint_key="prefix",
        cache_key=["prefix"],
        workspaceable=True,
        subschema_key="name",
        subschema_error="vault '%s' is not installed",
    )
    if "env" in options.vaults:
        made.add_subschema("env", env())
    return made


def env() -> Subschema:
    """The configuration of the vault that reads environment variables."""
    return Subschema({"config": record({"prefix": string(match="^[%a_-][%a%d_-]*$")})})
