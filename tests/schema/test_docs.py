"""The examples of the pages on schemas and files do what the pages say."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from kongtx.db.declarative import DeclarativeFormat
from kongtx.lib.ids import new_secret, uuid4
from kongtx.plugins.schemas import full_registry
from kongtx.schema import Context

DOCS = Path(__file__).parents[2] / "docs"


def test_the_examples_of_the_page_on_schemas_are_true() -> None:
    found = doctest.testfile(str(DOCS / "schemas.rst"), module_relative=False)
    assert found.attempted > 10
    assert found.failed == 0


def blocks(page: str) -> list[str]:
    """The indented blocks that follow a double colon."""
    out: list[str] = []
    lines = iter((DOCS / page).read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.endswith("::"):
            block: list[str] = []
            for inner in lines:
                if inner and not inner.startswith("    "):
                    break
                block.append(inner[4:])
            out.append("\n".join(block).strip() + "\n")
    return out


def test_the_first_file_is_right_and_the_python_of_the_page_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, *_ = blocks("declarative.rst")
    context = Context(now=1.0, new_id=uuid4, new_secret=new_secret)
    entities = DeclarativeFormat(full_registry()).parse_text(file, context).entities
    assert [plugin["name"] for plugin in entities["plugins"].values()] == [
        "rate-limiting",
        "key-auth",
    ]
    (code,) = [block for block in blocks("declarative.rst") if block.startswith("import time")]
    (tmp_path / "kong.yml").write_text(file)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "declarative.rst", "exec"), {})
    assert capsys.readouterr().out == "users users.internal\n"
