"""What a master tells a worker."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.runtime.privileges import User
from kongtx.runtime.processes.launch import Launch, read_launch

launches = st.builds(
    Launch,
    worker_id=st.integers(0, 100),
    worker_count=st.integers(1, 100),
    generation=st.integers(1),
    prefix=st.text(),
    events_path=st.text(),
    node=st.text(),
    reactor=st.text(),
    user=st.none() | st.builds(User, st.text(), st.integers(0), st.integers(0)),
    listeners=st.lists(st.dictionaries(st.text(), st.integers())),
)


@given(launches)
def test_a_description_is_one_line_and_is_read_back(launch):
    line = launch.to_bytes()
    assert line.count(b"\n") == 1
    assert Launch.from_bytes(line) == launch


def test_a_description_may_come_in_pieces_and_be_long():
    launch = Launch(0, 1, 1, "/p", "/p/s", node="x" * 60_000)
    reading, writing = os.pipe()
    line = launch.to_bytes()
    os.write(writing, line[:10])
    os.write(writing, line[10:])
    os.close(writing)
    assert read_launch(reading) == launch
    os.close(reading)


def test_a_master_that_goes_away_is_an_error():
    reading, writing = os.pipe()
    os.write(writing, b"{")
    os.close(writing)
    with pytest.raises(EOFError, match="the master went away"):
        read_launch(reading)
    os.close(reading)
