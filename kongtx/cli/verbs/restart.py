"""C{kongtx restart}. Kong: kong/cmd/restart.lua."""

from __future__ import annotations

import os
import signal
from typing import Any

import click

from kongtx.cli.migrating import migrate_first
from kongtx.cli.options import Command, pass_output
from kongtx.cli.output import Output
from kongtx.cli.process import find_process, wait_until
from kongtx.cli.verbs.start import StartOptions, checked_configuration, run, start_options
from kongtx.conf import effective, load

_STOP_TIMEOUT_S = 5.0


@click.command("restart", cls=Command)
@start_options
@pass_output
def command(output: Output, /, **options: Any) -> None:
    """Stop a node and start it again."""
    chosen = StartOptions(**options)
    if chosen.prefix is not None:
        # Only a node that was started there can be restarted there.
        running = effective.read(os.path.abspath(chosen.prefix))
    else:
        running = load(chosen.conf, strict=False)
    # What cannot start must not stop what runs.
    wanted = checked_configuration(output, chosen)
    process = find_process(running.pid_file)
    if process is not None:
        process.send(signal.SIGTERM)
        wait_until(lambda: find_process(running.pid_file) is None, _STOP_TIMEOUT_S)
    if chosen.run_migrations:
        migrate_first(output, wanted, chosen.lock_timeout)
    run(output, wanted)
