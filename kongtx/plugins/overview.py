"""Writes the list of bundled plugins for the documentation: C{python -m kongtx.plugins.overview}.

For working on kongtx from a checkout; a test fails when the page is out of step.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from kongtx.plugins.discovery import load
from kongtx.plugins.interfaces import IPlugin
from kongtx.plugins.iterator import in_order

PAGE = Path(__file__).parents[2] / "docs" / "plugins" / "index.rst"

_HEAD = """\
The bundled plugins
===================

After this page you know which plugins come with kongtx, and in which order they act. They are all
loaded unless the property ``plugins`` says otherwise. Of equal priority, the alphabetically last
name is first. :doc:`/writing-plugins` tells how to add your own.

"""
_CODE = re.compile(r"[A-Z]\{([^}]*)\}")
_COLUMNS = ("priority", "plugin", "phases", "what it does")
_ORDER = ("certificate", "rewrite", "access", "response", "header_filter", "body_filter", "log")


def page() -> str:
    """The whole page, in reStructuredText."""
    plugins = load(["bundled"])
    rows = [_row(plugins, name) for name in in_order(plugins)]
    widths = [max(len(row[index]) for row in (_COLUMNS, *rows)) for index in range(4)]
    rule = "  ".join("=" * width for width in widths)
    lines = [rule, _line(_COLUMNS, widths), rule, *(_line(row, widths) for row in rows), rule]
    return _HEAD + "\n".join(lines) + "\n"


def _row(plugins: Mapping[str, IPlugin], name: str) -> tuple[str, str, str, str]:
    plugin = plugins[name]
    phases = ", ".join(phase for phase in _ORDER if getattr(plugin, phase, None) is not None)
    title = f":doc:`{name}`" if (PAGE.parent / f"{name}.rst").exists() else name
    about = _CODE.sub(r"``\1``", (type(plugin).__doc__ or "").partition("\n")[0].strip())
    return str(plugin.priority), title, phases, about


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def main() -> None:
    """Write the page, if it has changed, and name it."""
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        PAGE.write_text(page(), encoding="utf-8")
        sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
