"""Templates."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongtx.plugins.request_transformer.template import TemplateError, compile_template

VALUES: dict[str, Any] = {
    "headers": {"x-a": "one", "x-list": ["1", "2"], "empty": ""},
    "query_params": {"q": "two", "bare": True, "n": "10"},
    "uri_captures": {1: "first", "id": "7"},
    "shared": {"deep": {"er": 1.5}, "list": ["a", "b"], "no": False, "count": 3},
}


def render(source: str) -> str:
    return compile_template(source).render(VALUES.get)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("$", "$"),
        ("# not a line of code", "# not a line of code"),
        ("$(headers['x-a'])", "one"),
        ('a $(headers["x-a"]) b$(query_params.q)c', "a one btwoc"),
        ("$(uri_captures[1])-$(uri_captures['id'])", "first-7"),
        ("$(query_params.bare)", "true"),
        ("$(query_params.none)", ""),
        ("$(unknown)", ""),
        ("$(nil)$(false)$(true)", "true"),
        ("$(shared.deep.er)", "1.5"),
        ("$(shared.list[2])$(shared.list[3])", "b"),
        ("$(shared.no)", ""),
        ("$(headers['x-list'])", "1, 2"),
        ("$(query_params.none or 'default')", "default"),
        ("$(query_params.none or headers.none or 'x')", "x"),
        ("$(headers.empty or 'default')", ""),
        ("$(query_params.q and 'there' or 'not')", "there"),
        ("$(query_params.none and 'there' or 'not')", "not"),
        ("$(not query_params.none)", "true"),
        ("$('a' .. headers['x-a'] .. 1)", "aone1"),
        ("$(query_params.q == 'two')", "true"),
        ("$(query_params.q ~= 'two')", ""),
        ("$(query_params.n == 10)", ""),
        ("$(shared.count >= 3 and shared.count < 3.5)", "true"),
        ("$('a' < 'b')", "true"),
        ("$((query_params.none or ('y')))", "y"),
        ("$(type(headers['x-list']) == 'table' and headers['x-list'][1])", "1"),
        ("$(type(nil))$(type(1))$(type('')))$(type(true))", "nilnumberstring)boolean"),
        ("$(tostring(nil))$(tostring(1.50))", "nil1.5"),
        (r"$('it\'s ) \"\n')", "it's ) \"\n"),
        ("$(headers.a", "$(headers.a"),
        ("$(order)$(android)", ""),
    ],
)
def test_what_is_rendered(source: str, expected: str) -> None:
    assert render(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "$()",
        "$(headers.)",
        "$(headers['a' .. 'b'])",
        "$(os.time())",
        "$((function() return 1 end)())",
        "$(headers:get('a'))",
        "$(1 + 1)",
        "$(headers.a = 1)",
        "$(__import__('os'))",
        "$(a b)",
    ],
)
def test_what_is_not_supported_is_refused(source: str) -> None:
    with pytest.raises(TemplateError, match=r"unexpected|missing"):
        compile_template(source)


@pytest.mark.parametrize(
    "source",
    [
        "$(nothing.at.all)",
        "$(shared.count.x)",
        "$('a' .. nil)",
        "$(headers.none .. 'b')",
        "$(1 < 'a')",
        "$(shared < shared)",
    ],
)
def test_what_cannot_be_rendered_is_an_error(source: str) -> None:
    with pytest.raises(TemplateError, match="cannot"):
        render(source)


def test_nothing_of_python_can_be_reached() -> None:
    assert render("$(headers.__class__)$(headers['__init__'])$(query_params.q.upper)") == ""


def test_parentheses_may_be_deep_but_not_operations() -> None:
    assert render(f"$({'(' * 5000}1{')' * 5000})") == "1"
    with pytest.raises(TemplateError, match="nested too deeply"):
        compile_template(f"$({'not ' * 5000}1)")


@given(st.text())
def test_any_text_is_rendered_or_refused(source: str) -> None:
    try:
        template = compile_template(source)
        text = template.render(VALUES.get)
    except TemplateError:
        return
    assert template.dynamic or text == source
