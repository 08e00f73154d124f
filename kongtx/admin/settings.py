"""How the Admin API presents and protects itself."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from kongtx._version import KONG_VERSION

BODY_LIMIT = 10 << 20


@attrs.frozen
class AdminSettings:
    """Plain values out of the configuration.

    @ivar server: the C{Server} header; L{None} for none.
    @ivar latency: whether answers carry C{X-Kong-Admin-Latency}.
    @ivar origins: the origins (C{scheme://host:port}) that browsers may come from; empty for any.
    @ivar body_limit: how many bytes a body may have.
    @ivar database: the C{database} property; C{off} changes what can be written.
    @ivar role: C{traditional}, C{control_plane} or C{data_plane}.
    @ivar wasm: whether filter chains can be used.
    @ivar auth: C{off}, C{basic} or C{token}.
    @ivar redacts_keys: whether answers hide private keys.
    @ivar users: for C{basic}: passwords by user name.
    @ivar tokens: for C{token}: the tokens that are good, by any name to log them under.
    """

    server: str | None = f"kong/{KONG_VERSION}"
    latency: bool = True
    origins: tuple[str, ...] = ()
    body_limit: int = BODY_LIMIT
    database: str = "sqlite"
    role: str = "traditional"
    wasm: bool = False
    auth: str = "off"
    redacts_keys: bool = False
    users: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    tokens: Mapping[str, str] = attrs.field(factory=dict, repr=False)
