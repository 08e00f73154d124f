"""C{kongtx quickstart}: a gateway before something real, in one command."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from kongtx.cli.errors import CommandError
from kongtx.cli.nodes import configuration
from kongtx.cli.options import Command, conf_option, pass_output, prefix_option
from kongtx.cli.output import Output, show_log
from kongtx.conf import Configuration

_NEXT = """
The gateway proxies a demonstration service. Try, in another terminal:

  curl {proxy}/echo/hello?name=world
  curl -i {proxy}/private
  curl -i -H 'apikey: open-sesame' {proxy}/private
  curl {admin}/services
  curl {admin}/routes -d 'paths[]=/mine' -d service.name=demo-echo
  curl {proxy}/mine

Ctrl-C stops it. What you configure is kept in {prefix}.
"""


@click.command("quickstart", cls=Command)
@conf_option
@prefix_option
@pass_output
def command(output: Output, conf: str | None, prefix: str | None) -> None:
    """Run a gateway in the foreground, before a small service that it starts itself.

    Everything listens on loopback. The configuration is kept in the prefix directory.
    """
    with tempfile.TemporaryDirectory(prefix="kongtx-quickstart-") as folder:
        if conf is None:
            conf = _copy("quickstart.conf", Path(folder))
        resolved = configuration(output, conf, prefix, strict=True)
        demonstration = _start_demonstration(Path(__file__).parents[1])
        try:
            url = _url_of(demonstration)
            _import(_rendered(url, Path(folder)), conf, resolved.prefix)
            _run(output, resolved)
        finally:
            _end(demonstration)


def _copy(name: str, folder: Path) -> str:
    path = folder / name
    path.write_text(files("kongtx.cli").joinpath(name).read_text(encoding="utf-8"))
    return str(path)


def _rendered(url: str, folder: Path) -> str:
    text = files("kongtx.cli").joinpath("quickstart.yml").read_text(encoding="utf-8")
    path = folder / "quickstart.yml"
    path.write_text(Template(text).substitute(url=url), encoding="utf-8")
    return str(path)


def _start_demonstration(served: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kongtx.cli.demo_upstream", str(served)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for the gateway; this ends when its input closes.
        start_new_session=True,
    )


def _url_of(demonstration: subprocess.Popen[str]) -> str:
    assert demonstration.stdout is not None
    line = demonstration.stdout.readline()
    _, found, address = line.partition("listening on ")
    if not found:
        raise CommandError("the demonstration service did not start")
    return f"http://{address.strip()}"


def _import(file: str, conf: str, prefix: str) -> None:
    """Put the entities into the database; their ids are always the same, so again is no harm."""
    imported = subprocess.run(
        [
            sys.executable,
            "-m",
            "kongtx.cli.main",
            "config",
            "db_import",
            file,
            "-c",
            conf,
            "-p",
            prefix,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if imported.returncode:
        raise CommandError(f"cannot import the quick start's entities: {imported.stderr.strip()}")


def _run(output: Output, conf: Configuration) -> None:
    from kongtx.runtime.processes import master  # noqa: PLC0415 - slow to import

    output.info(
        _NEXT.format(
            proxy=_address(conf, "proxy"), admin=_address(conf, "admin"), prefix=conf.prefix
        )
    )
    with show_log(output):
        master.run(conf, foreground=True)


def _address(conf: Configuration, kind: str) -> str:
    for listen in getattr(conf, f"{kind}_listeners"):
        if not listen.ssl:
            return f"http://{listen.ip}:{listen.port}"
    raise CommandError(f"{kind}_listen has no address without ssl; the quick start needs one")


def _end(demonstration: subprocess.Popen[str]) -> None:
    assert demonstration.stdin is not None
    demonstration.stdin.close()
    try:
        demonstration.wait(timeout=5)
    except subprocess.TimeoutExpired:
        demonstration.kill()
