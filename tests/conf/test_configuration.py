"""What follows from a configuration."""

import os

import pytest

from kongtx.conf import Configuration, Listen, TlsPolicy, from_values
from kongtx.conf.bundled import PLUGINS


def test_listeners_are_parsed() -> None:
    configuration = from_values(
        proxy_listen="127.0.0.1:8000, 127.0.0.1:8443 ssl http2",
        stream_listen="127.0.0.1:9000 udp",
        admin_listen="off",
        cluster_listen="[::1]:8005",
        admin_gui_listen="127.0.0.1:8002, 127.0.0.1:8445 ssl",
    )
    assert configuration.proxy_listeners == (
        Listen("127.0.0.1", 8000),
        Listen("127.0.0.1", 8443, ssl=True, http2=True),
    )
    assert configuration.stream_listeners == (Listen("127.0.0.1", 9000, udp=True),)
    assert configuration.admin_listeners == ()
    assert configuration.status_listeners == (
        Listen("127.0.0.1", 8007, reuseport=True, backlog=16384),
    )
    assert configuration.cluster_listeners[0].host.startswith("[0000:")
    assert configuration.admin_gui_listeners[1].ssl is True


def test_tls_is_enabled_by_some_listener() -> None:
    configuration = from_values(
        admin_listen="127.0.0.1:1",
        status_listen="127.0.0.1:2 ssl",
        admin_gui_listen="127.0.0.1:3 ssl",
    )
    assert configuration.proxy_ssl_enabled
    assert configuration.status_ssl_enabled
    assert configuration.admin_gui_ssl_enabled
    assert not configuration.admin_ssl_enabled
    assert not configuration.stream_proxy_ssl_enabled


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bundled", set(PLUGINS)),
        ("bundled, mine", {*PLUGINS, "mine"}),
        ("key-auth", {"key-auth"}),
        ("off", set()),
        ("off, key-auth", set()),
        ("key-auth, off", {"key-auth"}),
        ("", set()),
    ],
)
def test_plugins_are_bundled_named_or_none(value: str, expected: set[str]) -> None:
    assert from_values(plugins=value).loaded_plugins == expected


def test_vaults_are_loaded_like_plugins() -> None:
    assert from_values().loaded_vaults == {"env"}
    assert from_values(vaults="off").loaded_vaults == set()


LATENCIES = {
    "X-Kong-Proxy-Latency",
    "X-Kong-Response-Latency",
    "X-Kong-Admin-Latency",
    "X-Kong-Upstream-Latency",
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("off", set()),
        ("", set()),
        ("via", {"Via"}),
        ("server_tokens", {"server_tokens", "Via", "Server"}),
        ("latency_tokens", {"latency_tokens", *LATENCIES}),
        ("off, via", set()),
        ("X-KONG-Upstream-Status", {"X-Kong-Upstream-Status"}),
    ],
)
def test_headers_are_enabled_by_name_or_token(value: str, expected: set[str]) -> None:
    enabled = from_values(headers=value).enabled_headers
    assert {name for name, is_enabled in enabled.items() if is_enabled} == expected
    assert len(enabled) == 10


def test_upstream_headers_are_enabled_by_name() -> None:
    assert from_values().enabled_headers_upstream == {"X-Kong-Request-Id": True}
    assert from_values(headers_upstream="off").enabled_headers_upstream == {
        "X-Kong-Request-Id": False
    }


def test_port_maps_lead_from_inner_to_outer() -> None:
    configuration = from_values(port_maps="80:8000, 443 : 8443")
    assert configuration.host_ports == {8000: 80, 8443: 443}


def test_origins_have_no_path() -> None:
    configuration = from_values(admin_gui_url="https://gui.example:8445/manager, http://x")
    assert configuration.admin_gui_origins == ("https://gui.example:8445", "http://x")


def test_sizes_and_durations_have_numbers() -> None:
    configuration = from_values(nginx_http_keepalive_timeout="90")
    assert configuration.mem_cache_size_bytes == 128 * 1024**2
    assert configuration.ssl_session_timeout_seconds == 86400.0
    assert configuration.nginx_http_keepalive_timeout_seconds == 90.0
    assert configuration.nginx_main_worker_shutdown_timeout_seconds is None
    assert configuration.large_client_header_buffers == (4, 8192)


def test_workers_are_counted() -> None:
    assert from_values().worker_count == len(os.sched_getaffinity(0))
    assert from_values(workers="0").worker_count == 0
    assert from_values(nginx_worker_processes="3").worker_count == 3


def test_the_daemon_is_a_switch() -> None:
    assert from_values().is_daemon
    assert not from_values(nginx_daemon="off").is_daemon


def test_the_tls_policy_is_the_suites() -> None:
    assert from_values(ssl_cipher_suite="modern").tls_policy == TlsPolicy(
        protocols=("TLSv1.3",),
        ciphers=None,
        prefers_server_ciphers=False,
        dhparam=None,
        has_session_tickets=True,
        session_timeout_s=86400.0,
    )


def test_paths_are_below_the_prefix() -> None:
    configuration: Configuration = from_values(prefix="/p")
    assert configuration.prefixed("logs", "error.log") == "/p/logs/error.log"
    assert configuration.prefixed("/dev/stdout") == "/dev/stdout"
    assert configuration.pid_file == "/p/pids/kongtx.pid"
    assert configuration.environment_file == "/p/.kongtx_env"
    assert configuration.socket_path == "/p/sockets"
