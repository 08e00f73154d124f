"""Twisted's own reactor cases pass; each that does not is named here with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SENT_AT_ONCE = (
    "writes 1000 bytes over a 500-byte bufferSize and wants its producer paused; "
    "uvloop sends what the kernel takes before it counts a buffer"
)
WORDING = (
    "wants the TypeError for text to read 'Data must be bytes'; "
    "writeSequence is uvloop's own method, whose TypeError has other words"
)
UNLOGGED = (
    "wants a log line for a descriptor sent to a protocol that receives none; "
    "here the kernel drops it, as nothing asks for it"
)
NOT_HERE = (
    "fails in the same way with Twisted's epoll reactor: the other user may not run this Python"
)

#: Cases that cannot apply; C{docs/reactor.rst} has the same table.
EXCEPTIONS = {
    "test_tcp.AdoptStreamConnectionTestsBuilder.test_streamingProducer": SENT_AT_ONCE,
    "test_tcp.TCPTransportTestsBuilder.test_streamingProducer": SENT_AT_ONCE,
    "test_unix.UNIXAdoptStreamConnectionTestsBuilder.test_streamingProducer": SENT_AT_ONCE,
    "test_tcp.AdoptStreamConnectionTestsBuilder"
    ".test_writeSequenceWithUnicodeRaisesException": WORDING,
    "test_tcp.TCPTransportTestsBuilder.test_writeSequenceWithUnicodeRaisesException": WORDING,
    "test_unix.UNIXAdoptStreamConnectionTestsBuilder"
    ".test_writeSequenceWithUnicodeRaisesException": WORDING,
    "test_unix.UNIXTestsBuilder.test_avoidLeakingFileDescriptors": UNLOGGED,
}

#: Cases that depend on the machine: they may pass, or not, for the reason given.
MACHINE = {
    "test_process.PTYProcessTestsBuilder.test_changeUID": NOT_HERE,
    "test_process.ProcessTestsBuilder.test_changeUID": NOT_HERE,
}


#: Twisted's tests over the installed reactor that cannot apply.
GLOBAL_EXCEPTIONS = {
    "test.test_tcp.LoopbackTests.test_tcpNoDelay": (
        "wants TCP_NODELAY off at first; uvloop sets it, as it gathers no small writes"
    ),
    "test.test_tcp.HalfCloseTests.testCloseWriteCloser": (
        "looks into the private buffer of Twisted's own transport"
    ),
}


def run(directory, *arguments):
    results = directory / "results.json"
    subprocess.run(
        [sys.executable, "-m", "tests.net.twisted_cases", *arguments, str(results)],
        cwd=ROOT,
        timeout=300,
        check=True,
        capture_output=True,
    )
    found = json.loads(results.read_text(encoding="utf-8"))
    return {name.replace("_KongtxReactorTests", ""): outcome for name, outcome in found.items()}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    return run(tmp_path_factory.mktemp("twisted"))


@pytest.fixture(scope="module")
def global_outcomes(tmp_path_factory):
    return run(tmp_path_factory.mktemp("global"), "global")


@pytest.mark.long
def test_twisted_s_tests_over_the_installed_reactor_pass_but_the_named_exceptions(global_outcomes):
    assert len(global_outcomes) > 300
    others = {name for name, outcome in global_outcomes.items() if outcome[0] != "passed"}
    assert others == set(GLOBAL_EXCEPTIONS)


@pytest.mark.long
def test_each_case_passes_but_the_named_exceptions(outcomes):
    others = {
        name: outcome
        for name, outcome in outcomes.items()
        if outcome[0] != "passed" and name not in EXCEPTIONS and name not in MACHINE
    }
    assert others == {}


@pytest.mark.long
def test_each_exception_is_still_one(outcomes):
    assert {name: outcomes[name][0] for name in EXCEPTIONS} == dict.fromkeys(EXCEPTIONS, "failed")


@pytest.mark.long
@pytest.mark.parametrize(
    ("module", "least"),
    [
        ("core", 14),
        ("fdset", 11),
        ("process", 41),
        ("socket", 8),
        ("stdio", 7),
        ("tcp", 109),
        ("threads", 10),
        ("time", 2),
        ("tls", 23),
        ("udp", 36),
        ("unix", 35),
    ],
)
def test_the_cases_have_been_run(outcomes, module, least):
    assert sum(name.startswith(f"test_{module}.") for name in outcomes) >= least
