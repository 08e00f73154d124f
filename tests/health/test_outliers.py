from kongtx.balancer.tags import OutlierRules
from kongtx.health.outliers import Tally, judge

ERRORS = OutlierRules(errors=50, requests=10)
SLOW = OutlierRules(latency=3, requests=10, most=100)


def _tallies(**given):
    return {name: Tally(*values) for name, values in given.items()}


def test_attempts_are_tallied():
    tally = Tally()
    for outcome in (200, 404, 500, "timeout", "tcp_failure"):
        tally.add(outcome, 0.5)

    assert tally == Tally(5, 3, 2.5)


def test_too_many_errors_eject():
    tallies = _tallies(a=(10, 5, 1), b=(10, 4, 1), c=(9, 9, 1), d=(10, 0, 1))

    assert judge(tallies, ERRORS, 4, 0) == ["a"]


def test_no_more_are_out_than_allowed_and_the_worst_go_first():
    tallies = _tallies(a=(10, 6, 1), b=(10, 10, 1), c=(10, 8, 1), d=(10, 0, 1))

    assert judge(tallies, ERRORS, 4, 0) == ["b", "c"]
    assert judge(tallies, ERRORS, 4, 1) == ["b"]
    assert judge(tallies, ERRORS, 4, 2) == []


def test_one_that_is_much_slower_than_the_median_is_ejected():
    tallies = _tallies(a=(10, 0, 1), b=(10, 0, 1.2), c=(10, 0, 3.7), d=(10, 0, 3.2))

    assert judge(_tallies(a=(10, 0, 1), b=(10, 0, 1), c=(10, 0, 3.1)), SLOW, 3, 0) == ["c"]
    assert judge(tallies, SLOW, 4, 0) == []


def test_all_slow_or_alone_is_not_an_outlier():
    assert judge(_tallies(a=(10, 0, 90)), SLOW, 1, 0) == []
    assert judge(_tallies(a=(10, 0, 90), b=(10, 0, 90)), SLOW, 2, 0) == []


def test_nothing_is_judged_without_rules():
    assert judge(_tallies(a=(10, 10, 90), b=(10, 0, 1)), OutlierRules(), 2, 0) == []
