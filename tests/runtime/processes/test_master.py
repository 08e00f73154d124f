"""Nodes as processes: start, signals, reload, crashes, stop."""

import concurrent.futures
import os
import signal
import socket
import stat
import subprocess
import time
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from kongtx.conf import effective, from_values
from kongtx.runtime.processes.pidfile import running_pid
from tests.runtime.running import RunningNode, is_alive, wait_until


@pytest.fixture
def start():
    nodes = []

    def start(**values):
        nodes.append(RunningNode(**values))
        return nodes[-1].start()

    yield start
    for node in nodes:
        node.close()


@pytest.fixture
def make():
    nodes = []

    def make(**values):
        nodes.append(RunningNode(**values))
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


def pid_file(node):
    return os.path.join(node.prefix, "pids", "kongtx.pid")


@pytest.mark.parametrize("flags", ["reuseport", ""])
def test_two_workers_serve_on_one_port(start, flags):
    node = start(flags=flags)
    workers = node.workers()
    assert sorted(workers) == [0, 1]
    assert len(set(workers.values())) == 2
    assert running_pid(pid_file(node)) == node.process.pid


def test_events_reach_every_worker(start):
    node = start()
    node.workers()
    pid = node.get("/publish").split()[0]
    wait_until(lambda: {node.get("/remember") for _ in range(40)} == {pid})


@pytest.mark.parametrize("workers", ["2", "0"])
def test_requests_are_served_on_the_native_reactor(start, workers):
    assert start(nginx_worker_processes=workers).get("/reactor") == "KongtxReactor"


def test_a_changed_log_level_reaches_every_worker_and_later_ones(start):
    node = start()
    node.workers()
    node.get("/debug")
    wait_until(lambda: {node.get("/level") for _ in range(40)} == {"debug"})
    with pytest.raises(ConnectionError):
        node.get("/die")
    node.wait_for_log("is ready", 3)
    assert {node.get("/level") for _ in range(40)} == {"debug"}
    assert "log level changed from notice to debug" in node.log()


@pytest.mark.parametrize("workers", ["2", "0"])
def test_a_worker_can_ask_which_processes_there_are(start, workers):
    node = start(nginx_worker_processes=workers)
    found = sorted(node.workers(int(workers) or 1).values())
    node.get("/pids")
    expected = str({"master": node.process.pid, "workers": found})
    wait_until(lambda: expected in {node.get("/remember") for _ in range(20)})


def test_a_worker_that_starts_knows_those_that_start_with_it(start):
    node = start(node="tests.runtime.nodes.asks")
    assert node.get("/remember") == str([pid for _, pid in sorted(node.workers().items())])
    node.send(signal.SIGHUP)
    node.wait_for_log("the workers of generation 1 are gone")
    assert node.get("/remember") == str([pid for _, pid in sorted(node.workers().items())])


def test_the_prefix_is_for_its_owner_alone(start):
    node = start()
    for name in ("", "pids", "logs", "ssl", "sockets"):
        mode = os.stat(os.path.join(node.prefix, name)).st_mode
        assert stat.S_IMODE(mode) == 0o700
    assert os.stat(os.path.join(node.prefix, ".kongtx_env")).st_mode & 0o077 == 0
    assert os.stat(os.path.join(node.prefix, "sockets", "events.sock")).st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("workers", ["2", "0"])
def test_each_signal_to_stop_leaves_nothing_behind(start, number, workers):
    node = start(nginx_worker_processes=workers)
    pids = [int(node.get().split()[0])]
    assert node.stop(number) == 0
    assert not os.path.exists(pid_file(node))
    assert os.listdir(os.path.join(node.prefix, "sockets")) == []
    assert not any(map(is_alive, pids))
    with pytest.raises(ConnectionRefusedError):
        node.get()
    assert "Traceback" not in node.log()
    assert "[error]" not in node.log()


@pytest.mark.parametrize("workers", ["2", "0"])
def test_a_graceful_stop_waits_for_the_request_in_flight(start, workers):
    node = start(nginx_worker_processes=workers)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(node.get, "/slow")
        node.wait_for_log("waiting for /slow")
        assert node.stop(signal.SIGQUIT) == 0
        assert slow.result()


def test_a_fast_stop_does_not_wait_for_the_request_in_flight(start):
    node = start()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        endless = pool.submit(node.get, "/endless")
        node.wait_for_log("waiting for /endless")
        assert node.stop(signal.SIGTERM) == 0
        with pytest.raises(ConnectionError):
            endless.result()


def test_a_graceful_stop_is_cut_off_after_the_configured_time(start):
    node = start(nginx_main_worker_shutdown_timeout="100ms")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        endless = pool.submit(node.get, "/endless")
        node.wait_for_log("waiting for /endless")
        assert node.stop(signal.SIGQUIT) == 0
        with pytest.raises(ConnectionError):
            endless.result()
    assert "requests that went on for 0.1 s are cut off" in node.log()


def test_a_killed_worker_costs_its_own_request_and_is_replaced(start):
    node = start()
    before = node.workers()
    with pytest.raises(ConnectionError):
        node.get("/die")
    # Connections that come meanwhile wait in the killed worker's socket for its successor.
    answers = [node.get() for _ in range(20)]
    assert len(answers) == 20
    after = node.workers()
    assert sorted(after) == sorted(before)
    assert len(set(before.values()) & set(after.values())) == 1
    assert "killed by signal 9 (SIGKILL); its successor starts in 0.0 s" in node.log()


def load(node, count, during):
    """Ask C{count} times, eight at once, each on a connection of its own; the failures."""
    failures = []

    def ask(number):
        try:
            node.get("/slow" if number % 100 == 0 else "/")
        except OSError as error:
            failures.append(error)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, number) for number in range(count)]
        during()
        for each in asked:
            each.result()
    return failures


@pytest.mark.long
@pytest.mark.parametrize("workers", ["2", "0"])
def test_a_thousand_requests_during_reloads_lose_none(start, workers):
    node = start(nginx_worker_processes=workers)

    def reload_three_times():
        for generation in range(2, 5):
            node.send(signal.SIGHUP)
            text = f"generation {generation} serves" if workers == "2" else "serving in one process"
            node.wait_for_log(text, count=1 if workers == "2" else generation)

    assert load(node, 1000, reload_three_times) == []


@pytest.mark.long
def test_a_thousand_requests_during_a_kill_lose_those_in_flight_alone(start):
    node = start()
    victim = node.workers()[0]
    failures = load(node, 1000, lambda: (time.sleep(0.1), os.kill(victim, signal.SIGKILL)))
    # Eight are under way at a time, over both workers.
    assert len(failures) <= 8
    assert victim not in node.workers().values()


def test_a_reload_replaces_the_workers_and_keeps_the_master(start):
    node = start()
    before = node.workers()
    node.send(signal.SIGHUP)
    node.wait_for_log("the workers of generation 1 are gone")
    after = node.workers()
    assert set(before.values()).isdisjoint(after.values())
    assert running_pid(pid_file(node)) == node.process.pid


def reload_with(node, **values):
    effective.write(from_values({**node.values, **values}))
    node.send(signal.SIGHUP)


def test_a_reload_takes_more_and_fewer_workers(start):
    node = start()
    reload_with(node, nginx_worker_processes="3")
    node.wait_for_log("the workers of generation 1 are gone")
    assert sorted(node.workers(3)) == [0, 1, 2]
    reload_with(node, nginx_worker_processes="1")
    node.wait_for_log("the workers of generation 2 are gone")
    assert {node.get().split()[1] for _ in range(40)} == {"0"}


@pytest.mark.parametrize("workers", ["2", "0"])
def test_a_secret_that_comes_with_a_reload_is_not_logged(start, workers):
    node = start(
        node="kongtx.runtime.node.composition.build_node",
        nginx_worker_processes=workers,
        database="off",
    )
    secret = "known-only-now"
    reload_with(node, database="off", admin_auth="token", admin_auth_token=secret)
    node.wait_for_log("generation 2 serves" if workers == "2" else "serving in one process", 1)
    node.wait_for_log("is ready" if workers == "2" else "serving in one process", 2)

    def log():
        with open(os.path.join(node.prefix, "logs", "access.log")) as file:
            return file.read()

    for _ in range(10):
        with pytest.raises(HTTPError):
            urlopen(f"http://127.0.0.1:{node.port}/{secret}", timeout=30)
    wait_until(lambda: log().count("GET ") >= 10)
    assert secret not in log()
    assert '"GET /****** HTTP/1.1" 404' in log()


def test_a_reload_can_move_the_listener(start):
    node = start()
    old, node.port = node.port, 0
    other = RunningNode()
    other.close()
    node.port = other.port
    reload_with(node, proxy_listen=f"127.0.0.1:{node.port}")
    node.wait_for_log("the workers of generation 1 are gone")
    assert node.workers()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", old))


@pytest.mark.parametrize("workers", ["2", "0"])
def test_a_reload_that_cannot_be_changes_nothing(start, workers):
    node = start(node="tests.runtime.nodes.fails_by_file", nginx_worker_processes=workers)
    with open(os.path.join(node.prefix, "broken"), "w"):
        pass
    before = int(node.get().split()[0])
    reload_with(node, log_level="debug")
    node.wait_for_log("the one before stays in force: broken on purpose")
    assert effective.read(node.prefix).log_level == "notice"
    answers = {int(node.get().split()[0]) for _ in range(20)}
    assert before in answers or len(answers) == 2
    os.unlink(os.path.join(node.prefix, "broken"))
    node.send(signal.SIGHUP)
    node.wait_for_log("generation 3 serves" if workers == "2" else "serving in one process", 1)


def test_a_reload_with_a_broken_configuration_file_changes_nothing(start):
    node = start()
    before = node.workers()
    with open(os.path.join(node.prefix, ".kongtx_env"), "w") as env:
        env.write("log_level = loud\n")
    node.send(signal.SIGHUP)
    node.wait_for_log("the configuration was not reloaded")
    assert node.workers() == before


def test_logs_are_reopened_by_master_and_workers(start):
    node = start()
    path = os.path.join(node.prefix, "logs", "error.log")
    os.rename(path, path + ".1")
    node.send(signal.SIGUSR1)
    wait_until(lambda: os.path.exists(path))
    node.workers()
    with pytest.raises(ConnectionError):
        node.get("/die")
    node.wait_for_log("is ready")
    assert "killed by signal 9" in node.log()


@pytest.mark.parametrize("workers", ["2", "0"])
def test_a_taken_port_is_named_with_its_property(make, workers):
    node = make(nginx_worker_processes=workers, flags="")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", node.port))
        holder.listen()
        for foreground in (True, False):
            done = node.run(foreground=foreground)
            assert done.returncode == 1
            assert done.stderr == (
                f"Error: cannot listen on 127.0.0.1:{node.port} (proxy_listen): "
                "Address already in use\n"
            )
    assert not os.path.exists(pid_file(node))


def test_logs_can_go_to_the_standard_streams(make):
    node = make(proxy_error_log="/dev/stderr")
    process = subprocess.Popen(
        node.command(foreground=True), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    wait_until(lambda: running_pid(pid_file(node)))
    lines = []
    while not any("kongtx has started" in line for line in lines):
        lines.append(process.stderr.readline())
    process.send_signal(signal.SIGQUIT)
    _, rest = process.communicate(timeout=60)
    written = "".join(lines) + rest
    assert process.returncode == 0
    assert "worker 0 finishes its requests" in written
    assert "worker 1 finishes its requests" in written
    assert node.log() == ""


@pytest.mark.long
def test_a_worker_that_hangs_is_killed(start):
    node = start()
    hanging = node.workers()[1]
    os.kill(hanging, signal.SIGSTOP)
    began = time.monotonic()
    assert node.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began >= 5
    assert not is_alive(hanging)
    assert f"workers that did not stop are killed: [{hanging}]" in node.log()


def test_a_second_start_in_the_same_prefix_is_refused(start):
    node = start()
    with open(os.path.join(node.prefix, ".kongtx_env")) as env:
        before = env.read()
    second = RunningNode(prefix=node.prefix, log_level="debug")
    done = second.run(foreground=True)
    assert done.returncode == 1
    assert done.stderr == f"Error: kongtx is already running in {node.prefix}\n"
    with open(os.path.join(node.prefix, ".kongtx_env")) as env:
        assert env.read() == before


@pytest.mark.parametrize("foreground", [True, False])
@pytest.mark.parametrize("workers", ["2", "0"])
@pytest.mark.parametrize(
    ("node", "error"),
    [
        ("fails", "error parsing declarative config file kong.yml"),
        ("fails_oddly", "division by zero"),
        ("missing", "cannot import tests.runtime.nodes.missing"),
    ],
)
def test_why_a_node_cannot_start_is_told(make, foreground, workers, node, error):
    running = make(node=f"tests.runtime.nodes.{node}", nginx_worker_processes=workers)
    done = running.run(foreground=foreground)
    assert done.returncode == 1
    assert error in done.stderr
    assert "started" not in done.stdout
    assert not os.path.exists(pid_file(running))


def test_a_worker_that_dies_while_it_starts_is_told(make):
    done = make(node="tests.runtime.nodes.exits").run(foreground=True)
    assert done.returncode == 1
    assert "exited with code 7 before it was ready" in done.stderr


@pytest.mark.parametrize("workers", ["2", "0"])
def test_in_the_background_it_returns_when_it_serves(make, workers):
    node = make(nginx_worker_processes=workers)
    done = node.run(foreground=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")
    pid = running_pid(pid_file(node))
    try:
        assert node.get()
        assert os.getsid(pid) != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        log = os.path.join(node.prefix, "logs", "error.log")
        assert os.path.samefile(f"/proc/{pid}/fd/2", log)
    finally:
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not is_alive(pid))
    assert running_pid(pid_file(node)) is None


def test_workers_whose_master_is_killed_finish_and_end(start):
    node = start()
    pids = node.workers().values()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(node.get, "/slow")
        node.wait_for_log("waiting for /slow")
        node.process.kill()
        assert slow.result()
    wait_until(lambda: not any(map(is_alive, pids)))
    assert "the master is gone" in node.log()
    # The next start finds a stale process id and a dangling socket, and says so.
    assert running_pid(pid_file(node)) is None
    again = RunningNode(prefix=node.prefix)
    try:
        again.start()
        assert again.workers()
    finally:
        again.stop()


@pytest.mark.parametrize("flags", ["reuseport", ""])
def test_a_node_can_start_while_workers_of_a_killed_master_finish(start, flags):
    node = start(flags=flags)
    pids = node.workers().values()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        endless = pool.submit(node.get, "/endless")
        try:
            node.wait_for_log("waiting for /endless")
            node.process.kill()
            wait_until(lambda: node.log().count("the master is gone") == 2)
            again = RunningNode(prefix=node.prefix, flags=flags)
            again.port, again.values = node.port, node.values
            try:
                again.start()
                assert set(again.workers().values()).isdisjoint(pids)
                assert not endless.done()
            finally:
                again.stop()
        finally:
            for pid in filter(is_alive, pids):
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(ConnectionError):
            endless.result()


def test_warnings_of_the_configuration_are_logged(start):
    node = start(untrusted_lua="on", nginx_http_something="x")
    conf = from_values(node.values)
    for warning in conf.warnings:
        assert warning in node.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_single_process_becomes_the_configured_user_and_can_reload(start):
    node = start(nginx_user="daemon daemon", nginx_worker_processes="0")
    assert os.stat(f"/proc/{node.process.pid}").st_uid == 1
    reload_with(node, log_level="info")
    node.wait_for_log("serving in one process", 2)
    assert node.get()
    assert node.stop(signal.SIGQUIT) == 0
    assert not os.path.exists(pid_file(node))
    assert "[error]" not in node.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_workers_run_as_the_configured_user(start):
    node = start(nginx_user="daemon daemon")
    for pid in node.workers().values():
        assert os.stat(f"/proc/{pid}").st_uid == 1
    assert os.stat(os.path.join(node.prefix, "logs", "error.log")).st_uid == 1
    assert os.stat(f"/proc/{node.process.pid}").st_uid == 0
    node.send(signal.SIGHUP)
    node.wait_for_log("the workers of generation 1 are gone")
    assert node.workers()


def test_crashes_leave_no_memory_behind_unless_they_may(start):
    def limits(node):
        told = []
        for pid in (node.process.pid, *node.workers().values()):
            with open(f"/proc/{pid}/limits") as file:
                [line] = [line for line in file if line.startswith("Max core file size")]
            with open(f"/proc/{pid}/coredump_filter") as file:
                told.append((line.split()[4:6], int(file.read(), 16)))
        return told

    assert limits(start(nginx_user="nobody")) == [(["0", "0"], 0)] * 3
    with open("/proc/self/coredump_filter") as file:
        mine = int(file.read(), 16)
    allowed = limits(start(core_dumps="on"))
    assert {memory for _, memory in allowed} == {mine}
