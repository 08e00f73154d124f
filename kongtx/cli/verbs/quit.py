"""C{kongtx quit}. Kong: kong/cmd/quit.lua."""

from __future__ import annotations

import signal

import click

from kongtx.cli.nodes import process_of, running_configuration
from kongtx.cli.options import Command, pass_output, prefix_option
from kongtx.cli.output import Output
from kongtx.cli.process import find_process, wait_until
from kongtx.conf import Configuration


@click.command("quit", cls=Command)
@prefix_option
@click.option(
    "-t",
    "--timeout",
    type=float,
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="Time for requests to end before the node is stopped at once; at least 1.",
)
@click.option(
    "-w",
    "--wait",
    type=float,
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="Time to wait before anything is done, for load balancers to notice.",
)
@pass_output
def command(output: Output, prefix: str | None, timeout: float, wait: float) -> None:
    """Stop a node when its requests have ended (SIGQUIT)."""
    running = running_configuration(prefix)
    if wait > 0:
        output.verbose(f"waiting {wait:g} seconds before quitting")
        if wait_until(lambda: not _runs(running), wait):
            output.error("kongtx stopped while waiting (unexpected)")
            return
    process_of(running.prefix).send(signal.SIGQUIT)
    output.verbose("waiting for kongtx to finish processing requests")
    if wait_until(lambda: not _runs(running), max(timeout, 1)):
        output.info("kongtx stopped (gracefully)")
        return
    output.verbose(f"kongtx is still running at {running.prefix}, forcing shutdown")
    process = find_process(running.pid_file)
    if process is not None:
        process.send(signal.SIGTERM)
    output.info("Timeout, kongtx stopped forcefully")


def _runs(running: Configuration) -> bool:
    return find_process(running.pid_file) is not None
