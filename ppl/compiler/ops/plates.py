"""Operators between the implicit axes (plates) and the explicit ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ppl.compiler.graph import Node, Plate, Type, intern_node, union_plates
from ppl.compiler.ops.batching import Operands, move_axis, node_of
from ppl.compiler.ops.core import REMAKE, Operand, define, make
from ppl.compiler.ops.indexing import scatter_sum
from ppl.compiler.ops.pointwise import mul


def plate_index(plate: Plate) -> Node:
    """The element's number, 0 … size−1."""
    return intern_node("plate_index", (), (("plate", plate),), Type((), torch.int64), (plate,))


def plate_slice(x: Node, plate: Plate) -> Node:
    """The element `x[j]` of an explicit axis of the plate's size."""
    assert x.shape and x.shape[0] == plate.size
    if x.op == "plate_stack" and x.attr("plate") == plate:
        return x.nodes[0]
    if plate in x.plates:  # each element has a vector of its own, and takes its own entry of it
        return make("take", x, plate_index(plate), dim=-len(x.shape))
    return intern_node(
        "plate_slice", (x,), (("plate", plate),), Type(x.shape[1:], x.dtype), union_plates((x,), (plate,))
    )


def plate_stack(x: Node, plate: Plate) -> Node:
    """All elements, along a new first axis."""
    if x.op == "plate_slice" and x.attr("plate") == plate:
        return x.nodes[0]
    rest = tuple(p for p in x.plates if p != plate)
    return intern_node("plate_stack", (x,), (("plate", plate),), Type((plate.size, *x.shape), x.dtype), rest)


def stacked(x: Node, plates: Sequence[Plate]) -> Node:
    """All elements over several plates, `[*plates, …]`."""
    for plate in reversed(plates):
        x = plate_stack(x, plate)
    return x


def sliced(x: Node, plates: Sequence[Plate]) -> Node:
    """The element of `[*plates, …]` in each plate: what `stacked` undoes."""
    for plate in plates:
        x = plate_slice(x, plate)
    return x


def plate_sum(x: Operand, plate: Plate) -> Operand:
    """The sum over the elements; a value that doesn't vary counts `size` times."""
    if not isinstance(x, Node) or plate not in x.plates:
        if not isinstance(x, Node) or x.is_float:
            return mul(x, float(plate.size))
        return make("mul", x, plate.size)
    if x.op == "scatter_sum":
        g, index = x.nodes
        return scatter_sum(g, index, x.attr("dim"), x.attr("size"), tuple(sorted((*x.attr("plates"), plate))))
    rest = tuple(p for p in x.plates if p != plate)
    return intern_node("plate_sum", (x,), (("plate", plate),), x.type, rest)


def _remake(build: Any) -> Any:
    def again(node: Node, args: tuple[Operand, ...]) -> Any:
        return build(args[0], node.attr("plate"))

    return again


REMAKE["plate_index"] = lambda node, args: node
REMAKE["plate_slice"] = _remake(plate_slice)
REMAKE["plate_stack"] = _remake(plate_stack)
REMAKE["plate_sum"] = _remake(plate_sum)


def _index_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    return make("iota", size=attrs["plate"].size, step=1)


def _slice_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    x = node_of(args[0])
    return move_axis(x.node, len(x.plates), plates.index(attrs["plate"]))


def _stack_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    x, plate = node_of(args[0]), attrs["plate"]
    node = x.aligned(tuple(sorted((*plates, plate))), expand=True)
    return move_axis(node, sorted((*plates, plate)).index(plate), len(plates))


def _stack_vjp(out: Node, g: Node, x: Node, plate: Plate) -> tuple[Node]:
    if plate in x.plates:
        return (plate_slice(g, plate),)
    return (make("sum", g, dims=(-len(g.shape),), keepdim=False),)  # all copies of one value


def _sum_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    x = node_of(args[0])
    axis = x.plates.index(attrs["plate"]) - len(x.node.shape)
    return make("sum", x.node, dims=(axis,), keepdim=False)


def _unplated(*_: Any, **__: Any) -> Any:
    raise AssertionError("plate operators run after vectorisation only")


define("plate_index", _unplated, kind="plate", batch=_index_batch, vjp=lambda out, g, plate: ())
define(
    "plate_slice",
    _unplated,
    kind="plate",
    batch=_slice_batch,
    vjp=lambda out, g, x, plate: (plate_stack(g, plate),),
)
define(
    "plate_stack",
    _unplated,
    kind="plate",
    batch=_stack_batch,
    vjp=_stack_vjp,
)
define("plate_sum", _unplated, kind="plate", batch=_sum_batch, vjp=lambda out, g, x, plate: (g,))
