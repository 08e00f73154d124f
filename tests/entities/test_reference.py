"""The page of entities is made of the schemas, and every field has its words."""

from __future__ import annotations

from pathlib import Path

from kongtx.entities import descriptions
from kongtx.entities.reference import registry, render

PAGE = Path(__file__).parents[2] / "docs" / "entities.rst"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), (
        "run python -m kongtx.entities.reference in the project's folder"
    )


def test_every_field_has_words_and_no_words_are_left_over() -> None:
    schemas = registry()
    fields = {f"{name}.{field}" for name in descriptions.ENTITIES for field in schemas[name].fields}
    silent = [name for name in fields if not descriptions.of_field(*name.split("."))]
    assert silent == []
    assert set(descriptions.FIELDS) - fields == set()
