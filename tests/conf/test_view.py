"""The configuration as the Admin API shows it."""

import json

import pytest

from kongtx.conf import from_values, load, parse_listen
from kongtx.conf.view import listener_view, public_view


def test_it_is_json() -> None:
    view = public_view(from_values())
    assert json.loads(json.dumps(view)) == view


def test_values_have_their_final_types() -> None:
    view = public_view(from_values())
    assert view["admin_listen"] == [
        "127.0.0.1:8001 reuseport backlog=16384",
        "127.0.0.1:8444 http2 ssl reuseport backlog=16384",
    ]
    assert view["pg_port"] == 5432
    assert view["db_update_frequency"] == 5
    assert view["pg_ssl"] is False
    assert view["nginx_daemon"] == "on"
    assert view["database"] == "sqlite"
    assert view["role"] == "traditional"
    assert view["router_flavor"] == "traditional_compatible"
    assert view["wasm"] is False


def test_what_has_no_value_is_absent() -> None:
    view = public_view(from_values())
    assert "pg_password" not in view
    assert "db_cache_neg_ttl" not in view
    assert "portal" not in view
    assert "rbac" not in view


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pg_password", "s3cret"),
        ("pg_ro_password", "s3cret"),
        ("cassandra_password", "s3cret"),
        ("proxy_server", "http://me:s3cret@proxy"),
        ("declarative_config_string", "s3cret: 1"),
        ("admin_auth_token", "s3cret"),
        ("admin_auth_password", "s3cret"),
        ("request_debug_token", "s3cret"),
        ("debug_ssl_cert_key", "s3cret"),
        ("vault_hcv_token", "s3cret"),
    ],
)
def test_secrets_are_masked(name: str, value: str) -> None:
    view = public_view(from_values({name: value}))
    assert view[name] == "******"
    assert "s3cret" not in json.dumps(view)


def test_references_are_shown_unresolved() -> None:
    configuration = load(
        overrides={
            "pg_user": "{vault://env/user}",
            "pg_password": "{vault://env/password}",
            "plugins": "bundled,{vault://env/plugin}",
            "nginx_http_foo": "{vault://env/user}",
            "nginx_admin_client_max_body_size": "{vault://env/size}",
        },
        environment={"USER": "me", "PASSWORD": "s3cret", "PLUGIN": "mine", "SIZE": "77m"},
        search_paths=(),
    )
    view = public_view(configuration)
    assert view["pg_user"] == "{vault://env/user}"
    assert view["pg_password"] == "******"
    assert view["plugins"] == ["bundled", "{vault://env/plugin}"]
    assert view["nginx_http_foo"] == "{vault://env/user}"
    assert {"name": "foo", "value": "{vault://env/user}"} in view["nginx_http_directives"]
    assert "77m" not in json.dumps(view)


def test_a_listener_has_a_boolean_for_each_flag() -> None:
    (listen,) = parse_listen(["127.0.0.1:8443 http2 ssl reuseport backlog=16384"])
    assert listener_view(listen) == {
        "ip": "127.0.0.1",
        "port": 8443,
        "listener": "127.0.0.1:8443 ssl reuseport backlog=16384",
        "ssl": True,
        "http2": True,
        "proxy_protocol": False,
        "deferred": False,
        "bind": False,
        "reuseport": True,
        "backlog=16384": True,
        "ipv6only=on": False,
        "ipv6only=off": False,
        "so_keepalive=on": False,
        "so_keepalive=off": False,
        "so_keepalive=%w*:%w*:%d*": False,
    }


def test_a_stream_listener_has_its_own_flags() -> None:
    (listen,) = parse_listen(["[::1]:53 udp ipv6only=on so_keepalive=30::5"], "stream")
    assert listener_view(listen, "stream") == {
        "ip": "[0000:0000:0000:0000:0000:0000:0000:0001]",
        "port": 53,
        "listener": (
            "[0000:0000:0000:0000:0000:0000:0000:0001]:53 udp ipv6only=on so_keepalive=30::5"
        ),
        "udp": True,
        "ssl": False,
        "proxy_protocol": False,
        "bind": False,
        "reuseport": False,
        "backlog=%d+": False,
        "ipv6only=on": True,
        "ipv6only=off": False,
        "so_keepalive=on": False,
        "so_keepalive=off": False,
        "so_keepalive=30::5": True,
    }


def test_what_kong_derives_is_there() -> None:
    view = public_view(
        from_values(
            prefix="/p",
            plugins="key-auth",
            port_maps="80:8000",
            admin_gui_url="http://gui/x",
            nginx_http_foo="bar",
            nginx_upstream_keepalive="NONE",
        )
    )
    assert view["loaded_plugins"] == {"key-auth": True}
    assert view["loaded_vaults"] == {"env": True}
    assert view["enabled_headers"]["Via"] is True
    assert view["enabled_headers_upstream"] == {"X-Kong-Request-Id": True}
    assert view["host_ports"] == {"8000": 80}
    assert view["admin_gui_origin"] == ["http://gui"]
    assert view["proxy_ssl_enabled"] is True
    assert view["stream_proxy_ssl_enabled"] is False
    assert view["ssl_enabled"] is True
    assert view["proxy_listeners"][0]["port"] == 8000
    assert view["stream_listeners"] == []
    assert {"name": "foo", "value": "bar"} in view["nginx_http_directives"]
    assert view["nginx_upstream_directives"] == []
    assert view["kong_env"] == "/p/.kongtx_env"
    assert view["nginx_pid"] == "/p/pids/kongtx.pid"
    assert view["socket_path"] == "/p/sockets"
    assert view["lmdb_validation_tag"] == "3.9"
