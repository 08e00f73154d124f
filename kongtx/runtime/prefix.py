"""The prefix directory: where a node keeps its process id, logs, sockets and keys."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from glob import escape, glob

from twisted.logger import Logger

from kongtx.conf import Configuration, effective
from kongtx.runtime.certificates import make_default_certificates
from kongtx.runtime.errors import PrefixError
from kongtx.runtime.privileges import User
from kongtx.tls.tickets import make_secret

#: What is made below the prefix. Kong: kong/cmd/utils/prefix_handler.lua.
DIRECTORIES = ("pids", "logs", "ssl", "sockets", "acme")
#: The longest path of a UNIX socket, in bytes (unix(7)).
MAX_SOCKET_PATH = 107

log = Logger()


def events_socket(conf: Configuration) -> str:
    """The path of the event bus's socket."""
    return os.path.join(conf.socket_path, "events.sock")


def shared_memory(conf: Configuration, master: int) -> str:
    """The path of the memory that a node's workers share while their master lives.

    @param master: its process id.
    """
    return conf.prefixed(f"shared-{master}.mdb")


def shared_position(conf: Configuration, master: int) -> str:
    """The path of what a node's workers share of a replicated database's state."""
    return conf.prefixed(f"shared-{master}.position")


def remove_shared_memory(conf: Configuration, but: int | None = None) -> None:
    """Remove what masters that are gone have left of it.

    @param but: the process id of the master whose memory stays.
    """
    kept = None if but is None else os.path.join(conf.prefix, f"shared-{but}.")
    for path in glob(os.path.join(escape(conf.prefix), "shared-*")):
        if kept is None or not path.startswith(kept):
            with contextlib.suppress(OSError):
                os.unlink(path)


def manhole_socket(conf: Configuration, worker_id: int, pid: int) -> str:
    """The path of the socket of a worker's Python prompt."""
    return os.path.join(conf.socket_path, f"manhole-{worker_id}.{pid}.sock")


def make_directories(conf: Configuration, user: User | None) -> None:
    """Make the prefix and what is below it, for the owner alone.

    @param user: whom the workers run as: then the directories are theirs, as is a prefix that
        holds nothing else yet.
    @raise PrefixError: it cannot be made, or is no directory.
    """
    prefix = conf.prefix
    if os.path.exists(prefix) and not os.path.isdir(prefix):
        raise PrefixError(f"{prefix} is not a directory")
    try:
        if not os.path.isdir(prefix):
            log.info("prefix directory {prefix} not found, trying to create it", prefix=prefix)
            os.makedirs(prefix, 0o700)
        is_ours = set(os.listdir(prefix)) <= {*DIRECTORIES, effective.NAME}
        if user is not None and is_ours:
            os.chown(prefix, user.uid, user.gid)
        for name in DIRECTORIES:
            path = os.path.join(prefix, name)
            os.makedirs(path, 0o700, exist_ok=True)
            os.chmod(path, 0o700)
            if user is not None:
                os.chown(path, user.uid, user.gid)
    except OSError as error:
        raise PrefixError(
            f"could not prepare the prefix at {prefix}: {error.filename}: {error.strerror}"
        ) from error


def check_socket_paths(conf: Configuration) -> None:
    """Refuse a prefix under which the system cannot make sockets.

    @raise PrefixError: it is too long.
    """
    longest = manhole_socket(conf, 999, 9_999_999)
    path = longest if conf.manhole == "unix" else events_socket(conf)
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise PrefixError(
            f"the prefix is too long: {path} has {len(os.fsencode(path))} bytes, and the path of a "
            f"UNIX socket may have {MAX_SOCKET_PATH}"
        )


def dangling_sockets(directory: str) -> list[str]:
    """Paths of the sockets in a directory on which nobody listens."""
    paths = sorted(os.path.join(directory, name) for name in os.listdir(directory))
    return [
        path
        for path in paths
        if stat.S_ISSOCK(os.lstat(path).st_mode) and not _is_listened_on(path)
    ]


def _is_listened_on(path: str) -> bool:
    """Whether a UNIX socket accepts connections."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


def remove_dangling_sockets(directory: str) -> None:
    """Remove sockets that a killed node left behind, with a warning. Kong: the same messages."""
    dangling = dangling_sockets(directory)
    if not dangling:
        return
    log.warn(
        "Found dangling unix sockets in the prefix directory ({names}) while preparing to start "
        "kongtx. This may be a sign that it was not shut down cleanly before.",
        names=", ".join(f'"{os.path.basename(path)}"' for path in dangling),
    )
    for path in dangling:
        log.warn("removing unix socket: {path}", path=path)
        os.unlink(path)


def prepare(conf: Configuration, user: User | None = None) -> None:
    """Make the prefix directory ready for a start: with the effective configuration, and what TLS
    needs at first.

    @param user: whom the workers run as.
    @raise PrefixError: it cannot be used.
    """
    make_directories(conf, user)
    check_socket_paths(conf)
    remove_dangling_sockets(conf.socket_path)
    try:
        effective.write(conf)
        make_default_certificates(conf, user)
        secret = make_secret(conf.prefixed("ssl"))
        if user is not None:
            os.chown(secret, user.uid, user.gid)
    except OSError as error:
        raise PrefixError(
            f"could not prepare the prefix at {conf.prefix}: {error.filename}: {error.strerror}"
        ) from error
