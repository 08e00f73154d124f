"""The same by two ways: directly, and through the gateway."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from attrs import frozen

#: What a gateway adds to a response. Nothing else may differ.
ADDED = ("via", "x-kong-request-id", "x-kong-proxy-latency", "x-kong-upstream-latency")
#: What an application's server says of the moment and of the connection to its client.
OF_THE_MOMENT = ("date", "connection", "keep-alive", "transfer-encoding")
#: Chosen anew for each response.
BOUNDARY = re.compile(r"boundary=(\w+)")


@frozen
class Answer:
    """One response.

    @ivar headers: names in lower case with their values, in the order in which they came.
    """

    version: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    trailers: tuple[tuple[str, str], ...] = ()

    def without_added(self) -> tuple[object, ...]:
        """What has to be the same both ways: of the headers, those of one name in their order."""
        kept = [each for each in self.headers if each[0] not in ADDED + OF_THE_MOMENT]
        if self.body:
            # Told by the body itself, whether it came in chunks or as a whole.
            kept = [each for each in kept if each[0] != "content-length"]
        body = self.body
        for index, (name, value) in enumerate(kept):
            if found := BOUNDARY.search(value):
                kept[index] = (name, value.replace(found[1], "boundary"))
                body = body.replace(found[1].encode(), b"boundary")
        return self.status, self.reason, sorted(kept, key=lambda each: each[0]), body

    def added(self) -> set[str]:
        return {name for name, _ in self.headers if name in ADDED}


def curl(url: str, *options: str, timeout: int = 60) -> Answer:
    """What curl is answered, the last time if it follows."""
    with tempfile.TemporaryDirectory() as name:
        heads, body = Path(name, "heads"), Path(name, "body")
        command = ["curl", "-sS", "--path-as-is", "-D", str(heads), "-o", str(body)]
        done = subprocess.run(
            [*command, "--noproxy", "*", *options, url],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        assert done.returncode == 0, (done.returncode, done.stderr)
        blocks = heads.read_bytes().decode("latin-1").split("\r\n\r\n")
        lines = [block for block in blocks if block.startswith("HTTP/")][-1].split("\r\n")
        version, code, *reason = lines[0].split(" ", 2)
        fields = tuple(
            (line.partition(":")[0].lower(), line.partition(":")[2].strip()) for line in lines[1:]
        )
        content = body.read_bytes() if body.exists() and "-I" not in options else b""
        return Answer(version, int(code), "".join(reason), fields, content)
