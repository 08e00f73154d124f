"""The effective configuration in the prefix directory."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.conf import Configuration, ConfigurationError, NoFileError, from_values, load
from kongtx.conf.effective import _escape, _unescape, read, text, write
from kongtx.conf.properties import PROPERTIES, Kind
from kongtx.conf.syntax.file import unescape


def kept(tmp_path: Path, environment: dict[str, str] | None = None, **values: Any) -> Configuration:
    """A configuration written to its prefix and read again."""
    configuration = load(
        overrides={"prefix": str(tmp_path), **values},
        environment=environment or {},
        search_paths=(),
    )
    write(configuration)
    again = read(str(tmp_path), environment=environment or {})
    assert again == configuration
    return again


def test_defaults_come_back(tmp_path: Path) -> None:
    assert kept(tmp_path).path == f"{tmp_path}/.kongtx_env"


@pytest.mark.parametrize(
    "values",
    [
        {"log_level": "debug", "workers": "2", "plugins": "a, b", "pg_ssl": "on"},
        {"pg_password": "a#b \\ c\\#d\\n"},
        {"declarative_config_string": "_format_version: '3.0'\nservices: # none\n  []\r\n"},
        {"plugins": "", "nginx_user": "", "dns_hostsfile": ""},
        {"nginx_http_foo": "bar # baz", "vault_aws_region": "eu", "pluginserver_go_socket": "/s"},
        {"ssl_cipher_suite": "custom", "ssl_protocols": "TLSv1.3"},
        {"ssl_cipher_suite": "old"},
        {"opentelemetry_tracing": "off", "tracing_instrumentations": "all"},
        {"opentelemetry_tracing": "request", "opentelemetry_tracing_sampling_rate": "0.5"},
        {"db_update_frequency": "0.5", "tracing_sampling_rate": "0.001"},
        {"router_consistency": "strict"},
        {"privileged_worker": "off"},
    ],
)
def test_what_is_in_force_comes_back(tmp_path: Path, values: dict[str, str]) -> None:
    kept(tmp_path, **values)


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    kept(tmp_path)
    assert stat.S_IMODE((tmp_path / ".kongtx_env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".kongtx_env"]


def test_references_are_kept_and_their_values_are_not(tmp_path: Path) -> None:
    environment = {"SECRET": "s3cret", "PLUGIN": "mine"}
    again = kept(
        tmp_path,
        environment,
        pg_password="{vault://env/secret#1}",
        plugins="bundled,{vault://env/plugin}",
    )
    assert again.pg_password == "s3cret"
    written = (tmp_path / ".kongtx_env").read_text()
    assert "pg_password = {vault://env/secret\\#1}\n" in written
    assert "plugins = bundled, {vault://env/plugin}\n" in written
    assert "s3cret" not in written


def test_a_reference_without_a_value_counts_as_empty(tmp_path: Path) -> None:
    kept(tmp_path, {"SECRET": "s3cret"}, pg_password="{vault://env/secret}")
    assert read(str(tmp_path), environment={}).pg_password is None
    with pytest.raises(ConfigurationError, match="failed to dereference"):
        read(str(tmp_path), environment={}, strict=True)


def test_the_environment_is_not_applied(tmp_path: Path) -> None:
    kept(tmp_path)
    again = read(str(tmp_path), environment={"KONG_LOG_LEVEL": "debug", "KONGTX_WORKERS": "9"})
    assert (again.log_level, again.workers) == ("notice", "auto")


def test_values_that_are_no_text_come_back(tmp_path: Path) -> None:
    password = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert kept(tmp_path, pg_password=password).pg_password == password


def test_overrides_are_applied(tmp_path: Path) -> None:
    kept(tmp_path)
    assert read(str(tmp_path), overrides={"log_level": "debug"}).log_level == "debug"


def test_a_file_replaces_what_it_sets(tmp_path: Path) -> None:
    kept(tmp_path, log_level="debug", nginx_worker_processes="3", plugins="a")
    changes = tmp_path / "changes.conf"
    changes.write_text("workers = 2\nplugins = b\n")
    again = read(str(tmp_path), changes=str(changes), environment={"KONG_PLUGINS": "c"})
    assert (again.log_level, again.nginx_worker_processes, again.plugins) == ("debug", "2", ("b",))


def test_only_what_the_file_sets_is_warned_of(tmp_path: Path) -> None:
    kept(tmp_path, lua_package_path="/x", opentelemetry_tracing="request")
    changes = tmp_path / "changes.conf"
    changes.write_text("log_levl = debug\nlua_package_cpath = /y\n")
    again = read(str(tmp_path), changes=str(changes), environment={})
    assert again.warnings == (
        "unknown configuration property 'log_levl' is ignored, did you mean 'log_level'? "
        f"[{changes}:1]",
        "these properties have no effect on kongtx: lua_package_cpath",
    )


def test_the_file_is_checked(tmp_path: Path) -> None:
    kept(tmp_path)
    changes = tmp_path / "changes.conf"
    changes.write_text("pg_ssl = yes\n")
    with pytest.raises(ConfigurationError) as caught:
        read(str(tmp_path), changes=str(changes), environment={})
    assert str(caught.value) == (
        f"pg_ssl is not a boolean: 'yes' (on, off, true, false) [{changes}:1]"
    )


def test_what_a_later_version_wrote_is_left_out(tmp_path: Path) -> None:
    (tmp_path / ".kongtx_env").write_text("prefix = /p\nproperty_of_the_future = 1\n")
    assert read(str(tmp_path), environment={}).dynamic == {}


def test_nothing_is_warned_of_again(tmp_path: Path) -> None:
    again = kept(tmp_path, opentelemetry_tracing="request", lua_package_path="/x")
    assert again.warnings == ()


def test_files_that_have_gone_are_no_matter(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.touch()
    kept(tmp_path, dns_hostsfile=str(hosts))
    hosts.unlink()
    assert read(str(tmp_path), environment={}).dns_hostsfile == str(hosts)


def test_a_prefix_without_the_file_has_no_node(tmp_path: Path) -> None:
    with pytest.raises(NoFileError) as caught:
        read(str(tmp_path))
    assert str(caught.value) == f"no file at: {tmp_path}/.kongtx_env"


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / ".kongtx_env").write_text("log_level\n")
    with pytest.raises(ConfigurationError, match="not a `name = value` line: 'log_level'"):
        read(str(tmp_path))


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    configuration = from_values(prefix=str(tmp_path))
    (tmp_path / ".kongtx_env").mkdir()
    with pytest.raises(IsADirectoryError):
        write(configuration)
    assert [path.name for path in tmp_path.iterdir()] == [".kongtx_env"]


# Blanks around a value never get here: they are cut off when it is first read.
@given(st.text().map(str.strip), st.sampled_from(["", "\n", "\r\n"]))
def test_any_value_survives_the_file(value: str, end: str) -> None:
    line = _escape(value + end)
    assert "\n" not in line
    assert _unescape(unescape(line)) == value + end


def samples(name: str) -> st.SearchStrategy[str]:
    """Texts that a property may be set to; not all of them are right."""
    switches = st.sampled_from(["on", "off", "true", "false"])
    texts = st.text("abc #\\\\n,=;'{}é", max_size=8) | st.sampled_from(
        ["-----BEGIN X-----", "-----BEGIN X-----\n#\n-----END X-----"]
    )
    property_ = PROPERTIES[name]
    return {
        Kind.STRING: texts,
        Kind.ENUM: st.sampled_from(property_.choices or ("",)),
        Kind.BOOLEAN: switches,
        Kind.SWITCH: switches,
        Kind.INTEGER: st.integers(0, 10**17).map(str),
        Kind.NUMBER: st.floats(0, 1e6).map(str),
        Kind.ARRAY: texts,
        Kind.SIZE: st.integers(0, 999).map(lambda number: f"{number}m"),
        Kind.DURATION: st.integers(0, 999).map(lambda number: f"{number}s"),
    }[property_.kind]


SETTINGS = st.lists(
    st.sampled_from(sorted(set(PROPERTIES) - {"prefix", "role", "admin_auth"})).flatmap(
        lambda name: st.tuples(st.just(name), samples(name))
    ),
    max_size=12,
).map(dict)


def accepted(values: dict[str, str]) -> Configuration:
    """The configuration of those values that are not refused."""
    while True:
        try:
            return from_values(values)
        except ConfigurationError as error:
            kept = dict(values)
            for problem in error.problems:
                kept.pop(problem.name, None)
            if kept == values:
                raise
            values = kept


@given(SETTINGS)
def test_whatever_is_set_comes_back(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]
) -> None:
    prefix = tmp_path_factory.getbasetemp() / "node"
    prefix.mkdir(exist_ok=True)
    configuration = accepted({**values, "prefix": str(prefix)})
    write(configuration)
    assert read(str(prefix), environment={}, strict=True) == configuration


def test_the_file_says_what_it_is() -> None:
    assert text(from_values()).startswith("# The configuration that this kongtx node runs with.")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_that_root_replaces_keeps_its_owner(tmp_path):
    configuration = from_values(prefix=str(tmp_path))
    write(configuration)
    os.chown(configuration.environment_file, 1, 1)
    write(configuration)
    status = os.stat(configuration.environment_file)
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (1, 1, 0o600)
