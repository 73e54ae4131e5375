"""Composite operators as simpler ones: log-sum-exp as a maximum and a sum, and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ppl.compiler.graph import Graph, Node, topological
from ppl.compiler.ops import make, remake
from ppl.compiler.ops.core import Operand


def _reshaped(node: Node, shape: tuple[int, ...]) -> Node:
    return node if node.shape == shape else make("reshape", node, shape=shape)


def _logsumexp(x: Node, dims: tuple[int, ...], keepdim: bool) -> Node:
    if not dims:
        return x
    top = make("amax", x, dims=dims, keepdim=True)
    finite = make("where", make("isfinite", top), top, 0.0)  # all terms −inf, or one +inf or nan
    total = make("sum", make("exp", make("sub", x, finite)), dims=dims, keepdim=True)
    out = make("add", make("log", total), finite)
    return out if keepdim else _reshaped(out, make("sum", x, dims=dims, keepdim=False).shape)


def _softmax(x: Node, dim: int) -> Node:
    top = make("amax", x, dims=(dim,), keepdim=True)
    weights = make("exp", make("sub", x, top))
    return make("div", weights, make("sum", weights, dims=(dim,), keepdim=True))


def _log_softmax(x: Node, dim: int) -> Node:
    top = make("amax", x, dims=(dim,), keepdim=True)
    shifted = make("sub", x, top)
    return make("sub", shifted, make("log", make("sum", make("exp", shifted), dims=(dim,), keepdim=True)))


COMPOSITES: dict[str, Callable[..., Operand]] = {
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
}


def decompose(graph: Graph) -> Graph:
    """The graph without composite operators (regions keep theirs until they are lowered)."""
    nodes = graph.nodes()
    if not any(n.op in COMPOSITES for n in nodes):
        return graph
    memo: dict[Node, Any] = {}
    for node in topological(graph.inputs + graph.outputs):
        args = tuple(memo.get(a, a) if isinstance(a, Node) else a for a in node.args)
        if node.op in COMPOSITES and 0 not in node.nodes[0].shape:
            memo[node] = COMPOSITES[node.op](*args, **dict(node.attrs))
        elif any(a is not b for a, b in zip(args, node.args, strict=True)):
            memo[node] = remake(node, args)
    outputs = tuple(memo.get(o, o) for o in graph.outputs)
    return Graph(graph.inputs, outputs, (), graph.names)
