"""Programs written in Go, built at the versions that a folder beside this file pins."""

from __future__ import annotations

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kongtx-tests" / "bin"


def built(folder: str, package: str) -> str:
    """The path of a program, built if need be; without Go or the modules the test is skipped.

    @param folder: has C{go.mod}, and C{go.sum} with the checksums of all modules.
    @param package: what to build, seen from there.
    """
    source = HERE / folder
    texts = [path.read_bytes() for path in sorted(source.iterdir()) if path.is_file()]
    version = sha256(b"\0".join(texts)).hexdigest()[:12]
    name = package.rpartition("/")[2] if "/cmd/" in package else folder
    program = CACHE / f"{name}-{version}"
    if os.access(program, os.X_OK):
        return str(program)
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"{folder} was not tested: there is no go to build it with; install it")
    done = subprocess.run(
        [go, "build", "-o", str(program), package],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    if done.returncode:
        told = done.stderr.strip()
        if "missing go.sum" in told or "checksum mismatch" in told or "syntax error" in told:
            pytest.fail(told)
        pytest.skip(f"{folder} was not tested: go build {package} failed: {told}")
    return str(program)
