"""A gateway of one worker before an nginx."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runtime.running import RunningNode


@contextmanager
def before_nginx(folder: Path, nginx: str, declared: str) -> Iterator[RunningNode]:
    """Start both, and end them.

    @param folder: for what they write.
    @param nginx: nginx's configuration.
    @param declared: the gateway's, as YAML.
    """
    (folder / "nginx.conf").write_text(nginx)
    declarative = folder / "kong.yml"
    declarative.write_text(declared)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    upstream = subprocess.Popen([program, "-c", str(folder / "nginx.conf")])
    node = RunningNode(
        node="kongtx.runtime.node.composition.build_node",
        prefix=str(folder),
        nginx_worker_processes="1",
        database="off",
        declarative_config=str(declarative),
        admin_listen="off",
        status_listen="off",
        proxy_access_log="off",
    )
    try:
        yield node.start()
    finally:
        node.close()
        upstream.terminate()
        upstream.wait()
