"""The whole gateway while it reloads, while a worker dies, and while it stops."""

import concurrent.futures
import glob
import http.client
import http.server
import os
import signal
import tempfile
import threading
import time

import pytest

from tests.runtime.running import RunningNode, children_of, wait_until

CONFIGURATION = """
_format_version: "3.0"
services:
- name: upstream
  url: http://127.0.0.1:%d
  routes:
  - name: all
    paths: ["/"]
"""


class Upstream(http.server.BaseHTTPRequestHandler):
    """Echoes a request's body; C{/slow} takes 0.3 s. @cvar begun: how many requests came."""

    protocol_version = "HTTP/1.1"
    begun = 0

    def do_POST(self):
        Upstream.begun += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/slow":
            time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def upstream():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def start(upstream):
    with tempfile.TemporaryDirectory() as prefix:
        declarative = os.path.join(prefix, "kong.yml")
        with open(declarative, "w") as file:
            file.write(CONFIGURATION % upstream)
        nodes = []

        def start(workers):
            nodes.append(
                RunningNode(
                    node="kongtx.runtime.node.composition.build_node",
                    prefix=prefix,
                    nginx_worker_processes=workers,
                    database="off",
                    declarative_config=declarative,
                    admin_listen="off",
                    status_listen="off",
                )
            )
            return nodes[-1].start()

        yield start
        for node in nodes:
            node.close()


def post(node, number):
    """Send a body and get it back, on a connection of its own."""
    body = b"%d " % number * 1000
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    try:
        connection.request("POST", "/slow" if number % 50 == 0 else "/", body)
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, body)
    finally:
        connection.close()


def load(node, count, during):
    """Post C{count} times, eight at once; the failures."""
    failures = []

    def one(number):
        try:
            post(node, number)
        except (OSError, http.client.HTTPException, AssertionError) as error:
            failures.append(error)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        posted = [pool.submit(one, number) for number in range(count)]
        during()
        for each in posted:
            each.result()
    return failures


@pytest.mark.long
@pytest.mark.parametrize("workers", ["2", "0"])
def test_a_thousand_requests_during_reloads_lose_none(start, workers):
    node = start(workers)
    text = "serves with 2 workers" if workers == "2" else "serving in one process"

    def reload_twice():
        for count in (2, 3):
            node.send(signal.SIGHUP)
            node.wait_for_log(text, count)

    assert load(node, 1000, reload_twice) == []


@pytest.mark.long
def test_a_thousand_requests_during_a_kill_lose_those_in_flight_alone(start):
    node = start("2")
    victim = children_of(node.process.pid)[0]

    def kill():
        time.sleep(0.3)
        os.kill(victim, signal.SIGKILL)

    failures = load(node, 1000, kill)
    assert len(failures) <= 8

    def is_replaced():
        workers = children_of(node.process.pid)
        return victim not in workers and len(workers) == 2

    wait_until(is_replaced)


@pytest.mark.long
@pytest.mark.parametrize("workers", ["2", "0"])
def test_a_graceful_stop_answers_what_was_asked(start, workers):
    node = start(workers)
    before = Upstream.begun
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        posted = [pool.submit(post, node, 50 * number) for number in range(8)]
        wait_until(lambda: Upstream.begun == before + 8)
        assert node.stop(signal.SIGQUIT) == 0
        for each in posted:
            each.result()
    assert glob.glob(os.path.join(node.prefix, "shared-*")) == []
