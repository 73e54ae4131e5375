"""Text → tree: precedence, places, comments, layout, and one error for each broken item."""

from __future__ import annotations

import pytest

from ppl.syntax import tree
from ppl.syntax.format import expression_text
from ppl.syntax.parse import parse, parse_expression
from ppl.syntax.tree import Binary, Name, Number, Span, Unary


def the_body(text: str) -> tuple[tree.Statement, ...]:
    parsed = parse("model m(x: real[N]):\n" + "".join(f"    {line}\n" for line in text.splitlines()))
    assert not parsed.problems, parsed.problems[0].headline
    (item,) = parsed.file.items
    assert isinstance(item, tree.Program)
    return item.body


@pytest.mark.parametrize(
    "text",
    [
        "-x ** 2", "(-x) ** 2", "2 ** -1", "a ** b ** c", "(a ** b) ** c", "a - b - c", "a - (b - c)", "a / b * c",
        "a / (b * c)", "not a and b or c", "not (a and b)", "a < b <= c", "a if t else b if u else c", "-a * b",
        "f(x)[0].y", "x[1:, :, -1]", "x[:2]", "f(a, k=1)", "[1, [2, 3]]", "a @ b + c", "a % b // c", "(a,)", "not a < b",
        "- -x", "1e-3 + .5 + 1_000", "f()()",
    ],
)  # fmt: skip
def test_an_expression_is_the_same_when_it_is_written_and_read_again(text: str):
    read = parse_expression(text)
    assert parse_expression(expression_text(read)) == read


def test_precedence_is_that_of_python():
    a, b, c = Name("a"), Name("b"), Name("c")
    assert parse_expression("a - b - c") == Binary("-", Binary("-", a, b), c)
    assert parse_expression("a ** b ** c") == Binary("**", a, Binary("**", b, c))
    assert parse_expression("-a ** b") == Unary("-", Binary("**", a, b))
    assert parse_expression("a + b * c") == Binary("+", a, Binary("*", b, c))
    assert parse_expression("not a and b") == Binary("and", Unary("not", a), b)
    assert parse_expression("a or b and c") == Binary("or", a, Binary("and", b, c))
    assert parse_expression("2 ** -1") == Binary("**", Number(2), Unary("-", Number(1)))


def test_nodes_know_their_places():
    text = '"""Doc."""\n\nmodel m(s: positive[J]):\n    for j in J:\n        y[j] ~ Normal(theta[j], s[j])\n'
    program = parse(text).file.items[1]
    assert isinstance(program, tree.Program)
    loop = program.body[0]
    assert isinstance(loop, tree.For)
    site = loop.body[0]
    assert isinstance(site, tree.Sample)
    assert site.span == Span(5, 9, 5, 38)
    assert site.target.span == Span(5, 9, 5, 13)
    (first, second) = site.distribution.arguments  # type: ignore[attr-defined]
    assert first.span == Span(5, 23, 5, 31)
    assert second.span == Span(5, 33, 5, 37)
    assert program.parameters is not None
    assert program.parameters[0].type is not None
    assert program.parameters[0].type.span == Span(3, 12, 3, 23)


def test_equality_is_of_meaning_not_of_layout():
    one = parse("model m():\n    x ~ Normal( 0,1 )   # prior\n").file
    other = parse("\n\nmodel m( ):\n  x~Normal(0, 1)\n").file
    assert one == other
    assert one.comments != other.comments


def test_comments_are_beside_the_tree():
    file = parse("# top\nmodel m():  # head\n    x ~ Normal(0, 1)  # '#' in\n    # own\n    y = 1\n").file
    assert [(c.line, c.own, c.text) for c in file.comments] == [
        (1, True, "# top"),
        (2, False, "# head"),
        (3, False, "# '#' in"),
        (4, True, "# own"),
    ]


def test_brackets_go_on_over_lines():
    (statement,) = the_body("y = f(x,\n  [1,\n 2], # why\n   k=3)")
    assert isinstance(statement, tree.Assign)
    assert expression_text(statement.value) == "f(x, [1, 2], k=3)"


def test_a_suite_may_stand_on_the_line():
    (loop,) = the_body("for i in N: y[i] ~ Normal(0, 1)")
    assert isinstance(loop, tree.For)
    assert isinstance(loop.body[0], tree.Sample)


def test_every_broken_item_has_its_error_and_the_others_are_read():
    parsed = parse("model a():\n    x ~\n\nmodel b():\n    x = 1\n\nmodel c(:\n    pass\n")
    assert [i.name.id for i in parsed.file.items] == ["b"]  # type: ignore[attr-defined]
    assert [p.span.line for p in parsed.problems] == [2, 7]
    assert parsed.lost == ("a", "c")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x = " + "(" * 500 + "1" + ")" * 500, "resource"),
        ("x = " + "+".join(["1"] * 5000), "resource"),
        ("x = " + "-" * 5000 + "1", "resource"),
        ("x = 1 ** " * 400 + "2", "syntax"),
        ("x = " + "1 ** " * 5000 + "2", "resource"),
        ("y = [" + "1, " * 200_000 + "1]", "resource"),
        ("#" * 500_000, "resource"),
    ],
)
def test_what_is_too_large_is_refused_at_once(text: str, kind: str):
    problems = parse(f"model m():\n    {text}\n").problems
    assert problems[0].kind == kind


def test_nested_blocks_are_bounded():
    text = (
        "model m():\n"
        + "".join("    " * (d + 1) + "if true:\n" for d in range(300))
        + "    " * 301
        + "pass\n"
    )
    assert parse(text).problems[0].kind == "resource"


def test_the_kept_tables_are_those_of_the_grammar():
    from ppl.syntax import tables

    assert tables._TABLES.read_text(encoding="utf-8") == tables.text(), "python -m ppl.syntax.tables"
