"""Sums of products of a matrix and a vector as matrix products: `x[i] @ b`, in a loop over the rows of x, is such a
sum when the loop has become an axis, and so is its gradient.

    Σⱼ Xᵢⱼ bⱼ = (X b)ᵢ        Σᵢ gᵢ Xᵢⱼ = (Xᵀ g)ⱼ
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from ppl.compiler.graph import Graph, Node, substitute
from ppl.compiler.ops import make, matmul, transpose


def with_products(graph: Graph, matrices: Container[Node]) -> Graph:
    """The same graph, with sums of products of these inputs, each of two axes, as matrix products."""

    def visit(node: Node, args: tuple[Any, ...]) -> Node | None:
        if node.op != "sum" or node.attr("keepdim") or args[0].op != "mul":
            return None
        factors = args[0].nodes
        pairs = zip(factors, reversed(factors), strict=True)
        found = (_product(x, v, node.attr("dims")) for x, v in pairs if x in matrices)
        return next((product for product in found if product is not None), None)

    memo = {n: n for n in graph.inputs}
    return Graph(graph.inputs, tuple(substitute(graph.outputs, memo, visit)), (), graph.names)


def _product(x: Node, v: Node, dims: tuple[int, ...]) -> Node | None:
    """The sum over `dims` of X, multiplied by what is a vector along the axis summed over."""
    n, k = x.shape
    along = [d % 2 for d in dims]
    if along == [1] and v.shape in ((k,), (1, k)):
        return matmul(x, _flat(v, k))
    if along == [0] and v.shape == (n, 1):
        return matmul(transpose(x), _flat(v, n))
    return None


def _flat(v: Node, size: int) -> Node:
    """A vector that has been given an axis more, without it."""
    inner = v.nodes[0] if v.op == "reshape" else v
    return inner if inner.shape == (size,) else make("reshape", v, shape=(size,))
