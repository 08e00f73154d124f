"""Gateways for tests, stopped whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from tests.proxy.kit import Kit, Peer, Upstream


class Made:
    """Makes gateways and upstreams that are stopped with the test."""

    def __init__(self) -> None:
        self._made: list[Any] = []

    def upstream(self, script: Any = None) -> Upstream:
        upstream = Upstream(script)
        self._made.append(upstream)
        return upstream

    def gateway(self, *upstreams: Any, **options: Any) -> Kit:
        peers = [
            Peer("127.0.0.1", upstream.number, b"upstream.test")
            if isinstance(upstream, Upstream)
            else upstream
            for upstream in upstreams
        ]
        kit = Kit(*peers, **options)
        self._made.append(kit)
        return kit

    async def stop(self) -> None:
        for thing in reversed(self._made):
            await thing.stop()


@pytest.fixture
def made() -> Iterator[Made]:
    made = Made()
    yield made
    pytest_twisted.blockon(ensureDeferred(made.stop()))
