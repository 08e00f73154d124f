"""Each target for a short while; C{make fuzz} gives them longer."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.targets import TARGETS

SECONDS = 30
#: Targets at once, for each core: what is short of time here has it in C{make fuzz}.
PER_CORE = 4


@pytest.mark.long
def test_no_target_finds_a_fault(tmp_path: Path) -> None:
    with ThreadPoolExecutor(PER_CORE * (os.cpu_count() or 1)) as pool:
        asked: list[Future[str | None]] = [
            # The same inputs each time, as far as the machine is fast: news come from make fuzz.
            pool.submit(fuzz, name, SECONDS, tmp_path, seed=1)
            for name in TARGETS
        ]
        faults = [fault for one in asked if (fault := one.result()) is not None]
    assert faults == []


@pytest.mark.parametrize("name", TARGETS)
def test_the_first_inputs_show_no_fault(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


def test_a_target_that_fails_is_told(tmp_path: Path) -> None:
    told = fuzz("no-such", 1, tmp_path)
    assert told is not None
    assert "KeyError: 'no-such'" in told
