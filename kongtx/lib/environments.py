"""LMDB environments, each opened once a process.

LMDB forbids a process to open a file twice, but two parts of one may need it: a node that is being
replaced in the process of its successor, for one.
"""

from __future__ import annotations

import os
from typing import Any

import lmdb

_opened: dict[str, tuple[lmdb.Environment, int]] = {}


def open_environment(path: str | os.PathLike[str], **settings: Any) -> lmdb.Environment:
    """An environment, new or the one that this process has of the path.

    @param settings: as for L{lmdb.open}; they count only for the first.
    @return: an environment to be given back with L{close_environment}.
    """
    key = os.path.abspath(os.fspath(path))
    environment, users = _opened.get(key, (None, 0))
    if environment is None:
        environment = lmdb.open(key, **settings)
    _opened[key] = (environment, users + 1)
    return environment


def close_environment(environment: lmdb.Environment) -> None:
    """Give an environment back; it is closed when nobody has it any more."""
    key = os.path.abspath(environment.path())
    _, users = _opened[key]
    if users > 1:
        _opened[key] = (environment, users - 1)
    else:
        del _opened[key]
        environment.close()
