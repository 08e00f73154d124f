"""LMDB environments that are opened once a process."""

from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

from kongtx.lib.environments import close_environment, open_environment


def test_a_path_is_opened_once_and_closed_when_its_last_user_has_gone(tmp_path: Path) -> None:
    one = open_environment(tmp_path / "x", subdir=False)
    two = open_environment(tmp_path / "y" / ".." / "x", subdir=False)
    assert one is two
    close_environment(one)
    with two.begin(write=True) as txn:
        txn.put(b"k", b"v")
    close_environment(two)
    with pytest.raises(lmdb.Error):
        two.begin()
    again = open_environment(tmp_path / "x", subdir=False)
    with again.begin() as txn:
        assert txn.get(b"k") == b"v"
    close_environment(again)


def test_other_paths_are_other_environments(tmp_path: Path) -> None:
    one = open_environment(tmp_path / "x", subdir=False)
    two = open_environment(tmp_path / "y", subdir=False)
    assert one is not two
    close_environment(one)
    close_environment(two)
