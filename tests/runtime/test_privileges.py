"""Who a worker runs as."""

import json
import os
import resource
import subprocess
import sys

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from kongtx.runtime.errors import UserError
from kongtx.runtime.privileges import User, find_user, wanted_files


@pytest.mark.parametrize("value", [None, "", "nobody", "nobody nobody"])
def test_nobody_and_nothing_change_nothing(value):
    assert find_user(value, is_root=True) is None


def test_a_user_comes_with_its_own_group_or_the_one_named():
    assert find_user("daemon", is_root=True) == User("daemon", 1, 1)
    assert find_user("daemon root", is_root=True) == User("daemon", 1, 0)


def test_the_default_user_need_not_be_there():
    assert find_user("kong kong", is_root=True) is None


@pytest.mark.parametrize("value", ["no-such-user", "daemon no-such-group"])
def test_an_unknown_user_or_group_is_an_error(value):
    with pytest.raises(UserError, match=r"unknown user or group.*no-such"):
        find_user(value, is_root=True)


def test_whoever_is_not_root_is_warned_only_when_a_user_was_asked_for():
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        assert find_user("kong kong", is_root=False) is None
        assert events == []
        assert find_user("daemon", is_root=False) is None
        assert "nginx_user has no effect" in formatEvent(events[-1])
    finally:
        globalLogPublisher.removeObserver(events.append)


@pytest.mark.parametrize(
    ("value", "soft", "wanted"),
    [
        ("auto", 256, 1024),
        ("auto", 4096, 4096),
        ("auto", 100_000, 16384),
        (None, 2000, 2000),
        ("5000", 256, 5000),
    ],
)
def test_the_limit_of_open_files(value, soft, wanted):
    assert wanted_files(value, soft) == wanted


def in_a_process(code):
    """What the last line of code prints, as JSON, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_limit_is_set_as_near_as_allowed():
    soft, hard = in_a_process(
        "import json, resource as r\n"
        "from kongtx.runtime.privileges import limit_files\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (256, 2048))\n"
        "limit_files('auto')\n"
        "print(json.dumps(r.getrlimit(r.RLIMIT_NOFILE)))\n"
    )
    assert (soft, hard) == (1024, 2048)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) != (1024, 2048)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_privileges_are_given_up_for_good():
    result = in_a_process(
        "import json, os\n"
        "from kongtx.runtime.privileges import become, User\n"
        "become(User('daemon', 1, 1))\n"
        "try:\n    os.setuid(0); back = True\n"
        "except OSError:\n    back = False\n"
        "print(json.dumps([os.getresuid(), os.getresgid(), 0 in os.getgroups(), back]))\n"
    )
    assert result == [[1, 1, 1], [1, 1, 1], False, False]
