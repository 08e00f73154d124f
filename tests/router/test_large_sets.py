"""Sets of many routes, where the index splits at every level, against trying every entry."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import pytest

from kongtx.router.facts import Facts
from tests.router import strategies
from tests.router.expressions.render import route_to_expression
from tests.router.support import RouteRequest, route, router_of

ADDRESSES = ["10.0.0.1", "10.0.1.5", "10.9.9.9", "::1", "fd00::5", "192.0.2.1"]
PORTS = [1000, 2000, 3000]
FIELDS = ("hosts", "paths", "methods", "headers", "snis", "sources", "destinations")


def some(chance: random.Random, values: list[Any], how_often: float) -> list[Any] | None:
    if chance.random() > how_often:
        return None
    return chance.sample(values, chance.randint(1, 3))


def random_route(chance: random.Random, flavor: str, stream: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {"snis": some(chance, strategies.SNIS, 0.2)}
    if stream:
        fields["protocols"] = ["tcp", "tls"]
        fields["sources"] = some(chance, strategies.PEERS, 0.5)
        fields["destinations"] = some(chance, strategies.PEERS, 0.5) or [strategies.PEERS[0]]
    else:
        fields["hosts"] = some(chance, strategies.HOSTS, 0.5)
        fields["paths"] = some(chance, strategies.PATHS + strategies.REGEXES, 0.7)
        fields["methods"] = some(chance, strategies.METHODS, 0.3) or ["GET"]
        names = some(chance, ["X-One", "x_two", "Version"], 0.4) or []
        fields["headers"] = {name: some(chance, strategies.VALUES, 1) for name in names}
    made = route(
        chance.randrange(1000),
        id=str(UUID(int=chance.getrandbits(128))),
        regex_priority=chance.choice([-1, 0, 0, 1, 10]),
        **fields,
    )
    if flavor == "expressions" and chance.random() < 0.5:
        made["expression"] = route_to_expression(made)
        made["priority"] = chance.randrange(100)
        made.update(dict.fromkeys(FIELDS))
    return made


def random_request(chance: random.Random, stream: bool) -> RouteRequest:
    scheme = chance.choice([b"tcp", b"tls"] if stream else [b"http", b"https"])
    names = [b"", b"z.test", *(name.encode() for name in strategies.NAMES)]
    headers = [b"x-one", b"x-two", b"version", b"accept"]
    return RouteRequest(
        method=chance.choice([b"GET", b"POST", b"HEAD"]),
        host=chance.choice(names),
        host_port=chance.choice([80, 8443, 9000]),
        path=chance.choice([b"/", b"/a", b"/abc", b"/a/b", b"/a/b/c", b"/a/bcd", b"/b", b"/c"]),
        headers=[
            (chance.choice(headers), chance.choice([b"one", b"ONE", b"two", b"Three"]))
            for _ in range(chance.randint(0, 4))
        ],
        scheme=scheme,
        sni=chance.choice(names) if scheme in {b"https", b"tls"} else b"",
        source=(chance.choice(ADDRESSES), chance.choice(PORTS)),
        destination=(chance.choice(ADDRESSES), chance.choice(PORTS)),
    )


@pytest.mark.parametrize("stream", [False, True], ids=["http", "stream"])
@pytest.mark.parametrize("count", [30, 200, 1500])
@pytest.mark.parametrize("flavor", ["traditional", "traditional_compatible", "expressions"])
def test_the_index_finds_what_trying_all_finds(flavor, count, stream):
    chance = random.Random(f"{flavor} {count} {stream}")
    routes = [random_route(chance, flavor, stream) for _ in range(count)]
    router = router_of(flavor, *routes)
    for edited in chance.sample(routes, 5):
        router = router.replace({**random_route(chance, flavor, stream), "id": edited["id"]}, None)
    for removed in chance.sample(routes, 5):
        router = router.remove(removed["id"])
    entries = sorted(router.entries(), key=lambda entry: -entry.rank)

    for _ in range(30):
        request = random_request(chance, stream)
        facts = Facts(request)
        fitting = [entry for entry in entries if entry.holds(facts)]
        first, again = router.match(request), router.match(request)
        assert router.fitting(request) == fitting
        assert (first and first.route) is (fitting[0].route if fitting else None)
        assert (again and again.route) is (first and first.route)
