"""An estimator's draws as pieces of one vector of noise, which the loop fills by counting."""

from __future__ import annotations

import math

from ppl.compiler.estimators.assemble import Estimator
from ppl.compiler.graph import Graph, Node, substitute, topological
from ppl.compiler.ops import make, make_input, plate_slice
from ppl.compiler.ops.batching import reshape, sizes
from ppl.compiler.ops.effects import Effect, Site

# Families of standard noise, with the numbers their parameters must be.
_STANDARD = {
    "Normal": ("normal", {0.0, 1.0}),
    "Uniform": ("uniform", {0.0, 1.0}),
    "Exponential": ("exponential", {1.0}),
}


def counted(found: Estimator) -> tuple[Graph, list[tuple[str, int]]] | str:
    """The estimator as a pure function of params, noise and data, and the kinds and sizes of the noise's
    segments; or, in words, why it is not one.
    """
    graph = found.graph
    order = topological(graph.outputs)
    draws = [n for n in order if n.op == "sample"]
    for node in order:
        if node.op in ("scan", "switch") and any(b.effects for b in _bodies(node)):
            return f"draws depend on each other inside {node.op} '{node.attr('name')}'"
        if node.op == "input" and node.attr("role") in ("state", "subsample"):
            return f"'{node.attr('name')}' changes from step to step"
    segments: list[tuple[str, int]] = []
    for node in draws:
        kind = _kind(node)
        if kind is None:
            return f"'{Effect.of(node).name}' is not standard noise"
        segments.append((kind, math.prod(sizes(node.plates)) * math.prod(node.shape)))
    if not draws:
        return graph, []
    total = sum(size for _, size in segments)
    noise = make_input("noise", (total,), draws[0].dtype, (), "noise")
    memo: dict[Node, Node] = {}
    start = 0
    for node, (_, size) in zip(draws, segments, strict=True):
        piece = make("slice", noise, dim=-1, start=start, stop=start + size, step=1)
        value = reshape(piece, sizes(node.plates) + node.shape)
        for plate in node.plates:
            value = plate_slice(value, plate)
        memo[node] = value
        start += size
    outputs = substitute(graph.outputs, memo)
    return Graph((*graph.inputs, noise), tuple(outputs)), segments


def _bodies(node: Node) -> tuple[Graph, ...]:
    from ppl.compiler.graph import bodies

    return bodies(node)


def _kind(draw: Node) -> str | None:
    site: Site = draw.attr("site")
    known = _STANDARD.get(site.spec.cls.__name__)
    if known is None:
        return None
    kind, numbers = known
    fixed = all(p.op == "full" and p.attr("value") in numbers for p in draw.nodes)
    ordered = [p.attr("value") for p in draw.nodes] == sorted(numbers) if fixed else False
    return kind if ordered else None
