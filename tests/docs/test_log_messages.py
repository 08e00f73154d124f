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
#: Errors for which a node does not start, or does not reload.
AT_THE_START = frozenset(
    {
        "DeclarativeFileError",
        "KongtxError",
        "ListenError",
        "LogFileError",
        "LogFormatError",
        "PluginError",
        "PrefixError",
        "RuntimeSetupError",
        "UserError",
    }
)
#: Templates that are nothing but what was found elsewhere, and told there.
PASSED_ON = frozenset({"{message}", "{warning}", "{error}", "{text}"})


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
    for method, template in calls(tree):
        if method.attr in LEVELS and re.search(r"\b_?log$", ast.unparse(method.value)):
            if isinstance(template, ast.Name):
                yield named[template.id]
            else:
                assert isinstance(template, ast.Constant), ast.unparse(method)
                yield str(template.value)


def calls(tree: ast.AST) -> Iterator[tuple[ast.Attribute, ast.expr]]:
    """Methods and their first arguments, called at once or by C{partial}."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = [node.func, *node.args]
            if isinstance(node.func, ast.Name) and node.func.id == "partial":
                called = called[1:]
            if len(called) > 1 and isinstance(called[0], ast.Attribute):
                yield called[0], called[1]


def reasons(source: str) -> Iterator[str]:
    """What a module's errors say for which a node does not start."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
            continue
        if ast.unparse(node.exc.func) in AT_THE_START:
            text = node.exc.args[0]
            if isinstance(text, ast.Constant):
                yield str(text.value)
            elif isinstance(text, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else "…" for part in text.values
                )
                yield "".join(str(part) for part in parts).replace("\n", " ")


def logged() -> set[str]:
    found: set[str] = set()
    for path in (TOP / "kongtx").rglob("*.py"):
        found.update(templates(path.read_text()))
    return found - PASSED_ON


def terms(text: str) -> list[str]:
    """What a part of the page explains."""
    lines = re.findall(r"^``.+``$", text, re.MULTILINE)
    return [term for line in lines for term in line[2:-2].split("``, ``")]


def explained() -> list[str]:
    return terms(PAGE[PAGE.index("Starting and stopping\n") :])


def test_templates_are_found_where_they_are_named_and_where_they_are_not() -> None:
    source = """
log.warn("a {b}", b=1)
template = "c"
self._log.error(template)
log.info("fine")
tell = partial(log.error, "{d}")
catalog.error("no log")
"""
    assert list(templates(source)) == ["a {b}", "c", "{d}"]


def test_every_line_from_warn_on_is_explained() -> None:
    assert sorted(logged() - set(explained())) == []


def test_no_line_is_explained_that_is_never_written() -> None:
    assert sorted(set(explained()) - logged()) == []


def test_no_line_is_explained_twice() -> None:
    assert len(explained()) == len(set(explained()))


def test_every_reason_for_not_starting_is_explained() -> None:
    found: set[str] = set()
    for path in [*(TOP / "kongtx/runtime").rglob("*.py"), TOP / "kongtx/plugins/discovery.py"]:
        found.update(reasons(path.read_text()))
    assert len(found) > 15
    part = PAGE.split("When a node does not start")[1].split("Starting and stopping")[0]
    assert sorted(found - set(terms(part))) == []
