import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.health.machine import Health, Limits, Status, uses_checks

LIMITS = Limits(
    frozenset((200, 302)), frozenset((500, 503)), successes=2, http_failures=3, tcp_failures=2,
    timeouts=2,
)  # fmt: skip


def _after(*outcomes, limits=LIMITS, start=Status.HEALTHY):
    health = Health(start)
    statuses = []
    for outcome in outcomes:
        health.report(limits, outcome)
        statuses.append(health.status.value)
    return statuses


def test_limits_are_read_from_the_entity():
    limits = Limits.of(
        {
            "type": "http",
            "healthy": {"interval": 1, "http_statuses": [200, 302], "successes": 2},
            "unhealthy": {
                "http_statuses": [500, 503], "http_failures": 3, "tcp_failures": 2, "timeouts": 2,
            },
        }
    )  # fmt: skip

    assert limits == LIMITS
    assert limits.any_failures
    assert not Limits.of({"healthy": {"successes": 5}}).any_failures


@pytest.mark.parametrize(
    ("outcomes", "statuses"),
    [
        ([200, 302], ["healthy"] * 2),
        ([500, 503, 500], ["mostly_healthy", "mostly_healthy", "unhealthy"]),
        (["tcp_failure"] * 2, ["mostly_healthy", "unhealthy"]),
        (["timeout", 504], ["mostly_healthy", "unhealthy"]),
        ([0, 0, 0], ["mostly_healthy", "mostly_healthy", "unhealthy"]),
        ([404] * 5, ["healthy"] * 5),
        # Each kind counts by itself.
        ([500, "tcp_failure", "timeout", 500], ["mostly_healthy"] * 4),
        # Successes start failures anew, but only enough of them make it wholly healthy.
        ([500, 500, 200, 500, 500], ["mostly_healthy"] * 5),
        ([500, 200, 200], ["mostly_healthy", "mostly_healthy", "healthy"]),
    ],
)
def test_from_healthy(outcomes, statuses):
    assert _after(*outcomes) == statuses


@pytest.mark.parametrize(
    ("outcomes", "statuses"),
    [
        ([200, 200], ["mostly_unhealthy", "healthy"]),
        (["success", "success"], ["mostly_unhealthy", "healthy"]),
        ([200, 500, 200], ["mostly_unhealthy"] * 3),
        ([500, "tcp_failure"], ["unhealthy"] * 2),
        ([200] + [500] * 3, ["mostly_unhealthy"] * 3 + ["unhealthy"]),
    ],
)
def test_from_unhealthy(outcomes, statuses):
    assert _after(*outcomes, start=Status.UNHEALTHY) == statuses


def test_a_limit_of_zero_ignores_the_kind():
    limits = Limits(frozenset((200,)), frozenset((500,)), tcp_failures=1)

    assert _after(500, "timeout", 504, limits=limits) == ["healthy"] * 3
    assert _after(200, 200, limits=limits, start=Status.UNHEALTHY) == ["unhealthy"] * 2


def test_without_counted_successes_failures_add_up_over_them():
    limits = Limits(frozenset((200,)), frozenset((500,)), http_failures=2)

    assert _after(500, 200, 200, 500, limits=limits)[-1] == "unhealthy"


def test_a_504_among_the_unhealthy_statuses_is_an_http_failure():
    limits = Limits(unhealthy_statuses=frozenset((504,)), http_failures=1)

    assert _after(504, limits=limits) == ["unhealthy"]


def test_a_report_tells_whether_it_counted():
    health = Health()

    assert [health.report(LIMITS, outcome) for outcome in (200, 404, 500)] == [False, False, True]


def test_forcing_starts_the_counters_anew():
    health = Health()
    health.report(LIMITS, 500)
    health.report(LIMITS, 500)
    health.force(Status.HEALTHY)
    health.report(LIMITS, 500)

    assert health.status is Status.MOSTLY_HEALTHY


@given(st.lists(st.sampled_from([200, 500, 404, "tcp_failure", "timeout", "success", 504, 0])))
def test_the_status_never_passes_after_enough_failures_in_a_row(outcomes):
    health = Health()
    streak = 0
    for outcome in outcomes:
        health.report(LIMITS, outcome)
        streak = streak + 1 if outcome == "tcp_failure" else 0
        if streak >= 2:
            assert health.status is Status.UNHEALTHY


@given(st.lists(st.sampled_from([200, 500, "tcp_failure", "timeout"])), st.integers(0, 20))
def test_another_worker_can_go_on_from_a_dump(outcomes, cut):
    one, other = Health(), Health()
    for outcome in outcomes[:cut]:
        one.report(LIMITS, outcome)
    other.load(one.dump())
    for outcome in outcomes[cut:]:
        one.report(LIMITS, outcome)
        other.report(LIMITS, outcome)

    assert one.dump() == other.dump()


@pytest.mark.parametrize(
    ("checks", "used"),
    [
        ({}, False),
        ({"active": {"healthy": {"interval": 1}}}, True),
        ({"active": {"unhealthy": {"interval": 0.1}}}, True),
        ({"passive": {"unhealthy": {"timeouts": 1}}}, True),
        ({"passive": {"healthy": {"successes": 1}}}, False),
    ],
)
def test_what_switches_checks_on(checks, used):
    assert uses_checks(checks) is used
