"""A limit that several workers share, under load."""

from __future__ import annotations

import http.client
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest

from tests.runtime.running import RunningNode

# No window of a year ends during the test.
CONFIGURATION = """
_format_version: "3.0"
routes:
- name: all
  paths: ["/"]
  plugins:
  - {name: rate-limiting, config: {policy: local, limit_by: ip, year: %d}}
  - {name: request-termination, config: {status_code: 200, message: passed}}
"""
CONNECTIONS = 12


def ask(port: int, requests: int) -> Counter[int]:
    """The statuses of so many requests, over connections of a hundred each."""
    statuses: Counter[int] = Counter()
    while requests > 0:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(min(100, requests)):
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            statuses[response.status] += 1
        connection.close()
        requests -= 100
    return statuses


@pytest.mark.long
@pytest.mark.parametrize("limit", [500, 6000])
def test_four_workers_never_let_more_than_one_in_a_hundred_too_much_pass(
    tmp_path: Path, limit: int
) -> None:
    declarative = tmp_path / "kong.yml"
    declarative.write_text(CONFIGURATION % limit)
    node = RunningNode(
        node="kongtx.runtime.node.composition.build_node",
        prefix=str(tmp_path),
        nginx_worker_processes="4",
        database="off",
        declarative_config=str(declarative),
        admin_listen="off",
        status_listen="off",
    )
    try:
        node.start()
        total: Counter[int] = Counter()
        lock = Lock()

        def load(_: int) -> None:
            statuses = ask(node.port, limit // CONNECTIONS + 200)
            with lock:
                total.update(statuses)

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(load, range(CONNECTIONS)))
        assert set(total) == {200, 429}
        # Each limit is used up, too: nothing is refused that is still allowed.
        assert limit <= total[200] <= limit * 1.01
        if limit == 500:
            assert total[200] == limit
    finally:
        node.close()
