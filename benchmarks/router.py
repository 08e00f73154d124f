"""What finding a route costs: one route beside many, remembered and not; building and changing."""

from __future__ import annotations

import gc
import json
import time
from typing import Any
from uuid import UUID

from kongtx.router import Router, build_router
from kongtx.router.inspection.request import RouteRequest
from tests.router.support import route, service

SERVICE = service(path="/base")
FLAVOR = "traditional_compatible"
MANY = 10_000
HUGE = 100_000


def mixed_route(number: int) -> dict[str, Any]:
    """A route of one of ten kinds, as a large configuration has them."""
    fields: dict[str, Any] = {
        0: {"paths": [f"/api/v{number % 7}/things-{number}"]},
        1: {"hosts": [f"h{number}.example.com"], "paths": ["/"]},
        2: {"hosts": [f"h{number}.example.com"], "paths": ["/api", f"/other/{number}"]},
        3: {"hosts": [f"*.w{number}.example.com"], "paths": ["/"]},
        4: {"hosts": ["shared.example.com"], "paths": [f"/tenant/{number}"]},
        5: {"paths": [f"~/regex/{number}/(?<id>\\d+)$"]},
        6: {"hosts": [f"h{number}.example.com"], "methods": ["GET", "POST"]},
        7: {"paths": ["/by-header"], "headers": {"x-tenant": [f"t{number}"]}},
        8: {"hosts": ["shared.example.com"], "paths": [f"/m/{number}"], "methods": ["GET"]},
        9: {"paths": [f"/{number}"], "headers": {"x-tier": ["gold", "silver"]}},
    }[number % 10]
    return route(
        number + 1, service={"id": SERVICE["id"]}, id=str(UUID(int=number * 7919)), **fields
    )


def mixed_request(number: int, salt: str = "") -> RouteRequest:
    """A request that the route of the same number takes."""
    host, path = {
        0: (f"z{number}.example.com", f"/api/v{number % 7}/things-{number}/1"),
        1: (f"h{number}.example.com", "/some/path"),
        2: (f"h{number}.example.com", "/api/x"),
        3: (f"a.w{number}.example.com", "/x"),
        4: ("shared.example.com", f"/tenant/{number}/x"),
        5: ("any.example.com", f"/regex/{number}/12"),
        6: (f"h{number}.example.com", "/y"),
        7: ("any.example.com", "/by-header"),
        8: ("shared.example.com", f"/m/{number}"),
        9: ("any.example.com", f"/{number}/x"),
    }[number % 10]
    if number % 10 == 5:
        path += salt.removeprefix("/")
    else:
        path += salt
    return RouteRequest(
        host=host.encode(),
        path=path.encode(),
        headers=[
            (b"host", host.encode()),
            (b"user-agent", b"curl/8.0"),
            (b"accept", b"*/*"),
            (b"x-tenant", b"t%d" % number),
            (b"x-tier", b"gold"),
            (b"content-type", b"application/json"),
        ],
    )


def routers(count: int) -> Router:
    """A router of mixed routes."""
    return build_router(FLAVOR, map(mixed_route, range(count)), {SERVICE["id"]: SERVICE})


def one_of_each() -> list[Router]:
    """Routers of a single route, one for each kind but hosts alone."""
    return [
        build_router(FLAVOR, [mixed_route(number)], {SERVICE["id"]: SERVICE})
        for number in range(10)
        if number != 6
    ]


def once(matchers: list[Any], requests: list[RouteRequest]) -> float:
    """Microseconds a call, matchers taking turns."""
    pairs = [(matchers[at % len(matchers)], request) for at, request in enumerate(requests)]
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    for match, request in pairs:
        match(request)
    spent = time.perf_counter() - started
    gc.enable()
    return spent / len(pairs) * 1e6


def compare(salted: bool) -> tuple[float, float]:
    """One route and many, in turns, on requests that are remembered or were never seen before.

    Both get as many different requests, so that the number of routes is what differs. The kind
    of route that looks at hosts alone is left out: with no other kind beside it, its decisions
    are remembered without the path, which suits this traffic less.
    """
    turns = iter(range(1 << 40))

    def requests(numbers: list[int]) -> list[RouteRequest]:
        return [
            mixed_request(number, f"/{next(turns) if salted else at}")
            for at, number in enumerate(numbers)
        ]

    one = [router.match for router in one_of_each()]
    many = [routers(MANY).match]
    kinds = [kind for kind in range(10) if kind != 6]
    alone = [kinds[at % 9] for at in range(4500)]
    spread = [at % (MANY // 10) * 10 + kinds[at % 9] for at in range(4500)]
    figures = [(once(one, requests(alone)), once(many, requests(spread))) for _ in range(12)]
    return min(pair[0] for pair in figures), min(pair[1] for pair in figures)


def resident_mib() -> float:
    """The memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096 / 2**20


def huge() -> dict[str, float]:
    """Build a hundred thousand routes, then change one."""
    routes = [mixed_route(number) for number in range(HUGE)]
    services = {SERVICE["id"]: SERVICE}
    gc.collect()
    before = resident_mib()
    started = time.perf_counter()
    router = build_router(FLAVOR, routes, services)
    built = time.perf_counter() - started
    gc.collect()
    memory = resident_mib() - before
    changes = []
    for number in (0, 1, 4, 5, 7):
        changed = {**mixed_route(number), "strip_path": False}
        started = time.perf_counter()
        router = router.replace(changed, SERVICE)
        match = router.match(mixed_request(number))
        changes.append(time.perf_counter() - started)
        assert match is not None
        assert match.route is changed
    return {
        "build of 100 000, s": built,
        "memory of 100 000, MiB": memory,
        "change of one in 100 000, ms": max(changes) * 1e3,
    }


def main() -> None:
    one_hit, many_hit = compare(salted=False)
    one_miss, many_miss = compare(salted=True)
    figures = {
        "hit, one route, µs": one_hit,
        "hit, 10 000 routes, µs": many_hit,
        "hit, ratio (aim 1.2)": many_hit / one_hit,
        "miss, one route, µs": one_miss,
        "miss, 10 000 routes, µs": many_miss,
        "miss, ratio (aim 3)": many_miss / one_miss,
        **huge(),
    }
    for name, figure in figures.items():
        print(f"{name:32} {figure:10.2f}")
    print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
