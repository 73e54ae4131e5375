"""What depends on data alone is computed once: its result becomes a data input of its own."""

from __future__ import annotations

import torch

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node, bodies, substitute, topological
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
_LIMIT = 1 << 26  # elements; larger intermediate results are left where they are


def fold(graph: Graph, data: dict[Node, torch.Tensor]) -> tuple[Graph, dict[Node, torch.Tensor]]:
    """(graph, data) with data-only computations done. The main program's nodes only; bodies of regions
    are left alone.
    """
    order = graph.nodes()
    constant = {n for n in data}
    static: set[Node] = set()  # depends on no input at all
    for node in order:
        if node.op in EFFECTS or node.op in ("draw", "scan", "switch") or bodies(node):
            continue
        if node.op in ("full", "constant", "plate_index", "iota"):
            static.add(node)
        elif node.args and all(a in constant or a in static for a in node.nodes):
            (constant if _has_data(node, constant) else static).add(node)
    wanted: dict[Node, None] = {}
    for node in order:
        if node not in constant:
            wanted |= {_behind_views(a): None for a in node.nodes if a in constant}
    wanted |= {_behind_views(out): None for out in graph.outputs if out in constant}
    chosen = [n for n in wanted if n.op not in _FREE and n.outs is None and _volume(n) <= _LIMIT]
    if not chosen:
        return graph, data
    inputs = list(data)
    program = compile_torch(vectorise(Graph(tuple(inputs), tuple(chosen))))
    with torch.no_grad():
        values = program(*[data[n] for n in inputs])
    memo: dict[Node, Node] = {}
    added: dict[Node, torch.Tensor] = {}
    for i, (node, value) in enumerate(zip(chosen, values, strict=True)):
        new = make_input(f"folded{i}", sizes(node.plates) + node.shape, node.dtype, (), "data")
        added[new] = value.contiguous()
        memo[node] = sliced(new, node.plates)
    outputs = substitute(graph.outputs, memo)
    effects = substitute(graph.effects, memo)
    return _without_unread(
        Graph((*graph.inputs, *added), tuple(outputs), tuple(effects), graph.names), {**data, **added}
    )


def _without_unread(graph: Graph, data: dict[Node, torch.Tensor]) -> tuple[Graph, dict[Node, torch.Tensor]]:
    """The graph without data that it no longer reads: a loop's scalars, once they are one vector."""
    read = set(topological(graph.roots))
    inputs = tuple(n for n in graph.inputs if n in read or n not in data)
    return Graph(inputs, graph.outputs, graph.effects, graph.names), {
        n: t for n, t in data.items() if n in read
    }


def _behind_views(node: Node) -> Node:
    while node.op in _FREE and node.nodes:
        node = node.nodes[0]
    return node


def _has_data(node: Node, constant: set[Node]) -> bool:
    return any(a in constant for a in node.nodes)


def _volume(node: Node) -> int:
    count = 1
    for n in sizes(node.plates) + node.shape:
        count *= n
    return count
