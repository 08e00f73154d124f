"""Who a worker runs as, and how many files it may open."""

from __future__ import annotations

import grp
import os
import pwd
import resource

from attrs import frozen
from twisted.logger import Logger

from kongtx.runtime.errors import UserError

#: The default, which is no error where there is no such user. Kong: conf_loader.
DEFAULT_USER = "kong kong"

log = Logger()


@frozen
class User:
    """A user and group of this machine."""

    name: str
    uid: int
    gid: int


def find_user(value: str | None, is_root: bool) -> User | None:
    """The user that workers run as.

    @param value: C{nginx_user}: a user, perhaps followed by a group.
    @param is_root: whether this process may become another user; if not, nothing changes, with a
        warning when one was asked for.
    @return: L{None} to stay who this process is.
    @raise UserError: there is no such user or group.
    """
    words = (value or "").split()
    if not words or words in (["nobody"], ["nobody", "nobody"]):
        return None
    if not is_root:
        if value != DEFAULT_USER:
            log.warn("nginx_user has no effect, as kongtx was not started by root")
        return None
    try:
        entry = pwd.getpwnam(words[0])
        gid = grp.getgrnam(words[1]).gr_gid if len(words) > 1 else entry.pw_gid
    except KeyError as error:
        if value == DEFAULT_USER:
            return None
        raise UserError(f"nginx_user names an unknown user or group: {error.args[0]}") from None
    return User(words[0], entry.pw_uid, gid)


def become(user: User) -> None:
    """Give up root's privileges for good.

    @raise UserError: the system refused.
    """
    try:
        os.initgroups(user.name, user.gid)
        os.setgid(user.gid)
        os.setuid(user.uid)
    except OSError as error:
        raise UserError(f"cannot become user {user.name}: {error.strerror}") from error


def forbid_core_dumps() -> None:
    """Leave no private key behind should this process, or one that it starts, crash."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        # The limit is none to programs that the system pipes dumps into: they get no memory.
        with open("/proc/self/coredump_filter", "w", encoding="ascii") as file:
            file.write("0")
    except OSError as error:
        log.warn(
            "core dumps that the system collects may hold private keys: {reason}",
            reason=error.strerror,
        )


def wanted_files(value: str | None, soft: int) -> int:
    """How many files a process should be allowed to open.

    @param value: a number, or C{auto} for the present limit, within 1 024 and 16 384.
    @param soft: the present limit.
    """
    if value is None or value == "auto":
        return min(max(soft, 1024), 16384)
    return int(value)


def limit_files(value: str | None) -> None:
    """Set the limit of open files; as near as allowed, with a warning when that is less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted_files(value, soft)
    if hard not in (resource.RLIM_INFINITY,) and wanted > hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        except (OSError, ValueError):
            log.warn(
                "the limit of open files is {hard}; {wanted} were asked for",
                hard=hard,
                wanted=wanted,
            )
            wanted = hard
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
