"""The parser's callbacks: each rule of `grammar.lark` makes the node of `tree.py` that has its name."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from ppl.syntax import tree
from ppl.syntax.format import expression_text
from ppl.syntax.lalr import DEDENT, INDENT, NEWLINE, Callback, Token
from ppl.syntax.limits import LEVELS, nested
from ppl.syntax.operators import ordered
from ppl.syntax.problems import Problem, Rejected
from ppl.syntax.tree import Span
from ppl.syntax.words import no_name

Children = Sequence[Any]
Builder = Callable[[Span, Children], Any]
_RULES: dict[str, Builder] = {}
_BRACKETS = ("LPAR", "RPAR", "LSQB", "RSQB")
_SIGNS = ("COMMA", "DOT", "COLON", "TILDE", "EQUALS", "__ANON_0")
_WORDS = (
    "IMPORT",
    "FROM",
    "AS",
    "DEF",
    "FOR",
    "IN",
    "IF",
    "ELIF",
    "ELSE",
    "WITH",
    "OBSERVE",
    "SET",
    "RETURN",
    "PASS",
)
_LAYOUT = frozenset((NEWLINE, INDENT, DEDENT))
_PUNCTUATION = _LAYOUT.union(_BRACKETS, _SIGNS, _WORDS)


def _rule(build: Builder) -> Builder:
    """Register a function as the callback of the rule that has its name."""
    _RULES[build.__name__.rstrip("_")] = build
    return build


def _span(children: Children) -> Span:
    """From the first of the children that has a place to the last."""
    first = next(filter(_has_place, children), None)
    if first is None:
        return tree.NOWHERE
    return first.span.to(next(filter(_has_place, reversed(children))).span)


def _has_place(part: Any) -> bool:
    return part.type not in _LAYOUT if type(part) is Token else isinstance(part, tree.Node)


def _name(token: Token) -> tree.Name:
    if (problem := no_name(token.text, token.span)) is not None:
        raise Rejected(problem)
    return tree.Name(token.text, span=token.span)


def _one(children: Children, kind: Any) -> Any:
    """The first of the children of a kind, or None: what an optional part of a rule left."""
    return next((c for c in children if isinstance(c, kind)), None)


def _statements(children: Children) -> tuple[tree.Statement, ...]:
    return tuple(_docstring(c) for c in children if isinstance(c, tree.Statement))


def _docstring(statement: tree.Statement) -> tree.Statement:
    if isinstance(statement, tree.Evaluate) and isinstance(statement.value, tree.String):
        return tree.Docstring(statement.value.value, span=statement.span)
    return statement


def _target(expression: Any, edit: str = "give the quantity a name of its own: eta = …") -> tree.Target:
    if isinstance(expression, tree.Name):
        return tree.Target(expression, span=expression.span)
    if isinstance(expression, tree.Index) and isinstance(expression.value, tree.Name):
        return tree.Target(expression.value, expression.indices, span=expression.span)
    raise Rejected(
        Problem(
            "syntax",
            expression.span,
            "a value can't be given to this",
            expected="a name, or an element of what the loops around it build: theta, theta[j]",
            found=_called(expression),
            edit=edit,
        )
    )


def _called(expression: tree.Expression) -> str:
    """What an expression is, in words."""
    words = {
        tree.Number: "a number",
        tree.String: "a text",
        tree.Boolean: "true or false",
        tree.Call: "a call",
        tree.Attribute: "a part of something",
        tree.List: "a list",
        tree.Tuple: "several values",
        tree.Parenthesised: "an expression in parentheses",
        tree.Compare: "a comparison",
    }
    return words.get(type(expression), "an expression")


def _text(literal: str) -> str:
    """The text of a string: without its quotes and the indentation of its lines."""
    if literal.startswith('"""'):
        first, _, rest = literal[3:-3].partition("\n")
        return (first.strip() + "\n" + textwrap.dedent(rest)).strip() if rest else first.strip()
    return literal[1:-1]


def _number(token: Token) -> tree.Number:
    digits = token.text.replace("_", "")
    whole = digits.isdigit()
    value = int(digits) if whole and len(digits) < 20 else float(digits)
    return tree.Number(value, token.text, span=token.span)


@_rule
def item(span: Span, children: Children) -> Any:
    return next(c for c in children if isinstance(c, tree.Item))


@_rule
def heading(span: Span, children: Children) -> Any:
    return tree.Heading(_text(children[0].text), span=children[0].span)


# imports


@_rule
def path(span: Span, children: Children) -> Any:
    return tuple(_name(c) for c in children)


@_rule
def imported(span: Span, children: Children) -> Any:
    name, *alias = map(_name, children)
    return tree.Imported(name, *alias, span=span)


@_rule
def from_import(span: Span, children: Children) -> Any:
    return tree.Import(children[0], None, tuple(children[1:]), span=span)


# items


@_rule
def function(span: Span, children: Children) -> Any:
    name, parameters, *rest = children
    return tree.Function(_name(name), parameters, _one(rest, tree.Type), _statements(rest), span=span)


@_rule
def program(span: Span, children: Children) -> Any:
    kind, name, *rest = children
    model = _one(rest, Token)
    owner = _name(model) if model is not None else None
    return tree.Program(str(kind), _name(name), _one(rest, tuple), owner, _statements(rest), span=span)


@_rule
def parameters(span: Span, children: Children) -> Any:
    return tuple(children)


@_rule
def parameter(span: Span, children: Children) -> Any:
    name, *rest = children
    return tree.Parameter(_name(name), _one(rest, tree.Type), _one(rest, tree.Expression), span=span)


@_rule
def settings(span: Span, children: Children) -> Any:
    return tree.Settings(str(children[0]), tuple(children[1:]), span=span)


@_rule
def type_(span: Span, children: Children) -> Any:
    name, *rest = children
    plain, keywords = _one(rest, tuple) or ((), ())
    shape = tuple(c for c in rest if isinstance(c, tree.Expression))
    return tree.Type(name, plain, keywords, shape, span=span)


# statements


@_rule
def sample(span: Span, children: Children) -> Any:
    target, *rest = children
    kind, distribution = _one(rest, tree.Type), _one(rest, tree.Expression)
    options = tuple(c for c in rest if isinstance(c, tree.Keyword))
    observed = f"observe r = {expression_text(target)} ~ …, if it is a datum"
    if isinstance(target, tree.Index) and isinstance(target.value, tree.Index):
        observed = expression_text(target).replace("][", ", ")
    return tree.Sample(_target(target, observed), kind, distribution, options, span=span)


@_rule
def observe(span: Span, children: Children) -> Any:
    target, value, distribution = children
    return tree.Observe(_target(target), value, distribution, span=span)


@_rule
def assign(span: Span, children: Children) -> Any:
    target, *rest, value = children
    operator = str(_one(rest, Token) or "=")[:-1]
    return tree.Assign((_target(target),), _one(rest, tree.Type), operator, value, span=span)


@_rule
def unpack(span: Span, children: Children) -> Any:
    *targets, value = children
    return tree.Assign(tuple(map(_target, targets)), None, "", value, span=span)


@_rule
def keep(span: Span, children: Children) -> Any:
    keyword, target, value = children
    return tree.Keep(str(keyword), _target(target), value, span=span)


@_rule
def declare(span: Span, children: Children) -> Any:
    keyword, target, *rest = children
    kind, value = _one(rest, tree.Type), _one(rest, tree.Expression)
    return tree.Declare(str(keyword), _target(target), kind, value, span=span)


@_rule
def set_(span: Span, children: Children) -> Any:
    return tree.SetState(_target(children[0]), children[1], span=span)


@_rule
def evaluate(span: Span, children: Children) -> Any:
    value = children[0]
    if isinstance(value, tree.Compare) and value.operators[0] == "<" and _is_minus(value.operands[0]):
        left, right = value.first, value.operands[0]
        place = Span(left.span.end_line, left.span.end_column + 1, right.span.line, right.span.column + 1)
        mended = f"{expression_text(left)} = {expression_text(right)[1:]}"
        raise Rejected(
            Problem(
                "syntax",
                place,
                "`<-` gives no values here",
                "= for a quantity, ~ for a random one",
                "`<-`",
                mended,
            )
        )
    return tree.Evaluate(value, span=span)


def _is_minus(e: tree.Expression) -> bool:
    while isinstance(e, tree.Binary):
        e = e.left
    return isinstance(e, tree.Unary) and e.operator == "-"


@_rule
def several(span: Span, children: Children) -> Any:
    return tree.Tuple(tuple(children), span=span)


@_rule
def suite(span: Span, children: Children) -> Any:
    return _statements(children)


@_rule
def conditional(span: Span, children: Children) -> Any:
    return tree.Conditional(*children, span=span)


@_rule
def if_(span: Span, children: Children) -> tree.If:
    parts = list(children)
    otherwise = parts.pop() if len(parts) % 2 else None
    tests, bodies = parts[0::2], parts[1::2]
    branches = tuple(
        tree.Branch(t, b, span=t.span.to(b[-1].span)) for t, b in zip(tests, bodies, strict=True)
    )
    return tree.If(branches, otherwise or (), span=span)


@_rule
def operation(span: Span, children: Children) -> tree.Expression:
    """Operands and operators in their order → a tree by precedence, which is Python's."""
    if len(children) == 1:
        only: tree.Expression = children[0]
        return only
    if len(children) > 2 * LEVELS:
        raise Rejected(nested(span))
    rest = list(reversed(children))
    return ordered(rest, 0)


@_rule
def arguments(span: Span, children: Children) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    kept = children
    keywords = tuple(c for c in kept if isinstance(c, tree.Keyword))
    plain = tuple(c for c in kept if not isinstance(c, tree.Keyword))
    for before, after in pairwise(kept):
        if isinstance(before, tree.Keyword) and not isinstance(after, tree.Keyword):
            raise Rejected(
                Problem(
                    "syntax",
                    after.span,
                    "an argument without a name stands after one with a name",
                    expected="first the arguments known by their place, then those with names",
                    edit=f"move it before `{before.name.id}=`, or name it",
                )
            )
    return plain, keywords


def _before_and_after(span: Span, children: Children) -> Children:
    """The ends of a slice; of one alone, its place tells which it is."""
    if len(children) != 1:
        return children
    first = (children[0].span.line, children[0].span.column) == (span.line, span.column)
    return children if first else (None, *children)


_RULES |= {
    "import": lambda s, c: tree.Import(c[0], _name(c[1]) if len(c) > 1 else None, span=s),
    "setting": lambda s, c: tree.Keyword(_name(c[0]), c[1], span=s),
    "option": lambda s, c: tree.Keyword(_name(c[0]), c[1], span=s),
    "keyword": lambda s, c: tree.Keyword(_name(c[0]), c[1], span=s),
    "return": lambda s, c: tree.Return(*c, span=s),
    "pass": lambda s, c: tree.Pass(span=s),
    "for": lambda s, c: tree.For(_name(c[0]), c[1], _statements(c[2:]), span=s),
    "call": lambda s, c: tree.Call(c[0], *c[1], span=s),
    "index": lambda s, c: tree.Index(c[0], c[1], span=s),
    "attribute": lambda s, c: tree.Attribute(c[0], _name(c[1]), span=s),
    "name": lambda s, c: _name(c[0]),
    "number": lambda s, c: _number(c[0]),
    "boolean": lambda s, c: tree.Boolean(c[0].text == "true", span=s),
    "string": lambda s, c: tree.String(_text(c[0].text), span=s),
    "parenthesised": lambda s, c: tree.Parenthesised(c[0], span=s),
    "tuple": lambda s, c: tree.Tuple(tuple(c), span=s),
    "list": lambda s, c: tree.List(tuple(c), span=s),
    "indices": lambda s, c: tuple(c),
    "type_name": lambda s, c: _name(c[0]),
    "slice": lambda s, c: tree.Slice(*_before_and_after(s, c), span=s),
}


def _callback(build: Builder) -> Callback:
    def call(children: list[Any]) -> Any:
        meaning = [c for c in children if type(c) is not Token or c.type not in _PUNCTUATION]
        return build(_span(children), meaning)

    return call


CALLBACKS = {rule: _callback(build) for rule, build in _RULES.items()}
"""What the parser calls, by rule; children come with all of their tokens, for their places."""
