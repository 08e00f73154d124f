"""What the runs of a job took."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.runtime.timerstats import RunStats, flamegraph


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_figures_are_those_of_all_times(times):
    stats = RunStats()
    for took in times:
        stats.finished(took)
    elapsed = stats.report()["elapsed_time"]
    assert elapsed["max"] == max(times)
    assert elapsed["min"] == min(times)
    assert elapsed["avg"] == pytest.approx(statistics.fmean(times), abs=1e-6)
    assert elapsed["variance"] == pytest.approx(statistics.pvariance(times), rel=1e-6, abs=1e-3)
    assert stats.total == pytest.approx(sum(times), abs=1e-3)


def test_flame_graphs_hold_what_there_is():
    going_on, ended = RunStats(), RunStats()
    going_on.runs = 1
    going_on.skipped = 3
    ended.runs = 1
    ended.finished(0.25)
    assert flamegraph({"a": going_on, "b": ended}) == {
        "running": "timers;a 1\n",
        "pending": "timers;a 3\n",
        "elapsed_time": "timers;b 250\n",
    }
