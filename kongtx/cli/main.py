"""The command C{kongtx}: the table of its verbs."""

from __future__ import annotations

from importlib import import_module

import click

from kongtx.cli.options import Group

#: Each is a module of C{kongtx.cli.verbs} with the command as C{command}, imported when it is
#: needed, so that no verb waits for what others import.
VERBS = (
    "check",
    "completion",
    "config",
    "drain",
    "health",
    "hybrid",
    "manhole",
    "migrations",
    "password",
    "plugin",
    "prepare",
    "quickstart",
    "quit",
    "reload",
    "restart",
    "routes",
    "start",
    "stop",
    "vault",
    "version",
)


class Verbs(Group):
    """The group of all verbs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, sorted."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb."""
        if cmd_name not in VERBS:
            return None
        command = import_module(f"kongtx.cli.verbs.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group("kongtx", cls=Verbs)
def main() -> None:
    """An API gateway that speaks Kong's language.

    Each command explains itself: kongtx start --help
    """


if __name__ == "__main__":
    main(prog_name="kongtx")
