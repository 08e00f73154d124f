"""Ejecting peers that do worse than the others. Pure, but for its own counters."""

from __future__ import annotations

from collections.abc import Hashable
from statistics import median
from typing import TypeVar

import attrs

from kongtx.balancer.tags import OutlierRules

K = TypeVar("K", bound=Hashable)


@attrs.define(slots=True)
class Tally:
    """What one peer did in the current interval.

    @ivar seconds: the sum of the times of its attempts.
    """

    attempts: int = 0
    failures: int = 0
    seconds: float = 0.0

    def add(self, outcome: int | str, seconds: float) -> None:
        """Count an attempt; no answer, or a status from 500, is a failure."""
        self.attempts += 1
        self.seconds += seconds
        if isinstance(outcome, str) or outcome >= 500:
            self.failures += 1


def judge(tallies: dict[K, Tally], rules: OutlierRules, peers: int, already_out: int) -> list[K]:
    """Which peers to eject.

    @param tallies: of the peers that are in, by any key.
    @param peers: how many peers the upstream has.
    @param already_out: how many of them are ejected.
    @return: keys, the worst first, no more than C{rules.most} allows. An upstream of one peer, or
        one whose peers are all as bad, ejects nobody for its latency.
    """
    judged = {key: tally for key, tally in tallies.items() if tally.attempts >= rules.requests}
    means = {key: tally.seconds / tally.attempts for key, tally in judged.items()}
    usual = median(means.values()) if len(means) >= 2 else 0.0
    worst: list[tuple[float, int, K]] = []
    for order, (key, tally) in enumerate(judged.items()):
        errors = 100 * tally.failures / tally.attempts
        if rules.errors and errors >= rules.errors:
            worst.append((-errors - 1e6, order, key))
        elif rules.latency and usual and means[key] >= rules.latency * usual:
            worst.append((-means[key] / usual, order, key))
    allowed = int(peers * rules.most / 100) - already_out
    return [key for _, _, key in sorted(worst)[: max(allowed, 0)]]
