"""Expressions of the tree as Python's."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from ppl.syntax import tree
from ppl.syntax.blocks import statements, targets
from ppl.syntax.families import families
from ppl.syntax.functions import ALIASES, FUNCTIONS
from ppl.syntax.loops import Loop, Structure, lag_of
from ppl.syntax.tree import Span

N = TypeVar("N", bound=ast.AST)

_ARITHMETIC: dict[str, type[ast.operator]] = {
    "+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "//": ast.FloorDiv, "%": ast.Mod, "@": ast.MatMult,
    "**": ast.Pow,
}  # fmt: skip
_COMPARISONS: dict[str, type[ast.cmpop]] = {
    "==": ast.Eq, "!=": ast.NotEq, "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE,
}  # fmt: skip


def placed(node: N, span: Span) -> N:
    """`node`, and all in it that has no place yet, at a place of the source."""
    if span.line == 0:
        return node
    waiting: list[ast.AST] = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ast.expr | ast.stmt | ast.arg | ast.keyword):
            if hasattr(each, "lineno"):
                continue
            each.lineno, each.col_offset = span.line, span.column - 1
            each.end_lineno, each.end_col_offset = span.end_line, span.end_column - 1
        waiting += ast.iter_child_nodes(each)
    return node


def load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def call(function: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(load(function), list(arguments), [])


def lagged_name(name: str, index: str, k: int) -> str:
    """What holds `z[t-k]` in a step of the loop over t."""
    return f"__{name}_{index}_{k}_before"


def hidden(body: Sequence[tree.Statement]) -> set[str]:
    """Functions and distributions of the language whose names a body gives to values of its own: `mean = a[i]`.
    Python has one meaning of a name in a function; a call still means the language's.
    """
    given = {t.name.id for s in statements(body) for t in targets(s)}
    given |= {s.index.id for s in statements(body) if isinstance(s, tree.For)}
    return given & ({*FUNCTIONS, *ALIASES} | families().keys())


def language_name(name: str) -> str:
    """What generated code calls a function of the language that has another meaning there."""
    return f"__language_{name}"


class Expressions:
    """Lowers expressions; what `z[t]` and `z[t-1]` are depends on the loops that are open."""

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.hidden = hidden(structure.body)
        self.open: list[Loop] = []

    @contextmanager
    def inside(self, loop: Loop) -> Iterator[None]:
        self.open.append(loop)
        yield
        self.open.pop()

    def of(self, e: tree.Expression) -> ast.expr:
        lowered: ast.expr = getattr(self, f"_{type(e).__name__.lower()}")(e)
        return placed(lowered, e.span)

    def option(self, keyword: tree.Keyword) -> ast.expr:
        """An option of a site: names stand for themselves (`grad = score`, `dims = [feature]`)."""
        return placed(self._word(keyword.value), keyword.span)

    def _word(self, e: tree.Expression) -> ast.expr:
        if isinstance(e, tree.Name):
            return ast.Constant(e.id)
        if isinstance(e, tree.List):
            return ast.Tuple([self._word(x) for x in e.elements], ast.Load())
        if isinstance(e, tree.Call) and isinstance(e.function, tree.Name):
            named = [ast.keyword(k.name.id, self._word(k.value)) for k in e.keywords]
            words = [ast.Constant(e.function.id), *(self._word(a) for a in e.arguments)]
            return ast.Call(load("__strategy"), words, named)
        return self.of(e)

    def arithmetic(self, operator: str, left: ast.expr, right: ast.expr) -> ast.expr:
        real = any(isinstance(x, ast.Constant) and isinstance(x.value, float) for x in (left, right))
        if operator in ("*", "**") and not real:  # whole numbers must not grow without bound
            return call("__power" if operator == "**" else "__times", left, right)
        if operator == "@":
            return call("__matmul", left, right)
        return ast.BinOp(left, _ARITHMETIC[operator](), right)

    def _number(self, e: tree.Number) -> ast.expr:
        return ast.Constant(e.value)

    def _boolean(self, e: tree.Boolean) -> ast.expr:
        return ast.Constant(e.value)

    def _string(self, e: tree.String) -> ast.expr:
        return ast.Constant(e.value)

    def _name(self, e: tree.Name) -> ast.expr:
        return load(e.id)

    def _parenthesised(self, e: tree.Parenthesised) -> ast.expr:
        return self.of(e.inner)

    def _unary(self, e: tree.Unary) -> ast.expr:
        operand = self.of(e.operand)
        if e.operator == "not":
            return call("__not", operand)
        return ast.UnaryOp(ast.USub() if e.operator == "-" else ast.UAdd(), operand)

    def _binary(self, e: tree.Binary) -> ast.expr:
        if e.operator in ("and", "or"):
            return call(f"__{e.operator}", self.of(e.left), self._later(e.right))
        return self.arithmetic(e.operator, self.of(e.left), self.of(e.right))

    def _later(self, e: tree.Expression) -> ast.expr:
        """An expression as a function without arguments, for what may not be wanted."""
        return ast.Lambda(ast.arguments([], [], None, [], [], None, []), self.of(e))

    def _compare(self, e: tree.Compare) -> ast.expr:
        operands = [e.first, *e.operands]
        result: ast.expr | None = None
        for at, operator in reversed(list(enumerate(e.operators))):
            one = ast.Compare(self.of(operands[at]), [_COMPARISONS[operator]()], [self.of(operands[at + 1])])
            if result is None:
                result = placed(one, e.span)
            else:
                rest = ast.Lambda(ast.arguments([], [], None, [], [], None, []), result)
                result = call("__and", placed(one, e.span), rest)
        assert result is not None
        return result

    def _conditional(self, e: tree.Conditional) -> ast.expr:
        return call("__where", self.of(e.test), self._later(e.value), self._later(e.otherwise))

    def _call(self, e: tree.Call) -> ast.expr:
        keywords = [ast.keyword(k.name.id, self.of(k.value)) for k in e.keywords]
        if isinstance(e.function, tree.Name) and e.function.id in self.hidden:
            function = placed(load(language_name(e.function.id)), e.function.span)
            return ast.Call(function, [self.of(a) for a in e.arguments], keywords)
        return ast.Call(self.of(e.function), [self.of(a) for a in e.arguments], keywords)

    def _attribute(self, e: tree.Attribute) -> ast.expr:
        return ast.Attribute(self.of(e.value), e.name.id, ast.Load())

    def _list(self, e: tree.List) -> ast.expr:
        elements = ast.List([self.of(x) for x in e.elements], ast.Load())
        texts = e.elements and all(isinstance(x, tree.String) for x in e.elements)
        return elements if texts else call("__array", elements)

    def _tuple(self, e: tree.Tuple) -> ast.expr:
        return ast.Tuple([self.of(x) for x in e.elements], ast.Load())

    def _slice(self, e: tree.Slice) -> ast.expr:
        ends = [self.of(x) if x is not None else None for x in (e.start, e.stop)]
        return ast.Slice(*ends)

    def _position(self, e: tree.Expression) -> ast.expr:
        """An index. What a computed one is (a count that torch holds as a float), is settled when it runs."""
        loops = {loop.statement.index.id for loop in self.open}
        plain = isinstance(e, tree.Number | tree.Slice | tree.String) or (
            isinstance(e, tree.Name) and e.id in loops
        )
        return self.of(e) if plain else call("__position", self.of(e))

    def _index(self, e: tree.Index) -> ast.expr:
        value, indices = e.value, list(e.indices)
        base: ast.expr | None = None
        if isinstance(value, tree.Name):
            own = [loop for loop in self.open if value.id in loop.elements]
            lag, reached, carrying = 0, own, ""
            for at, loop in enumerate(own):
                axis = loop.elements[value.id]
                lag = (lag_of(indices[axis], loop.statement.index.id) or 0) if axis < len(indices) else 0
                if lag:  # what an earlier iteration made is whole: the loops inside are over there
                    reached, carrying = own[: at + 1], loop.statement.index.id
                    break
            base = placed(load(lagged_name(value.id, carrying, lag) if lag else value.id), value.span)
            axes = {loop.elements[value.id] for loop in reached}
            indices = [x for a, x in enumerate(indices) if a not in axes]
        base = base if base is not None else self.of(value)
        if not indices:
            return base
        parts = [self._position(x) for x in indices]
        return ast.Subscript(base, parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load()), ast.Load())
