"""Tells systemd how a node is doing: units with C{Type=notify} or C{Type=notify-reload}.

Source: sd_notify(3). Without the variable C{NOTIFY_SOCKET} nothing is said.
"""

from __future__ import annotations

import os
import socket
import time

from twisted.logger import Logger

log = Logger()


def notify(*lines: str) -> None:
    """Send a message to the service manager, if there is one.

    @param lines: such as C{READY=1}.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        log.warn("could not tell the service manager: {reason}", reason=error.strerror)


def ready() -> None:
    """Requests are served."""
    notify("READY=1", f"MAINPID={os.getpid()}")


def reloading() -> None:
    """The configuration is read again; L{ready} follows, whatever comes of it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> None:
    """No more connections are taken."""
    notify("STOPPING=1")
