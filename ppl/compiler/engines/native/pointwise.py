"""How each pointwise operator is written: operator → source text of its value, from the texts of its operands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ppl.compiler.engines.native.writer import Value
from ppl.compiler.graph import Node


class Unsupported(Exception):
    """The native engine has no way to run a node; the message says which operator and why."""


def kind_of(dtype: torch.dtype) -> str:
    """The kind of a native value: "f", "i" or "b"."""
    if dtype is torch.bool:
        return "b"
    if dtype.is_complex or dtype in (torch.float16, torch.bfloat16, torch.float32):
        raise Unsupported(f"numbers of type {str(dtype).removeprefix('torch.')}: it computes in float64")
    return "f" if dtype.is_floating_point else "i"


def literal(value: Any, kind: str) -> str:
    """A constant as text of a kind."""
    if kind == "b":
        return "True" if value else "False"
    if kind == "i":
        return f"({int(value)})" if value < 0 else str(int(value))
    value = float(value)
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "(-inf)"
    return f"({value!r})" if value < 0 or math.copysign(1.0, value) < 0 else repr(value)


def constant(value: Any, kind: str | None = None) -> Value:
    if kind is None:
        kind = "b" if isinstance(value, bool) else "i" if isinstance(value, int) else "f"
    if kind == "i" and isinstance(value, float):
        value = int(value)
    return Value(literal(value, kind), kind, 0, value)


def cast(value: Value, kind: str) -> str:
    """The text of `value` as another kind (C's conversions, as torch's)."""
    if value.kind == kind:
        return value.text
    if value.const is not None:
        return literal(value.const, kind)
    if kind == "b":
        return f"({value.text} != {'0.0' if value.kind == 'f' else '0'})"
    if kind == "f":
        return f"select({value.text}, 1.0, 0.0)" if value.kind == "b" else f"float({value.text})"
    return f"select({value.text}, 1, 0)" if value.kind == "b" else f"int({value.text})"


def common(values: Sequence[Value]) -> str:
    """The kind that holds all of these."""
    kinds = {v.kind for v in values}
    return "f" if "f" in kinds else "i" if "i" in kinds else "b"


Use = Callable[[str], str]
"""Function called → the name to write."""
Rule = Callable[[Node, Sequence[Value], str, Use], str]
"""(node, operands, kind of the result, how to name functions) → text."""

RULES: dict[str, Rule] = {}


def _infix(op: str, sign: str) -> None:
    def rule(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
        return f"{cast(v[0], kind)} {sign} {cast(v[1], kind)}"

    RULES[op] = rule


def _compare(op: str, sign: str) -> None:
    def rule(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
        shared = common(v)
        shared = "i" if shared == "b" else shared
        return f"{cast(v[0], shared)} {sign} {cast(v[1], shared)}"

    RULES[op] = rule


def _logical(op: str, sign: str) -> None:
    def rule(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
        return f"{cast(v[0], 'b')} {sign} {cast(v[1], 'b')}"

    RULES[op] = rule


def _call(op: str, function: str) -> None:
    def rule(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
        return f"{use(function)}({', '.join(cast(a, 'f') for a in v)})"

    RULES[op] = rule


def _template(op: str, text: str) -> None:
    """`{0}`, `{1}` are the operands in the kind of the result."""

    def rule(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
        return text.format(*(cast(a, kind) for a in v))

    RULES[op] = rule


for _op, _sign in {"add": "+", "sub": "-", "mul": "*", "div": "/"}.items():
    _infix(_op, _sign)
for _op, _sign in {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items():
    _compare(_op, _sign)
for _op, _sign in {"logical_and": "&", "logical_or": "|", "logical_xor": "^"}.items():
    _logical(_op, _sign)
for _op, _sign in {"bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^"}.items():
    _infix(_op, _sign)
_template("neg", "-{0}")
_template("detach", "{0}")
_template("reciprocal", "1.0 / {0}")
_template("sqrt", "math.sqrt({0})")
_template("rsqrt", "1.0 / math.sqrt({0})")
for _op in ("floor", "ceil", "trunc"):
    _template(_op, f"math.{_op}({{0}})")
_template("round", "round_even({0})")

LIBRARY = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sigmoid", "tanh", "log_sigmoid", "xlogy"),
    *("logaddexp", "erf", "erfc", "erfinv", "erfcx", "ndtr", "ndtri", "log_ndtr", "lgamma", "digamma"),
    *("i0", "i0e", "i1", "i1e", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh"),
    *("asinh", "acosh", "atanh", "hypot"),
)
"""Operators that are functions of float64 numbers, from `ppl.compiler.native.special`."""

for _op in LIBRARY:
    _call(_op, _op)


def _softplus(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
    beta, threshold = node.attr("beta", 1.0), node.attr("threshold", 20.0)
    return f"{use('softplus')}({v[0].text}, {literal(beta, 'f')}, {literal(threshold, 'f')})"


def _polygamma(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
    if node.attr("n") == 0:
        return f"{use('digamma')}({cast(v[0], 'f')})"
    return f"{use('polygamma')}({node.attr('n')}, {cast(v[0], 'f')})"


def _where(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
    if v[0].const is not None:
        return cast(v[1] if v[0].const else v[2], kind)
    return f"select({cast(v[0], 'b')}, {cast(v[1], kind)}, {cast(v[2], kind)})"


def _clamp(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
    text, low, high = v[0].text, node.attr("low"), node.attr("high")
    if low is not None:  # written so that nan stays nan
        text = f"select({text} < {literal(low, kind)}, {literal(low, kind)}, {text})"
    if high is not None:
        text = f"select({text} > {literal(high, kind)}, {literal(high, kind)}, {text})"
    return text


def _extremum(op: str, sign: str) -> None:
    def rule(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
        a, b = cast(v[0], kind), cast(v[1], kind)
        if kind == "b":
            return f"{a} {'|' if sign == '>' else '&'} {b}"
        nan = f"({a} != {a}) | " if kind == "f" else ""  # nan wins, as in torch
        return f"select({nan}({a} {sign} {b}), {a}, {b})"

    RULES[op] = rule


def _abs(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
    return f"math.fabs({v[0].text})" if kind == "f" else f"abs({v[0].text})"


def _relu(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
    return f"select({v[0].text} < {literal(0, kind)}, {literal(0, kind)}, {v[0].text})"


def _sign_of(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
    a, zero, one = v[0].text, literal(0, kind), literal(1, kind)
    if kind == "b":
        return a
    return f"select({a} > {zero}, {one}, select({a} < {zero}, -{one}, {zero}))"


def _to(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
    return cast(v[0], kind)


def _pow(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
    base, exponent = v[0], v[1]
    if exponent.const is not None and base.const is None:
        n = float(exponent.const)
        b = cast(base, kind)
        if n == int(n) and 0 <= n <= 4:
            one = literal(1, kind)
            return " * ".join([b] * int(n)) if n else one
        if kind == "f" and n == int(n) and -4 <= n < 0:
            return f"1.0 / ({' * '.join([b] * int(-n))})"
        if kind == "f" and n == 0.5:
            return f"math.sqrt({b})"
    if kind != "f":
        raise Unsupported("powers of whole numbers")
    return f"{use('pow')}({cast(base, 'f')}, {cast(exponent, 'f')})"


def _division(op: str) -> None:
    def rule(node: Node, v: Sequence[Value], kind: str, use: Use) -> str:
        a, b = cast(v[0], kind), cast(v[1], kind)
        if kind == "f":
            return f"{use(op)}({a}, {b})"
        if not v[1].const or op == "fmod":  # a whole-number division by zero would stop the process
            raise Unsupported(f"{op} of whole numbers by a computed one")
        return f"{a} {'//' if op == 'floor_divide' else '%'} {b}"

    RULES[op] = rule


RULES |= {
    "softplus": _softplus,
    "polygamma": _polygamma,
    "where": _where,
    "clamp": _clamp,
    "abs": _abs,
    "relu": _relu,
    "sign": _sign_of,
    "to": _to,
    "pow": _pow,
    "isnan": lambda node, v, kind, use: f"{v[0].text} != {v[0].text}",
    "isinf": lambda node, v, kind, use: f"math.fabs({cast(v[0], 'f')}) == inf",
    "isfinite": lambda node, v, kind, use: f"math.fabs({cast(v[0], 'f')}) < inf",
    "logical_not": lambda node, v, kind, use: f"({cast(v[0], 'b')}) ^ True",
    "bitwise_not": lambda node, v, kind, use: f"{v[0].text} ^ {'True' if kind == 'b' else '(-1)'}",
}
_extremum("maximum", ">")
_extremum("minimum", "<")
for _op in ("floor_divide", "remainder", "fmod"):
    _division(_op)

EXPENSIVE = frozenset({*LIBRARY, "softplus", "polygamma", "pow", "sqrt", "rsqrt"})
"""Operators worth storing rather than computing again."""
