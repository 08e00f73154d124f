"""Options that several commands have, and the group that treats mistakes as Kong does."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar, cast

import click

from kongtx import __version__
from kongtx.cli.output import Level, Output
from kongtx.cli.versions import versions

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _set_verbosity(context: click.Context, _: click.Parameter, count: int) -> None:
    output = context.ensure_object(Output)
    if count:
        output.level = min(output.level, Level.VERBOSE if count == 1 else Level.DEBUG)


def _set_debug(context: click.Context, parameter: click.Parameter, is_set: bool) -> None:
    _set_verbosity(context, parameter, 2 if is_set else 0)


def _show_help(context: click.Context, _: click.Parameter, is_set: bool) -> None:
    if is_set and not context.resilient_parsing:
        show_usage(context)
        context.exit(1)


def show_usage(context: click.Context) -> None:
    """Print a command's help on stderr, where Kong prints it."""
    click.echo(context.get_help(), err=True, color=context.color)


def common_parameters() -> list[click.Parameter]:
    """C{--v}, C{--vv} and C{--help}, which every command has."""
    return [
        click.Option(
            ["-v", "--v", "verbosity"],
            count=True,
            expose_value=False,
            is_eager=True,
            callback=_set_verbosity,
            help="Say what is being done; -vv for more.",
        ),
        click.Option(
            ["--vv", "is_debug"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set_debug,
            help="Say everything.",
        ),
        click.Option(
            ["-h", "--help", "is_help"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_show_help,
            help="Show this text.",
        ),
    ]


class Formatter(click.HelpFormatter):
    """Help with headings and option names that stand out; plain where there is no terminal."""

    def write_heading(self, heading: str) -> None:
        """Write a heading in bold."""
        super().write_heading(click.style(heading, bold=True))

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the first line."""
        super().write_usage(click.style(prog, bold=True), args, prefix)

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write options or commands with their explanations."""
        coloured = [(click.style(term, fg="cyan"), text) for term, text in rows]
        super().write_dl(coloured, col_max, col_spacing)


class Context(click.Context):
    """A context whose help stands out."""

    formatter_class = Formatter


class Command(click.Command):
    """A command with the options that every command has."""

    context_class = Context

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["add_help_option"] = False
        super().__init__(*args, **kwargs)
        self.params.extend(common_parameters())

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the versions are the first thing that is said."""
        if not isinstance(self, Group):
            _trace_versions(ctx.ensure_object(Output))
        return super().invoke(ctx)


def _trace_versions(output: Output) -> None:
    output.verbose(f"kongtx: {__version__}")
    if output.level <= Level.DEBUG:
        for name, text in versions().items():
            if name != "kongtx":
                output.debug(f"{name}: {text}")


class Group(Command, click.Group):
    """Commands under one name, whose mistakes are answered as Kong answers them.

    Every failure exits with 1 and says C{Error:}; mistakes in the command line are answered with
    the usage, on stderr.
    """

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a subcommand, or say that there is none of that name."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            owner = f" for {self.name}" if ctx.parent is not None else ""
            raise click.UsageError(f"No such command{owner}: {args[0]}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show which commands there are when none is named."""
        if not args and not ctx.resilient_parsing:
            show_usage(ctx)
            ctx.exit(1)
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command line and exit: 0 when all went well, 1 else."""
        output = kwargs.setdefault("obj", Output())
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.UsageError as error:
            click.echo(error.format_message(), err=True)
            if error.ctx is not None:
                click.echo(err=True)
                show_usage(error.ctx)
            code = 1
        except (click.Abort, KeyboardInterrupt):
            click.echo("Aborted!", err=True)
            code = 1
        except Exception as error:
            output.failure(error)
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


def conf_option(function: _Function) -> _Function:
    """C{-c FILE}."""
    return click.option(
        "-c",
        "--conf",
        metavar="FILE",
        type=click.Path(),
        help="Configuration file.",
    )(function)


def prefix_option(function: _Function) -> _Function:
    """C{-p DIR}."""
    return click.option(
        "-p",
        "--prefix",
        metavar="DIR",
        type=click.Path(file_okay=False),
        help="Working directory of the node.",
    )(function)


def nginx_options(function: _Function) -> _Function:
    """Options of Kong that shape nginx's configuration; the command does not see them."""

    @functools.wraps(function)
    def told(
        *args: Any, nginx_conf: str | None, nginx_conf_flags: str | None, **kwargs: Any
    ) -> Any:
        given = {"--nginx-conf": nginx_conf, "--nginx-conf-flags": nginx_conf_flags}
        names = [name for name, value in given.items() if value is not None]
        if names:
            output = click.get_current_context().ensure_object(Output)
            output.warn(f"there is no nginx, so this has no effect: {', '.join(names)}")
        return function(*args, **kwargs)

    for name, metavar in (("--nginx-conf-flags", "FLAGS"), ("--nginx-conf", "FILE")):
        told = click.option(name, metavar=metavar, hidden=True)(told)
    return cast(_Function, told)


pass_output = click.make_pass_decorator(Output, ensure=True)
