"""Reading and adding at computed places."""

from __future__ import annotations

from typing import Any

import torch

from ppl.compiler.graph import Node, Plate, Scalar, Type, intern_node, union_plates
from ppl.compiler.ops.batching import Batched, Operands, move_axis, node_of, permute, reshape, sizes, volume
from ppl.compiler.ops.core import REMAKE, Operand, define, make
from ppl.compiler.ops.pointwise import add

# ---------------------------------------------------------------- one element at a computed index: x[...,
# i, ...]


def _take(x: Any, i: Any, dim: int) -> Any:
    return (
        x.movedim(dim, 0)[i]
        if i.dim()
        else torch.index_select(x, dim, _wrap(i, x.shape[dim]).reshape(1)).squeeze(dim)
    )


def _wrap(i: Any, size: int) -> Any:
    return torch.where(i < 0, i + size, i)


def _take_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    x, i = node_of(args[0]), node_of(args[1])
    dim = attrs["dim"]
    if not i.plates:
        return make("take", x.node, i.node, dim=dim)
    if not x.plates:
        front = move_axis(x.node, len(x.shape) + dim, 0)
        return make("index", front, i.aligned(plates), positions=(0,))
    source = x.aligned(plates, expand=True)
    index = make("wrap_index", i.aligned(plates, expand=True), size=x.shape[dim])
    index = reshape(index, (*sizes(plates), *(1,) * len(x.shape)))
    wide = list(source.shape)
    wide[dim] = 1
    picked = make("gather", source, make("expand", index, shape=tuple(wide)), dim=dim)
    shape = list(picked.shape)
    del shape[dim]
    return reshape(picked, shape)


def _take_vjp(out: Node, g: Node, x: Node, i: Node, dim: int) -> tuple[Operand, None]:
    return scatter_sum(g, i, dim, x.shape[dim], ()), None


define("take", _take, batch=_take_batch, vjp=_take_vjp)
"""take(x, i; dim): the slice of `x` at the integer `i` (negative counts from the end)."""


# ---------------------------------------------------------------- its reverse: add g at index i of zeros,
# summed over plates


def scatter_sum(g: Node, i: Node, dim: int, size: int, plates: tuple[Plate, ...]) -> Node:
    """Zeros with `g` added at index `i` of axis `dim`, summed over `plates`."""
    shape = list(g.shape)
    shape.insert(len(shape) + 1 + dim, size)
    over = tuple(p for p in union_plates((g, i)) if p not in plates)
    present = tuple(p for p in plates if p in union_plates((g, i)))
    node = intern_node(
        "scatter_sum",
        (g, i),
        (("dim", dim), ("plates", present), ("size", size)),
        Type(tuple(shape), g.dtype),
        over,
    )
    missing = volume([p for p in plates if p not in present])
    return node if missing == 1 else make("mul", node, float(missing))


REMAKE["scatter_sum"] = lambda node, args: scatter_sum(  # type: ignore[assignment]
    args[0],  # type: ignore[arg-type]
    args[1],  # type: ignore[arg-type]
    node.attr("dim"),
    node.attr("size"),
    node.attr("plates"),
)


def _scatter_run(g: Any, i: Any, dim: int, size: int, plates: tuple[Plate, ...] = ()) -> Any:
    front = g.unsqueeze(0)
    zeros = g.new_zeros((size, *g.shape))
    return zeros.index_add(0, _wrap(i, size).reshape(1), front).movedim(0, dim)


def _scatter_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    """One index_add over the flattened summed plates (and, where the index varies over kept plates, an
    offset per element).
    """
    g, i = node_of(args[0]), node_of(args[1])
    summed, size, dim = attrs["plates"], attrs["size"], attrs["dim"]
    kept = plates
    everything = tuple(sorted((*kept, *summed)))
    order = [everything.index(p) for p in (*kept, *summed)]
    rest = g.shape
    wide = permute(g.aligned(everything, expand=True), (*order, *(len(order) + d for d in range(len(rest)))))
    if any(p in i.plates for p in kept):
        index = permute(i.aligned(everything, expand=True), order)
        flat = reshape(index, (volume(kept), volume(summed)))
        offset = reshape(make("iota", size=volume(kept), step=size), (volume(kept), 1))
        flat = reshape(add(make("wrap_index", flat, size=size), offset), (volume(everything),))  # type: ignore[arg-type]
        source = reshape(wide, (volume(everything), *rest))
        out = make("index_add", source, flat, dim=-1 - len(rest), size=volume(kept) * size)
        out = reshape(out, (*sizes(kept), size, *rest))
    else:
        index = Batched(i.node, i.plates, ()).aligned(summed, expand=True)
        flat = make("wrap_index", reshape(index, (volume(summed),)), size=size)
        source = reshape(wide, (*sizes(kept), volume(summed), *rest))
        out = make("index_add", source, flat, dim=-1 - len(rest), size=size)
    return move_axis(out, len(kept), len(kept) + len(rest) + 1 + dim)


define(
    "scatter_sum",
    _scatter_run,
    batch=_scatter_batch,
    vjp=lambda out, g, x, i, dim, size, plates: (make("take", g, i, dim=dim), None),
)
define("wrap_index", _wrap)
define("iota", lambda size, step: torch.arange(0, size * step, step))


def _index_add(source: Any, index: Any, dim: int, size: int) -> Any:
    shape = list(source.shape)
    shape[dim] = size
    return source.new_zeros(shape).index_add(dim, index, source)


def _index_add_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node | None:
    source, index = node_of(args[0]), node_of(args[1])
    return None if index.plates else make("index_add", source.node, index.node, **attrs)


define("index_add", _index_add, batch=_index_add_batch)

# ---------------------------------------------------------------- advanced indexing with index tensors


def _index(x: Any, *indices: Any, positions: tuple[int, ...]) -> Any:
    full: list[Any] = [slice(None)] * x.dim()
    for p, i in zip(positions, indices, strict=True):
        full[p] = i
    return x[tuple(full)]


def _adjacent(positions: tuple[int, ...]) -> bool:
    return positions == tuple(range(positions[0], positions[0] + len(positions)))


def _index_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node | None:
    x, indices = node_of(args[0]), [node_of(a) for a in args[1:]]
    positions = attrs["positions"]
    if not _adjacent(positions):
        return None
    if not any(i.plates for i in indices):
        k = len(plates)
        return make("index", x.node, *[i.node for i in indices], positions=tuple(p + k for p in positions))
    if x.plates:
        return None
    rank = max(len(i.shape) for i in indices)
    moved = [i.aligned(plates, rank) for i in indices]
    out = make("index", x.node, *moved, positions=positions)
    for source in range(len(plates)):  # the plates' axes stand where the first indexed axis stood
        out = move_axis(out, positions[0] + source, source)
    return out


def _index_vjp(
    out: Node, g: Node, x: Node, *indices: Node, positions: tuple[int, ...]
) -> tuple[Operand | None, ...]:
    return make("index_put_add", g, *indices, positions=positions, shape=x.shape), *(None for _ in indices)


def _index_put_add(g: Any, *indices: Any, positions: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    full: list[Any] = [None] * len(shape)
    for p, i in zip(positions, indices, strict=True):
        full[p] = i
    return torch.ops.aten.index_put.default(g.new_zeros(shape), full, g, True)


def _index_put_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node | None:
    g, indices = node_of(args[0]), [node_of(a) for a in args[1:]]
    positions = attrs["positions"]
    if any(i.plates for i in indices) or not _adjacent(positions):
        return None
    k = len(plates)
    shape = sizes(plates) + attrs["shape"]
    return make(
        "index_put_add",
        g.node,
        *[i.node for i in indices],
        positions=tuple(p + k for p in positions),
        shape=shape,
    )


define("index", _index, batch=_index_batch, vjp=_index_vjp)
define(
    "index_put_add",
    _index_put_add,
    batch=_index_put_batch,
    vjp=lambda out, g, x, *indices, positions, shape: (
        make("index", g, *indices, positions=positions),
        *(None for _ in indices),
    ),
)

# ---------------------------------------------------------------- gather along one axis


def _gather_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    return make("gather", *[node_of(a).aligned(plates, expand=True) for a in args], **attrs)


def _gather_add_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    moved = [node_of(a).aligned(plates, expand=True) for a in args]
    return make("gather_add", *moved, dim=attrs["dim"], shape=sizes(plates) + attrs["shape"])


define(
    "gather",
    lambda x, i, dim: torch.gather(x, dim, i),
    batch=_gather_batch,
    vjp=lambda out, g, x, i, dim: (make("gather_add", g, i, dim=dim, shape=x.shape), None),
)
define(
    "gather_add",
    lambda g, i, dim, shape: g.new_zeros(shape).scatter_add(dim, i, g),
    batch=_gather_add_batch,
    vjp=lambda out, g, x, i, dim, shape: (make("gather", g, i, dim=dim), None),
)

__all__ = ["Scalar", "scatter_sum"]
