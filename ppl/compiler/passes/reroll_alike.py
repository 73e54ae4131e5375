"""Which nodes of a graph look alike: the first question of rolling up loops.

Look-alikes apply one operator with one set of attributes to arguments of the same types. Numbers among
floating-point arguments, the values of constants, and the places at which an array is read may differ: a loop
would stack them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ppl.compiler.graph import Graph, Node, Scalar, bodies
from ppl.compiler.ops import OPERATORS
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import EFFECTS

MIN = 8
"""Fewer look-alikes than this are left as they are."""

DEPTH = 1000  # of plates made here, which lie inside those of the program

ADDITIVE = ("add", "sub", "neg")

Lanes = tuple[Node, ...]
"""One node for each turn of a loop that was unrolled."""


class Refused(Exception):
    """These nodes can't be written as one."""


class LookAlikes:
    """Numbers nodes so that look-alikes have one number: `local` by the node alone, `whole` by all that it is
    computed from.
    """

    def __init__(self) -> None:
        self._local: dict[Node, int] = {}
        self._locals: dict[Any, int] = {}
        self._whole: dict[Node, int] = {}
        self._wholes: dict[Any, int] = {}

    def local(self, node: Node) -> int:
        known = self._local.get(node)
        if known is None:
            known = self._locals.setdefault(_signature(node), len(self._locals))
            self._local[node] = known
        return known

    def number(self, order: Iterable[Node]) -> None:
        """Make `whole` known for nodes given with arguments first."""
        known, table = self._whole, self._wholes
        for node in order:
            if node not in known:
                key = (self.local(node), *[known[a] for a in node.args if isinstance(a, Node)])
                known[node] = table.setdefault(key, len(table))

    def whole(self, node: Node) -> int:
        return self._whole[node]

    def outline(self, node: Node, depth: int) -> Any:
        """How the node looks down to a depth: look-alikes have one outline."""
        if depth == 0:
            return node.op, node.type
        below = [self.outline(a, depth - 1) for a in node.args if isinstance(a, Node)]
        return (node.op, node.type, *below)

    def one_local(self, lanes: Lanes) -> bool:
        first = self.local(lanes[0])
        return all(self.local(n) == first for n in lanes)

    def one_whole(self, lanes: Lanes) -> bool:
        known, first = self._whole, self._whole[lanes[0]]
        return all(known[n] == first for n in lanes)


def _signature(node: Node) -> Any:
    """What look-alikes have in common, their arguments aside."""
    op = node.op
    if op == "input":
        return op, node.type, node.plates, node.attr("role")
    if op in ("full", "constant"):
        return op, node.type
    if op in EFFECTS or op == "draw":
        return op, node
    kind: Any = node.attrs
    if op == "slice":
        kind = node.attr("dim"), node.attr("step")
    elif op == "select":
        kind = node.attr("dim")
    elif op in ("scan", "switch"):
        kind = tuple(pair for pair in kind if pair[0] != "name")
    scalars = [None if isinstance(a, Node) else _number_signature(node, a) for a in node.args]
    return op, kind, node.type, node.plates, node.outs, *scalars


def _number_signature(node: Node, a: Scalar) -> Any:
    """A number that may differ is described by its kind, another by itself."""
    return type(a) if number_dtype(node, a) is not None else (type(a), repr(a))


def number_dtype(node: Node, a: Scalar) -> torch.dtype | None:
    """The dtype in which a node computes with a number among its arguments; None if the number says more
    than its value (an exponent, a truth value, a whole number among whole numbers).
    """
    if isinstance(a, bool) or node.op == "pow" or OPERATORS[node.op].kind != "pointwise":
        return None
    if node.is_float:
        return node.dtype
    return next((n.dtype for n in node.nodes if n.is_float), None)


def same_number(a: Scalar, b: Scalar) -> bool:
    """The same to the bit: −0.0 is not 0.0, and nan is nan."""
    return (
        type(a) is type(b) and (a == b or (a != a and b != b)) and math.copysign(1, a) == math.copysign(1, b)
    )


def arguments(lanes: Lanes) -> list[tuple[Any, ...]]:
    """The columns of the arguments of look-alikes."""
    return list(zip(*[n.args for n in lanes], strict=True))


def columns(lanes: Lanes) -> list[Lanes]:
    """Those columns of the arguments that are nodes, each once."""
    return list({c: None for c in arguments(lanes) if isinstance(c[0], Node)})


def place(node: Node) -> int:
    """Where a `slice` or `select` begins to read."""
    size = node.nodes[0].shape[node.attr("dim")]
    if node.op == "select":
        return int(node.attr("index")) % size
    return slice(node.attr("start"), node.attr("stop"), node.attr("step")).indices(size)[0]


def places(lanes: Lanes) -> list[int] | None:
    """Where lanes read their arrays, if each reads an element or slice, and not all at the same place."""
    if lanes[0].op not in ("slice", "select"):
        return None
    found = [place(n) for n in lanes]
    return None if all(p == found[0] for p in found) else found


# ---------------------------------------------------------------- a graph in order


class Ordered:
    """A graph's nodes, arguments first; which of them add, and which of these only carry a sum of several
    terms on: they are `inside` it, read once, by a node that adds.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = graph.nodes()
        uses = dict.fromkeys(self.nodes, 0)
        for node in self.nodes:
            for a in node.args:
                if isinstance(a, Node):
                    uses[a] += 1
        for out in graph.outputs:
            uses[out] += 1
        self.additive = [n for n in self.nodes if n.op in ADDITIVE and n.is_float]
        self.inside = {
            a
            for node in self.additive
            for a in node.args
            if isinstance(a, Node) and a.op in ADDITIVE and uses[a] == 1 and a.dtype == node.dtype
        }

    def with_outputs(self, outputs: Sequence[Node]) -> Ordered:
        if all(a is b for a, b in zip(outputs, self.graph.outputs, strict=True)):
            return self
        return Ordered(Graph(self.graph.inputs, tuple(outputs), (), self.graph.names))

    @property
    def weight(self) -> int:
        """What the graph costs. Putting data side by side costs nothing: it is done once."""
        own = [n for n in self.nodes if n.args and not _lays_out_data(n)]
        return len(own) + sum(len(b) for n in own for b in bodies(n))

    @property
    def free_level(self) -> int:
        """A number for plates that no plate in the graph or its regions has yet."""
        return _free_level(self.nodes)


def _lays_out_data(node: Node) -> bool:
    first: Operand = node.args[0]
    while isinstance(first, Node) and first.op == "reshape":
        first = first.args[0]
    return node.op in ("reshape", "cat") and isinstance(first, Node) and first.op == "input"


def _free_level(nodes: Iterable[Node]) -> int:
    level = 0
    for node in nodes:
        for plate in node.plates:
            level = max(level, plate.depth - DEPTH + 1)
        for body in bodies(node):
            level = max(level, _free_level(body.nodes()))
    return level


__all__ = ["ADDITIVE", "DEPTH", "MIN", "Lanes", "LookAlikes", "Ordered", "Refused"]
