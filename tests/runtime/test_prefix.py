"""The prefix directory."""

import os
import socket
import stat

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from kongtx.conf import effective, from_values
from kongtx.runtime import prefix
from kongtx.runtime.errors import PrefixError
from kongtx.runtime.privileges import User


@pytest.fixture
def conf(tmp_path):
    return from_values(prefix=str(tmp_path / "p"), pg_password="hunter2")


@pytest.fixture
def logged():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield lambda: [formatEvent(event) for event in events]
    globalLogPublisher.removeObserver(events.append)


def mode(*path):
    return stat.S_IMODE(os.stat(os.path.join(*path)).st_mode)


def test_it_makes_the_directories_for_the_owner_alone(conf):
    prefix.prepare(conf)
    assert mode(conf.prefix) == 0o700
    assert {name: mode(conf.prefix, name) for name in sorted(os.listdir(conf.prefix))} == {
        ".kongtx_env": 0o600,
        "acme": 0o700,
        "logs": 0o700,
        "pids": 0o700,
        "sockets": 0o700,
        "ssl": 0o700,
    }


def test_directories_that_were_open_to_all_are_closed_and_the_prefix_is_left(conf):
    os.makedirs(os.path.join(conf.prefix, "logs"), 0o777)
    os.chmod(conf.prefix, 0o755)
    prefix.prepare(conf)
    assert mode(conf.prefix) == 0o755
    assert mode(conf.prefix, "logs") == 0o700


def test_it_writes_the_effective_configuration(conf):
    prefix.prepare(conf)
    assert effective.read(conf.prefix).pg_password == "hunter2"


def test_a_file_in_its_place_is_named(tmp_path):
    (tmp_path / "p").touch()
    with pytest.raises(PrefixError, match=r"/p is not a directory$"):
        prefix.prepare(from_values(prefix=str(tmp_path / "p")))


def test_what_cannot_be_made_is_named():
    with pytest.raises(PrefixError, match="could not prepare the prefix at /proc/nowhere"):
        prefix.prepare(from_values(prefix="/proc/nowhere"))


def test_a_prefix_too_long_for_sockets_is_refused(tmp_path):
    conf = from_values(prefix=str(tmp_path / ("x" * 100)))
    with pytest.raises(PrefixError, match="the prefix is too long"):
        prefix.prepare(conf)


def test_sockets_of_a_killed_node_are_removed_with_a_warning(conf, logged):
    prefix.prepare(conf)
    dangling = os.path.join(conf.socket_path, "events.sock")
    alive = os.path.join(conf.socket_path, "alive.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(dangling)
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(alive)
        living.listen()
        prefix.prepare(conf)
        assert os.listdir(conf.socket_path) == ["alive.sock"]
    told = logged()
    assert any(
        'Found dangling unix sockets in the prefix directory ("events.sock")' in line
        for line in told
    )
    assert f"removing unix socket: {dangling}" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_fresh_prefix_belongs_to_the_workers_user(conf):
    prefix.prepare(conf, User("daemon", 1, 1))
    for name in ("", "logs", "pids", "sockets", "ssl"):
        assert os.stat(os.path.join(conf.prefix, name)).st_uid == 1
    assert os.stat(os.path.join(conf.prefix, ".kongtx_env")).st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_directory_that_holds_other_things_is_not_given_away(conf):
    os.makedirs(conf.prefix)
    with open(os.path.join(conf.prefix, "mine"), "w"):
        pass
    prefix.prepare(conf, User("daemon", 1, 1))
    assert os.stat(conf.prefix).st_uid == 0
    assert os.stat(os.path.join(conf.prefix, "logs")).st_uid == 1
