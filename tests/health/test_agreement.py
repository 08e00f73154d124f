"""Workers that see different things at the same time must come to the same statuses."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from tests.balancer.support import target_of

from .support import Hub, Worker, checks_of

CHECKS = checks_of(
    passive={"unhealthy_tcp_failures": 2, "unhealthy_http_failures": 3, "healthy_successes": 2}
)
REPORT = st.tuples(
    st.just("report"), st.integers(0, 2), st.sampled_from([200, 200, 500, "tcp_failure"])
)
SET = st.tuples(st.just("set"), st.integers(0, 2), st.booleans())
TIME = st.tuples(st.just("time"), st.sampled_from([0, 0.01, 0.03]), st.none())


@settings(max_examples=200)
@given(st.lists(st.one_of(REPORT, REPORT, REPORT, SET, TIME), max_size=40))
def test_all_workers_agree_once_all_is_delivered(steps):
    clock = Clock()
    hub = Hub(clock)
    workers = []
    for number in range(3):
        workers.append(Worker(hub, clock, prober=number == 0))
        workers[-1].configure("10.0.0.1:1", healthchecks=CHECKS)
    clock.advance(0)
    for kind, which, what in steps:
        if kind == "time":
            clock.advance(which)
        elif kind == "set":
            workers[which].health.set_health("id-up", target_of("10.0.0.1:1"), None, what)
        else:
            workers[which].report(1, what)
    clock.pump([0.03] * 10)

    assert workers[0].out == workers[1].out == workers[2].out
