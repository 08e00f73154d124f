"""Log entries of requests that a real gateway has served."""

from __future__ import annotations

from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from kongtx.pdk.kong import Kong
from kongtx.plugins.base import Plugin
from kongtx.schema import Subschema, record
from kongtx.testing.upstream import Upstream
from tests.plugins.proxied import Make, declared


class Witness(Plugin):
    """Answers some requests itself, after a while, and keeps what log plugins would send."""

    name = "witness"
    priority = 1
    subschema = Subschema({"config": record({})})

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    async def access(self, config: Any, kong: Kong) -> None:
        """Answer, if asked to."""
        if kong.request.get_query_arg("mine"):
            await deferLater(reactor, 0.03)  # type: ignore[arg-type]
            kong.response.exit(200, b"mine")

    def log(self, config: Any, kong: Kong) -> None:
        """Keep the entry."""
        self.entries.append(kong.log.serialize())


@pytest_twisted.ensureDeferred
async def test_latencies_of_a_proxied_request_are_never_negative(
    make_gateway: Make, upstream: Upstream
) -> None:
    witness = Witness()
    gateway = await make_gateway(declared(upstream, {"name": "witness"}), plugins=[witness])
    await gateway.client.get("/")
    (entry,) = witness.entries
    assert set(entry["latencies"]) == {"request", "kong", "proxy", "receive"}
    assert min(entry["latencies"].values()) >= 0


@pytest_twisted.ensureDeferred
async def test_time_until_an_answer_of_its_own_is_the_gateways(
    make_gateway: Make, upstream: Upstream
) -> None:
    witness = Witness()
    gateway = await make_gateway(declared(upstream, {"name": "witness"}), plugins=[witness])
    await gateway.client.get("/?mine=1")
    (entry,) = witness.entries
    latencies = entry["latencies"]
    assert 30 <= latencies["kong"] <= latencies["request"]
    assert (latencies["proxy"], latencies["receive"]) == (-1, 0)
    assert "tries" not in entry
