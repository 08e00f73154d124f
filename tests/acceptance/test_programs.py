"""Programs that people have: a browser, pip and grpcurl."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.acceptance.conftest import LARGE, Setup, both
from tests.integration.go_programs import built
from tests.proxy.greeter import SERVICE

pytestmark = pytest.mark.long

PROTO = """
syntax = "proto3";
package helloworld;
message Word { string text = 1; }
service Greeter {
  rpc Fail (Word) returns (Word);
  rpc Missing (Word) returns (Word);
  rpc Collect (stream Word) returns (Word);
  rpc Chat (stream Word) returns (stream Word);
}
"""
#: By method: what is said, and what is answered: exit code, standard output, and errors.
CALLS = {
    "Fail": ([], (67, [], "Code: InvalidArgument\n  Message: no such name")),
    "Missing": ([], (76, [], "Code: Unimplemented\n  Message: Method not found!")),
    "Collect": (["one"], (0, ["one"], "")),
    "Chat": (["one", "two" * 4000, "three"], (0, ["ONE", "TWO" * 4000, "THREE"], "")),
}


@pytest.mark.parametrize("method", CALLS)
def test_grpcurl_is_answered_alike(setup: Setup, tmp_path: Path, method: str) -> None:
    program = built("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl")
    (tmp_path / "greeter.proto").write_text(PROTO)
    said, (code, heard, error) = CALLS[method]

    def call(target: str) -> tuple[int, str, str]:
        command = [program, "-plaintext", "-max-time", "20", "-import-path", str(tmp_path)]
        command += ["-proto", "greeter.proto", "-d", "@", target, f"{SERVICE}/{method}"]
        done = subprocess.run(
            command,
            input=" ".join(f'{{"text": "{word}"}}' for word in said),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    answers = "".join(f'{{\n  "text": "{word}"\n}}\n' for word in heard)
    told = f"ERROR:\n  {error}\n" if error else ""
    assert both(setup.greeter, call) == (code, answers, told)


NAME, VERSION = "kongtx_acceptance", "1.0"


def publish(index: Path) -> None:
    """Put a wheel of some MiB into an index as PEP 503 has it."""
    folder = index / NAME.replace("_", "-")
    folder.mkdir()
    wheel = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
    record = f"{NAME}-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr(f"{NAME}/__init__.py", "ANSWER = 42\n")
        packed.writestr(f"{NAME}/data.bin", Random(2).randbytes(3 << 20))
        packed.writestr(
            f"{record}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n"
        )
        packed.writestr(f"{record}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        packed.writestr(f"{record}/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    page = f'<!doctype html><a href="{wheel.name}#sha256={digest}">{wheel.name}</a>'
    (folder / "index.html").write_text(page)


def test_pip_installs_the_same_package(setup: Setup, tmp_path: Path) -> None:
    publish(setup.files / "index")

    def install(url: str) -> dict[str, bytes]:
        target = tmp_path / "installed"
        command = [sys.executable, "-m", "pip", "--isolated", "install", "-q", "--no-compile"]
        command += ["--no-cache-dir", "--disable-pip-version-check", "--target", str(target)]
        done = subprocess.run(
            [*command, "--index-url", url, f"{NAME}=={VERSION}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "*"},
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        found = {
            str(path.relative_to(target)): path.read_bytes()
            for path in target.rglob("*")
            if path.is_file()
        }
        shutil.rmtree(target)
        return found

    installed = both(setup.index, install)
    assert installed[f"{NAME}/__init__.py"] == b"ANSWER = 42\n"
    assert installed[f"{NAME}/data.bin"] == Random(2).randbytes(3 << 20)


FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update --disable-dev-shm-usage"
    " --ignore-certificate-errors --no-proxy-server"
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path}/profile"]:
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver") or "/usr/bin/chromedriver")
    with webdriver.Chrome(options, service) as made:
        yield made


def test_a_page_does_the_same_in_a_browser(setup: Setup, browser: webdriver.Chrome) -> None:
    """It talks by WebSocket and server-sent events, sets cookies, uploads and downloads."""
    download = hashlib.sha256(Random(1).randbytes(LARGE)).hexdigest()

    def look(url: str) -> str | None:
        browser.delete_all_cookies()
        browser.get(f"{url}/page")
        WebDriverWait(browser, 60).until(lambda seen: seen.title == "done")
        return browser.find_element(By.TAG_NAME, "body").get_attribute("data-log")

    for url in (*setup.application.both(), setup.secure):
        assert look(url) == (
            f"cookies:a=1,b=two words download:{download} event:one"
            " form:multipart/form-data:true socket:BROWSER:chat upload:300000"
        )
    protocols = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.nextHopProtocol)"
    )
    assert set(protocols) == {"h2"}
