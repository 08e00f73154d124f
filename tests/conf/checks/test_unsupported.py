"""What Kong can do and kongtx cannot yet is named, never ignored."""

import datetime
from pathlib import Path

import pytest

from kongtx.cli.verbs.hybrid import make_pair
from kongtx.conf import ConfigurationError, from_values, load


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "stream_listen",
            "127.0.0.1:9000, 127.0.0.1:9001",
            "stream_listen = 127.0.0.1:9000, 127.0.0.1:9001 is not supported yet; take off",
        ),
    ],
)
def test_what_is_not_there_yet_is_named_with_its_place(
    tmp_path: Path, name: str, value: str, message: str
) -> None:
    path = tmp_path / "my.conf"
    path.write_text(f"\n{name} = {value}\n")
    configuration = load(str(path), environment={})
    assert [str(each) for each in configuration.unsupported] == [f"{message} [{path}:2]"]
    with pytest.raises(ConfigurationError) as raised:
        configuration.require_supported()
    assert str(raised.value) == f"{message} [{path}:2]"


@pytest.mark.parametrize("role", ["control_plane", "data_plane"])
def test_a_role_of_hybrid_mode_is_named(role: str) -> None:
    pair = make_pair(datetime.datetime.now(datetime.UTC), 1)
    certificate, key = (each.decode() for each in pair)
    database = "off" if role == "data_plane" else "sqlite"
    configuration = from_values(
        role=role, database=database, cluster_cert=certificate, cluster_cert_key=key
    )
    assert [each.message for each in configuration.unsupported] == [
        f"role = {role} is not supported yet; take traditional"
    ]


def test_all_of_it_is_told_at_once() -> None:
    pair = make_pair(datetime.datetime.now(datetime.UTC), 1)
    certificate, key = (each.decode() for each in pair)
    configuration = from_values(
        role="control_plane",
        cluster_cert=certificate,
        cluster_cert_key=key,
        stream_listen="127.0.0.1:9000",
    )
    assert [each.name for each in configuration.unsupported] == ["role", "stream_listen"]


def test_defaults_are_supported() -> None:
    configuration = from_values()
    assert configuration.unsupported == ()
    configuration.require_supported()
