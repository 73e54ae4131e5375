"""What depends on data alone, or on nothing at all and is not trivial, is computed once: its result becomes a data
input of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node, Plate, bodies, substitute, topological
from ppl.compiler.ops import make_input, sliced
from ppl.compiler.ops.batching import sizes
from ppl.compiler.ops.effects import EFFECTS
from ppl.compiler.passes.vectorise import vectorise

_FREE = {
    "input",
    "full",
    "constant",
    "plate_index",
    "plate_slice",
    "reshape",
    "permute",
    "expand",
    "iota",
    "slice",
    "select",
    "item",
}
_CHEAP = _FREE | {
    *("add", "sub", "mul", "div", "neg", "abs", "reciprocal", "to", "where", "maximum", "minimum"),
    *("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not"),
}
"""What is as well computed again as read, where it depends on nothing at all."""

_LIMIT = 1 << 26  # elements; larger intermediate results are left where they are


@dataclass(frozen=True)
class Folded:
    """A graph whose data-only computations are data inputs of its own, named "folded0", "folded1", …

    Args:
        graph: the graph, with these inputs after its others, and without data that it no longer reads.
        made: they, in order, as functions of data; no node varies over a plate.
    """

    graph: Graph
    made: Graph

    def data(self, given: Mapping[Node, torch.Tensor]) -> dict[Node, torch.Tensor]:
        """The data that the graph reads: of those given, and what is made of them."""
        found = dict(given)
        if self.made.outputs:
            with torch.no_grad():
                values = compile_torch(self.made)(*[given[n] for n in self.made.inputs])
            for number, (node, value) in enumerate(zip(self.made.outputs, values, strict=True)):
                found[_input(number, node)] = value.contiguous()
        return {n: found[n] for n in self.graph.inputs if n in found}

    def vectorised(self, plates: tuple[Plate, ...] | None = None) -> Folded:
        """The same, no node of the graph varying over a plate, and its outputs over these first if any are given."""
        return Folded(vectorise(self.graph, plates), self.made)


def fold(graph: Graph, data: Iterable[Node]) -> Folded:
    """Take out what depends on no input but data. The main program's nodes only; bodies of regions are left alone."""
    order = graph.nodes()
    inputs = tuple(data)
    constant = set(inputs)
    static: set[Node] = set()  # depends on no input at all
    for node in order:
        if node.op in EFFECTS or node.op in ("draw", "scan", "switch") or bodies(node):
            continue
        if node.op in ("full", "constant", "plate_index", "iota"):
            static.add(node)
        elif node.args and all(a in constant or a in static for a in node.nodes):
            trivial = node.op in _CHEAP and not any(a in constant for a in node.nodes)
            (static if trivial else constant).add(node)
    wanted: dict[Node, None] = {}
    for node in order:
        if node not in constant:
            wanted |= {_behind_views(a): None for a in node.nodes if a in constant}
    wanted |= {_behind_views(out): None for out in graph.outputs if out in constant}
    chosen = [n for n in wanted if n.op not in _FREE and n.outs is None and _volume(n) <= _LIMIT]
    if not chosen:
        return Folded(graph, Graph((), ()))
    read = set(topological(chosen))
    made = vectorise(Graph(tuple(n for n in inputs if n in read), tuple(chosen)))
    memo = {
        node: sliced(_input(number, out), node.plates)
        for number, (node, out) in enumerate(zip(chosen, made.outputs, strict=True))
    }
    added = tuple(_input(number, out) for number, out in enumerate(made.outputs))
    outputs, effects = substitute(graph.outputs, dict(memo)), substitute(graph.effects, dict(memo))
    left = Graph((*graph.inputs, *added), tuple(outputs), tuple(effects), graph.names)
    return Folded(_without_unread(left, {*inputs, *added}), made)


def _input(number: int, value: Node) -> Node:
    return make_input(f"folded{number}", value.shape, value.dtype, (), "data")


def _without_unread(graph: Graph, data: set[Node]) -> Graph:
    """The graph without data that it no longer reads: a loop's scalars, once they are one vector."""
    read = set(topological(graph.roots))
    inputs = tuple(n for n in graph.inputs if n in read or n not in data)
    return Graph(inputs, graph.outputs, graph.effects, graph.names)


def _behind_views(node: Node) -> Node:
    while node.op in _FREE and node.nodes:
        node = node.nodes[0]
    return node


def _volume(node: Node) -> int:
    count = 1
    for n in sizes(node.plates) + node.shape:
        count *= n
    return count
