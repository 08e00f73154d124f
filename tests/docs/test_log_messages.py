"""What the log says when something is wrong is explained, and nothing else is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs" / "log-messages.rst").read_text()

#: Of Twisted's loggers, and of the PDK's.
LEVELS = frozenset({"warn", "error", "critical", "failure", "err", "crit", "alert", "emerg"})
#: Templates that are nothing but what was found elsewhere, and told there.
PASSED_ON = frozenset({"{message}", "{warning}", "{error}"})


def templates(source: str) -> Iterator[str]:
    """The templates of the lines that a module logs at level warn or above."""
    tree = ast.parse(source)
    named = {
        node.targets[0].id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if node.func.attr in LEVELS and re.search(r"\b_?log$", ast.unparse(node.func.value)):
            template = node.args[0]
            if isinstance(template, ast.Name):
                yield named[template.id]
            else:
                assert isinstance(template, ast.Constant), ast.unparse(node)
                yield str(template.value)


def logged() -> set[str]:
    found: set[str] = set()
    for path in (TOP / "kongtx").rglob("*.py"):
        found.update(templates(path.read_text()))
    return found - PASSED_ON


def explained() -> list[str]:
    terms = re.findall(r"^``.+``$", PAGE, re.MULTILINE)
    return [template for term in terms for template in term[2:-2].split("``, ``")]


def test_templates_are_found_where_they_are_named_and_where_they_are_not() -> None:
    source = """
log.warn("a {b}", b=1)
template = "c"
self._log.error(template)
log.info("fine")
catalog.error("no log")
"""
    assert list(templates(source)) == ["a {b}", "c"]


def test_every_line_from_warn_on_is_explained() -> None:
    assert sorted(logged() - set(explained())) == []


def test_no_line_is_explained_that_is_never_written() -> None:
    assert sorted(set(explained()) - logged()) == []


def test_no_line_is_explained_twice() -> None:
    assert len(explained()) == len(set(explained()))
