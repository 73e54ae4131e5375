"""Views and reductions. Axes in attributes are negative, so leading batch axes never disturb them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ppl.compiler.graph import Node, Plate
from ppl.compiler.ops.batching import Operands, node_of, sizes
from ppl.compiler.ops.batching import permute as permute_node
from ppl.compiler.ops.batching import reshape as reshape_node
from ppl.compiler.ops.core import Operand, define, make
from ppl.compiler.ops.pointwise import div, exp, mul, sub, where

# ---------------------------------------------------------------- views


def _shape_batch(op: str) -> Any:
    def batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
        arg = node_of(args[0])
        node = arg.aligned(plates, rank=len(attrs["shape"]) if op == "expand" else None)
        return make(op, node, shape=sizes(plates) + attrs["shape"])

    return batch


define(
    "reshape",
    lambda x, shape: x.reshape(shape),
    batch=_shape_batch("reshape"),
    vjp=lambda out, g, x, shape: (reshape_node(g, x.shape),),
)
define(
    "expand",
    lambda x, shape: x.expand(shape),
    batch=_shape_batch("expand"),
    vjp=lambda out, g, x, shape: (sum_to(g, x.shape),),
)


def _permute_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    k = len(plates)
    return permute_node(node_of(args[0]).node, tuple(range(k)) + tuple(d + k for d in attrs["dims"]))


def _inverse(dims: Sequence[int]) -> tuple[int, ...]:
    inverse = [0] * len(dims)
    for i, d in enumerate(dims):
        inverse[d] = i
    return tuple(inverse)


define(
    "permute",
    lambda x, dims: x.permute(dims),
    batch=_permute_batch,
    vjp=lambda out, g, x, dims: (permute_node(g, _inverse(dims)),),
)


def _pad_axis(g: Node, like: Node, dim: int, start: int, stop: int, step: int) -> Node:
    """`g` placed at `start:stop:step` of an axis of zeros."""
    return make("slice_embed", g, size=like.shape[dim], dim=dim, start=start, stop=stop, step=step)


def _slice(x: Any, dim: int, start: int, stop: int, step: int) -> Any:
    return torch.ops.aten.slice.Tensor(x, dim, start, stop, step)


def _slice_embed(g: Any, size: int, dim: int, start: int, stop: int, step: int) -> Any:
    shape = list(g.shape)
    shape[dim] = size
    return torch.slice_scatter(g.new_zeros(shape), g, dim, start, stop, step)


define(
    "slice",
    _slice,
    vjp=lambda out, g, x, dim, start, stop, step: (_pad_axis(g, x, dim, start, stop, step),),
)
define(
    "slice_embed",
    _slice_embed,
    vjp=lambda out, g, x, size, dim, start, stop, step: (
        make("slice", g, dim=dim, start=start, stop=stop, step=step),
    ),
)


def _select_vjp(out: Node, g: Node, x: Node, dim: int, index: int) -> tuple[Node]:
    shape = list(x.shape)
    shape[dim] = 1
    return (_pad_axis(reshape_node(g, shape), x, dim, index, index + 1, 1),)


define("select", lambda x, dim, index: x.select(dim, index), vjp=_select_vjp)
define("flip", lambda x, dims: torch.flip(x, dims), vjp=lambda out, g, x, dims: (make("flip", g, dims=dims),))


def _cat_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    return make("cat", *[node_of(a).aligned(plates, expand=True) for a in args], **attrs)


def _cat_vjp(out: Node, g: Node, *xs: Node, dim: int) -> list[Node]:
    parts, start = [], 0
    for x in xs:
        stop = start + x.shape[dim]
        parts.append(make("slice", g, dim=dim, start=start, stop=stop, step=1))
        start = stop
    return parts


define("cat", lambda *xs, dim: torch.cat(xs, dim), batch=_cat_batch, vjp=_cat_vjp)
for _name in ("tril", "triu"):
    define(
        _name,
        lambda x, diagonal=0, _n=_name: getattr(torch, _n)(x, diagonal),
        vjp=lambda out, g, x, diagonal=0, _n=_name: (make(_n, g, diagonal=diagonal),),
    )
define(
    "diagonal",
    lambda x, offset, dim1, dim2: torch.diagonal(x, offset, dim1, dim2),
    vjp=lambda out, g, x, offset, dim1, dim2: (
        make(
            "diagonal_embed", g, rows=x.shape[dim1], cols=x.shape[dim2], offset=offset, dim1=dim1, dim2=dim2
        ),
    ),
)


def _diagonal_embed(g: Any, rows: int, cols: int, offset: int, dim1: int, dim2: int) -> Any:
    shape = list(g.shape[:-1])
    axes = sorted((dim1, dim2))
    for axis in axes:
        shape.insert(len(shape) + 1 + axis + (0 if axis == axes[1] else 1), rows if axis == dim1 else cols)
    return torch.diagonal_scatter(g.new_zeros(shape), g, offset, dim1, dim2)


define(
    "diagonal_embed",
    _diagonal_embed,
    vjp=lambda out, g, x, rows, cols, offset, dim1, dim2: (
        make("diagonal", g, offset=offset, dim1=dim1, dim2=dim2),
    ),
)

# ---------------------------------------------------------------- reductions


def kept(x: Node, dims: Sequence[int]) -> tuple[int, ...]:
    """The shape of `x` with `dims` reduced to 1."""
    shape = list(x.shape)
    for d in dims:
        shape[d] = 1
    return tuple(shape)


def spread(g: Node, x: Node, dims: Sequence[int]) -> Node:
    """The adjoint of a reduction of `x` over `dims`, broadcastable to `x`."""
    shape = kept(x, dims)
    lead = 0
    while lead < len(shape) and shape[lead] == 1:
        lead += 1
    return g if g.shape == shape[lead:] else reshape_node(g, shape)


def sum_to(g: Node, shape: tuple[int, ...]) -> Node:
    """Sum `g` over the axes along which `shape` was broadcast to `g.shape`."""
    if g.shape == shape:
        return g
    extra = len(g.shape) - len(shape)
    dims = [d - len(g.shape) for d in range(extra)]
    dims += [d - len(shape) for d, n in enumerate(shape) if n == 1 and g.shape[d + extra] != 1]
    if dims:
        g = make("sum", g, dims=tuple(dims), keepdim=False)
    return reshape_node(g, shape)


def _sum(x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    return torch.sum(x, dims, keepdim) if dims else (x.to(torch.int64) if x.dtype is torch.bool else x)


define("sum", _sum, vjp=lambda out, g, x, dims, keepdim: (spread(g, x, dims),))


def _extremum_vjp(out: Node, g: Node, x: Node, dims: tuple[int, ...], keepdim: bool) -> tuple[Operand]:
    hit = make("eq", x, reshape_node(out, kept(x, dims)))
    count = make("sum", hit, dims=dims, keepdim=True)
    share = div(reshape_node(g, kept(x, dims)), make("to", count, dtype=g.dtype))
    return (where(hit, share, 0.0),)


def _over(f: Any) -> Any:
    """`f` over `dims`, of which there may be none (where torch would reduce all axes, a plate's too)."""
    return lambda x, dims, keepdim: f(x, dims, keepdim) if dims else x


define("amax", _over(torch.amax), vjp=_extremum_vjp, smooth="kinked")
define("amin", _over(torch.amin), vjp=_extremum_vjp, smooth="kinked")
define(
    "logsumexp",
    _over(torch.logsumexp),
    vjp=lambda out, g, x, dims, keepdim: (
        mul(reshape_node(g, kept(x, dims)), _exp_difference(x, reshape_node(out, kept(x, dims)))),
    ),
)


def _exp_difference(x: Node, total: Node) -> Operand:
    """exp(x − total), zero where total is −inf (all terms are)."""
    safe = where(make("eq", total, -float("inf")), 0.0, total)
    return exp(sub(x, safe))


def _prod(x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    for d in sorted(dims, reverse=True):
        x = torch.prod(x, d, keepdim=True)
    return x if keepdim else (x.squeeze(dims) if dims else x)


define("prod", _prod)
define(
    "any",
    lambda x, dims, keepdim: torch.any(x, dims, keepdim) if dims else x.bool(),
    vjp=lambda out, g, x, **_: (None,),
    smooth="jump",
)
define(
    "all",
    lambda x, dims, keepdim: torch.all(x, dims, keepdim) if dims else x.bool(),
    vjp=lambda out, g, x, **_: (None,),
    smooth="jump",
)
for _name in ("argmax", "argmin"):
    define(
        _name,
        lambda x, dim, keepdim, _n=_name: getattr(torch, _n)(
            x.to(torch.uint8) if x.dtype is torch.bool else x, dim, keepdim
        ),
        vjp=lambda out, g, x, **_: (None,),
        smooth="jump",
    )
define(
    "argsort",
    lambda x, dim, descending: torch.argsort(x, dim=dim, descending=descending, stable=True),
    vjp=lambda out, g, x, **_: (None,),
    smooth="jump",
)
define(
    "cumsum",
    lambda x, dim: torch.cumsum(x, dim),
    vjp=lambda out, g, x, dim: (
        make("flip", make("cumsum", make("flip", g, dims=(dim,)), dim=dim), dims=(dim,)),
    ),
)
define("cumprod", lambda x, dim: torch.cumprod(x, dim))
define("logcumsumexp", lambda x, dim: torch.logcumsumexp(x, dim))


def _softmax_vjp(out: Node, g: Node, x: Node, dim: int) -> tuple[Operand]:
    inner = make("sum", mul(g, out), dims=(dim,), keepdim=True)
    return (mul(out, sub(g, inner)),)


def _log_softmax_vjp(out: Node, g: Node, x: Node, dim: int) -> tuple[Operand]:
    return (sub(g, mul(exp(out), make("sum", g, dims=(dim,), keepdim=True))),)


define("softmax", lambda x, dim: torch.softmax(x, dim), vjp=_softmax_vjp)
define("log_softmax", lambda x, dim: torch.log_softmax(x, dim), vjp=_log_softmax_vjp)
