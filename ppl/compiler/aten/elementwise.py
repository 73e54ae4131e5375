"""Pointwise ATen overloads and fillers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ppl.compiler.aten.table import ATEN, aten, simple
from ppl.compiler.aten.views import expand
from ppl.compiler.graph import Node
from ppl.compiler.ops import full, make
from ppl.compiler.ops.pointwise import add, div, mul, sub

for _op in [
    "neg",
    "reciprocal",
    "sqrt",
    "rsqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sigmoid",
    "tanh",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "erf",
    "erfc",
    "erfinv",
    "lgamma",
    "digamma",
    "i0",
    "abs",
    "relu",
    "floor",
    "ceil",
    "trunc",
    "sign",
    "isnan",
    "isinf",
    "logical_not",
    "bitwise_not",
    "detach",
    "hypot",
    "atan2",
    "logaddexp",
    "maximum",
    "minimum",
    "logical_and",
    "logical_or",
    "logical_xor",
]:
    simple(_op)
for _op, _name in {
    "erfcx": "special_erfcx",
    "ndtri": "special_ndtri",
    "ndtr": "special_ndtr",
    "log_ndtr": "special_log_ndtr",
    "i0e": "special_i0e",
    "i1": "special_i1",
    "i1e": "special_i1e",
}.items():
    simple(_op, _name)
for _op in ("eq", "ne", "lt", "le", "gt", "ge"):
    simple(_op, f"{_op}.Tensor", f"{_op}.Scalar")
for _op in ("mul", "bitwise_and", "bitwise_or", "bitwise_xor", "remainder", "fmod"):
    simple(_op, f"{_op}.Tensor", f"{_op}.Scalar", f"{_op}.Scalar_Tensor")
simple("pow", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar")
simple("where", "where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
simple("xlogy", "xlogy.Tensor", "xlogy.Scalar_Other", "xlogy.Scalar_Self")
simple("floor_divide", "floor_divide", "floor_divide.Scalar")


@aten("round")
def _round(x: Node) -> Node:
    return make("round", x)


@aten("polygamma")
def _polygamma(n: int, x: Node) -> Node:
    return make("polygamma", x, n=n)


@aten("add.Tensor", "add.Scalar")
def _add(x: Any, y: Any, alpha: Any = 1) -> Any:
    return make("add", x, mul(y, alpha)) if alpha != 1 else make("add", x, y)


@aten("sub.Tensor", "sub.Scalar")
def _sub(x: Any, y: Any, alpha: Any = 1) -> Any:
    return make("sub", x, mul(y, alpha) if alpha != 1 else y)


@aten("rsub.Tensor", "rsub.Scalar")
def _rsub(x: Any, y: Any, alpha: Any = 1) -> Any:
    return _sub(y, x, alpha)


@aten("div.Tensor", "div.Scalar")
def _div(x: Any, y: Any) -> Any:
    return make("div", x, y)


@aten("div.Tensor_mode", "div.Scalar_mode")
def _div_mode(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return make("div", x, y)
    if rounding_mode == "floor":
        return make("floor_divide", x, y)
    return make("trunc", make("div", x, y))


@aten("addcmul")
def _addcmul(x: Any, a: Any, b: Any, value: Any = 1) -> Any:
    return add(x, mul(mul(a, b), value))


@aten("addcdiv")
def _addcdiv(x: Any, a: Any, b: Any, value: Any = 1) -> Any:
    return add(x, mul(div(a, b), value))


@aten("lerp.Tensor", "lerp.Scalar")
def _lerp(x: Any, y: Any, w: Any) -> Any:
    return add(x, mul(w, sub(y, x)))


@aten("softplus")
def _softplus(x: Node, beta: float = 1, threshold: float = 20) -> Node:
    return make("softplus", x, beta=float(beta), threshold=float(threshold))


@aten("log_sigmoid_forward")
def _log_sigmoid(x: Node) -> tuple[Node, Node]:
    return make("log_sigmoid", x), full(0.0, (0,), x.dtype)


@aten("binary_cross_entropy_with_logits")
def _bce_with_logits(x: Node, y: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1) -> Any:
    """(1 − y) x − (1 + (pos_weight − 1) y) log σ(x), times weight."""
    ones: Any = make("log_sigmoid", x)
    if pos_weight is not None:
        ones = mul(ones, add(mul(sub(pos_weight, 1.0), y), 1.0))
    loss: Any = sub(mul(sub(1.0, y), x), ones)
    if weight is not None:
        loss = mul(loss, weight)
    if reduction == 0:
        return loss
    total = make("sum", loss, dims=tuple(range(-len(loss.shape), 0)), keepdim=False)
    return div(total, float(math.prod(loss.shape))) if reduction == 1 else total


@aten("silu")
def _silu(x: Node) -> Any:
    return mul(x, make("sigmoid", x))


@aten("clamp")
def _clamp(x: Node, low: Any = None, high: Any = None) -> Node:
    return make("clamp", x, low=low, high=high)


@aten("clamp_min")
def _clamp_min(x: Node, low: Any) -> Node:
    return make("clamp", x, low=low, high=None)


@aten("clamp_max")
def _clamp_max(x: Node, high: Any) -> Node:
    return make("clamp", x, low=None, high=high)


@aten("clamp.Tensor", "clamp_min.Tensor", "clamp_max.Tensor")
def _clamp_tensor(x: Node, low: Any = None, high: Any = None) -> Any:
    out = make("maximum", x, low) if low is not None else x
    return make("minimum", out, high) if high is not None else out


ATEN["clamp_max.Tensor"] = lambda x, high: make("minimum", x, high)


@aten("masked_fill.Scalar", "masked_fill.Tensor")
def _masked_fill(x: Node, mask: Node, value: Any) -> Node:
    return make("where", mask, value, x)


@aten("_to_copy")
def _to_copy(x: Node, dtype: torch.dtype | None = None, **_: Any) -> Node:
    return x if dtype is None or dtype == x.dtype else make("to", x, dtype=dtype)


@aten("clone", "alias", "lift_fresh", "lift_fresh_copy", "contiguous", "positive", "view_as_real.never")
def _identity(x: Node, **_: Any) -> Node:
    return x


# ---------------------------------------------------------------- fillers


def _like(value: Any) -> Callable[..., Node]:
    def filler(x: Node, dtype: torch.dtype | None = None, **_: Any) -> Node:
        return full(value, x.shape, dtype or x.dtype)

    return filler


ATEN["zeros_like.default"] = _like(0)
ATEN["ones_like.default"] = _like(1)
ATEN["empty_like.default"] = _like(0)


@aten("full_like")
def _full_like(x: Node, value: Any, dtype: torch.dtype | None = None, **_: Any) -> Node:
    return expand(value, x.shape) if isinstance(value, Node) else full(value, x.shape, dtype or x.dtype)


@aten("new_zeros", "new_empty")
def _new_zeros(x: Node, size: Sequence[int], dtype: torch.dtype | None = None, **_: Any) -> Node:
    return full(0, tuple(size), dtype or x.dtype)


@aten("new_ones")
def _new_ones(x: Node, size: Sequence[int], dtype: torch.dtype | None = None, **_: Any) -> Node:
    return full(1, tuple(size), dtype or x.dtype)


@aten("new_full")
def _new_full(x: Node, size: Sequence[int], value: Any, dtype: torch.dtype | None = None, **_: Any) -> Node:
    return (
        expand(value, tuple(size)) if isinstance(value, Node) else full(value, tuple(size), dtype or x.dtype)
    )
