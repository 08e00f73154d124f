"""The driver's log lines, which it gives to the standard library, in kongtx's log."""

from __future__ import annotations

import logging

from twisted.logger import Logger, LogLevel

log = Logger(namespace="kongtx.db.cassandra.driver")


class _Forwarder(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # The driver calls a host that is down a warning or an error; for the gateway it is news
        # until a request fails, which is then told by whoever made it.
        level = LogLevel.info if record.levelno >= logging.WARNING else LogLevel.debug
        log.emit(level, "{message}", message=record.getMessage())


def install() -> None:
    """Take over the driver's log lines; may be called twice."""
    logger = logging.getLogger("cassandra")
    if not any(isinstance(each, _Forwarder) for each in logger.handlers):
        logger.addHandler(_Forwarder())
        logger.setLevel(logging.INFO)
        logger.propagate = False
