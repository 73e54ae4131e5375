"""Pointwise operators: value, dtype and reverse rule of each.

A reverse rule returns adjoints in the broadcast shape; the differentiate pass sums them back to each
operand's shape.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from ppl.compiler.graph import Node, Scalar
from ppl.compiler.ops.core import Operand, define, make


def _is_zero(a: Operand) -> bool:
    return not isinstance(a, Node) and a == 0


def add(a: Operand, b: Operand) -> Operand:
    if _is_zero(a):
        return b
    if _is_zero(b):
        return a
    return _binary("add", a, b)


def sub(a: Operand, b: Operand) -> Operand:
    return a if _is_zero(b) else _binary("sub", a, b)


def mul(a: Operand, b: Operand) -> Operand:
    for x, y in ((a, b), (b, a)):
        if not isinstance(x, Node) and x == 1:
            return y
    return _binary("mul", a, b)


def div(a: Operand, b: Operand) -> Operand:
    return a if not isinstance(b, Node) and b == 1 else _binary("div", a, b)


_PYTHON: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}


def _binary(op: str, a: Operand, b: Operand) -> Operand:
    if not isinstance(a, Node) and not isinstance(b, Node):
        return _PYTHON[op](a, b)
    return make(op, a, b)


def neg(a: Operand) -> Operand:
    return make("neg", a) if isinstance(a, Node) else -a


def un(op: str, a: Operand) -> Node:
    return make(op, a)


def where(c: Node, a: Operand, b: Operand) -> Node:
    return make("where", c, a, b)


def exp(a: Operand) -> Operand:
    return make("exp", a) if isinstance(a, Node) else math.exp(a)


def log(a: Node) -> Node:
    return make("log", a)


def square(a: Operand) -> Operand:
    return mul(a, a)


def power(a: Node, b: Operand) -> Operand:
    return make("pow", a, b)


def _t(x: Any, like: Any) -> Any:
    return x if isinstance(x, torch.Tensor) else torch.as_tensor(x, dtype=like.dtype, device=like.device)


def _both(f: Any) -> Any:
    """Let a two-tensor torch function take a Python scalar on either side."""

    def run(a: Any, b: Any, **attrs: Any) -> torch.Tensor:
        like = a if isinstance(a, torch.Tensor) else b
        return f(_t(a, like), _t(b, like), **attrs)

    return run


def _unary(
    name: str, run: Any, vjp: Any = None, dtype: str = "float", smooth: str = "smooth", **kw: Any
) -> None:
    define(name, run, kind="pointwise", dtype=dtype, batch="pointwise", vjp=vjp, smooth=smooth, **kw)


def _op(name: str, run: Any, vjp: Any = None, dtype: str = "promote", smooth: str = "smooth") -> None:
    define(name, run, kind="pointwise", dtype=dtype, batch="pointwise", vjp=vjp, smooth=smooth)


def _none1(out: Node, g: Operand, x: Operand, **_: Any) -> tuple[None]:
    return (None,)


def _none2(out: Node, g: Operand, x: Operand, y: Operand) -> tuple[None, None]:
    return None, None


# ---------------------------------------------------------------- arithmetic

_op("add", torch.add, lambda out, g, x, y: (g, g))
_op("sub", _both(torch.sub), lambda out, g, x, y: (g, neg(g)))
_op("mul", torch.mul, lambda out, g, x, y: (mul(g, y), mul(g, x)))


def _div_vjp(out: Node, g: Operand, x: Operand, y: Operand) -> tuple[Operand, Operand | None]:
    gx = div(g, y)
    return gx, (neg(mul(gx, out)) if isinstance(y, Node) else None)


_op("div", _both(torch.div), _div_vjp, dtype="float")


def _pow_vjp(out: Node, g: Operand, x: Operand, y: Operand) -> tuple[Operand | None, Operand | None]:
    gx: Operand | None = None
    gy: Operand | None = None
    if isinstance(x, Node):
        if not isinstance(y, Node) and y == 2:
            gx = mul(g, mul(x, 2.0))
        else:
            gx = mul(g, mul(y, power(x, sub(y, 1))))
            if isinstance(y, Node):
                gx = where(make("eq", y, 0), 0.0, gx)
    if isinstance(y, Node):
        logx = log(x) if isinstance(x, Node) else math.log(x)
        gy = mul(g, mul(out, logx))
        if isinstance(x, Node):
            gy = where(make("eq", x, 0), 0.0, gy)
    return gx, gy


_op("pow", torch.pow, _pow_vjp)
_unary("neg", torch.neg, lambda out, g, x: (neg(g),), dtype="same")
_unary("reciprocal", torch.reciprocal, lambda out, g, x: (neg(mul(g, square(out))),))
_unary("sqrt", torch.sqrt, lambda out, g, x: (div(g, mul(out, 2.0)),))
_unary("rsqrt", torch.rsqrt, lambda out, g, x: (mul(g, mul(mul(out, square(out)), -0.5)),))
_op(
    "hypot",
    _both(torch.hypot),
    lambda out, g, x, y: (mul(g, div(x, out)), mul(g, div(y, out))),
    dtype="float",
)

# ---------------------------------------------------------------- exponentials and logarithms

_unary("exp", torch.exp, lambda out, g, x: (mul(g, out),))
_unary("exp2", torch.exp2, lambda out, g, x: (mul(g, mul(out, math.log(2.0))),))
_unary("expm1", torch.expm1, lambda out, g, x: (mul(g, add(out, 1.0)),))
_unary("log", torch.log, lambda out, g, x: (div(g, x),))
_unary("log2", torch.log2, lambda out, g, x: (div(g, mul(x, math.log(2.0))),))
_unary("log10", torch.log10, lambda out, g, x: (div(g, mul(x, math.log(10.0))),))
_unary("log1p", torch.log1p, lambda out, g, x: (div(g, add(x, 1.0)),))
_unary("sigmoid", torch.sigmoid, lambda out, g, x: (mul(g, mul(out, sub(1.0, out))),))
_unary("tanh", torch.tanh, lambda out, g, x: (mul(g, sub(1.0, square(out))),))


def _softplus_vjp(
    out: Node, g: Operand, x: Node, beta: float = 1.0, threshold: float = 20.0
) -> tuple[Operand]:
    gx = mul(g, un("sigmoid", mul(x, beta)))
    # torch's softplus is x above the threshold; at 20 the two slopes differ by 2e-9
    return (gx if threshold >= 20.0 else where(make("gt", mul(x, beta), threshold), g, gx),)


_unary(
    "softplus",
    lambda x, beta=1.0, threshold=20.0: F.softplus(x, beta, threshold),
    _softplus_vjp,
)
_unary("log_sigmoid", F.logsigmoid, lambda out, g, x: (mul(g, un("sigmoid", neg(x))),))


def _xlogy_vjp(out: Node, g: Operand, x: Operand, y: Operand) -> tuple[Operand | None, Operand | None]:
    gx = gy = None
    if isinstance(x, Node):
        gx = mul(g, log(y) if isinstance(y, Node) else math.log(y))
    if isinstance(y, Node):
        gy = mul(g, div(x, y))
    return gx, gy


_op("xlogy", lambda x, y: torch.special.xlogy(x, y), _xlogy_vjp, dtype="float")
_op(
    "logaddexp",
    _both(torch.logaddexp),
    lambda out, g, x, y: (mul(g, un("sigmoid", sub(x, y))), mul(g, un("sigmoid", sub(y, x)))),
    dtype="float",
)

# ---------------------------------------------------------------- trigonometric and hyperbolic

_unary("sin", torch.sin, lambda out, g, x: (mul(g, un("cos", x)),))
_unary("cos", torch.cos, lambda out, g, x: (neg(mul(g, un("sin", x))),))
_unary("tan", torch.tan, lambda out, g, x: (mul(g, add(square(out), 1.0)),))
_unary("asin", torch.asin, lambda out, g, x: (mul(g, un("rsqrt", sub(1.0, square(x)))),))
_unary("acos", torch.acos, lambda out, g, x: (neg(mul(g, un("rsqrt", sub(1.0, square(x))))),))
_unary("atan", torch.atan, lambda out, g, x: (div(g, add(square(x), 1.0)),))
_unary("sinh", torch.sinh, lambda out, g, x: (mul(g, un("cosh", x)),))
_unary("cosh", torch.cosh, lambda out, g, x: (mul(g, un("sinh", x)),))
_unary("asinh", torch.asinh, lambda out, g, x: (mul(g, un("rsqrt", add(square(x), 1.0))),))
_unary("acosh", torch.acosh, lambda out, g, x: (mul(g, un("rsqrt", sub(square(x), 1.0))),))
_unary("atanh", torch.atanh, lambda out, g, x: (div(g, sub(1.0, square(x))),))


def _atan2_vjp(out: Node, g: Operand, y: Operand, x: Operand) -> tuple[Operand, Operand]:
    scaled = div(g, add(square(x), square(y)))
    return mul(scaled, x), neg(mul(scaled, y))


_op("atan2", _both(torch.atan2), _atan2_vjp, dtype="float", smooth="jump")  # where y changes sign at x < 0

# ---------------------------------------------------------------- special functions

_unary("erf", torch.erf, lambda out, g, x: (mul(g, mul(exp(neg(square(x))), 2 / math.sqrt(math.pi))),))
_unary("erfc", torch.erfc, lambda out, g, x: (mul(g, mul(exp(neg(square(x))), -2 / math.sqrt(math.pi))),))
_unary("erfinv", torch.erfinv, lambda out, g, x: (mul(g, mul(exp(square(out)), math.sqrt(math.pi) / 2)),))
_unary(
    "erfcx",
    torch.special.erfcx,
    lambda out, g, x: (mul(g, sub(mul(mul(x, out), 2.0), 2 / math.sqrt(math.pi))),),
)
_unary(
    "ndtr",
    torch.special.ndtr,
    lambda out, g, x: (mul(g, mul(exp(mul(square(x), -0.5)), 1 / math.sqrt(2 * math.pi))),),
)
_unary(
    "ndtri",
    torch.special.ndtri,
    lambda out, g, x: (mul(g, mul(exp(mul(square(out), 0.5)), math.sqrt(2 * math.pi))),),
)
_unary(
    "log_ndtr",
    torch.special.log_ndtr,
    lambda out, g, x: (mul(g, exp(sub(sub(mul(square(x), -0.5), out), 0.5 * math.log(2 * math.pi)))),),
)
_unary("lgamma", torch.lgamma, lambda out, g, x: (mul(g, un("digamma", x)),))
_unary("digamma", torch.digamma, lambda out, g, x: (mul(g, make("polygamma", x, n=1)),))
_unary(
    "polygamma",
    lambda x, n: torch.polygamma(n, x),
    lambda out, g, x, n: (mul(g, make("polygamma", x, n=n + 1)),),
)
_unary("i0", torch.special.i0, lambda out, g, x: (mul(g, un("i1", x)),))
_unary("i0e", torch.special.i0e, lambda out, g, x: (mul(g, sub(un("i1e", x), mul(un("sign", x), out))),))
_unary("i1", torch.special.i1)
_unary("i1e", torch.special.i1e)

# ---------------------------------------------------------------- kinked: continuous, differentiable
# almost everywhere

_unary("abs", torch.abs, lambda out, g, x: (mul(g, un("sign", x)),), dtype="same", smooth="kinked")
_unary(
    "relu", torch.relu, lambda out, g, x: (where(make("le", out, 0), 0.0, g),), dtype="same", smooth="kinked"
)


def _extremum_vjp(larger: str) -> Any:
    def vjp(out: Node, g: Operand, x: Operand, y: Operand) -> tuple[Operand, Operand]:
        half = mul(g, 0.5)
        tie = make("eq", x, y)
        first = make(larger, x, y)
        second = make(larger, y, x)
        return where(tie, half, where(first, g, 0.0)), where(tie, half, where(second, g, 0.0))

    return vjp


_op("maximum", _both(torch.maximum), _extremum_vjp("gt"), smooth="kinked")
_op("minimum", _both(torch.minimum), _extremum_vjp("lt"), smooth="kinked")


def _clamp_vjp(
    out: Node, g: Operand, x: Node, low: Scalar | None = None, high: Scalar | None = None
) -> tuple[Operand]:
    result = g
    if low is not None:
        result = where(make("ge", x, low), result, 0.0)
    if high is not None:
        result = where(make("le", x, high), result, 0.0)
    return (result,)


_unary(
    "clamp",
    lambda x, low=None, high=None: torch.clamp(x, low, high),
    _clamp_vjp,
    dtype="same",
    smooth="kinked",
)
_op(
    "where",
    torch.where,
    lambda out, g, c, x, y: (None, where(c, g, 0.0), where(c, 0.0, g)),
    smooth="jump",
)

# ---------------------------------------------------------------- jumps and booleans: no gradient passes

for _name in ("floor", "ceil", "round", "trunc", "sign"):
    _unary(_name, getattr(torch, _name), _none1, dtype="same", smooth="jump")
_unary("detach", torch.detach, _none1, dtype="same")
for _name in ("isnan", "isinf", "isfinite", "logical_not"):
    _unary(_name, getattr(torch, _name), _none1, dtype="bool", smooth="jump")
_unary("bitwise_not", torch.bitwise_not, _none1, dtype="same", smooth="jump")
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _op(_name, _both(getattr(torch, _name)), _none2, dtype="bool", smooth="jump")
for _name in ("logical_and", "logical_or", "logical_xor"):
    _op(_name, _both(getattr(torch, _name)), _none2, dtype="bool", smooth="jump")
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    _op(_name, _both(getattr(torch, _name)), _none2, smooth="jump")
_op("floor_divide", _both(torch.floor_divide), _none2, smooth="jump")


def _remainder_vjp(floor: str) -> Any:
    def vjp(out: Node, g: Operand, x: Operand, y: Operand) -> tuple[Operand, Operand]:
        quotient = div(x, y)
        return g, (neg(mul(g, un(floor, quotient))) if isinstance(quotient, Node) else 0.0)

    return vjp


_op("remainder", _both(torch.remainder), _remainder_vjp("floor"), smooth="jump")
_op("fmod", _both(torch.fmod), _remainder_vjp("trunc"), smooth="jump")


def _to_run(x: Any, dtype: torch.dtype) -> torch.Tensor:
    return _t(x, torch.empty((), dtype=dtype)).to(dtype)


def _to_vjp(out: Node, g: Operand, x: Node, dtype: torch.dtype) -> tuple[Operand | None]:
    if not x.is_float or not dtype.is_floating_point:
        return (None,)
    return (make("to", g, dtype=x.dtype) if isinstance(g, Node) and g.dtype != x.dtype else g,)


define("to", _to_run, kind="cast", batch="trailing", vjp=_to_vjp)
