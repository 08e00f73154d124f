"""The language, and where an error is."""

from __future__ import annotations

import pytest

from kongtx.router.errors import ExpressionError
from kongtx.router.expressions.parser import parse
from kongtx.router.expressions.tree import All, Either, Not, Predicate


def shape(node):
    """An expression with every grouping written out."""
    if isinstance(node, Predicate):
        name = node.field.name
        if node.field.lower:
            name = f"lower({name})"
        if node.field.any:
            name = f"any({name})"
        return f"{name} {node.operator.value} {node.value.data!r}"
    if isinstance(node, Not):
        return f"!({shape(node.term)})"
    sign = " && " if isinstance(node, All) else " || "
    assert isinstance(node, All | Either)
    return f"({sign.join(shape(term) for term in node.terms)})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 0", "a > 0"),
        ("a == 1 && b != 2", "(a == 1 && b != 2)"),
        ('a ^= "1" && b =^ "2" || c >= 3', "(a ^= b'1' && (b =^ b'2' || c >= 3))"),
        ("a > 1 || b < 2 && c <= 3 || d > 4", "((a > 1 || b < 2) && (c <= 3 || d > 4))"),
        ("(a > 1 && b > 2) || c > 3", "((a > 1 && b > 2) || c > 3)"),
        ("!(a == 1)", "!(a == 1)"),
        ("!(a == 1 || b == 2) && c == 3", "(!((a == 1 || b == 2)) && c == 3)"),
        ("!  (a == 1)", "!(a == 1)"),
        ("((a == 1))", "a == 1"),
        ('lower(a) == "x"', "lower(a) == b'x'"),
        ('any(lower(a)) == "x"', "any(lower(a)) == b'x'"),
        ('lower(any(a)) == "x"', "any(lower(a)) == b'x'"),
        ("a == 0x1F", "a == 31"),
        ("a == 017", "a == 15"),
        ("a == 08", "a == 8"),
        ("a == -12", "a == -12"),
        ("a == -0x10", "a == -16"),
        ("a in 10.0.0.0/8", "a in (4, 10, 24)"),
        ("a not in 10.0.0.0/8", "a not in (4, 10, 24)"),
        ("a not   in fd00::/8", "a not in (6, 253, 120)"),
        ("a == 10.0.0.1", "a == (4, 167772161, 0)"),
        ("a == ::1", "a == (6, 1, 0)"),
        ('a contains "x"', "a contains b'x'"),
        ('a == "q\\"b\\\\n\\n\\r\\t"', "a == b'q\"b\\\\n\\n\\r\\t'"),
        ('a ~ r#"^/a\\d"b+"#', "a ~ b'^/a\\\\d\"b+'"),
        ('a == "你好"', f"a == {'你好'.encode()!r}"),
        ("a.b_c.D1 == 1", "a.b_c.D1 == 1"),
        ("a==1&&b==2", "(a == 1 && b == 2)"),
        ("a\n==\n\t1", "a == 1"),
        ("net.port == 80", "net.dst.port == 80"),
        ("contains == 1 && in_ == 2", "(contains == 1 && in_ == 2)"),
    ],
)
def test_what_is_read(text, expected):
    assert shape(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, 1, "the expression ends here, expected a field or '!(' or '('"),
        (
            "a ==",
            1,
            5,
            "the expression ends here, expected a string, an integer, an IP address or a range",
        ),
        ("a", 1, 2, "the expression ends here, expected an operator or '('"),
        ("a == 1 &&", 1, 10, "the expression ends here, expected a field or '!(' or '('"),
        ("(a == 1", 1, 8, "the expression ends here, expected '&&' or '||' or ')'"),
        ("a == 1)", 1, 7, "unexpected ')', expected '&&' or '||' or the end"),
        ("a == 1 b == 2", 1, 8, "unexpected 'b', expected '&&' or '||' or the end"),
        ("a = 1", 1, 3, "unexpected '=', expected an operator or '('"),
        ("a == b", 1, 6, "unexpected 'b', expected a string, an integer, an IP address or a range"),
        ("! a == 1", 1, 3, "unexpected 'a', expected '('"),
        (
            "a == 1 &&\n  b == $",
            2,
            8,
            "unexpected '$', expected a string, an integer, an IP address or a range",
        ),
        ('a == "x', 1, 6, "this string is not closed"),
        ('a == r#"x"', 1, 6, "this string is not closed"),
        ('a == "x\\d"', 1, 8, "unknown escape '\\d': write '\\\\d' or a raw string r#\"...\"#"),
        ('upper(a) == "x"', 1, 1, "unknown function 'upper': the functions are 'lower' and 'any'"),
        ("a not 10.0.0.0/8", 1, 7, "unexpected '10.0.0.0/8', expected 'in'"),
        ("a in 10.0.0.1/8", 1, 6, "10.0.0.1/8 has host bits set"),
        ("a == 10.0.0.256", 1, 6, "Octet 256 (> 255) not permitted in '10.0.0.256'"),
        ("a == 9223372036854775808", 1, 6, "this integer does not fit in 64 bits"),
    ],
)
def test_where_an_error_is(text, line, column, reason):
    with pytest.raises(ExpressionError) as caught:
        parse(text)

    assert (caught.value.line, caught.value.column, caught.value.reason) == (line, column, reason)


def test_the_message_points_at_the_column():
    with pytest.raises(ExpressionError) as caught:
        parse('http.path == "/a" &&\nhttp.method = "GET"')

    assert str(caught.value).splitlines() == [
        "unexpected '=', expected an operator or '(', at line 2, column 13",
        "  |",
        '2 | http.method = "GET"',
        "  |             ^",
    ]
