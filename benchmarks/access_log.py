"""The access log: CPU time of a line, from the request to the file.

python benchmarks/access_log.py [--lines 100000]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock

from kongtx.runtime.logs import Logs, LogSettings

HEADERS = {b"user-agent": b"Mozilla/5.0 (X11; Linux x86_64)", b"referer": b"https://example.com/"}


def request() -> Any:
    """What an access log reads of a request."""
    return SimpleNamespace(
        source=("203.0.113.9", 51_000),
        raw_method=b"GET",
        target=b"/orders/17?expand=lines",
        path=b"/orders/17",
        query=b"expand=lines",
        http_version=b"1.1",
        host=b"example.com",
        status=200,
        body_bytes_sent=512,
        request_size=320,
        total_ms=12,
        upstream_latency_ms=8,
        upstream_status=200,
        request_id=b"0123456789abcdef0123456789abcdef",
        get_header=HEADERS.get,
        tries=[],
        route=None,
        service=None,
        consumer=None,
    )


def microseconds(lines: int, access_log: str) -> float:
    """CPU time a line."""
    with tempfile.TemporaryDirectory() as directory:
        secrets = tuple(f"secret-number-{number}" for number in range(5))
        logs = Logs(LogSettings(directory, error_log="off", secrets=secrets), Clock())
        logs.startService()
        log = logs.access_log(access_log).log
        one = request()
        start = time.process_time()
        for _ in range(lines):
            log(one)
        logs.stopService()
        return (time.process_time() - start) / lines * 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    count = parser.parse_args().lines
    text = round(microseconds(count, "access.log"), 2)
    as_json = round(microseconds(count, "access.log json"), 2)
    print(json.dumps({"benchmark": "access_log", "text_us": text, "json_us": as_json}))
    print(f"a line of the access log: {text} us as text, {as_json} us as JSON")
