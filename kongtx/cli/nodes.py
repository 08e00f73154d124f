"""Finding the configuration that a command works with, and the node that it acts on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

from kongtx.cli.errors import CommandError
from kongtx.cli.output import Level, Output
from kongtx.cli.process import Process, find_process
from kongtx.conf import Configuration, ConfigurationError, NoFileError, effective, load
from kongtx.conf.configuration import PID_FILE
from kongtx.conf.draft import MASK
from kongtx.conf.loader import SEARCH_PATHS, Value, is_known
from kongtx.conf.properties import PROPERTIES, is_secret
from kongtx.conf.view import public_view


def configuration(
    output: Output,
    conf: str | None,
    prefix: str | None,
    *,
    strict: bool = False,
    overrides: Mapping[str, Value] = MappingProxyType({}),
) -> Configuration:
    """The configuration of a command line, with its warnings told.

    @param conf: the file, or C{None} to look for one.
    @param prefix: overrides the prefix when given.
    @param strict: whether a reference that cannot be resolved is an error.
    @param overrides: more values that win over everything.
    @raise ConfigurationError: with all that is wrong.
    """
    if conf is None:
        for path in SEARCH_PATHS:
            if os.path.exists(path):
                break
            output.verbose(f"no config file found at {path}")
    _trace_environment(output, os.environ)
    try:
        loaded = load(conf, overrides={**_prefixed(prefix), **overrides}, strict=strict)
    except ConfigurationError as error:
        for warning in error.warnings:
            output.warn(warning)
        raise
    output.verbose(
        f"reading config file at {loaded.path}" if loaded.path else "no config file, skip loading"
    )
    for warning in loaded.warnings:
        output.warn(warning)
    output.verbose(f"prefix in use: {loaded.prefix}")
    _trace_settings(output, loaded)
    return loaded


def database_timeout(seconds: float | None) -> dict[str, Value]:
    """The properties for the time that an exchange with a database may take, if one is given."""
    if seconds is None:
        return {}
    return dict.fromkeys(("pg_timeout", "cassandra_timeout"), round(seconds * 1000))


def _trace_environment(output: Output, environment: Mapping[str, str]) -> None:
    for variable, value in sorted(environment.items()):
        for start in ("KONG_", "KONGTX_"):
            name = variable.removeprefix(start).lower()
            if variable.startswith(start) and is_known(name):
                shown = MASK if is_secret(name) else value
                output.debug(f'{variable} ENV found with "{shown}"')


def _trace_settings(output: Output, loaded: Configuration) -> None:
    if output.level > Level.DEBUG:
        return
    view = public_view(loaded)
    for name in sorted(view):
        if name in PROPERTIES or name in loaded.dynamic:
            value = view[name]
            output.debug(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}")


def _prefixed(prefix: str | None) -> dict[str, Value]:
    return {"prefix": prefix} if prefix else {}


def existing_prefix(prefix: str | None, conf: str | None = None) -> str:
    """The prefix directory of a running node, as an absolute path.

    @param prefix: as given; C{None} takes that of the configuration.
    @param conf: the configuration file, when one is named.
    @raise CommandError: when there is no such directory.
    """
    if prefix and conf is None:
        # Whatever is wrong with the environment, a node can be stopped.
        path = os.path.abspath(prefix)
    else:
        path = load(conf, overrides=_prefixed(prefix), strict=False).prefix
    if not os.path.exists(path):
        raise CommandError(f"no such prefix: {path}")
    return path


def running_configuration(prefix: str | None) -> Configuration:
    """What the node in a prefix directory runs with.

    @raise CommandError: when there is no such directory.
    @raise NoFileError: when no node was started there.
    """
    return effective.read(existing_prefix(prefix))


def effective_configuration(output: Output, conf: str | None, prefix: str | None) -> Configuration:
    """What the node runs with when there is one, else what it would run with."""
    loaded = configuration(output, conf, prefix)
    try:
        return effective.read(loaded.prefix)
    except NoFileError:
        return loaded


def process_of(prefix: str) -> Process:
    """The master process of the node in a prefix directory.

    @raise CommandError: when none runs.
    """
    process = find_process(os.path.join(prefix, PID_FILE))
    if process is None:
        raise CommandError(f"kongtx not running in prefix: {prefix}")
    return process
