"""acl: lets consumers through by the groups they are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kongtx.entities.credentials import acl as entities
from kongtx.lib.deferred import then
from kongtx.pdk.kong import Kong
from kongtx.plugins.acl.schema import subschema
from kongtx.plugins.base import Plugin

_FORBIDDEN = "You cannot consume this service"


class ACL(Plugin):
    """Lets consumers through by the groups they are in."""

    name = "acl"
    priority = 950
    subschema = subschema()
    entities = entities()

    def prepare(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """Besides the configuration: its groups as a set."""
        groups = config["allow"] or config["deny"] or ()
        return {**config, "groups": frozenset(groups), "allows": bool(config["allow"])}

    def access(self, config: Mapping[str, Any], kong: Kong) -> Any:
        """Let the request through or refuse it."""
        consumer, credential = kong.client.get_consumer(), kong.client.get_credential()
        authenticated = kong.ctx.shared.get("authenticated_groups")
        if authenticated is None:
            authenticated = kong.raw.authenticated_groups
        if consumer is None and authenticated is None:
            if credential is not None:
                kong.response.error(403, _FORBIDDEN)
            kong.response.error(401, "Unauthorized")
        by_authentication = credential is None or config["always_use_authenticated_groups"]
        if authenticated is not None and (consumer is None or by_authentication):
            self._decide(authenticated, b"X-Authenticated-Groups", config, kong)
            return None
        assert consumer is not None
        found = kong.cache.get(f"acls:{consumer['id']}", _groups_of, kong, consumer["id"])
        return then(found, self._of_consumer, config, kong)

    def _of_consumer(self, groups: list[str] | None, config: Mapping[str, Any], kong: Kong) -> None:
        if not groups and config["allows"] and kong.client.get_credential() is None:
            kong.response.error(401, "Unauthorized")
        self._decide(groups or [], b"X-Consumer-Groups", config, kong)

    def _decide(
        self, groups: Sequence[str], header: bytes, config: Mapping[str, Any], kong: Kong
    ) -> None:
        if config["groups"].isdisjoint(groups) == config["allows"]:
            kong.response.error(403, _FORBIDDEN)
        if groups and not config["hide_groups_header"]:
            kong.raw.set_header(header, ", ".join(groups).encode())
        else:
            kong.raw.clear_header(header.lower())


async def _groups_of(kong: Kong, consumer_id: str) -> list[str]:
    rows = kong.db["acls"].each_for("consumer", consumer_id)
    return sorted([row["group"] async for row in rows])
