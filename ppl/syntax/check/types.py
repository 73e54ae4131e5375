"""Types as they are written → what is known of a value of the type."""

from __future__ import annotations

import math

from ppl.errors import closest
from ppl.syntax import tree
from ppl.syntax.check.reporting import Report
from ppl.syntax.format import expression_text
from ppl.syntax.info import PROGRAM_TYPES
from ppl.syntax.limits import AXES, too_many_axes
from ppl.syntax.problems import Problem
from ppl.syntax.values import NONNEGATIVE, POSITIVE, REAL, UNIT, VECTORS, Interval, Value, size_of

_NUMBERS = {
    "real": REAL,
    "positive": POSITIVE,
    "nonnegative": NONNEGATIVE,
    "unit": UNIT,
    "int": REAL,
    "index": NONNEGATIVE,
    "bool": REAL,
}
_MATRICES = {
    "corr_cholesky": "corr_cholesky",
    "cholesky": "lower_cholesky",
    "cov": "cov",
    "corr": "corr_matrix",
}
NAMES = (*_NUMBERS, *VECTORS, *_MATRICES, *sorted(PROGRAM_TYPES))

_FOREIGN = {
    "float": "real",
    "double": "real",
    "vector": "real[N]",
    "matrix": "real[N, D]",
    "integer": "int",
    "string": "text",
    "boolean": "bool",
    "array": "real[N]",
    "tensor": "real[N, D]",
    "cholesky_factor_corr": "corr_cholesky[D]",
    "cov_matrix": "cov[D]",
    "corr_matrix": "corr[D]",
    "list": "real[N]",
    "str": "text",
    "probability": "unit",
    "categorical": "index(K)",
    "category": "index(K)",
    "natural": "int(lower=0)",
    "count": "int(lower=0)",
}


def value_of(kind: tree.Type, report: Report) -> Value:
    """What a value of the type is; problems of the type itself are reported."""
    name = kind.name.id
    if len(kind.shape) > AXES:
        report(too_many_axes(kind.span, len(kind.shape)))
        return Value("any", shape=None)
    shape = tuple(size_of(s) for s in kind.shape)
    if name in PROGRAM_TYPES:
        if kind.shape:
            report(Problem("type", kind.span, f"there are no arrays of {name}s", edit=name))
        return Value("any" if name == "program" else name, shape=())
    if name in _NUMBERS:
        scalar = "int" if name in ("int", "index") else "bool" if name == "bool" else "real"
        return Value(scalar, _bounds(kind, _NUMBERS[name], report), shape)
    if kind.arguments or kind.keywords:
        report(Problem("type", kind.span, f"{name} has no bounds", expected=f"{name}[K]", edit=f"{name}[K]"))
    if name in VECTORS or name in _MATRICES:
        if not kind.shape:
            report(
                Problem("type", kind.span, f"{name} needs its size", expected=f"{name}[K]", edit=f"{name}[K]")
            )
            shape = (None,)
        if name in VECTORS:
            return Value("real", VECTORS[name], shape, name)
        return Value("real", REAL, (*shape, shape[-1]), _MATRICES[name])
    near = [_FOREIGN[name]] if name in _FOREIGN else closest(name, NAMES)
    report(
        Problem(
            "type",
            kind.name.span,
            f"there is no type `{name}`",
            expected="one of real, int, bool, positive, unit, simplex[K], ordered[K], cov[D], …",
            found=f"`{name}`",
            edit=near[0] if near else "real",
        )
    )
    return Value("any", shape=None)


def _bounds(kind: tree.Type, usual: Interval, report: Report) -> Interval:
    """`real(lower=0, upper=1)`; bounds that are not written out as numbers are not known."""
    name = kind.name.id
    if name == "index":
        if len(kind.arguments) != 1 or kind.keywords:
            report(Problem("type", kind.span, "index(K) is a whole number from 0 to K-1", edit="index(K)"))
        return usual
    allowed = ("lower", "upper") if name in ("real", "int") else ()
    for keyword in kind.keywords:
        if keyword.name.id not in allowed:
            words = "lower= and upper=" if allowed else "no bounds"
            report(
                Problem(
                    "type",
                    keyword.span,
                    f"{name} has no `{keyword.name.id}`",
                    expected=words,
                    found=f"`{keyword.name.id}`",
                    edit=_keyword(keyword, name) if allowed else name,
                )
            )
    if kind.arguments and (not allowed or len(kind.arguments) > 2):
        report(
            Problem(
                "type",
                kind.span,
                f"{name} has no bounds" if not allowed else "there are two bounds: lower and upper",
                edit="real(lower=0, upper=1)",
            )
        )
        return usual
    given = dict(zip(("lower", "upper"), kind.arguments, strict=False))
    given |= {k.name.id: k.value for k in kind.keywords}
    ends = [_number(given.get("lower"), -math.inf), _number(given.get("upper"), math.inf)]
    if ends[0] > ends[1] or (ends[0] == ends[1] and name == "real"):
        report(
            Problem(
                "type",
                kind.span,
                "there is no number between these bounds",
                expected="lower < upper",
                found=f"{ends[0]:g} and {ends[1]:g}",
                edit=f"{name}({ends[1]:g}, {ends[0]:g})"
                if ends[0] > ends[1]
                else f"{name}({ends[0]:g}, {ends[0] + 1:g})",
            )
        )
    return Interval(ends[0], ends[1]) if given else usual


def _keyword(keyword: tree.Keyword, name: str) -> str:
    words = {
        "min": "lower",
        "low": "lower",
        "minimum": "lower",
        "max": "upper",
        "high": "upper",
        "maximum": "upper",
    }
    right = words.get(keyword.name.id, "lower")
    return f"{name}({right}={expression_text(keyword.value)})"


def _number(e: tree.Expression | None, unknown: float) -> float:
    if isinstance(e, tree.Unary) and e.operator == "-" and isinstance(e.operand, tree.Number):
        return -float(e.operand.value)
    return float(e.value) if isinstance(e, tree.Number) else unknown
