"""Fuzz: C{python -m tests.fuzz [--seconds 300] [--jobs 2] [TARGET ...]}; without targets, all.

Each target runs in a process of its own. What it finds stays as a file under C{.fuzz/}, beside
the inputs that reached new code; C{python -m tests.fuzz --input FILE TARGET} tries it again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(".fuzz")
#: What libFuzzer writes last when it has found nothing.
DONE = "Done "


def main() -> int:
    options = _options()
    if options.run:
        _run(options.targets[0], options.seconds, options.folder, options.seed)
    if options.input:
        from tests.fuzz.targets import TARGETS

        TARGETS[options.targets[0]].run(options.input.read_bytes())
        return 0
    names = options.targets or _names()
    with ThreadPoolExecutor(options.jobs) as pool:
        asked = [pool.submit(fuzz, name, options.seconds, options.folder) for name in names]
        faults = [fault for one in asked if (fault := one.result()) is not None]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=300, help="how long each target runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at once")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where inputs are kept")
    parser.add_argument(
        "--seed", type=int, default=0, help="of what is tried; 0: another each time"
    )
    parser.add_argument("--input", type=Path, help="run the target on this file's bytes alone")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _names() -> list[str]:
    from tests.fuzz.targets import TARGETS

    return list(TARGETS)


def fuzz(name: str, seconds: int, folder: Path, seed: int = 0) -> str | None:
    """Run a target in a process of its own.

    @param seed: of what is tried; 0: another each time.
    @return: what it found, or L{None}.
    """
    command = [sys.executable, "-m", "tests.fuzz", "--run", "--seconds", str(seconds)]
    command += ["--seed", str(seed)]
    done = subprocess.run(
        [*command, "--folder", str(folder), name],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds + 120,
        check=False,
    )
    lines = done.stdout.splitlines()
    last = next((line for line in reversed(lines) if line.startswith(DONE)), None)
    print(f"{name}: {last or 'found something'}", flush=True)
    if done.returncode == 0 and last is not None:
        return None
    return f"{name}:\n" + "\n".join(lines[-60:])


def _run(name: str, seconds: int, folder: Path, seed: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["kongtx"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, known in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(known)
    options = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-max_len=4096",
        "-print_final_stats=0",
        f"-artifact_prefix={folder}/{name}-",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
