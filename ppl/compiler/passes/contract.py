"""A sum over a plate of matrix products is one product of longer matrices.

    Σⱼ Aⱼ Bⱼ = [A₁ … Aₙ] [B₁; …; Bₙ]

The gradient of a matrix of weights is such a sum, of an outer product for each element of the plate: n matrices
that need not be made one by one.
"""

from __future__ import annotations

from typing import Any

from ppl.compiler.graph import Graph, Node, Plate, substitute
from ppl.compiler.ops import make, matmul, plate_stack, plate_sum


def contract(graph: Graph) -> Graph:
    """The same graph with its sums of products taken inside the products."""
    memo: dict[Node, Node] = {n: n for n in graph.inputs}
    outputs = substitute(graph.outputs, memo, _visit)
    effects = substitute(graph.effects, memo, _visit)
    return Graph(graph.inputs, tuple(outputs), tuple(effects), graph.names)


def _visit(node: Node, args: tuple[Any, ...]) -> Node | None:
    if node.op != "plate_sum" or args[0].op != "matmul":
        return None
    a, b = args[0].nodes
    plate: Plate = node.attr("plate")
    if len(a.shape) != 2 or len(b.shape) != 2:
        return None
    if plate in a.plates and plate in b.plates:
        return matmul(_side_by_side(a, plate), _on_top(b, plate))
    return matmul(plate_sum(a, plate), b) if plate in a.plates else matmul(a, plate_sum(b, plate))  # type: ignore[arg-type]


def _side_by_side(a: Node, plate: Plate) -> Node:
    """`[m, n · k]`, the elements' `[m, k]` in a row."""
    rows, inner = a.shape
    each = make("permute", plate_stack(a, plate), dims=(1, 0, 2))
    return make("reshape", each, shape=(rows, plate.size * inner))


def _on_top(b: Node, plate: Plate) -> Node:
    """`[n · k, m]`, the elements' `[k, m]` in a column."""
    inner, columns = b.shape
    return make("reshape", plate_stack(b, plate), shape=(plate.size * inner, columns))
