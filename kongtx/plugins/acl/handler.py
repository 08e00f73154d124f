"""acl: lets consumers through by the groups they are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from kongtx.entities.credentials import acl as entities
from kongtx.lib.deferred import then
from kongtx.pdk.kong import Kong
from kongtx.plugins.acl.schema import subschema
from kongtx.plugins.base import Plugin

_FORBIDDEN = "You cannot consume this service"


@attrs.frozen
class Groups:
    """Groups that a request is in.

    @ivar header: what the upstream is told.
    """

    names: frozenset[str]
    header: bytes

    @classmethod
    def of(cls, names: Sequence[str]) -> Groups:
        """Those of some names."""
        return cls(frozenset(names), ", ".join(names).encode())


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
        raw = kong.raw
        consumer, credential = raw.consumer, raw.credential
        by_authentication = credential is None or config["always_use_authenticated_groups"]
        if consumer is not None and not by_authentication:
            return self._find(consumer, config, kong)
        authenticated = raw.shared.get("authenticated_groups")
        if authenticated is None:
            authenticated = raw.authenticated_groups
        if consumer is None and authenticated is None:
            if credential is not None:
                kong.response.error(403, _FORBIDDEN)
            kong.response.error(401, "Unauthorized")
        if authenticated is not None:
            self._decide(Groups.of(authenticated), b"X-Authenticated-Groups", config, kong)
            return None
        assert consumer is not None
        return self._find(consumer, config, kong)

    def _find(self, consumer: Mapping[str, Any], config: Mapping[str, Any], kong: Kong) -> Any:
        """Decide by the consumer's groups."""
        key = f"acls:{consumer['id']}"
        known = kong.node.cache.derived.get(key)
        if known is not None:
            return self._of_consumer(known, config, kong)
        found = kong.cache.get(key, _groups_of, kong, consumer["id"])
        return then(then(found, _remember, key, kong), self._of_consumer, config, kong)

    def _of_consumer(self, groups: Groups, config: Mapping[str, Any], kong: Kong) -> None:
        if not groups.names and config["allows"] and kong.raw.credential is None:
            kong.response.error(401, "Unauthorized")
        self._decide(groups, b"X-Consumer-Groups", config, kong)

    def _decide(self, groups: Groups, header: bytes, config: Mapping[str, Any], kong: Kong) -> None:
        if config["groups"].isdisjoint(groups.names) == config["allows"]:
            kong.response.error(403, _FORBIDDEN)
        if groups.names and not config["hide_groups_header"]:
            kong.raw.set_header(header, groups.header)
        else:
            kong.raw.clear_header(header.lower())


def _remember(names: list[str] | None, key: str, kong: Kong) -> Groups:
    """Find a consumer's groups by one look-up from now on, until one of them changes."""
    groups = Groups.of(names or ())
    kong.node.cache.derived.hold(key, groups, {key: names})
    return groups


async def _groups_of(kong: Kong, consumer_id: str) -> list[str]:
    rows = kong.db["acls"].each_for("consumer", consumer_id)
    return sorted([row["group"] async for row in rows])
