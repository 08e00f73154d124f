"""An nginx, and a gateway of one worker before it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runtime.running import RunningNode


@contextmanager
def nginx_running(folder: Path, configuration: str) -> Iterator[None]:
    """Start it, and end it.

    @param folder: for what it writes.
    """
    (folder / "nginx.conf").write_text(configuration)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    upstream = subprocess.Popen([program, "-c", str(folder / "nginx.conf")])
    try:
        yield
    finally:
        upstream.terminate()
        upstream.wait()


@contextmanager
def before_nginx(folder: Path, nginx: str, declared: str) -> Iterator[RunningNode]:
    """Start both, and end them.

    @param folder: for what they write.
    @param nginx: nginx's configuration.
    @param declared: the gateway's, as YAML.
    """
    declarative = folder / "kong.yml"
    declarative.write_text(declared)
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
    with nginx_running(folder, nginx):
        try:
            yield node.start()
        finally:
            node.close()
