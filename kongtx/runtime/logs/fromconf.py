"""Log settings from a configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kongtx.conf import Configuration
from kongtx.conf.properties import PROPERTIES, SECRET_WORDS
from kongtx.runtime.logs.service import LogSettings


def secrets(conf: Configuration) -> Iterator[str]:
    """Values that must not be logged: sensitive properties, and whatever came from a vault.

    The path of a key file is none.
    """
    for name, property_ in PROPERTIES.items():
        if property_.sensitive or name in conf.references:
            yield from _texts(getattr(conf, name))
    for name, value in conf.dynamic.items():
        if name in conf.references or any(word in name for word in SECRET_WORDS):
            yield value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str) and not (value.startswith("/") and os.path.exists(value)):
        yield value


def log_settings(conf: Configuration) -> LogSettings:
    """What a configuration says about logs."""
    return LogSettings(
        prefix=conf.prefix,
        level=conf.log_level,
        log_format=conf.log_format,
        error_log=conf.proxy_error_log,
        admin_error_log=conf.admin_error_log,
        status_error_log=conf.status_error_log,
        access_log_format=conf.access_log_format,
        secrets=tuple(secrets(conf)),
    )
