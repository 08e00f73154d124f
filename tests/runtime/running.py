"""Runs nodes as processes of their own, for tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

RUN = """
import json, sys
from kongtx.conf import from_values, load
from kongtx.errors import KongtxError
from kongtx.runtime.processes.master import run
values, options = json.loads(sys.argv[1])
try:
    run(from_values(values), **options)
except KongtxError as error:
    sys.exit(f"Error: {error}")
print("started")
"""


#: Seconds to wait for what should take a moment: a busy machine is no reason to fail.
WAIT = 90


def free_port():
    """A port on which nobody listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RunningNode:
    """A node in the foreground.

    @ivar port: of its proxy listener.
    """

    def __init__(self, node="tests.runtime.nodes.echo", flags="reuseport", prefix=None, **values):
        # Paths of UNIX sockets are short; pytest's directories are not.
        self._directory = None if prefix else tempfile.TemporaryDirectory()
        self.prefix = prefix or self._directory.name
        self.port = free_port()
        self.values = {
            "prefix": self.prefix,
            "proxy_listen": f"127.0.0.1:{self.port} {flags}".strip(),
            "nginx_worker_processes": "2",
            "nginx_user": "nobody",
            **values,
        }
        self.options = {"node": node, "kinds": ["proxy"]}
        self.process = None

    def command(self, **options):
        return [
            sys.executable,
            "-c",
            RUN,
            json.dumps([self.values, {**self.options, **options}]),
        ]

    def start(self):
        """Start and wait until it serves."""
        starts = self.log().count("kongtx has started")
        self.process = subprocess.Popen(
            self.command(foreground=True), stderr=subprocess.PIPE, text=True
        )
        self.wait_for_log("kongtx has started", starts + 1)
        return self

    def run(self, **options):
        """Run to its end: C{CompletedProcess}."""
        return subprocess.run(
            self.command(**options), capture_output=True, text=True, timeout=60, check=False
        )

    def log(self):
        try:
            with open(os.path.join(self.prefix, "logs", "error.log")) as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def wait_for_log(self, text, count=1, timeout=WAIT):
        def seen():
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the node ended: {self.process.stderr.read()}{self.log()}")
            return self.log().count(text) >= count

        wait_until(seen, timeout, lambda: f"no {text!r} in the log:\n{self.log()}")

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """Stop it; the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.send(number)
        try:
            code = self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.process.stderr.close()
        return code

    def close(self):
        try:
            self.stop()
        finally:
            if self._directory is not None:
                self._directory.cleanup()

    def get(self, path="/", timeout=WAIT):
        """The body of an answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"no whole answer: {answer!r}")
        return body.decode()

    def workers(self, count=2):
        """Process ids by worker number, asked for until every worker has answered."""
        found = {}

        def all_found():
            pid, worker = map(int, self.get().split())
            found[worker] = pid
            return len(found) == count

        wait_until(all_found, WAIT, lambda: f"only {found} answered")
        return found


def wait_until(condition, timeout=WAIT, message=lambda: "it did not come true"):
    """Wait for something that another process does."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(message())
        time.sleep(0.02)


def is_alive(pid):
    """Whether a process runs; a zombie, for which nobody has asked yet, does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid):
    """Process ids of the living children of a process."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split() if is_alive(int(child))]
