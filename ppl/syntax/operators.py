"""Operands and operators in a row → a tree. Precedence is Python's."""

from __future__ import annotations

from typing import Any

from ppl.syntax import tree
from ppl.syntax.lalr import Token
from ppl.syntax.problems import Problem, Rejected

_BINDING = {
    "or": 1,
    "and": 2,
    "not": 3,
    "compare": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "//": 6,
    "%": 6,
    "@": 6,
}
_SIGN, _POWER = 7, 8


def ordered(rest: list[Any], least: int) -> tree.Expression:
    """Take from `rest` (its end is the next) an operation whose operators bind at least as tight as `least`."""
    left = _operand(rest, least)
    while rest:
        token = rest[-1]
        kind = "compare" if token.type == "COMPARE" else token.text
        binding = _POWER if kind == "**" else _BINDING[kind]
        if binding < least:
            break
        if kind == "compare":
            left = _comparison(left, rest)
            continue
        rest.pop()
        right = ordered(rest, _SIGN if kind == "**" else binding + 1)
        left = tree.Binary(kind, left, right, span=left.span.to(right.span))
    return left


def _operand(rest: list[Any], least: int) -> tree.Expression:
    first = rest.pop()
    if not isinstance(first, Token):
        return first
    binding = _BINDING["not"] if first.text == "not" else _SIGN
    if binding < least and first.text == "not":
        raise Rejected(
            Problem(
                "syntax",
                first.span,
                "`not` binds less than the operator before it",
                expected="a number, a name, a call or parentheses",
                found="`not`",
                edit="(not …)",
            )
        )
    operand = ordered(rest, binding)
    return tree.Unary(first.text, operand, span=first.span.to(operand.span))


def _comparison(left: tree.Expression, rest: list[Any]) -> tree.Compare:
    operators, operands = [], []
    while rest and rest[-1].type == "COMPARE":
        operators.append(rest.pop().text)
        operands.append(ordered(rest, _BINDING["compare"] + 1))
    return tree.Compare(left, tuple(operators), tuple(operands), span=left.span.to(operands[-1].span))
