"""What a look-up in the multi-level cache costs, beside a look-up in a bare dict."""

from __future__ import annotations

import json
import tempfile
import timeit
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from kongtx.cache.multilevel import MultiLevelCache
from kongtx.cache.shared import SharedMemory
from kongtx.cache.values import Options
from tests.cache.bus import DirectBus

ENTITY = {"id": "4b1b701d-de2b-5588-9aa2-3b97061d9f52", "username": "bob", "tags": None}


def seconds(call: Any, number: int = 200_000) -> float:
    return min(timeit.repeat(call, number=number, repeat=5)) / number


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory = SharedMemory(Path(folder) / "cache", 16 * 1024 * 1024)
        cache = MultiLevelCache("main", memory, DirectBus(), Clock(), Options(ttl=0))
        cache.set("key", ENTITY)
        bare = {"key": ENTITY}
        raw = b"main:key"
        figures = {
            "bare dict": seconds(lambda: bare.get("key")),
            "first level hit": seconds(lambda: cache.get("key", None)),
            "second level hit, undecoded": seconds(lambda: memory.get(raw)),
            "second level write": seconds(lambda: memory.put(raw, b"v" * 200, 1.0), 20_000),
        }
    for name, figure in figures.items():
        print(f"{name:30} {figure * 1e6:8.2f} µs")
    over = figures["first level hit"] - figures["bare dict"]
    print(f"{'first level over bare dict':30} {over * 1e6:8.2f} µs (aim 0.5)")
    print(json.dumps({name: round(figure * 1e6, 3) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
