"""Checks of values against each other and against files."""

import base64
import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kongtx.conf import ConfigurationError, from_values


def problems(**values: Any) -> list[str]:
    """The messages for some values, without the places."""
    try:
        from_values(values)
    except ConfigurationError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    """A certificate and its key as PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kongtx")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), key_pem.decode()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(
            (f"lua_max_{what}", value, f"lua_max_{what} must be an integer between 1 and 1000")
            for what in ("req_headers", "resp_headers", "uri_args", "post_args")
            for value in ("0", "1001", "1.5")
        ),
        *(
            (f"upstream_keepalive_{what}", "-1", f"upstream_keepalive_{what} must be 0 or greater")
            for what in ("pool_size", "max_requests", "idle_timeout")
        ),
        *(
            (f"pg_{what}", "-1", f"pg_{what} must be greater than 0")
            for what in (
                "max_concurrent_queries",
                "semaphore_timeout",
                "keepalive_timeout",
                "pool_size",
                "backlog",
                "ro_max_concurrent_queries",
                "ro_semaphore_timeout",
                "ro_keepalive_timeout",
                "ro_pool_size",
                "ro_backlog",
            )
        ),
        ("pg_pool_size", "1.5", "pg_pool_size must be an integer greater than 0"),
        (
            "worker_state_update_frequency",
            "0",
            "worker_state_update_frequency must be greater than 0",
        ),
        (
            "cluster_data_plane_purge_delay",
            "59",
            "cluster_data_plane_purge_delay must be 60 or greater",
        ),
        (
            "cluster_max_payload",
            "4194303",
            "cluster_max_payload must be 4194304 (4MB) or greater",
        ),
        ("tracing_sampling_rate", "1.1", "tracing_sampling_rate must be between 0 and 1"),
        ("tracing_sampling_rate", "-0.1", "tracing_sampling_rate must be between 0 and 1"),
        ("node_id", "me", "node_id must be a valid UUID"),
        ("mem_cache_size", "lots", "mem_cache_size must be a size, such as '8k' or '128m'"),
        ("mem_cache_size", "31k", "mem_cache_size must be at least 32k, got '31k'"),
        (
            "error_template_html",
            "/none",
            "error_template_html: could not read /none: No such file or directory",
        ),
        (
            "ssl_session_timeout",
            "long",
            "ssl_session_timeout must be a duration, such as '60s' or '1d'",
        ),
        (
            "nginx_http_large_client_header_buffers",
            "8k",
            "nginx_http_large_client_header_buffers must be a number and a size, such as '4 8k'",
        ),
        ("nginx_worker_processes", "-1", "nginx_worker_processes must be a number of processes"),
        (
            "nginx_main_worker_rlimit_nofile",
            "many",
            "nginx_main_worker_rlimit_nofile must be a number of files or auto, got 'many'",
        ),
        ("admin_gui_path", "x", "admin_gui_path must start with a slash ('/')"),
        ("admin_gui_path", "/x/", "admin_gui_path must not end with a slash ('/')"),
        (
            "admin_gui_path",
            "/x y",
            "admin_gui_path can only contain letters, digits, hyphens ('-'), underscores ('_'), "
            "and slashes ('/')",
        ),
        ("admin_gui_path", "/x//y", "admin_gui_path must not contain continuous slashes ('/')"),
        ("headers", "server_tokens, X-Mine", "headers: invalid entry 'X-Mine'"),
        ("headers_upstream", "Via", "headers_upstream: invalid entry 'Via'"),
        ("dns_order", "A,MX", "dns_order: invalid entry 'MX'"),
        ("resolver_family", "A,CNAME", "resolver_family: invalid entry 'CNAME'"),
        (
            "dns_resolver",
            "1.1.1.1, name",
            "dns_resolver must be a comma separated list in the form of IPv4/6 or IPv4/6:port, "
            "got 'name'",
        ),
        (
            "resolver_address",
            "1.1.1.1:x",
            "resolver_address must be a comma separated list in the form of IPv4/6 or "
            "IPv4/6:port, got '1.1.1.1:x'",
        ),
        (
            "trusted_ips",
            "10.0.0.0/8, 10.0.0.0/33",
            "trusted_ips must be a comma separated list in the form of IPv4 or IPv6 address or "
            "CIDR block or 'unix:', got '10.0.0.0/33'",
        ),
        ("trusted_ips", "host", "trusted_ips must be a comma separated list in the form of"),
        ("port_maps", "80", "invalid port mapping (`port_maps`): 80"),
        ("port_maps", "80:x", "invalid port mapping (`port_maps`): 80:x"),
        ("port_maps", "80:65536", "invalid port mapping (`port_maps`): 80:65536"),
        ("port_maps", "0:80", "invalid port mapping (`port_maps`): 0:80"),
        (
            "ssl_protocols",
            "TLSv1.2,TLSv1.3",
            "ssl_protocols must be some of TLSv1 TLSv1.1 TLSv1.2 TLSv1.3, got 'TLSv1.2,TLSv1.3'",
        ),
        ("lua_ssl_protocols", "SSLv3", "lua_ssl_protocols must be some of TLSv1 TLSv1.1"),
        (
            "nginx_stream_ssl_protocols",
            "SSLv3",
            "nginx_stream_ssl_protocols must be some of TLSv1 TLSv1.1 TLSv1.2 TLSv1.3",
        ),
        (
            "admin_gui_url",
            "http://a, manager.example",
            "admin_gui_url must be a list of http(s) URLs, got 'manager.example'",
        ),
        ("admin_gui_url", "http://[x", "admin_gui_url must be a list of http(s) URLs"),
        (
            "cluster_control_plane",
            "control.example",
            "cluster_control_plane must be of the form host:port, got 'control.example'",
        ),
        ("cluster_control_plane", "a b:1", "cluster_control_plane must be of the form host:port"),
        (
            "proxy_listen",
            "127.0.0.1:80 ssl, 127.000.0.1:80 ssl",
            "proxy_listen names an address twice",
        ),
        (
            "admin_listen",
            "0.0.0.0:8000",
            "admin_listen names 0.0.0.0:8000, which proxy_listen has",
        ),
        ("dns_hostsfile", "/none", "dns_hostsfile: file does not exist"),
        ("resolver_hosts_file", "/none", "resolver_hosts_file: file does not exist"),
        ("ssl_cipher_suite", "strong", "Undefined cipher suite strong"),
        ("tracing_instrumentations", "dns", "invalid tracing type: dns"),
        (
            "tracing_instrumentations",
            "off,all",
            "invalid tracing types: off, other types are mutually exclusive",
        ),
        ("proxy_server", "proxy.example", "proxy_server missing scheme"),
        ("proxy_server", "ftp://proxy.example", 'proxy_server only supports "http" and "https"'),
        ("proxy_server", "http://:80", "proxy_server missing host"),
        ("proxy_server", "http://[x", "proxy_server is invalid: not a URL"),
        (
            "proxy_server",
            "http://proxy.example/?x=1",
            "fragments, query strings or parameters are meaningless in proxy configuration",
        ),
        ("admin_auth", "token", 'admin_auth_token must be specified when admin_auth = "token"'),
        (
            "cluster_dp_labels",
            "a:b",
            'cluster_dp_labels can only be used when role = "data_plane"',
        ),
    ],
)
def test_a_value_out_of_order_is_refused(name: str, value: str, message: str) -> None:
    (problem,) = problems(**{name: value})
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lua_max_uri_args", "1"),
        ("lua_max_uri_args", "1000"),
        ("upstream_keepalive_pool_size", "0"),
        ("pg_pool_size", "0"),
        ("cluster_data_plane_purge_delay", "60"),
        ("cluster_max_payload", "4194304"),
        ("tracing_sampling_rate", "0"),
        ("tracing_sampling_rate", "1"),
        ("tracing_instrumentations", "request,router"),
        ("node_id", "8b5ae1b0-3f6a-4ae2-9d0c-4b5f7f2a1c11"),
        ("admin_gui_path", "/"),
        ("admin_gui_path", "/a-b/c_d"),
        ("headers", "SERVER_TOKENS, x-kong-upstream-status"),
        ("headers", "off"),
        ("headers", ""),
        ("dns_order", "last,srv"),
        ("dns_resolver", "1.1.1.1, 1.1.1.1:53, ::1, [::1]:53"),
        ("dns_hostsfile", ""),
        ("trusted_ips", "10.0.0.1, 10.0.0.0/8, ::1, ::/0, unix:, 0.0.0.0/0"),
        ("port_maps", "80:8000, 443 : 8443"),
        ("proxy_server", "https://me:pw@proxy.example:8080"),
        ("nginx_worker_processes", "0"),
        ("nginx_user", ""),
        ("ssl_dhparam", "ffdhe4096"),
        ("admin_listen", "off"),
        ("admin_listen", "0.0.0.0:8005"),
        ("proxy_listen", "127.0.0.1:0 ssl, 127.0.0.1:0"),
        ("cluster_control_plane", "[::1]:8005"),
        ("cluster_control_plane", "control.example:8005"),
        ("proxy_listen", "off"),
    ],
)
def test_a_value_in_order_is_taken(name: str, value: str) -> None:
    assert problems(**{name: value}) == []


def test_a_template_has_two_placeholders_at_most(tmp_path: Path) -> None:
    path = tmp_path / "error.html"
    path.write_text("<p>%s %s</p>")
    assert problems(error_template_html=str(path)) == []
    path.write_text("<p>%s %s %s</p>")
    assert problems(error_template_html=str(path)) == [
        f"error_template_html: {path} has 3 placeholders (%s), two are filled in"
    ]
    path.write_bytes(b"\xff")
    assert problems(error_template_html=str(path)) == [
        f"error_template_html: could not read {path}: not UTF-8 text"
    ]


def test_there_is_no_web_interface_yet() -> None:
    message = "there is no web interface yet, so nothing listens on what admin_gui_listen names"
    assert from_values(admin_gui_listen="127.0.0.1:8002").warnings == (message,)
    assert from_values().warnings == ()


@pytest.mark.parametrize(
    ("listen", "open_ones"),
    [
        ("0.0.0.0:8001", "0.0.0.0:8001"),
        ("127.0.0.1:8001, [::]:8001, admin.example:8444 ssl", "[::]:8001, admin.example:8444"),
        ("10.1.2.3:8001", "10.1.2.3:8001"),
    ],
)
def test_an_open_admin_api_is_told(listen: str, open_ones: str) -> None:
    [warning] = from_values(admin_listen=listen).warnings
    assert warning.startswith("THE ADMIN API IS OPEN: it listens on ")
    if "::" not in open_ones:
        assert f"listens on {open_ones}, and whoever" in warning
    secured = from_values(admin_listen=listen, admin_auth="token", admin_auth_token="x" * 32)
    assert secured.warnings == ()


@pytest.mark.parametrize(
    "listen", ["off", "127.0.0.1:8001, [::1]:8001", "127.9.9.9:1", "localhost:8001"]
)
def test_an_admin_api_for_this_machine_alone_is_not(listen: str) -> None:
    assert from_values(admin_listen=listen).warnings == ()


@pytest.mark.parametrize("prefix", ["", "admin_", "admin_gui_", "status_"])
class TestCertificates:
    """The pairs of the listeners."""

    def values(self, prefix: str, **pair: str) -> dict[str, str]:
        listen = f"{prefix or 'proxy_'}listen"
        return {listen: "127.0.0.1:9443 ssl", **{f"{prefix}{key}": pair[key] for key in pair}}

    def test_a_path_is_taken(self, prefix: str, pair: tuple[str, str], tmp_path: Path) -> None:
        for name, text in zip(("cert.pem", "key.pem"), pair, strict=True):
            (tmp_path / name).write_text(text)
        values = self.values(
            prefix,
            ssl_cert=str(tmp_path / "cert.pem"),
            ssl_cert_key=str(tmp_path / "key.pem"),
        )
        configuration = from_values(values)
        assert getattr(configuration, f"{prefix}ssl_cert") == (str(tmp_path / "cert.pem"),)

    def test_text_is_taken(self, prefix: str, pair: tuple[str, str]) -> None:
        certificate, key = pair
        configuration = from_values(self.values(prefix, ssl_cert=certificate, ssl_cert_key=key))
        assert getattr(configuration, f"{prefix}ssl_cert") == (certificate.strip(),)

    def test_base64_is_taken(self, prefix: str, pair: tuple[str, str]) -> None:
        certificate, key = (base64.b64encode(text.encode()).decode() for text in pair)
        configuration = from_values(self.values(prefix, ssl_cert=certificate, ssl_cert_key=key))
        assert getattr(configuration, f"{prefix}ssl_cert_key") == (pair[1],)

    def test_a_certificate_needs_a_key(self, prefix: str, pair: tuple[str, str]) -> None:
        found = problems(**self.values(prefix, ssl_cert=pair[0]))
        assert found == [f"{prefix}ssl_cert_key must be specified"]

    def test_a_key_needs_a_certificate(self, prefix: str, pair: tuple[str, str]) -> None:
        found = problems(**self.values(prefix, ssl_cert_key=pair[1]))
        assert found == [f"{prefix}ssl_cert must be specified"]

    def test_there_are_as_many_keys(self, prefix: str, pair: tuple[str, str]) -> None:
        values = self.values(prefix, ssl_cert=f"{pair[0]},{pair[0]}", ssl_cert_key=pair[1])
        (problem,) = problems(**values)
        assert problem.startswith(
            f"{prefix}ssl_cert was specified 2 times while {prefix}ssl_cert_key was specified "
            "1 times"
        )

    def test_what_cannot_be_loaded_is_told(self, prefix: str, tmp_path: Path) -> None:
        path = tmp_path / "empty.pem"
        path.touch()
        values = self.values(prefix, ssl_cert=str(path), ssl_cert_key=str(path))
        assert problems(**values) == [
            f"{prefix}ssl_cert: failed loading certificate from {path}",
            f"{prefix}ssl_cert_key: failed loading key from {path}",
        ]

    def test_a_damaged_key_is_not_told(self, prefix: str, pair: tuple[str, str]) -> None:
        values = self.values(prefix, ssl_cert=pair[0], ssl_cert_key="s3cret")
        (problem,) = problems(**values)
        assert problem == f"{prefix}ssl_cert_key: failed loading key from ******"

    def test_an_encrypted_key_is_told(self, prefix: str, pair: tuple[str, str]) -> None:
        encrypted = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        values = self.values(prefix, ssl_cert=pair[0], ssl_cert_key=encrypted.decode())
        assert problems(**values) == [
            f"{prefix}ssl_cert_key: failed loading key from ******: it is encrypted; give it "
            "without passphrase"
        ]

    def test_a_key_must_belong_to_its_certificate(
        self, prefix: str, pair: tuple[str, str], tmp_path: Path
    ) -> None:
        other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        values = self.values(prefix, ssl_cert=pair[0], ssl_cert_key=other.decode())
        assert problems(**values) == [
            f"{prefix}ssl_cert_key: key 1 does not belong to certificate 1"
        ]

    def test_nothing_is_checked_without_tls(self, prefix: str) -> None:
        values = self.values(prefix, ssl_cert="nonsense")
        values[f"{prefix or 'proxy_'}listen"] = "127.0.0.1:9443"
        assert problems(**values) == []


def test_a_stream_listener_needs_the_proxys_certificate() -> None:
    assert problems(proxy_listen="off", stream_listen="127.0.0.1:1 ssl", ssl_cert_key="x") == [
        "ssl_cert must be specified",
        "ssl_cert_key: failed loading key from ******",
    ]


def test_the_client_certificate_is_a_pair(pair: tuple[str, str]) -> None:
    certificate, key = pair
    assert problems(client_ssl="on", client_ssl_cert=certificate) == [
        "client_ssl_cert_key must be specified"
    ]
    (problem,) = problems(client_ssl="on", client_ssl_cert_key=key)
    assert problem == "client_ssl_cert must be specified"
    assert problems(client_ssl="on", client_ssl_cert=certificate, client_ssl_cert_key=key) == []
    assert problems(client_ssl="off", client_ssl_cert="nonsense") == []


def test_addresses_must_differ_by_more_than_flags() -> None:
    assert problems(proxy_listen="off", stream_listen="127.0.0.1:53 udp, 127.0.0.1:53") == []
    assert problems(
        proxy_listen="127.0.0.1:53 ssl", stream_listen="127.0.0.1:53", admin_gui_listen="off"
    ) == ["stream_listen names 127.0.0.1:53, which proxy_listen has"]


def test_custom_ciphers_must_be_known() -> None:
    assert problems(ssl_cipher_suite="custom", ssl_ciphers="ECDHE+AESGCM:!aNULL") == []
    assert problems(ssl_cipher_suite="custom", ssl_ciphers="STRONG") == [
        "ssl_ciphers has no cipher that OpenSSL knows: 'STRONG'"
    ]


def test_trusted_certificates_must_load(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nonsense")
    (problem,) = problems(lua_ssl_trusted_certificate=str(path))
    assert problem == f"lua_ssl_trusted_certificate: failed loading certificate from {path}"


def test_trusted_certificates_may_be_text(pair: tuple[str, str]) -> None:
    configuration = from_values(lua_ssl_trusted_certificate=pair[0])
    assert configuration.lua_ssl_trusted_certificate == (pair[0].strip(),)


def test_dh_parameters_must_be_some() -> None:
    (problem,) = problems(ssl_cipher_suite="custom", ssl_dhparam="nonsense")
    assert problem == "ssl_dhparam: failed loading parameters from nonsense"


def test_dh_parameters_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dh.pem"
    der = base64.b64encode(b"\x30\x06\x02\x01\x17\x02\x01\x05").decode()
    path.write_text(f"-----BEGIN DH PARAMETERS-----\n{der}\n-----END DH PARAMETERS-----\n")
    configuration = from_values(ssl_cipher_suite="custom", ssl_dhparam=str(path))
    assert configuration.tls_policy.dhparam == str(path)


@pytest.fixture
def hybrid(pair: tuple[str, str]) -> dict[str, str]:
    """What both planes need."""
    return {"cluster_cert": pair[0], "cluster_cert_key": pair[1]}


NEEDS_PAIR = "cluster certificate and key must be provided to use Hybrid mode"


class TestControlPlane:
    """role = control_plane."""

    def test_it_needs_certificate_and_key(self, pair: tuple[str, str]) -> None:
        assert problems(role="control_plane", cluster_cert=pair[0]) == [NEEDS_PAIR]

    def test_they_must_load(self) -> None:
        assert problems(role="control_plane", cluster_cert="x", cluster_cert_key="y") == [
            "cluster_cert: failed loading certificate from ******",
            "cluster_cert_key: failed loading key from ******",
        ]

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({}, None),
            (
                {"admin_listen": "off"},
                "admin_listen must be specified when role = \"control_plane\", got 'off'",
            ),
            (
                {"cluster_listen": "off"},
                "cluster_listen must be specified when role = \"control_plane\", got 'off'",
            ),
            (
                {"database": "off"},
                'in-memory storage can not be used when role = "control_plane"',
            ),
            (
                {"cluster_mtls": "pki"},
                'cluster_ca_cert must be specified when cluster_mtls = "pki"',
            ),
            (
                {"cluster_use_proxy": "on"},
                "cluster_use_proxy can not be used when role = \"control_plane\", got 'on'",
            ),
            (
                {"cluster_dp_labels": "a:b"},
                "cluster_dp_labels can not be used when role = \"control_plane\", got 'a:b'",
            ),
        ],
    )
    def test_rules(
        self, hybrid: dict[str, str], values: dict[str, str], message: str | None
    ) -> None:
        expected = [] if message is None else [message]
        assert problems(role="control_plane", **hybrid, **values) == expected


class TestDataPlane:
    """role = data_plane."""

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({}, None),
            ({"cluster_dp_labels": "region:eu-1, MY-La3L.nam_e:my_l..val, super_kong:yey"}, None),
            (
                {"proxy_listen": "off"},
                "proxy_listen must be specified when role = \"data_plane\", got 'off'",
            ),
            (
                {"database": "postgres"},
                'only in-memory storage can be used when role = "data_plane"\n'
                "Hint: set database = off in your kongtx.conf",
            ),
            (
                {"cluster_use_proxy": "on"},
                "cluster_use_proxy is turned on but no proxy_server is configured",
            ),
            (
                {"cluster_dp_labels": ",".join(f"k{n}:v" for n in range(11))},
                "labels validation failed: count exceeded 10 max elements",
            ),
            (
                {"cluster_dp_labels": f"{'k' * 64}:v"},
                f"label key validation failed: {'k' * 64} must have between 1 and 63 characters",
            ),
            (
                {"cluster_dp_labels": "key"},
                "label key validation failed:  must have between 1 and 63 characters, in 'key'",
            ),
            (
                {"cluster_dp_labels": "key:"},
                "label value validation failed:  must have between 1 and 63 characters, in 'key:'",
            ),
            ({"cluster_dp_labels": "kong-x:v"}, "label key validation failed: kong-x is invalid"),
            ({"cluster_dp_labels": "k:V!"}, "label value validation failed: V! is invalid"),
        ],
    )
    def test_rules(
        self, hybrid: dict[str, str], values: dict[str, str], message: str | None
    ) -> None:
        found = problems(**{"role": "data_plane", "database": "off", **hybrid, **values})
        assert len(found) == (0 if message is None else 1)
        assert "".join(found).startswith(message or "")

    def test_it_trusts_the_shared_certificate(self, hybrid: dict[str, str]) -> None:
        configuration = from_values(role="data_plane", database="off", **hybrid)
        assert configuration.lua_ssl_trusted_certificate[-1] == hybrid["cluster_cert"].strip()
