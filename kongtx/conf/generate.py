"""Writes the files that are made from the table of properties: C{python -m kongtx.conf.generate}.

For working on kongtx from a checkout; a test fails when a file is out of step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from kongtx.conf import render

#: The files, relative to the top of the source tree, and what makes their text.
FILES: dict[str, Callable[[], str]] = {
    "kongtx/conf/values.py": render.values_module,
    "conf/kongtx.conf.default": render.default_file,
    "docs/configuration-reference.rst": render.reference_tables,
}


def main() -> None:
    """Write every file that has changed, and name it."""
    top = Path(__file__).parents[2]
    for name, text in FILES.items():
        path = top / name
        if not path.exists() or path.read_text() != text():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text())
            sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
