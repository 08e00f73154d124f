"""Fixtures for tests of plugins and of gateways; L{kongtx.testing.entry} brings them to pytest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from kongtx.testing.client import Client
from kongtx.testing.gateway import GatewayUnderTest
from kongtx.testing.upstream import Upstream


@pytest.fixture
def clock() -> Clock:
    """Time that passes when the test says so."""
    return Clock()


@pytest.fixture
def make_upstream() -> Iterator[Callable[..., Awaitable[Upstream]]]:
    """Starts upstreams, and stops them after the test: C{await make_upstream(answer)}."""
    started: list[Upstream] = []

    async def start(*args: Any, address: str = "127.0.0.1", port: int = 0) -> Upstream:
        upstream = Upstream(_reactor(), *args)
        started.append(upstream)
        return await upstream.start(address, port)

    yield start
    for each in started:
        pytest_twisted.blockon(ensureDeferred(each.stop()))


@pytest.fixture
def upstream(make_upstream: Callable[..., Awaitable[Upstream]]) -> Upstream:
    """An upstream that answers with what it was asked."""
    started: Upstream = pytest_twisted.blockon(ensureDeferred(_of(make_upstream())))
    return started


@pytest.fixture
def make_gateway() -> Iterator[Callable[..., Awaitable[GatewayUnderTest]]]:
    """Starts gateways, and stops them after the test: C{await make_gateway(declared, **conf)}."""
    started: list[GatewayUnderTest] = []

    async def start(*args: Any, **properties: Any) -> GatewayUnderTest:
        gateway = await GatewayUnderTest.start(_reactor(), *args, **properties)
        started.append(gateway)
        return gateway

    yield start
    for each in started:
        pytest_twisted.blockon(ensureDeferred(each.stop()))


@pytest.fixture
def gateway(make_gateway: Callable[..., Awaitable[GatewayUnderTest]]) -> GatewayUnderTest:
    """A gateway without entities; C{await gateway.add({...})} gives it some."""
    started: GatewayUnderTest = pytest_twisted.blockon(ensureDeferred(_of(make_gateway())))
    return started


@pytest.fixture
def client(gateway: GatewayUnderTest) -> Client:
    """Makes requests to the proxy of C{gateway}: C{await client.get("/path")}."""
    return gateway.client


@pytest.fixture
def admin(gateway: GatewayUnderTest) -> Client:
    """Makes requests to the Admin API of C{gateway}: C{await admin.post("/services", json=...)}."""
    return gateway.admin


def _reactor() -> Any:
    """The reactor, of whatever kind: importing it earlier would settle that for everybody."""
    from twisted.internet import reactor  # noqa: PLC0415

    return reactor


async def _of(waiting: Awaitable[Any]) -> Any:
    return await waiting
