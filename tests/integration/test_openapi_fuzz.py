"""schemathesis asks the running Admin API for what its description promises; bounded."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


#: Entities under the name that is tried first, so that more than 404 comes back.
SEED = (
    ("services", {"name": "0", "host": "h.test"}),
    ("services/0/routes", {"name": "0", "paths": ["/"]}),
    ("services/0/plugins", {"name": "key-auth", "instance_name": "0"}),
    ("consumers", {"username": "0"}),
    ("consumers/0/acls", {"group": "0"}),
    ("consumers/0/key-auth", {"key": "0"}),
    ("consumers/0/basic-auth", {"username": "0", "password": "p"}),
    ("consumers/0/jwt", {"key": "0"}),
    ("upstreams", {"name": "0.test"}),
    ("upstreams/0.test/targets", {"target": "0.test"}),
    ("key-sets", {"name": "0"}),
)


def plant(url: str) -> None:
    """Create the seed."""
    for path, data in SEED:
        request = urllib.request.Request(
            f"{url}/{path}", json.dumps(data).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert reply.status == 201


def test_the_running_api_is_as_described(admin_url: str, tmp_path: Path) -> None:
    plant(admin_url)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{admin_url}/openapi.json",
            f"--checks={','.join(CHECKS)}",
            "--phases=examples,coverage,fuzzing",
            "--mode=all",
            "--max-examples=5",
            "--seed=1",
            "--exclude-path-regex=^/(debug|status/dns)|filter-chains|schemas/filters",
            "--generation-database=none",
            "--request-timeout=10",
            "--max-failures=20",
            "--no-color",
        ],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
