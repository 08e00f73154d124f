"""What the loader makes of defaults, file, environment and overrides."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kongtx.conf import Configuration, ConfigurationError, NoFileError, from_values, load
from kongtx.conf.errors import Problem
from kongtx.conf.loader import SEARCH_PATHS, default_prefix
from kongtx.conf.properties import PROPERTIES

Load = Callable[..., Configuration]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Loads a file of the given text, with no environment unless given."""

    def loader(text: str = "", environment: dict[str, str] | None = None, **more: Any) -> Any:
        path = tmp_path / "kongtx.conf"
        path.write_text(text)
        return load(str(path), environment=environment or {}, **more)

    return loader


def problems(action: Callable[[], object]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        action()
    return [str(problem) for problem in caught.value.problems]


def test_defaults_hold_when_nothing_is_set() -> None:
    configuration = from_values()
    assert configuration.proxy_listen == (
        "0.0.0.0:8000 reuseport backlog=16384",
        "0.0.0.0:8443 http2 ssl reuseport backlog=16384",
    )
    assert configuration.database == "sqlite"
    assert configuration.log_level == "notice"
    assert configuration.allow_debug_header is False
    assert configuration.db_update_frequency == 5
    assert configuration.tracing_sampling_rate == 0.01
    assert configuration.nginx_daemon == "on"
    assert configuration.pg_password is None
    assert configuration.ssl_cert == ()
    assert configuration.warnings == ()


#: Property, default in Kong 3.9 where kongtx has its own.
DEPARTURES = {"prefix", "database", "anonymous_reports"}

KONG_DEFAULTS = {
    "log_level": "notice",
    "proxy_stream_access_log": "logs/access.log basic",
    "vaults": ("bundled",),
    "plugins": ("bundled",),
    "role": "traditional",
    "cluster_listen": ("0.0.0.0:8005",),
    "cluster_max_payload": 16777216,
    "cluster_data_plane_purge_delay": 1209600,
    "stream_listen": ("off",),
    "admin_listen": (
        "127.0.0.1:8001 reuseport backlog=16384",
        "127.0.0.1:8444 http2 ssl reuseport backlog=16384",
    ),
    "status_listen": ("127.0.0.1:8007 reuseport backlog=16384",),
    "admin_gui_listen": ("off",),
    "mem_cache_size": "128m",
    "ssl_cipher_suite": "intermediate",
    "ssl_session_timeout": "1d",
    "headers": ("server_tokens", "latency_tokens", "X-Kong-Request-Id"),
    "headers_upstream": ("X-Kong-Request-Id",),
    "trusted_ips": (),
    "real_ip_header": "X-Real-IP",
    "real_ip_recursive": "off",
    "error_default_type": "text/plain",
    "upstream_keepalive_pool_size": 512,
    "upstream_keepalive_max_requests": 10000,
    "upstream_keepalive_idle_timeout": 60,
    "pg_host": "127.0.0.1",
    "pg_port": 5432,
    "pg_timeout": 5000,
    "pg_user": "kong",
    "pg_database": "kong",
    "pg_semaphore_timeout": 60000,
    "pg_ro_host": None,
    "lmdb_map_size": "2048m",
    "db_cache_ttl": 0,
    "db_cache_neg_ttl": None,
    "db_resurrect_ttl": 30,
    "dns_order": ("LAST", "SRV", "A", "CNAME"),
    "dns_stale_ttl": 3600,
    "dns_not_found_ttl": 30,
    "dns_error_ttl": 1,
    "resolver_family": ("A", "SRV"),
    "worker_consistency": "eventual",
    "router_flavor": "traditional_compatible",
    "lua_max_uri_args": 100,
    "untrusted_lua": "sandbox",
    "admin_gui_path": "/",
    "wasm_filters": ("bundled", "user"),
    "request_debug": True,
    "nginx_http_keepalive_requests": 10000,
}


@pytest.mark.parametrize("name", KONG_DEFAULTS)
def test_a_default_is_kongs(name: str) -> None:
    assert getattr(from_values(), name) == KONG_DEFAULTS[name]


def test_the_file_wins_over_defaults(load_text: Load) -> None:
    configuration = load_text("log_level = debug\npg_port = 6000\npg_ssl = on\nplugins = a , b")
    assert configuration.log_level == "debug"
    assert configuration.pg_port == 6000
    assert configuration.pg_ssl is True
    assert configuration.plugins == ("a", "b")
    assert configuration.path is not None
    assert configuration.path.endswith("kongtx.conf")


def test_the_environment_wins_over_the_file(load_text: Load) -> None:
    environment = {"KONG_LOG_LEVEL": "info", "KONG_PG_PORT": "7000"}
    configuration = load_text("log_level = debug\npg_port = 6000", environment)
    assert (configuration.log_level, configuration.pg_port) == ("info", 7000)


def test_our_variables_win_over_kongs(load_text: Load) -> None:
    environment = {"KONGTX_LOG_LEVEL": "error", "KONG_LOG_LEVEL": "info"}
    assert load_text("log_level = debug", environment).log_level == "error"


def test_overrides_win_over_everything(load_text: Load) -> None:
    configuration = load_text(
        "prefix = /a",
        {"KONG_PREFIX": "/b", "KONGTX_PREFIX": "/c"},
        overrides={"prefix": "/d"},
    )
    assert configuration.prefix == "/d"


def test_an_empty_variable_unsets_what_the_file_sets(load_text: Load) -> None:
    assert load_text("pg_password = x", {"KONG_PG_PASSWORD": ""}).pg_password is None


def test_an_empty_listen_variable_is_the_form_error(load_text: Load) -> None:
    (problem,) = problems(lambda: load_text("", {"KONG_PROXY_LISTEN": ""}))
    assert problem.startswith("proxy_listen must be of form: [off] | <ip>:<port> [ssl]")
    assert problem.endswith("[environment variable KONG_PROXY_LISTEN]")


def test_a_number_sign_in_a_variable_is_literal(load_text: Load) -> None:
    assert load_text("", {"KONG_PG_PASSWORD": "a#b \\# c"}).pg_password == "a#b \\# c"


def test_a_number_sign_in_the_file_is_escaped(load_text: Load) -> None:
    assert load_text("pg_password = a\\#b # really").pg_password == "a#b"


def test_the_last_of_two_lines_wins_with_a_warning(load_text: Load) -> None:
    configuration = load_text("log_level = debug\nlog_level = info")
    assert configuration.log_level == "info"
    assert configuration.warnings == (
        "the 'log_level' configuration property is set again, which replaces "
        f"{configuration.path}:1 [{configuration.path}:2]",
    )


def test_the_first_file_found_is_read(tmp_path: Path) -> None:
    second = tmp_path / "second.conf"
    third = tmp_path / "third.conf"
    second.write_text("log_level = debug")
    third.write_text("log_level = info")
    paths = [str(tmp_path / "first.conf"), str(second), str(third)]
    configuration = load(environment={}, search_paths=paths)
    assert (configuration.log_level, configuration.path) == ("debug", str(second))


def test_no_file_found_leaves_the_defaults(tmp_path: Path) -> None:
    configuration = load(environment={}, search_paths=[str(tmp_path / "none")])
    assert (configuration, configuration.path) == (from_values(), None)


def test_files_are_looked_for_where_kong_has_them() -> None:
    assert SEARCH_PATHS == ("/etc/kongtx/kongtx.conf", "/etc/kong/kong.conf", "/etc/kong.conf")


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NoFileError) as caught:
        load(str(tmp_path / "none.conf"), environment={})
    assert str(caught.value) == f"no file at: {tmp_path}/none.conf"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kongtx.conf"
    path.write_bytes(b"log_level = \xff")
    assert problems(lambda: load(str(path), environment={})) == [
        f"could not read {path}: not UTF-8 text"
    ]


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert problems(lambda: load(str(tmp_path), environment={})) == [
        f"could not read {tmp_path}: Is a directory"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("on", True), ("true", True), ("off", False), ("false", False)],
)
def test_a_boolean_has_four_spellings(text: str, expected: bool) -> None:
    assert from_values(pg_ssl=text).pg_ssl is expected


@pytest.mark.parametrize("text", ["yes", "On", "1", "TRUE", "enabled"])
def test_other_spellings_of_a_boolean_are_errors(text: str) -> None:
    assert problems(lambda: from_values(pg_ssl=text)) == [
        f"pg_ssl is not a boolean: '{text}' (on, off, true, false) [option pg_ssl]"
    ]


@pytest.mark.parametrize(("text", "expected"), [("on", "on"), ("true", "on"), ("off", "off")])
def test_a_switch_keeps_its_word(text: str, expected: str) -> None:
    assert from_values(nginx_daemon=text).nginx_daemon == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("5", 5), ("0.5", 0.5), ("1e2", 100), (" 7 ", 7), (".5", 0.5)]
)
def test_a_number_is_decimal(text: str, expected: float) -> None:
    value = from_values(db_cache_ttl=text).db_cache_ttl
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize("text", ["five", "5s", "0x10", "nan", "inf", "1e999", "5,5", "--5"])
def test_what_is_no_number_is_an_error(text: str) -> None:
    assert problems(lambda: from_values(db_cache_ttl=text)) == [
        f"db_cache_ttl is not a number: '{text}' [option db_cache_ttl]"
    ]


def test_large_numbers_are_exact() -> None:
    assert from_values(pg_timeout="9007199254740993").pg_timeout == 9007199254740993


def test_numbers_in_text_properties_stay_text() -> None:
    assert from_values(pg_password="0123").pg_password == "0123"


def test_a_list_is_trimmed() -> None:
    assert from_values(plugins=" a,b , c,").plugins == ("a", "b", "c")


def test_an_enum_tells_its_choices() -> None:
    assert problems(lambda: from_values(role="king")) == [
        "role has an invalid value: 'king' (data_plane, control_plane, traditional) [option role]"
    ]


def test_an_enum_cannot_be_unset() -> None:
    assert problems(lambda: from_values(worker_consistency="")) == [
        "worker_consistency has an invalid value: '' (strict, eventual) [option worker_consistency]"
    ]


def test_what_needs_a_value_cannot_be_unset() -> None:
    assert problems(lambda: from_values(pg_port="")) == [
        "pg_port must have a value; leave it out for its default '5432' [option pg_port]"
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pg_host", 123, "pg_host is not a string: '123'"),
        ("plugins", 123, "plugins is not an array: '123'"),
        ("plugins", [1], "plugins is not an array: '[1]'"),
        ("pg_port", True, "pg_port is not a number: 'True'"),
        ("pg_ssl", 1, "pg_ssl is not a boolean: '1' (on, off, true, false)"),
    ],
)
def test_programs_get_type_errors(name: str, value: Any, message: str) -> None:
    assert problems(lambda: from_values({name: value})) == [f"{message} [option {name}]"]


@pytest.mark.parametrize("name", ["pg_host", "lua_ssl_trusted_certificate"])
def test_a_nul_character_is_refused(name: str) -> None:
    (problem,) = problems(lambda: from_values({name: "a\0b"}))
    assert problem.startswith(f"{name} has a NUL character")


def test_programs_may_give_typed_values() -> None:
    configuration = from_values(pg_port=1, pg_ssl=True, plugins=["a"], mem_cache_size=65536)
    assert (configuration.pg_port, configuration.pg_ssl) == (1, True)
    assert (configuration.plugins, configuration.mem_cache_size_bytes) == (("a",), 65536)


def test_programs_may_set_directives() -> None:
    configuration = from_values(nginx_http_a=True, nginx_http_b=4096, nginx_http_c=["x", "y"])
    assert configuration.dynamic == {
        "nginx_http_a": "on",
        "nginx_http_b": "4096",
        "nginx_http_c": "x, y",
    }


def test_all_errors_come_at_once_with_their_places(load_text: Load) -> None:
    text = "log_level = loud\n\npg_port = many\nnot a setting\npg_ssl = maybe # ?"
    with pytest.raises(ConfigurationError) as caught:
        load_text(text, {"KONG_DB_CACHE_TTL": "x"})
    where = {problem.name: problem.where.rpartition("/")[2] for problem in caught.value.problems}
    assert where == {
        "": "kongtx.conf:4",
        "log_level": "kongtx.conf:1",
        "pg_port": "kongtx.conf:3",
        "pg_ssl": "kongtx.conf:5",
        "db_cache_ttl": "environment variable KONG_DB_CACHE_TTL",
    }
    assert str(caught.value).count("\n") == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("admin_auth = token", 'admin_auth_token must be specified when admin_auth = "token"'),
        (
            "role = data_plane\ndatabase = off",
            "cluster certificate and key must be provided to use Hybrid mode",
        ),
    ],
)
def test_what_is_missing_is_told_where_it_is_asked_for(
    load_text: Load, tmp_path: Path, text: str, message: str
) -> None:
    assert problems(lambda: load_text(text)) == [f"{message} [{tmp_path}/kongtx.conf:1]"]


def test_an_unknown_property_is_a_warning_with_a_suggestion(load_text: Load) -> None:
    configuration = load_text("proxy_lisen = off\nfrobnicate = 1")
    assert configuration.warnings == (
        "unknown configuration property 'proxy_lisen' is ignored, did you mean 'proxy_listen'? "
        f"[{configuration.path}:1]",
        f"unknown configuration property 'frobnicate' is ignored [{configuration.path}:2]",
    )


def test_an_unknown_variable_is_a_warning_only_when_it_looks_like_a_slip(load_text: Load) -> None:
    environment = {
        "KONG_PROXY_LISTENS": "off",
        "KONG_VERSION": "3.9",
        "KONG_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "KONGTX_SERVICE_HOST": "10.0.0.1",
        "KONGO_LOG_LEVEL": "debug",
    }
    assert load_text("", environment).warnings == (
        "environment variable KONG_PROXY_LISTENS names no configuration property, did you mean "
        "'proxy_listen'?",
    )


def test_an_unknown_override_is_an_error() -> None:
    assert problems(lambda: from_values(log_levle="debug")) == [
        "unknown configuration property 'log_levle', did you mean 'log_level'? [option log_levle]"
    ]


def test_nginx_properties_are_kept_with_one_warning(load_text: Load) -> None:
    configuration = load_text(
        "nginx_http_proxy_buffers = 8 4k\nlua_package_path = /x\npluginserver_go_socket = /s",
        {"KONG_NGINX_UPSTREAM_KEEPALIVE": "20"},
    )
    assert configuration.dynamic == {
        "nginx_http_proxy_buffers": "8 4k",
        "pluginserver_go_socket": "/s",
        "nginx_upstream_keepalive": "20",
    }
    assert configuration.lua_package_path == "/x"
    assert configuration.warnings == (
        "these properties have no effect on kongtx: lua_package_path, "
        "nginx_http_proxy_buffers, nginx_upstream_keepalive, pluginserver_go_socket",
    )


def test_a_directive_that_is_left_out_has_its_default(load_text: Load) -> None:
    configuration = load_text("nginx_http_client_max_body_size = NONE\nnginx_http_foo = NONE")
    assert configuration.nginx_http_client_max_body_size == "0"
    assert configuration.dynamic == {"nginx_http_foo": "NONE"}


def test_settings_of_vaults_are_kept(load_text: Load) -> None:
    configuration = load_text("vault_aws_region = eu\nvault_env_prefix = MY_")
    assert configuration.dynamic == {"vault_aws_region": "eu"}
    assert configuration.vault_env_prefix == "MY_"
    assert configuration.warnings == ()


@pytest.mark.parametrize(
    ("alias", "name", "value"),
    [
        ("nginx_worker_processes", "nginx_main_worker_processes", "3"),
        ("nginx_main_worker_processes", "nginx_worker_processes", "3"),
        ("workers", "nginx_worker_processes", "3"),
        ("workers", "nginx_main_worker_processes", "3"),
        ("nginx_daemon", "nginx_main_daemon", "off"),
        ("nginx_user", "nginx_main_user", "www"),
        ("real_ip_header", "nginx_proxy_real_ip_header", "X-Forwarded-For"),
        ("real_ip_recursive", "nginx_proxy_real_ip_recursive", "on"),
    ],
)
def test_names_of_one_property_agree(alias: str, name: str, value: str) -> None:
    configuration = from_values({alias: value})
    assert getattr(configuration, name) == value
    assert getattr(configuration, alias) == value


def test_the_higher_rank_wins_whatever_the_name(load_text: Load) -> None:
    environment = {"KONG_NGINX_WORKER_PROCESSES": "2"}
    configuration = load_text("nginx_main_worker_processes = 4", environment)
    assert configuration.nginx_main_worker_processes == "2"


def test_the_proper_name_wins_at_the_same_rank(load_text: Load) -> None:
    configuration = load_text("workers = 2\nnginx_main_worker_processes = 4")
    assert configuration.workers == "4"


def test_a_wrong_value_of_an_alias_is_told_once_under_the_name_used() -> None:
    assert problems(lambda: from_values(workers="many")) == [
        "workers must be a number of processes or auto, got 'many' [option workers]"
    ]


@pytest.mark.parametrize(
    ("old", "new", "text", "value"),
    [
        ("opentelemetry_tracing", "tracing_instrumentations", "request", ("request",)),
        ("opentelemetry_tracing_sampling_rate", "tracing_sampling_rate", "0.5", 0.5),
        ("router_consistency", "worker_consistency", "strict", "strict"),
    ],
)
def test_a_former_name_works_with_a_warning(old: str, new: str, text: str, value: object) -> None:
    configuration = from_values({old: text})
    assert getattr(configuration, new) == value
    assert configuration.warnings[0] == (
        f"the '{old}' configuration property is deprecated, use '{new}' instead [option {old}]"
    )


def test_a_deprecated_value_is_a_warning() -> None:
    assert from_values(worker_consistency="strict").warnings == (
        "the configuration value 'strict' for configuration property 'worker_consistency' is "
        "deprecated [option worker_consistency]",
        "these properties have no effect on kongtx: worker_consistency",
    )


def test_ssl_properties_reach_their_subsystems() -> None:
    configuration = from_values(
        ssl_cipher_suite="custom",
        ssl_ciphers="ECDHE+AESGCM",
        ssl_protocols="TLSv1.3",
        ssl_session_tickets="off",
        nginx_stream_ssl_protocols="TLSv1.2",
    )
    assert configuration.ssl_ciphers == "ECDHE+AESGCM"
    assert configuration.nginx_http_ssl_protocols == "TLSv1.3"
    assert configuration.nginx_stream_ssl_protocols == "TLSv1.2"
    assert configuration.nginx_http_ssl_session_tickets == "off"
    assert configuration.nginx_http_ssl_prefer_server_ciphers == "on"


def test_a_cipher_suite_replaces_what_is_given_for_it() -> None:
    configuration = from_values(ssl_cipher_suite="modern", ssl_ciphers="X", ssl_dhparam="ffdhe4096")
    assert configuration.ssl_ciphers is None
    assert configuration.ssl_dhparam is None
    assert configuration.nginx_http_ssl_protocols == "TLSv1.3"
    assert configuration.nginx_http_ssl_prefer_server_ciphers == "off"


def test_the_old_suite_leaves_the_group_alone() -> None:
    assert from_values(ssl_cipher_suite="old", ssl_dhparam="ffdhe4096").ssl_dhparam == "ffdhe4096"
    assert from_values(ssl_cipher_suite="old").nginx_http_ssl_dhparam is None


@pytest.mark.parametrize(
    ("environment", "is_root", "expected"),
    [
        ({}, True, "/var/lib/kongtx"),
        ({"XDG_STATE_HOME": "/s"}, True, "/var/lib/kongtx"),
        ({"HOME": "/home/me"}, False, "/home/me/.local/state/kongtx"),
        ({"HOME": "/home/me", "XDG_STATE_HOME": "/s"}, False, "/s/kongtx"),
        ({"HOME": "/home/me", "XDG_STATE_HOME": "s"}, False, "/home/me/.local/state/kongtx"),
    ],
)
def test_the_prefix_is_where_programs_keep_their_state(
    environment: dict[str, str], is_root: bool, expected: str
) -> None:
    assert default_prefix(environment, is_root) == expected


def test_the_prefix_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_values(prefix="here/").prefix == str(tmp_path / "here")


def test_other_paths_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").touch()
    configuration = from_values(declarative_config="kong.yml", error_template_html="page.html")
    assert configuration.declarative_config == str(tmp_path / "kong.yml")
    assert configuration.error_template_html == str(tmp_path / "page.html")


def test_references_are_resolved_and_remembered(load_text: Load) -> None:
    configuration = load_text(
        "pg_password = {vault://env/secret}\nplugins = bundled, {vault://env/plugin}",
        {"SECRET": "s3cret", "PLUGIN": "mine"},
    )
    assert configuration.pg_password == "s3cret"
    assert configuration.plugins == ("bundled", "mine")
    assert configuration.references == {
        "pg_password": "{vault://env/secret}",
        "plugins": ("bundled", "{vault://env/plugin}"),
    }


def test_the_vaults_settings_apply_to_references(load_text: Load) -> None:
    configuration = load_text(
        "pg_password = {vault://env/secret}",
        {"MY_SECRET": "s3cret", "KONG_VAULT_ENV_PREFIX": "MY_"},
    )
    assert configuration.pg_password == "s3cret"


def test_references_may_stand_in_variables(load_text: Load) -> None:
    environment = {"KONG_PG_PORT": "{vault://env/port}", "PORT": "6000"}
    assert load_text("", environment).pg_port == 6000


def test_a_reference_without_a_value_is_fatal(load_text: Load) -> None:
    (problem,) = problems(lambda: load_text("pg_password = {vault://env/x}"))
    assert problem.startswith(
        "failed to dereference '{vault://env/x}': could not get value from external vault "
        "(no value found) for config option 'pg_password' ["
    )


@pytest.mark.parametrize("name", ["workers", "ssl_protocols"])
def test_it_is_told_once_for_all_names(load_text: Load, name: str) -> None:
    (problem,) = problems(lambda: load_text(f"{name} = {{vault://env/x}}"))
    assert f"for config option '{name}'" in problem


def test_a_reference_in_a_list_is_named_by_its_place(load_text: Load) -> None:
    (problem,) = problems(lambda: load_text("plugins = a, {vault://env/x}"))
    assert "for config option 'plugins[2]'" in problem


def test_a_reference_without_a_value_counts_as_empty_when_stopping(load_text: Load) -> None:
    configuration = load_text(
        "pg_password = {vault://env/x}\npg_port = {vault://env/x}\nplugins = a, {vault://env/x}",
        strict=False,
    )
    assert configuration.pg_password is None
    assert configuration.pg_port == 5432
    assert configuration.plugins == ("a",)


@pytest.mark.parametrize(
    "text",
    [
        "ssl_cert = {vault://env/x}\nssl_cert_key = {vault://env/x}",
        "ssl_cert_key = {vault://env/x}, {vault://env/x}",
        "proxy_listen = {vault://env/x}",
        "role = control_plane\ncluster_cert = {vault://env/x}\ncluster_cert_key = {vault://env/x}",
        "admin_auth = token\nadmin_auth_token = {vault://env/x}",
        "prefix = {vault://env/x}",
        "prefix = {vault://}",
        "node_id = {vault://env/x}\nlog_level = {vault://env/x}\npg_ssl = {vault://env/x}",
    ],
)
def test_what_is_wrong_without_secrets_is_no_matter_when_stopping(
    load_text: Load, text: str
) -> None:
    assert load_text(text, strict=False).references


def test_other_mistakes_are_told_all_the_same(load_text: Load) -> None:
    text = "ssl_cert_key = {vault://env/x}\npg_port = many"
    (problem,) = problems(lambda: load_text(text, strict=False))
    assert problem.startswith("pg_port is not a number: 'many'")


def test_an_empty_secret_is_no_value(load_text: Load) -> None:
    (problem,) = problems(lambda: load_text("pg_port = {vault://env/x}", {"X": ""}))
    assert problem.startswith("pg_port must have a value")


def test_without_vaults_there_is_nothing_to_refer_to(load_text: Load) -> None:
    (problem,) = problems(
        lambda: load_text("vaults = off\npg_password = {vault://env/x}", {"X": "1"})
    )
    assert "could not find vault (env)" in problem


def test_a_bad_value_from_a_vault_is_not_told(load_text: Load) -> None:
    (problem,) = problems(lambda: load_text("pg_port = {vault://env/port}", {"PORT": "s3cret"}))
    assert "s3cret" not in problem
    assert "{vault://env/port}" in problem


def test_sensitive_values_are_not_told() -> None:
    (problem,) = problems(lambda: from_values(proxy_server="ftp://me:s3cret@host"))
    assert problem == (
        'proxy_server only supports "http" and "https", got ftp [option proxy_server]'
    )


def test_a_configuration_shows_no_values_in_its_repr() -> None:
    assert "s3cret" not in repr(from_values(pg_password="s3cret"))


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        from_values().log_level = "debug"  # type: ignore[misc]


def test_every_property_is_an_attribute() -> None:
    configuration = from_values()
    assert [name for name in PROPERTIES if not hasattr(configuration, name)] == []


def test_a_problem_prints_its_place_when_it_has_one() -> None:
    assert str(Problem("wrong", "f:1", "x")) == "wrong [f:1]"
    assert str(Problem("wrong")) == "wrong"
