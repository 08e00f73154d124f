"""file-log: entries as lines of JSON in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kongtx.pdk.kong import Kong
from kongtx.plugins.file_log.schema import subschema
from kongtx.plugins.logging import LogPlugin, to_json


class FileLog(LogPlugin):
    """Appends entries to files, which stay open unless C{reopen} is set."""

    name = "file-log"
    priority = 9
    subschema = subschema()

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def send(self, entry: Mapping[str, Any], config: Mapping[str, Any], kong: Kong) -> None:
        """Write a line; one C{write} a line keeps those of several workers whole."""
        path = config["path"]
        descriptor = self._open.pop(path, None)
        if descriptor is not None and config["reopen"]:
            os.close(descriptor)
            descriptor = None
        try:
            if descriptor is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                descriptor = os.open(path, flags, 0o644)
            os.write(descriptor, to_json(entry) + b"\n")
        except OSError as error:
            kong.log.err("failed to write to {path}: {error}", path=path, error=error.strerror)
        if descriptor is not None:
            self._open[path] = descriptor
