"""The health of one address: counters, thresholds and statuses. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs

Outcome = int | str
"""An HTTP status, or C{"tcp_failure"}, C{"timeout"} or C{"success"} (of a check that has no
status)."""

_NO_STATUS = 0  # of an answer that is no HTTP


class Status(Enum):
    """What is thought of an address. The middle ones have seen something to the contrary, but
    not enough of it."""

    HEALTHY = "healthy"
    MOSTLY_HEALTHY = "mostly_healthy"
    MOSTLY_UNHEALTHY = "mostly_unhealthy"
    UNHEALTHY = "unhealthy"

    @property
    def passes(self) -> bool:
        """Whether the address gets requests."""
        return self in (Status.HEALTHY, Status.MOSTLY_HEALTHY)


@attrs.frozen(slots=True)
class Limits:
    """How many reports of a kind change the status; 0 ignores the kind.

    @ivar healthy_statuses: HTTP statuses that count as success.
    @ivar unhealthy_statuses: HTTP statuses that count as failure.
    """

    healthy_statuses: frozenset[int] = frozenset()
    unhealthy_statuses: frozenset[int] = frozenset()
    successes: int = 0
    http_failures: int = 0
    tcp_failures: int = 0
    timeouts: int = 0

    @classmethod
    def of(cls, checks: Mapping[str, Any]) -> Limits:
        """The limits in C{healthchecks.active} or C{healthchecks.passive} of an upstream."""
        healthy, unhealthy = checks.get("healthy") or {}, checks.get("unhealthy") or {}
        return cls(
            healthy_statuses=frozenset(healthy.get("http_statuses") or ()),
            unhealthy_statuses=frozenset(unhealthy.get("http_statuses") or ()),
            successes=healthy.get("successes") or 0,
            http_failures=unhealthy.get("http_failures") or 0,
            tcp_failures=unhealthy.get("tcp_failures") or 0,
            timeouts=unhealthy.get("timeouts") or 0,
        )

    @property
    def any_failures(self) -> bool:
        """Whether any kind of failure counts."""
        return bool(self.http_failures or self.tcp_failures or self.timeouts)


class Health:
    """The counters and status of one address.

    Successes reset the failures and failures the successes, each kind of failure counts by itself
    (Kong: lua-resty-healthcheck). Active and passive reports share the counters, each against its
    own limits.

    @ivar status: the L{Status}.
    """

    __slots__ = ("http_failures", "status", "successes", "tcp_failures", "timeouts")

    def __init__(self, status: Status = Status.HEALTHY) -> None:
        self.status = status
        self.successes = self.http_failures = self.tcp_failures = self.timeouts = 0

    def report(self, limits: Limits, outcome: Outcome) -> bool:
        """Count an outcome.

        @return: whether it counted for anything; the status may have changed then.
        """
        if outcome == "success" or outcome in limits.healthy_statuses:
            return self._succeeded(limits.successes)
        if outcome == "tcp_failure":
            return self._failed("tcp_failures", limits.tcp_failures)
        if outcome in limits.unhealthy_statuses or outcome == _NO_STATUS:
            return self._failed("http_failures", limits.http_failures)
        if outcome in ("timeout", 504):
            # A gateway's timeout behind the target is one (Kong: report_timeout for 504).
            return self._failed("timeouts", limits.timeouts)
        return False

    def force(self, status: Status) -> None:
        """Set a status, and begin counting anew."""
        self.status = status
        self.successes = self.http_failures = self.tcp_failures = self.timeouts = 0

    def dump(self) -> list[Any]:
        """Status and counters, for another worker; see L{load}."""
        return [
            self.status.value,
            self.successes,
            self.http_failures,
            self.tcp_failures,
            self.timeouts,
        ]

    def load(self, dumped: list[Any]) -> None:
        """Take over what L{dump} gave."""
        self.status = Status(dumped[0])
        self.successes, self.http_failures, self.tcp_failures, self.timeouts = dumped[1:]

    def _succeeded(self, limit: int) -> bool:
        if not limit or self.status is Status.HEALTHY:
            return False
        self.successes = min(self.successes + 1, 255)
        self.http_failures = self.tcp_failures = self.timeouts = 0
        if self.successes >= limit:
            self.status = Status.HEALTHY
        elif self.status is Status.UNHEALTHY:
            self.status = Status.MOSTLY_UNHEALTHY
        return True

    def _failed(self, counter: str, limit: int) -> bool:
        if not limit or self.status is Status.UNHEALTHY:
            return False
        count = min(getattr(self, counter) + 1, 255)
        setattr(self, counter, count)
        self.successes = 0
        if count >= limit:
            self.status = Status.UNHEALTHY
        elif self.status is Status.HEALTHY:
            self.status = Status.MOSTLY_HEALTHY
        return True


def uses_checks(healthchecks: Mapping[str, Any]) -> bool:
    """Whether an upstream's C{healthchecks} switch anything on (Kong: the same rule)."""
    active = healthchecks.get("active") or {}
    passive = Limits.of(healthchecks.get("passive") or {})
    return passive.any_failures or any(
        (active.get(side) or {}).get("interval") for side in ("healthy", "unhealthy")
    )
