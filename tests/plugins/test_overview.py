"""The list of bundled plugins in the documentation is that of the code."""

from __future__ import annotations

from kongtx.plugins.overview import PAGE, page


def test_the_page_is_in_step() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m kongtx.plugins.overview"
