"""C{kongtx drain}. Kong: kong/cmd/drain.lua."""

from __future__ import annotations

import http.client
import json
import ssl

import click

from kongtx.cli.nodes import effective_configuration
from kongtx.cli.options import Command, conf_option, pass_output, prefix_option
from kongtx.cli.output import Output
from kongtx.conf import Listen

_TIMEOUT_S = 1.0


@click.command("drain", cls=Command)
@conf_option
@prefix_option
@pass_output
def command(output: Output, conf: str | None, prefix: str | None) -> None:
    """Make /status/ready answer 503, so that load balancers send no more clients.

    Failures are told, and exit with 0 as in Kong.
    """
    listeners = effective_configuration(output, conf, prefix).status_listeners
    if not listeners:
        click.echo("No status listeners found in configuration.")
        return
    url = f"{'https' if listeners[0].ssl else 'http'}://{listeners[0].address}/status/ready"
    try:
        status = _post(listeners[0])
    except (OSError, http.client.HTTPException) as error:
        click.echo(f"Failed to send request to {url}: {error}")
        return
    if status != 204:
        click.echo(f"Unexpected response status from {url}: {status}")
        return
    click.echo("kongtx's status successfully changed to 'draining'")


def _post(listener: Listen) -> int:
    """Ask for draining. @return: the status of the answer."""
    connection: http.client.HTTPConnection
    if listener.ssl:
        # The node is asked by its address, which its certificate need not name.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(
            listener.ip, listener.port, timeout=_TIMEOUT_S, context=context
        )
    else:
        connection = http.client.HTTPConnection(listener.ip, listener.port, timeout=_TIMEOUT_S)
    try:
        connection.request(
            "POST",
            "/status/ready",
            json.dumps({"status": "draining"}),
            {"Content-Type": "application/json"},
        )
        return connection.getresponse().status
    finally:
        connection.close()
