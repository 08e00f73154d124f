"""What choosing a peer among 1 000 targets costs: `python -m benchmarks.balancer`."""

from __future__ import annotations

import timeit
from types import SimpleNamespace

from twisted.internet import reactor

from kongtx.balancer.balancers import Balancers
from kongtx.balancer.consistent_hashing import build_table
from kongtx.dns.resolver import Resolver

TARGETS = 1000
AIM = 5.0


def balancer(**upstream):
    """A balancer over a thousand addresses with four different weights."""
    balancers = Balancers(Resolver(reactor), reactor)
    entity = {"id": "u", "name": "u", "slots": 10000, "healthchecks": {"threshold": 0}, **upstream}
    balancers.update(
        [entity],
        [
            {
                "id": str(n),
                "upstream": {"id": "u"},
                "target": f"10.0.{n // 250}.{n % 250}:80",
                "weight": (100, 50, 100, 10)[n % 4],
                "tags": None,
            }
            for n in range(TARGETS)
        ],
    )
    return balancers.for_host("u", 80)


def measure(rounds: int = 50_000) -> dict[str, float]:
    """Microseconds a choice, or a choice with its bookkeeping; the best of five rounds."""
    request = SimpleNamespace(
        client_ip="192.0.2.7",
        path=b"/a/path",
        query=b"q=1",
        headers=[(b"host", b"a.test"), (b"x-user", b"bob"), (b"accept", b"*/*")],
        consumer_id="",
        captures=((), {}),
        hash_cookie=None,
    )
    hashing = {"algorithm": "consistent-hashing", "hash_fallback": "none"}
    upstreams = {
        "round-robin": {"algorithm": "round-robin"},
        "least-connections": {"algorithm": "least-connections"},
        "latency": {"algorithm": "latency"},
        "consistent-hashing on ip": {**hashing, "hash_on": "ip"},
        "consistent-hashing on header": {
            **hashing,
            "hash_on": "header",
            "hash_on_header": "X-User",
        },
    }
    figures = {}
    for name, upstream in upstreams.items():
        chosen = balancer(**upstream)
        chosen.pick(request, ())

        def pick(chosen=chosen):
            chosen.pick(request, ())

        def attempt(chosen=chosen):
            peer = chosen.pick(request, ())
            chosen.started(peer)
            chosen.finished(peer, 200, 0.01)

        figures[name] = _best(pick, rounds)
        figures[f"{name}, with started and finished"] = _best(attempt, rounds)
    for count in (3, TARGETS):
        weights = {f"10.0.0.{n}:80": 100.0 for n in range(count)}
        figures[f"building 10 000 slots, {count} targets"] = _best(
            lambda weights=weights: build_table(weights, 10000), 1
        )
    return figures


def _best(call, rounds):
    return min(timeit.repeat(call, number=rounds, repeat=5)) / rounds * 1e6


if __name__ == "__main__":
    for name, microseconds in measure().items():
        print(f"{name:55} {microseconds:9.2f} µs")
