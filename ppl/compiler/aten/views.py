"""Views, joins and indexing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ppl.compiler.aten.table import aten
from ppl.compiler.graph import Node
from ppl.compiler.ops import full, make, make_opaque
from ppl.compiler.ops.batching import permute, reshape
from ppl.compiler.ops.core import broadcast


def negative(dim: int, rank: int) -> int:
    return dim if dim < 0 else dim - rank


def expand(x: Node, shape: Sequence[int]) -> Node:
    shape = tuple(shape)
    extra = len(shape) - len(x.shape)
    shape = tuple(x.shape[d - extra] if n == -1 else n for d, n in enumerate(shape))
    if x.op == "full":
        return full(x.attr("value"), shape, x.dtype)
    return x if shape == x.shape else make("expand", x, shape=shape)


@aten("expand")
def _expand_op(x: Node, shape: Sequence[int], implicit: bool = False) -> Node:
    return expand(x, shape)


@aten("broadcast_tensors")
def _broadcast_tensors(tensors: Sequence[Node]) -> list[Node]:
    shape = broadcast([x.shape for x in tensors])
    return [expand(x, shape) for x in tensors]


@aten("view", "_unsafe_view", "reshape", "_reshape_alias")
def view(x: Node, shape: Sequence[int], *_: Any) -> Node:
    shape = list(shape)
    if -1 in shape:
        known = 1
        for n in shape:
            known *= n if n != -1 else 1
        total = 1
        for n in x.shape:
            total *= n
        shape[shape.index(-1)] = total // max(known, 1)
    return full(x.attr("value"), tuple(shape), x.dtype) if x.op == "full" else reshape(x, shape)


@aten("unsqueeze")
def _unsqueeze(x: Node, dim: int) -> Node:
    shape = list(x.shape)
    shape.insert(dim if dim >= 0 else dim + len(shape) + 1, 1)
    return view(x, shape)


@aten("squeeze", "squeeze.dim", "squeeze.dims")
def squeeze(x: Node, dims: Any = None) -> Node:
    rank = len(x.shape)
    axes = (
        range(rank)
        if dims is None
        else [d % rank if rank else 0 for d in ([dims] if isinstance(dims, int) else dims)]
    )
    return view(x, [n for d, n in enumerate(x.shape) if not (d in axes and n == 1)])


@aten("permute")
def _permute(x: Node, dims: Sequence[int]) -> Node:
    return permute(x, [d % len(x.shape) for d in dims])


@aten("transpose.int")
def transpose(x: Node, a: int, b: int) -> Node:
    dims = list(range(len(x.shape)))
    if dims:
        dims[a], dims[b] = dims[b], dims[a]
    return permute(x, dims)


@aten("t", "numpy_T", "mT", "adjoint")
def t(x: Node) -> Node:
    return x if len(x.shape) < 2 else transpose(x, -1, -2)


@aten("select.int")
def _select(x: Node, dim: int, index: int) -> Node:
    d = negative(dim, len(x.shape))
    return make("select", x, dim=d, index=index % x.shape[d] if index >= 0 or x.shape[d] else index)


@aten("slice.Tensor")
def _slice(x: Node, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Node:
    d = negative(dim, len(x.shape))
    begin, stop, stride = slice(start, end, step).indices(x.shape[d])
    if (begin, stop, stride) == (0, x.shape[d], 1):
        return x
    return make("slice", x, dim=d, start=begin, stop=max(begin, stop), step=stride)


@aten("unbind.int")
def _unbind(x: Node, dim: int = 0) -> list[Node]:
    return [_select(x, dim, i) for i in range(x.shape[dim])]


@aten("split.Tensor")
def _split(x: Node, size: int, dim: int = 0) -> list[Node]:
    n = x.shape[dim]
    return [_slice(x, dim, i, min(i + size, n)) for i in range(0, max(n, 1), size)]


@aten("split_with_sizes")
def _split_sizes(x: Node, sizes: Sequence[int], dim: int = 0) -> list[Node]:
    parts, start = [], 0
    for size in sizes:
        parts.append(_slice(x, dim, start, start + size))
        start += size
    return parts


@aten("cat")
def _cat(xs: Sequence[Node], dim: int = 0) -> Node:
    xs = [x for x in xs if x.shape != (0,)] or list(xs[:1])
    return xs[0] if len(xs) == 1 else make("cat", *same_dtype(xs), dim=negative(dim, len(xs[0].shape)))


@aten("stack")
def _stack(xs: Sequence[Node], dim: int = 0) -> Node:
    dim = dim if dim >= 0 else dim + len(xs[0].shape) + 1
    return _cat([_unsqueeze(x, dim) for x in xs], dim)


def same_dtype(xs: Sequence[Node]) -> list[Node]:
    dtype = xs[0].dtype
    for x in xs[1:]:
        dtype = torch.promote_types(dtype, x.dtype)
    return [x if x.dtype == dtype else make("to", x, dtype=dtype) for x in xs]


@aten("constant_pad_nd")
def _pad(x: Node, pad: Sequence[int], value: Any = 0) -> Node:
    """`pad` counts what is put before and after each axis, the last axis first; negative counts cut off."""
    for position, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        d, size = -1 - position, x.shape[-1 - position]
        if before < 0 or after < 0:
            x = _slice(x, d, max(0, -before), size - max(0, -after))
        lead, tail = list(x.shape), list(x.shape)
        lead[d], tail[d] = max(before, 0), max(after, 0)
        parts = [full(value, lead, x.dtype), x, full(value, tail, x.dtype)]
        parts = [p for p in parts if p is x or p.shape[d]]
        x = make("cat", *parts, dim=d) if len(parts) > 1 else x
    return x


@aten("flip")
def _flip(x: Node, dims: Sequence[int]) -> Node:
    return make("flip", x, dims=tuple(negative(d, len(x.shape)) for d in dims))


@aten("tril")
def tril(x: Node, diagonal: int = 0) -> Node:
    return make("tril", x, diagonal=diagonal)


@aten("triu")
def triu(x: Node, diagonal: int = 0) -> Node:
    return make("triu", x, diagonal=diagonal)


@aten("diagonal")
def _diagonal(x: Node, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Node:
    rank = len(x.shape)
    return make("diagonal", x, offset=offset, dim1=negative(dim1, rank), dim2=negative(dim2, rank))


# ---------------------------------------------------------------- indexing


@aten("diag_embed")
def _diag_embed(x: Node, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Node:
    n, rank = x.shape[-1] + abs(offset), len(x.shape) + 1
    a, b = negative(dim1, rank), negative(dim2, rank)
    return make("diagonal_embed", x, rows=n, cols=n, offset=offset, dim1=a, dim2=b)


@aten("index_select")
def _index_select(x: Node, dim: int, index: Node) -> Node:
    return make("index", x, index, positions=(dim % len(x.shape),))


@aten("index_fill.int_Tensor", "index_fill.int_Scalar")
def _index_fill(x: Node, dim: int, index: Node, value: Any) -> Node:
    """By a mask: torch's vmap of index_fill is wrong where only the value is batched (2.13)."""
    d = negative(dim, len(x.shape))
    places = make("wrap_index", view(index, [-1]), size=x.shape[d])
    hits = make("index_add", full(1.0, places.shape, torch.float64), places, dim=-1, size=x.shape[d])
    mask = view(make("gt", hits, 0), (x.shape[d], *(1,) * (-1 - d)))
    return make("where", mask, make("to", value, dtype=x.dtype) if isinstance(value, Node) else value, x)


@aten("embedding")
def _embedding(weight: Node, index: Node, *_: Any) -> Node:
    return make("index", weight, index, positions=(0,))


@aten("gather")
def _gather(x: Node, dim: int, index: Node, sparse_grad: bool = False) -> Node:
    return make("gather", x, index, dim=negative(dim, len(x.shape)))


@aten("index.Tensor")
def _index(x: Node, indices: Sequence[Node | None]) -> Node:
    positions = tuple(p for p, i in enumerate(indices) if i is not None)
    chosen = [i for i in indices if i is not None]
    if any(i.dtype is torch.bool for i in chosen):
        return make_opaque(torch.ops.aten.index.Tensor, [x, list(indices)], {})
    if len(chosen) == 1 and chosen[0].shape == ():
        return make("take", x, chosen[0], dim=positions[0] - len(x.shape))
    return make("index", x, *chosen, positions=positions)


@aten("repeat")
def _repeat(x: Node, repeats: Sequence[int]) -> Node:
    shape = (1,) * (len(repeats) - len(x.shape)) + x.shape
    paired = [n for pair in zip([1] * len(shape), shape, strict=True) for n in pair]
    spread = [n for pair in zip(repeats, shape, strict=True) for n in pair]
    whole = [r * n for r, n in zip(repeats, shape, strict=True)]
    return view(expand(view(x, paired), spread), whole)


@aten("roll")
def _roll(x: Node, shifts: Sequence[int], dims: Sequence[int] = ()) -> Node:
    if not dims:
        flat = view(x, (math.prod(x.shape),))
        return view(_roll(flat, shifts, (0,)), x.shape)
    for shift, d in zip(shifts, dims, strict=True):
        dim = negative(d, len(x.shape))
        size = x.shape[dim]
        at = (-shift) % size if size else 0
        if at:
            parts = [(at, size), (0, at)]
            x = make("cat", *[make("slice", x, dim=dim, start=a, stop=b, step=1) for a, b in parts], dim=dim)
    return x
