"""Algebra that is exact in floating point (or more exact, as log exp x = x), and views that cancel. Common
subexpressions are shared already (nodes are interned).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ppl.compiler.graph import Graph, Node, substitute
from ppl.compiler.ops import full, make
from ppl.compiler.ops.core import Operand

Rule = Callable[[Node, tuple[Any, ...]], "Node | None"]


def simplify(graph: Graph) -> Graph:
    """The same graph with fewer nodes. Bodies of regions are simplified too."""
    memo: dict[Node, Node] = {n: n for n in graph.inputs}
    outputs = substitute(graph.outputs, memo, _visit)
    effects = substitute(graph.effects, memo, _visit)
    return Graph(graph.inputs, tuple(outputs), tuple(effects), graph.names)


def _visit(node: Node, args: tuple[Any, ...]) -> Node | None:
    rule = _RULES.get(node.op)
    return rule(node, args) if rule is not None else None


def _same(a: Operand, node: Node) -> Node | None:
    """`a` in the place of `node`, if it is a node of that very type."""
    return a if isinstance(a, Node) and a.type == node.type else None


def _is(a: Operand, value: float) -> bool:
    return (not isinstance(a, Node) and a == value) or (
        isinstance(a, Node) and a.op == "full" and a.attr("value") == value
    )


def _add(node: Node, args: tuple[Any, ...]) -> Node | None:
    a, b = args
    if _is(b, 0):
        return _same(a, node)
    return _same(b, node) if _is(a, 0) else _side_by_side(a, b)


def _side_by_side(a: Operand, b: Operand) -> Node | None:
    """The sum of two pieces of a vector that lie next to each other in zeros is one piece."""
    if not (isinstance(a, Node) and isinstance(b, Node) and a.op == b.op == "slice_embed"):
        return None
    dim, size = a.attr("dim"), a.attr("size")
    if (b.attr("dim"), b.attr("size")) != (dim, size) or a.type != b.type or a.plates != b.plates:
        return None
    if a.attr("start") > b.attr("start"):
        a, b = b, a
    x, y = a.nodes[0], b.nodes[0]
    start, middle, stop = a.attr("start"), a.attr("start") + x.shape[dim], b.attr("start") + y.shape[dim]
    steps = a.attr("step"), b.attr("step")
    if steps != (1, 1) or start < 0 or middle != b.attr("start") or not x.plates == y.plates == a.plates:
        return None
    both = make("cat", *_parts(x, dim), *_parts(y, dim), dim=dim)
    if (start, stop) == (0, size):
        return both
    return make("slice_embed", both, size=size, dim=dim, start=start, stop=stop, step=1)


def _parts(x: Node, dim: int) -> tuple[Node, ...]:
    return x.nodes if x.op == "cat" and x.attr("dim") == dim else (x,)


def _sub(node: Node, args: tuple[Any, ...]) -> Node | None:
    return _same(args[0], node) if _is(args[1], 0) else None


def _mul(node: Node, args: tuple[Any, ...]) -> Node | None:
    a, b = args
    if _is(b, 1):
        return _same(a, node)
    if _is(a, 1):
        return _same(b, node)
    for x, y in ((a, b), (b, a)):
        if isinstance(x, Node) and x.op == "neg" and not isinstance(y, Node):
            return _same(make("mul", x.args[0], -y), node)
        if (
            isinstance(x, Node)
            and x.op == "mul"
            and not isinstance(y, Node)
            and not isinstance(x.args[1], Node)
            and abs(y) in (1, 2, 0.5)
        ):
            return _same(make("mul", x.args[0], x.args[1] * y), node)
    return None


def _div(node: Node, args: tuple[Any, ...]) -> Node | None:
    return _same(args[0], node) if _is(args[1], 1) else None


def _neg(node: Node, args: tuple[Any, ...]) -> Node | None:
    a = args[0]
    if isinstance(a, Node) and a.op == "neg":
        return _same(a.args[0], node)
    if isinstance(a, Node) and a.op == "sub":
        return _same(make("sub", a.args[1], a.args[0]), node)
    return None


def _pow(node: Node, args: tuple[Any, ...]) -> Node | None:
    a, b = args
    if isinstance(a, Node) and not isinstance(b, Node):
        if b == 2:
            return _same(make("mul", a, a), node)
        if b == 1:
            return _same(a, node)
    return None


def _reshape(node: Node, args: tuple[Any, ...]) -> Node | None:
    a = args[0]
    shape = node.attr("shape")
    if a.op == "full":
        return full(a.attr("value"), shape, a.dtype)
    while a.op == "reshape":
        a = a.nodes[0]
    return a if a.shape == shape else make("reshape", a, shape=shape)


def _expand(node: Node, args: tuple[Any, ...]) -> Node | None:
    a = args[0]
    if a.op == "full":
        return full(a.attr("value"), node.shape, a.dtype)
    return a if a.shape == node.shape else None


def _permute(node: Node, args: tuple[Any, ...]) -> Node | None:
    a, dims = args[0], node.attr("dims")
    if a.op == "permute":
        inner = a.attr("dims")
        dims = tuple(inner[d] for d in dims)
        a = a.nodes[0]
    return a if dims == tuple(range(len(dims))) else make("permute", a, dims=dims)


def _sum(node: Node, args: tuple[Any, ...]) -> Node | None:
    x, dims = args[0], node.attr("dims")
    if x.op == "full" and x.dtype == node.dtype:
        count = math.prod(x.shape[d] for d in dims)
        return full(x.attr("value") * count if count else 0, node.shape, node.dtype)
    return _same(x, node) if not dims and x.dtype == node.dtype else None


def _log(node: Node, args: tuple[Any, ...]) -> Node | None:
    a = args[0]
    return _same(a.args[0], node) if isinstance(a, Node) and a.op == "exp" else None


def _to(node: Node, args: tuple[Any, ...]) -> Node | None:
    a = args[0]
    if isinstance(a, Node) and a.op == "full":
        return full(a.attr("value"), a.shape, node.dtype)
    return _same(a, node)


def _scan(node: Node, args: tuple[Any, ...]) -> Node | None:
    from ppl.compiler.ops import Scan, scan

    nodes = [a for a in args if isinstance(a, Node)]
    s = Scan.of(node)
    k, m = len(s.init), len(s.xs)
    return scan(simplify(s.body), nodes[:k], nodes[k : k + m], nodes[k + m :], s.length, s.reverse, s.name)


def _switch(node: Node, args: tuple[Any, ...]) -> Node | None:
    from ppl.compiler.ops import switch

    return switch([simplify(b) for b in node.attr("branches")], args[0], args[1:], node.attr("name"))


_RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "pow": _pow,
    "reshape": _reshape,
    "expand": _expand,
    "permute": _permute,
    "sum": _sum,
    "log": _log,
    "to": _to,
    "scan": _scan,
    "switch": _switch,
}
