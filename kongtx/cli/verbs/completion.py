"""C{kongtx completion}: completion of command lines in shells."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from kongtx.cli.options import Command

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that makes SHELL complete kongtx's commands and options.

    \b
    bash:  eval "$(kongtx completion bash)"      in ~/.bashrc
    zsh:   eval "$(kongtx completion zsh)"       in ~/.zshrc
    fish:  kongtx completion fish | source       in ~/.config/fish/config.fish
    """
    completion = get_completion_class(shell)
    assert completion is not None, shell
    root = context.find_root()
    click.echo(completion(root.command, {}, "kongtx", "_KONGTX_COMPLETE").source())
