"""Reductions and contractions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ppl.compiler.aten.table import ATEN, aten
from ppl.compiler.aten.views import negative, same_dtype, squeeze, view
from ppl.compiler.graph import Node
from ppl.compiler.ops import full, make, make_opaque
from ppl.compiler.ops.pointwise import add, div, mul, sub


def _dims(x: Node, dims: Any) -> tuple[int, ...]:
    rank = len(x.shape)
    if dims is None or (isinstance(dims, list | tuple) and not dims):
        dims = range(rank)
    return tuple(negative(d, rank) for d in ([dims] if isinstance(dims, int) else dims)) if rank else ()


@aten("sum", "sum.dim_IntList")
def _sum(x: Node, dims: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Node:
    if dtype is not None and dtype != x.dtype:
        x = make("to", x, dtype=dtype)
    return make("sum", x, dims=_dims(x, dims), keepdim=keepdim)


@aten("mean", "mean.dim")
def _mean(x: Node, dims: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Any:
    axes = _dims(x, dims)
    count = 1
    for d in axes:
        count *= x.shape[d]
    return div(_sum(x, dims, keepdim, dtype), float(count))


@aten("var.correction")
def _var(x: Node, dims: Any = None, correction: Any = 1, keepdim: bool = False) -> Any:
    axes = _dims(x, dims)
    count = 1
    for d in axes:
        count *= x.shape[d]
    centred = sub(x, _mean(x, dims, True))
    return div(
        make("sum", mul(centred, centred), dims=axes, keepdim=keepdim),
        float(count - (1 if correction is None else correction)),
    )


@aten("std.correction")
def _std(x: Node, dims: Any = None, correction: Any = 1, keepdim: bool = False) -> Node:
    return make("sqrt", _var(x, dims, correction, keepdim))


@aten("prod", "prod.dim_int")
def _prod(x: Node, dim: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None) -> Node:
    return make("prod", x, dims=_dims(x, dim), keepdim=keepdim)


@aten("amax", "max")
def _amax(x: Node, dims: Any = None, keepdim: bool = False) -> Node:
    return make("amax", x, dims=_dims(x, dims), keepdim=keepdim)


@aten("amin", "min")
def _amin(x: Node, dims: Any = None, keepdim: bool = False) -> Node:
    return make("amin", x, dims=_dims(x, dims), keepdim=keepdim)


def _extremum(arg: str, value: str) -> Callable[..., tuple[Node, Node]]:
    def both(x: Node, dim: int, keepdim: bool = False) -> tuple[Node, Node]:
        if not x.shape:
            return x, full(0, (), torch.int64)
        d = negative(dim, len(x.shape))
        index = make(arg, x, dim=d, keepdim=True)
        picked = make("gather", x, index, dim=d)
        return (picked, index) if keepdim else (squeeze(picked, d), squeeze(index, d))

    return both


ATEN["max.dim"] = _extremum("argmax", "amax")
ATEN["min.dim"] = _extremum("argmin", "amin")


def _arg(op: str) -> Callable[..., Node]:
    def index(x: Node, dim: int | None = None, keepdim: bool = False) -> Node:
        if not x.shape:
            return full(0, (), torch.int64)
        if dim is None:
            return view(
                make(op, view(x, [-1]), dim=-1, keepdim=False), (1,) * len(x.shape) if keepdim else ()
            )
        return make(op, x, dim=negative(dim, len(x.shape)), keepdim=keepdim)

    return index


ATEN["argmax.default"] = _arg("argmax")
ATEN["argmin.default"] = _arg("argmin")


@aten("linalg_vector_norm")
def _vector_norm(
    x: Node, ord: Any = 2, dims: Any = None, keepdim: bool = False, dtype: torch.dtype | None = None
) -> Any:
    """(Σ |x|ᵖ)^(1/p); as torch's, its gradient at zero is zero."""
    x = x if dtype is None or dtype == x.dtype else make("to", x, dtype=dtype)
    axes = _dims(x, dims)
    if ord == float("inf"):
        return make("amax", make("abs", x), dims=axes, keepdim=keepdim)
    if ord == 1:
        return make("sum", make("abs", x), dims=axes, keepdim=keepdim)
    if ord != 2:
        return make_opaque(torch.ops.aten.linalg_vector_norm.default, [x, ord, axes or None, keepdim], {})
    total = make("sum", mul(x, x), dims=axes, keepdim=keepdim)
    zero = make("eq", total, 0.0)
    return make("where", zero, 0.0, make("sqrt", make("where", zero, 1.0, total)))


@aten("trace")
def _trace(x: Node) -> Node:
    return make("sum", make("diagonal", x, offset=0, dim1=-2, dim2=-1), dims=(-1,), keepdim=False)


@aten("_linalg_check_errors", "_assert_async")
def _unchecked(*_: Any, **__: Any) -> None:
    """A singular matrix gives nan or infinity here, not an error: the sampler rejects such a point."""


@aten("sort", "sort.stable")
def _sort(
    x: Node, *args: Any, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> tuple[Node, Node]:
    if args:
        dim = args[0]
        descending = args[1] if len(args) > 1 else descending
    if not x.shape:
        return x, full(0, (), torch.int64)
    d = negative(dim, len(x.shape))
    order = make("argsort", x, dim=d, descending=bool(descending))
    return make("gather", x, order, dim=d), order


@aten("any", "any.dim", "any.dims")
def _any(x: Node, dims: Any = None, keepdim: bool = False) -> Node:
    return make("any", x, dims=_dims(x, dims), keepdim=keepdim)


@aten("all", "all.dim", "all.dims")
def _all(x: Node, dims: Any = None, keepdim: bool = False) -> Node:
    return make("all", x, dims=_dims(x, dims), keepdim=keepdim)


@aten("logsumexp")
def _logsumexp(x: Node, dims: Any, keepdim: bool = False) -> Node:
    return make("logsumexp", x, dims=_dims(x, dims), keepdim=keepdim)


for _cum in ("cumsum", "cumprod", "logcumsumexp"):
    ATEN[f"{_cum}.default"] = lambda x, dim, dtype=None, _op=_cum: (
        make(_op, x, dim=negative(dim, len(x.shape))) if x.shape else x
    )
for _soft in ("softmax", "log_softmax"):
    ATEN[f"_{_soft}.default"] = lambda x, dim, half=False, _op=_soft: _softmax(_op, x, dim)


def _softmax(op: str, x: Node, dim: int) -> Node:
    if not x.shape:
        return full(1.0 if op == "softmax" else 0.0, (), x.dtype)
    return make(op, x, dim=negative(dim, len(x.shape)))


# ---------------------------------------------------------------- contractions


@aten("mm", "mv", "dot", "bmm", "vdot")
def _matmul(a: Node, b: Node) -> Node:
    return make("matmul", *same_dtype([a, b]))


@aten("addmm", "addmv", "baddbmm")
def _addmm(c: Any, a: Node, b: Node, beta: Any = 1, alpha: Any = 1) -> Any:
    return add(mul(c, beta), mul(_matmul(a, b), alpha))
