"""The list of bundled plugins in the documentation is that of the code."""

from __future__ import annotations

from kongtx.plugins.discovery import bundled_names
from kongtx.plugins.overview import PAGE, page


def test_the_page_is_in_step() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m kongtx.plugins.overview"


def test_every_bundled_plugin_has_a_page() -> None:
    pages = {path.stem for path in PAGE.parent.glob("*.rst")}
    assert pages == {*bundled_names(), "index"}
