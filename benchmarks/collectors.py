"""What log plugins cost while nobody takes their entries: `python -m benchmarks.collectors`.

One node, one worker, and a route for each plugin and each of three collectors: one that takes all,
one that accepts connections and never reads, and none at all. Load goes to the routes in turns; the
best round counts. Shown are the CPU time of a request, the median latency at an even rate, and the
worker's memory after each. A collector that fails must not slow requests by more than 5 %; it makes
them cheaper, as entries that found no room in the queue need not be sent.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
from pathlib import Path

import trustme

from benchmarks import loads
from benchmarks.harness import Processes, free_port, resident_kib
from benchmarks.loads import by_wrk
from benchmarks.setup import start_upstreams

QUEUE = {"max_entries": 10_000, "max_retry_time": 1, "max_retry_delay": 1}
SINK = """
import asyncio

class Sink(asyncio.Protocol):
    pass

async def main():
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", %d)
    await server.serve_forever()

asyncio.run(main())
"""


def _plugin(name: str, port: int) -> dict[str, object]:
    if name == "http-log":
        endpoint = f"http://127.0.0.1:{port}/upload"
        return {"name": name, "config": {"http_endpoint": endpoint, "queue": QUEUE}}
    return {"name": name, "config": {"host": "127.0.0.1", "port": port, "timeout": 1000}}


def start(processes: Processes, hanging: int) -> tuple[int, int, list[str]]:
    """Start everything; the worker's pid and port, and the routes' names."""
    upstream = start_upstreams(processes)["port"]
    sink = free_port()
    processes.start([sys.executable, "-c", SINK % sink], sink)
    ports = {
        "http-log": {"live": upstream, "hanging": hanging, "dead": free_port()},
        "tcp-log": {"live": sink, "hanging": hanging, "dead": free_port()},
    }
    routes: list[dict[str, object]] = [{"name": "none", "paths": ["/none"]}]
    routes += [
        {"name": f"{name}-{kind}", "paths": [f"/{name}-{kind}"], "plugins": [_plugin(name, port)]}
        for name, each in ports.items()
        for kind, port in each.items()
    ]
    service = {"name": "files", "url": f"http://127.0.0.1:{upstream}", "routes": routes}
    pem = processes.directory / "server.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    port = free_port()
    text = json.dumps({"_format_version": "3.0", "services": [service]})
    pid = processes.kongtx("kongtx", text, f"127.0.0.1:{port}", port, pem)
    return pid, port, [str(route["name"]) for route in routes]


def main() -> None:
    """Measure in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2, help="for each load")
    parser.add_argument("--rounds", type=int, default=3, help="of which the cheapest counts")
    parser.add_argument("--rate", type=int, default=1500, help="requests a second, for latencies")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="kongtx-bench-") as folder,
        socket.create_server(("127.0.0.1", 0), backlog=512) as hanging,
    ):
        directory = Path(folder)
        directory.chmod(0o755)
        processes = Processes(directory)
        try:
            pid, port, names = start(processes, hanging.getsockname()[1])
            best = dict.fromkeys(names, float("inf"))
            medians = dict.fromkeys(names, float("inf"))
            memory: dict[str, int] = {}
            for _ in range(options.rounds):
                for name in names:
                    url = f"http://127.0.0.1:{port}/{name}/small"
                    values = loads.latencies_ms(url, options.rate, 1, directory / "latencies")
                    medians[name] = min(medians[name], loads.percentile(values, 0.5))
                    best[name] = min(best[name], by_wrk(url, pid, options.seconds).cpu_us)
                    memory[name] = resident_kib(pid)
        finally:
            processes.stop()
    print(f"{'':18}{'CPU µs':>8}{'median ms':>11}{'RSS MiB':>9}")
    for name in names:
        print(f"{name:18}{best[name]:8.1f}{medians[name]:11.3f}{memory[name] / 1024:9.1f}")


if __name__ == "__main__":
    main()
