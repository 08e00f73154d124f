"""The effective configuration of a node, kept in its prefix directory for later commands.

Kong: C{<prefix>/.kong_env}. The file holds what is in force, so the environment is not applied
when it is read; vault references stay references, so no secret from a vault is written.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from kongtx.conf.configuration import Configuration
from kongtx.conf.errors import ConfigurationError, NoFileError, Problem
from kongtx.conf.loader import Value, from_entries
from kongtx.conf.properties import COPIES, PROPERTIES
from kongtx.conf.syntax import file

NAME = ".kongtx_env"

_HEADER = """\
# The configuration that this kongtx node runs with. kongtx writes this file when it starts or
# reloads and reads it for its other commands; changes here are lost.

"""
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped[1]: plain for plain, escaped in _ESCAPES.items()}


def text(configuration: Configuration) -> str:
    """The file for a configuration: a line for each property that has a value."""
    lines = (f"{name} = {_escape(value)}".rstrip() for name, value in _settings(configuration))
    return _HEADER + "".join(f"{line}\n" for line in lines)


def _settings(configuration: Configuration) -> Iterator[tuple[str, str]]:
    for name, property_ in PROPERTIES.items():
        value = configuration.references.get(name, getattr(configuration, name))
        if value is None or value == ():
            if property_.default is not None or name in COPIES:
                yield name, ""  # no value is what is in force
        elif isinstance(value, bool):
            yield name, "on" if value else "off"
        else:
            yield name, ", ".join(value) if isinstance(value, tuple) else str(value)
    for name, dynamic in configuration.dynamic.items():
        reference = configuration.references.get(name)
        yield name, reference if isinstance(reference, str) else dynamic


def _escape(value: str) -> str:
    return file.escape("".join(_ESCAPES.get(character, character) for character in value))


def _unescape(value: str) -> str:
    return _ESCAPED.sub(lambda match: _UNESCAPES.get(match[1], match[0]), value)


def write(configuration: Configuration) -> None:
    """Write the file of a configuration in its prefix directory, which must be there.

    Only the owner can read it, and readers see the old file or the new one. When root replaces a
    file it keeps its owner, as a single process that gave up root's privileges must read it.

    @raise OSError: when it cannot be written.
    """
    path = configuration.environment_file
    descriptor, temporary = tempfile.mkstemp(prefix=f"{NAME}.", dir=configuration.prefix)
    try:
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text(configuration))
            if os.geteuid() == 0 and os.path.exists(path):
                before = os.stat(path)
                os.fchown(stream.fileno(), before.st_uid, before.st_gid)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def read(
    prefix: str,
    *,
    changes: str | None = None,
    overrides: Mapping[str, Value] = MappingProxyType({}),
    environment: Mapping[str, str] | None = None,
    strict: bool = False,
) -> Configuration:
    """The configuration of the node in a prefix directory.

    @param changes: a configuration file whose settings replace the node's, for a reload.
    @param environment: where references to the C{env} vault are looked up; C{None} for that of
        the process. Its properties are not applied.
    @param strict: whether a reference that cannot be resolved is an error.
    @raise NoFileError: when no node was started there.
    @raise ConfigurationError: when the file cannot be read, or the changes are wrong.
    """
    path = os.path.join(prefix, NAME)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            entries, problems = file.parse(stream.read(), path, has_pem=False)
    except (FileNotFoundError, NotADirectoryError):
        raise NoFileError(path) from None
    except OSError as error:
        message = f"could not read {path}: {error.strerror}"
        raise ConfigurationError([Problem(message)]) from error
    if problems:
        raise ConfigurationError(problems)
    return from_entries(
        [file.Entry(entry.name, _unescape(entry.value), entry.line) for entry in entries],
        path,
        changes=changes,
        overrides=overrides,
        environment=os.environ if environment is None else environment,
        strict=strict,
    )
