"""Operands of a batched operator: a physical tensor whose leading axes are its plates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ppl.compiler.graph import Node, Plate, Scalar
from ppl.compiler.ops.core import make


@dataclass(frozen=True)
class Batched:
    """`node` has no plates itself; its axes are `[*plates, *shape]`."""

    node: Node
    plates: tuple[Plate, ...]
    shape: tuple[int, ...]

    @property
    def node_size(self) -> int:
        return math.prod(self.node.shape)

    def aligned(self, plates: Sequence[Plate], rank: int | None = None, expand: bool = False) -> Node:
        """The node with one leading axis per plate of `plates` (size 1 where it doesn't vary, or
        the full size with
        `expand`) and the element shape padded on the left with ones to `rank`. A node that varies
        over no plate is
        returned as it is unless `expand`: broadcasting aligns it on the right."""
        if not self.plates and not expand:
            return self.node
        rank = len(self.shape) if rank is None else rank
        own = set(self.plates)
        lead = tuple(p.size if p in own else 1 for p in plates)
        element = (1,) * (rank - len(self.shape)) + self.shape
        node = reshape(self.node, lead + element)
        if expand:
            target = tuple(p.size for p in plates) + element
            node = make("expand", node, shape=target) if target != node.shape else node
        return node


Operands = Sequence["Batched | Scalar"]


def reshape(node: Node, shape: Sequence[int]) -> Node:
    shape = tuple(shape)
    return node if node.shape == shape else make("reshape", node, shape=shape)


def permute(node: Node, dims: Sequence[int]) -> Node:
    dims = tuple(dims)
    return node if dims == tuple(range(len(dims))) else make("permute", node, dims=dims)


def move_axis(node: Node, source: int, target: int) -> Node:
    dims = list(range(len(node.shape)))
    dims.insert(target, dims.pop(source))
    return permute(node, dims)


def sizes(plates: Sequence[Plate]) -> tuple[int, ...]:
    return tuple(p.size for p in plates)


def volume(plates: Sequence[Plate]) -> int:
    return math.prod(p.size for p in plates)


def node_of(arg: Batched | Scalar) -> Batched:
    assert isinstance(arg, Batched)
    return arg
