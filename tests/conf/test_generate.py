"""The files made from the table of properties."""

from pathlib import Path

import pytest

from kongtx.conf import load
from kongtx.conf.generate import FILES
from kongtx.conf.loader import from_values
from kongtx.conf.properties import PROPERTIES

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FILES)
def test_a_kept_file_is_in_step_with_the_table(name: str) -> None:
    assert (TOP / name).read_text() == FILES[name](), "run python -m kongtx.conf.generate"


def test_every_property_shown_is_explained() -> None:
    assert [name for name, each in PROPERTIES.items() if len(each.about) < 12] == []


def test_the_default_file_sets_nothing() -> None:
    configuration = load(str(TOP / "conf/kongtx.conf.default"), environment={})
    assert configuration == from_values()


def test_the_defaults_in_the_default_file_are_the_defaults(tmp_path: Path) -> None:
    lines = (TOP / "conf/kongtx.conf.default").read_text().splitlines()
    computed = {name for name, each in PROPERTIES.items() if each.shown_default}
    uncommented = [
        line[1:]
        for line in lines
        if line.startswith("#") and line[1:2].isalnum() and line[1:].split(" ")[0] not in computed
    ]
    path = tmp_path / "kongtx.conf"
    path.write_text("\n".join(uncommented))
    configuration = load(str(path), environment={})
    assert configuration == from_values()
