"""What goes on beside the requests of a soak: reloads, kills, writes, failing upstreams."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from tests.runtime.running import children_of, wait_until


@define
class Span:
    """From one moment to another, of C{time.monotonic}."""

    begin: float
    end: float

    def touches(self, begin: float, end: float, after: float = 0.0) -> bool:
        """Whether another span was under way in this one, or as many seconds after it."""
        return begin <= self.end + after and end >= self.begin


@contextmanager
def repeated(what: Callable[[], None], every: float) -> Iterator[None]:
    """Do something now and then while the block runs, and see at its end that it never failed."""
    over = threading.Event()
    errors: list[BaseException] = []

    def loop() -> None:
        while not over.wait(every):
            try:
                what()
            except BaseException as error:
                errors.append(error)
                raise

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if errors:
        raise errors[0]


@define
class Workers:
    """Reloads the node, or kills a worker of it, in turns.

    @ivar kills: when, and until a second later.
    @ivar reloads: when, and until those of before had gone.
    """

    master: int
    count: int = 2
    kills: list[Span] = field(factory=list)
    reloads: list[Span] = field(factory=list)

    def disturb(self) -> None:
        if len(self.kills) < len(self.reloads):
            self.kill()
        else:
            self.reload()

    def kill(self) -> None:
        victim, *_ = children_of(self.master)
        begin = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        self.kills.append(Span(begin, begin + 1))
        self._wait_for_all_but({victim})

    def reload(self) -> None:
        before = set(children_of(self.master))
        begin = time.monotonic()
        os.kill(self.master, signal.SIGHUP)
        self._wait_for_all_but(before)
        self.reloads.append(Span(begin, time.monotonic()))

    def _wait_for_all_but(self, before: set[int]) -> None:
        def are_there() -> bool:
            now = children_of(self.master)
            return len(now) == self.count and not before & set(now)

        wait_until(are_there)


@define
class Failing:
    """Makes the fickle upstream fail and recover.

    @ivar failures: when it did not serve.
    """

    program: subprocess.Popen[str]
    failures: list[Span] = field(factory=list)
    _modes: tuple[str, ...] = ("refuse", "reset", "stall")

    def disturb(self) -> None:
        begin = time.monotonic()
        self.tell(self._modes[len(self.failures) % len(self._modes)])
        time.sleep(0.8)
        self.tell("serve")
        self.failures.append(Span(begin, time.monotonic()))

    def tell(self, mode: str) -> None:
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.write(f"{mode}\n")
        self.program.stdin.flush()
        assert self.program.stdout.readline() == f"{mode}\n"


@define
class Administration:
    """Makes a service with all that belongs to it, sees it served, changes it, and takes it away.

    @ivar lost: when calls ended without an answer; they were made again.
    @ivar rounds: how often it did all that.
    @ivar slowest: seconds until a change was seen by requests, at most.
    """

    admin: int
    proxy: int
    upstream: str
    lost: list[Span] = field(factory=list)
    rounds: int = 0
    slowest: float = 0.0

    def disturb(self) -> None:
        # Metrics are kept of what has gone, as Kong keeps them: not of ever more names.
        name, path = f"made-{self.rounds % 10}", f"/made/{self.rounds % 10}"
        key = {"apikey": name}
        self._call("PUT", f"/services/{name}", 200, url=self.upstream)
        self._call("PUT", f"/services/{name}/routes/{name}", 200, paths=[path])
        self._until(200, path)
        self._call("POST", f"/services/{name}/plugins", 201, name="key-auth")
        self._until(401, path)
        self._call("PUT", f"/consumers/{name}", 200)
        self._call("PUT", f"/consumers/{name}/key-auth/{name}", 200, key=name)
        self._until(200, path, key)
        self._call("PATCH", f"/routes/{name}", 200, paths=[f"{path}/moved"])
        self._until(404, path, key)
        self._until(200, f"{path}/moved", key)
        self._call("DELETE", f"/consumers/{name}", 204)
        self._until(401, f"{path}/moved", key)
        self._call("DELETE", f"/routes/{name}", 204)
        self._until(404, f"{path}/moved", key)
        self._call("DELETE", f"/services/{name}", 204)
        self.rounds += 1

    def _call(self, method: str, path: str, expected: int, **body: Any) -> None:
        begin = time.monotonic()
        content = json.dumps(body) if body else "{}"
        fields = {"Content-Type": "application/json"}
        again = False
        while True:
            try:
                status, told = _ask(self.admin, method, path, content, fields)
            except (OSError, http.client.HTTPException):
                again = True
                self.lost.append(Span(begin, time.monotonic()))
                continue
            # What was done before the answer was lost cannot be done again.
            assert status == expected or (again and status in (200, 204, 404, 409)), (path, told)
            return

    def _until(self, status: int, path: str, fields: dict[str, str] | None = None) -> None:
        begin = time.monotonic()

        def is_seen() -> bool:
            try:
                seen, _ = _ask(self.proxy, "GET", path, None, fields or {})
            except (OSError, http.client.HTTPException):
                self.lost.append(Span(begin, time.monotonic()))
                return False
            return seen == status

        wait_until(is_seen, 60, lambda: f"{path} was not answered {status}")
        self.slowest = max(self.slowest, time.monotonic() - begin)


def _ask(
    port: int, method: str, path: str, body: str | None, fields: dict[str, str]
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, fields)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()
