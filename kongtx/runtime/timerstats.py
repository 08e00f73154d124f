"""What the runs of a job took. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RunStats:
    """Counts and times of one job, in seconds.

    Mean and variance are kept as they come (Welford's method), without keeping the times.
    """

    __slots__ = (
        "_mean",
        "_squares",
        "ended",
        "failures",
        "last_error",
        "longest",
        "runs",
        "shortest",
        "skipped",
    )

    def __init__(self) -> None:
        self.runs = 0
        self.ended = 0
        self.failures = 0
        self.skipped = 0
        self.last_error = ""
        self.shortest = 0.0
        self.longest = 0.0
        self._mean = 0.0
        self._squares = 0.0

    @property
    def total(self) -> float:
        """Seconds that all ended runs took together."""
        return self._mean * self.ended

    @property
    def variance(self) -> float:
        """Of the times of the ended runs."""
        return self._squares / self.ended if self.ended else 0.0

    def failed(self, message: str) -> None:
        """A run failed; L{finished} follows."""
        self.failures += 1
        self.last_error = message

    def finished(self, took: float) -> None:
        """A run ended."""
        self.ended += 1
        self.shortest = took if self.ended == 1 else min(self.shortest, took)
        self.longest = max(self.longest, took)
        off = took - self._mean
        self._mean += off / self.ended
        self._squares += off * (took - self._mean)

    def report(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "runs": self.runs,
            "finish": self.ended,
            "failures": self.failures,
            "skipped": self.skipped,
            "last_err_msg": self.last_error,
            "elapsed_time": {
                "avg": self._mean,
                "max": self.longest,
                "min": self.shortest,
                "variance": self.variance,
            },
        }


def flamegraph(stats: Mapping[str, RunStats]) -> dict[str, str]:
    """Folded stacks, as flame graph tools read them: runs that go on, runs skipped for them, and
    milliseconds of ended ones."""
    return {
        "running": _folded({name: each.runs - each.ended for name, each in stats.items()}),
        "pending": _folded({name: each.skipped for name, each in stats.items()}),
        "elapsed_time": _folded({name: round(each.total * 1000) for name, each in stats.items()}),
    }


def _folded(counts: Mapping[str, int]) -> str:
    return "".join(f"timers;{name} {count}\n" for name, count in counts.items() if count)
