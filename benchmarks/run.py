"""kongtx against nginx, one worker each, in one run: C{make bench}.

Both stand before the same upstream, forward the same headers, and are asked the same by the same
programs, in turns. The measure is the CPU time of the proxy's own process for a request, which the
kernel counts, so that what else a machine does matters little; and the ratio of nginx's to ours.
Needs nginx, wrk and h2load. Writes JSON and a plot into C{benchmarks/results}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from benchmarks import loads, plot
from benchmarks.harness import REPOSITORY, Processes, Proxy, resident_kib
from benchmarks.loads import Figure, by_h2load, by_s_time, by_websocket, by_wrk
from benchmarks.setup import ROUTES, start_proxies, start_upstreams

IDLE_CONNECTIONS = 10_000
RESULTS = REPOSITORY / "benchmarks" / "results"


@attrs.frozen
class Scenario:
    """One line of the table.

    @ivar load: puts load on a proxy for so many seconds.
    @ivar goal: the least ratio that is aimed at; 0: none is.
    """

    name: str
    load: Callable[[Proxy, float], Figure]
    goal: float = 0.0


def scenarios(files: Path) -> list[Scenario]:
    """All of them."""
    return [
        Scenario("no plugins", _get("small"), 0.65),
        Scenario("1 KiB down", _get("1k")),
        Scenario("100 KiB down", _get("100k"), 0.6),
        Scenario("10 MiB down", _get("10m")),
        *(
            Scenario(f"{label} up", _post(str(files / f"{name}.lua")))
            for label, name in (("1 KiB", "1k"), ("100 KiB", "100k"), ("10 MiB", "10m"))
        ),
        Scenario(f"{ROUTES:,} routes".replace(",", " "), _many_routes),
        Scenario("key-auth", _chain("key-auth"), 0.58),
        Scenario("key-auth + rate-limiting", _chain("guarded"), 0.5),
        Scenario("prometheus", _chain("prometheus"), 0.55),
        Scenario("ten plugins", _chain("ten"), 0.3),
        Scenario("TLS", _get("small", "tls"), 0.6),
        Scenario("TLS, 100 KiB down", _get("100k", "tls")),
        Scenario("TLS handshakes", _handshakes, 0.7),
        Scenario("TLS handshakes, resumed", _resumptions),
        Scenario("HTTP/2", _http2("small")),
        Scenario("HTTP/2, 100 KiB down", _http2("100k")),
        Scenario("gRPC unary", lambda proxy, seconds: _grpc(proxy, seconds, files)),
        Scenario(
            "WebSocket message",
            lambda proxy, seconds: by_websocket(proxy.plain, proxy.pid, seconds),
        ),
        Scenario("no keep-alive", _churn),
    ]


def _get(file: str, listener: str = "plain") -> Callable[[Proxy, float], Figure]:
    scheme = "https" if listener == "tls" else "http"

    def load(proxy: Proxy, seconds: float) -> Figure:
        port = getattr(proxy, listener)
        return by_wrk(f"{scheme}://127.0.0.1:{port}/{file}", proxy.pid, seconds)

    return load


def _post(script: str) -> Callable[[Proxy, float], Figure]:
    return lambda proxy, seconds: by_wrk(
        f"http://127.0.0.1:{proxy.plain}/upload", proxy.pid, seconds, script
    )


def _many_routes(proxy: Proxy, seconds: float) -> Figure:
    url = f"http://127.0.0.1:{proxy.routes}/service-{ROUTES * 2 // 3}/small"
    return by_wrk(url, proxy.routes_pid, seconds)


def _chain(name: str) -> Callable[[Proxy, float], Figure]:
    return lambda proxy, seconds: by_wrk(
        f"http://127.0.0.1:{proxy.plain}/{name}/small",
        proxy.pid,
        seconds,
        headers=("apikey: secret",),
    )


def _http2(file: str) -> Callable[[Proxy, float], Figure]:
    return lambda proxy, seconds: by_h2load(
        f"http://127.0.0.1:{proxy.http2}/{file}", proxy.pid, seconds
    )


def _grpc(proxy: Proxy, seconds: float, files: Path) -> Figure:
    options = ("-d", str(files / "message"), "-H", "content-type: application/grpc")
    url = f"http://127.0.0.1:{proxy.http2}/bench.Greeter/Hello"
    return by_h2load(url, proxy.pid, seconds, (*options, "-H", "te: trailers"))


def _churn(proxy: Proxy, seconds: float) -> Figure:
    url = f"http://127.0.0.1:{proxy.plain}/small"
    return by_wrk(url, proxy.pid, seconds, headers=("Connection: close",))


def _handshakes(proxy: Proxy, seconds: float) -> Figure:
    """Connections that each shake hands anew, for one request."""
    return by_s_time(proxy.tls, "/small", proxy.pid, seconds)


def _resumptions(proxy: Proxy, seconds: float) -> Figure:
    """Connections that each resume the session of the one before, for one request."""
    url = f"https://127.0.0.1:{proxy.tls}/small"
    return by_wrk(url, proxy.pid, seconds, headers=("Connection: close",))


# -- what is measured --------------------------------------------------------------------------


def compare(chosen: list[Scenario], proxies: tuple[Proxy, Proxy], options: Any) -> dict[str, Any]:
    """Measure every scenario on both proxies in turns; the cheapest round counts."""
    table: dict[str, Any] = {}
    print(f"{'':26}{'nginx µs':>10}{'kongtx µs':>11}{'CPU ratio':>11}{'rate ratio':>12}{'goal':>7}")
    for scenario in chosen:
        best: dict[str, Figure] = {}
        for _ in range(options.rounds):
            for proxy in proxies:
                figure = scenario.load(proxy, options.seconds)
                known = best.get(proxy.name)
                if known is None or figure.cpu_us < known.cpu_us:
                    best[proxy.name] = figure
        theirs, ours = best["nginx"], best["kongtx"]
        ratio = theirs.cpu_us / ours.cpu_us
        table[scenario.name] = {
            "nginx": attrs.asdict(theirs),
            "kongtx": attrs.asdict(ours),
            "cpu_ratio": ratio,
            "rate_ratio": ours.rate / theirs.rate,
            "goal": scenario.goal,
        }
        goal = f"{scenario.goal:7.2f}" if scenario.goal else ""
        print(
            f"{scenario.name:26}{theirs.cpu_us:10.1f}{ours.cpu_us:11.1f}{ratio:11.2f}"
            f"{ours.rate / theirs.rate:12.2f}{goal}",
            flush=True,
        )
    return table


def latency(
    proxies: tuple[Proxy, Proxy], upstream: int, rate: float, seconds: float, directory: Path
) -> dict[str, Any]:
    """p50 and p99 at a rate, in ms, and what the proxies add to the upstream's own."""
    log = directory / "latencies"
    ports = {"direct": upstream, **{proxy.name: proxy.plain for proxy in proxies}}
    found: dict[str, Any] = {"rate": round(rate)}
    for name, port in ports.items():
        values = loads.latencies_ms(f"http://127.0.0.1:{port}/small", rate, seconds, log)
        found[name] = {part: loads.percentile(values, part / 100) for part in (50, 99)}
    print(
        f"\nadded latency in ms at {rate:.0f} requests/s, half of what kongtx can (goal: p99 < 1)"
    )
    for proxy in proxies:
        added = {part: found[proxy.name][part] - found["direct"][part] for part in (50, 99)}
        found[f"{proxy.name}_added"] = added
        print(f"{proxy.name:>10}  p50 {added[50]:6.3f}  p99 {added[99]:6.3f}", flush=True)
    return found


def idle(proxies: tuple[Proxy, Proxy], count: int) -> dict[str, dict[str, float]]:
    """KiB of a worker at its start, and of each connection that has asked once.

    Measured before any other load: memory that was used before would hide them.
    """
    found: dict[str, dict[str, float]] = {}
    for proxy in proxies:
        loads.idle_connections(proxy.plain, 200, lambda: 0)
        start = resident_kib(proxy.pid)
        held: Any = loads.idle_connections(
            proxy.plain, count, lambda pid=proxy.pid: resident_kib(pid)
        )
        each = (held - start) / count
        found[proxy.name] = {"start_kib": start, "idle_connection_kib": each}
    return found


def tell_memory(proxies: tuple[Proxy, Proxy], found: dict[str, dict[str, float]]) -> None:
    """Print memory, with what a worker has after the load."""
    print("\nmemory in KiB: a worker at its start, after the load, an idle connection (goal: 15)")
    for proxy in proxies:
        mine = found[proxy.name]
        mine["loaded_kib"] = loaded = resident_kib(proxy.pid)
        start, each = mine["start_kib"], mine["idle_connection_kib"]
        print(f"{proxy.name:>10}{start:8.0f}{loaded:8.0f}{each:8.2f}", flush=True)


def save(results: dict[str, Any]) -> None:
    """Write JSON and the plot."""
    RESULTS.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    text = json.dumps(results, indent=1)
    for name in (f"{stamp}.json", "latest.json"):
        (RESULTS / name).write_text(text)
    rows = [(name, row["cpu_ratio"]) for name, row in results["scenarios"].items()]
    marks = ((1.0, "nginx"), (0.52, "Kong"))
    drawing = plot.bars("CPU time a request: nginx's over kongtx's", rows, marks)
    (RESULTS / "latest.svg").write_text(drawing)
    print(f"\nwritten: {RESULTS}/{stamp}.json, latest.json, latest.svg")


def _commit() -> str:
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2, help="for each load")
    parser.add_argument("--rounds", type=int, default=2, help="of which the cheapest counts")
    parser.add_argument("--only", default="", help="scenarios whose names contain this")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(IDLE_CONNECTIONS, hard // 2 - 500)
    with tempfile.TemporaryDirectory(prefix="kongtx-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        processes = Processes(directory)
        try:
            run(processes, options, count)
        finally:
            processes.stop()


def run(processes: Processes, options: argparse.Namespace, connections: int) -> None:
    """Start, measure, write."""
    began = time.monotonic()
    upstreams = start_upstreams(processes)
    proxies = start_proxies(processes, upstreams)
    files = processes.directory / "files"
    chosen = [each for each in scenarios(files) if options.only in each.name]
    found = {} if options.only else idle(proxies, connections)
    results: dict[str, Any] = {
        "commit": _commit(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "scenarios": compare(chosen, proxies, options),
    }
    if not options.only:
        rate = results["scenarios"]["no plugins"]["kongtx"]["rate"] / 2
        results["latency_ms"] = latency(
            proxies, upstreams["port"], rate, 2 * options.seconds, processes.directory
        )
        tell_memory(proxies, found)
        results["memory"] = {"connections": connections, **found}
        save(results)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
