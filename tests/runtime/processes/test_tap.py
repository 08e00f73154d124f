"""twistd kongtx."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from zope.interface.verify import verifyObject

import kongtx
from kongtx.runtime.processes.master import MainService
from kongtx.runtime.processes.pidfile import running_pid
from kongtx.runtime.processes.tap import Options, makeService
from tests.runtime.running import RunningNode, free_port, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(kongtx.__file__)))


def test_twistd_finds_the_plugin():
    (maker,) = [each for each in getPlugins(IServiceMaker) if each.tapname == "kongtx"]
    verifyObject(IServiceMaker, maker)
    assert maker.options is Options
    assert maker.makeService is makeService


def parse(*arguments):
    options = Options()
    options.parseOptions(arguments)
    return options


def test_options_win_over_the_file(tmp_path):
    conf = tmp_path / "kong.conf"
    conf.write_text("prefix = /from/file\nlog_level = debug\nnginx_worker_processes = 4\n")
    read = parse(
        "-c", str(conf), "--prefix", "/given", "-w", "0", "--set", "admin_listen = off"
    ).configuration()
    assert read.prefix == "/given"
    assert read.log_level == "debug"
    assert read.worker_count == 0
    assert read.admin_listeners == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "log_level"], "--set takes name=value, not 'log_level'"),
        (["--set", "nonsense=1"], "no property named nonsense"),
        (["--set", "log_level=loud"], "log_level has an invalid value: 'loud'"),
        (["--conf", "/nowhere/kong.conf"], "no file at: /nowhere/kong.conf"),
    ],
)
def test_what_is_wrong_is_a_usage_error(arguments, message):
    with pytest.raises(UsageError, match=message):
        parse(*arguments)


def test_a_reload_reads_the_file_again(tmp_path):
    conf = tmp_path / "kong.conf"
    conf.write_text("log_level = debug\n")
    service = makeService(parse("-c", str(conf), "-p", str(tmp_path)))
    assert isinstance(service, MainService)
    assert service.conf.log_level == "debug"
    conf.write_text("log_level = warn\n")
    assert service._reread().log_level == "warn"


#: What the program twistd does.
TWISTD = "from twisted.scripts.twistd import run; run()"


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory() as directory:
        yield directory


@pytest.mark.parametrize("workers", ["2", "0"])
def test_twistd_runs_a_node(directory, workers):
    node = RunningNode(prefix=os.path.join(directory, "p"))
    script = (
        "import sys, kongtx.runtime.processes.master as master\n"
        "master.MainService.__init__.__kwdefaults__['node'] = 'tests.runtime.nodes.echo'\n"
        "from twisted.scripts.twistd import run\n"
        "run()\n"
    )
    listening = [f"proxy_listen=127.0.0.1:{node.port}", "admin_listen=off", "status_listen=off"]
    sets = [word for each in [*listening, "nginx_user=nobody"] for word in ("--set", each)]
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", script, "-n", "--pidfile=", "kongtx"),
            *("-p", node.prefix, "-w", workers, *sets),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
    )
    try:
        wait_until(lambda: "kongtx has started" in node.log())
        assert node.get()
        assert running_pid(os.path.join(node.prefix, "pids", "kongtx.pid")) == process.pid
        process.send_signal(signal.SIGQUIT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "Traceback" not in out
        assert "kongtx has stopped" in node.log()
    finally:
        process.kill()


def test_twistd_ends_when_the_node_cannot_start(directory):
    process = subprocess.run(
        [
            *(sys.executable, "-c", TWISTD),
            *("-n", "--pidfile=", "kongtx", "-p", os.path.join(directory, "p"), "-w", "0"),
            *("--set", f"proxy_listen=192.0.2.1:{free_port()}"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=directory,
        check=False,
    )
    assert process.returncode == 1
    assert "kongtx: cannot listen on 192.0.2.1" in process.stdout + process.stderr


@pytest.mark.long
def test_an_installed_wheel_has_the_plugin(tmp_path):
    """In a virtual environment of its own, which sees the dependencies but not the checkout."""
    packages = os.path.dirname(os.path.dirname(os.path.abspath(sys.modules["twisted"].__file__)))
    source = tmp_path / "source"
    copy = ["tar", "-C", ROOT, "-cf", "-", "setup.cfg", "pyproject.toml", "README.rst", "LICENSE"]
    source.mkdir()
    packed = subprocess.run([*copy, "kongtx", "twisted"], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-C", source, "-xf", "-"], input=packed, check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("kongtx-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    environment = {**os.environ, "PYTHONPATH": packages}
    for arguments, expected in (
        (["-c", TWISTD, "--help"], "An API gateway."),
        (["-c", TWISTD, "kongtx", "--help"], "--set="),
        (["-c", "import kongtx; print(kongtx.__file__)"], str(tmp_path / "venv")),
    ):
        done = subprocess.run(
            [python, *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert expected in done.stdout, done.stderr
