"""An estimator's draws as pieces of one vector of noise, which the loop fills by counting."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from ppl.compiler.estimators.assemble import Estimator
from ppl.compiler.graph import Graph, Node, substitute, topological
from ppl.compiler.ops import make, make_input, plate_slice
from ppl.compiler.ops.batching import reshape, sizes
from ppl.compiler.ops.effects import Effect, Site
from ppl.inference.vi.native.noise import Kind

# Families of standard noise, with the numbers their parameters must be.
_STANDARD = {
    "Normal": ("normal", {0.0, 1.0}),
    "Uniform": ("uniform", {0.0, 1.0}),
    "Exponential": ("exponential", {1.0}),
}


def counted(found: Estimator, subsamples: Mapping[str, tuple[int, int]]) -> tuple[Graph, list[Kind]] | str:
    """The estimator as a pure function of params, noise and data, and the kinds and sizes of the noise's
    segments; or, in words, why it is not one.

    Args:
        subsamples: by plate how many elements it draws, and of how many.
    """
    graph = found.graph
    order = topological(graph.outputs)
    draws = [n for n in order if n.op == "sample"]
    for node in order:
        if node.op in ("scan", "switch") and any(b.effects for b in _bodies(node)):
            return f"draws depend on each other inside {node.op} '{node.attr('name')}'"
        if node.op == "input" and node.attr("role") == "state":
            return f"'{node.attr('name')}' changes from step to step"
    segments: list[Kind] = []
    for node in draws:
        kind = _kind(node)
        if kind is None:
            return f"'{Effect.of(node).name}' is not standard noise"
        segments.append((kind, math.prod(sizes(node.plates)) * math.prod(node.shape)))
    numbers = [n for n in graph.inputs if n.attr("role") == "subsample"]
    segments += [("subsample", *subsamples[n.attr("name")]) for n in numbers]
    if not segments:
        return graph, []
    total = sum(segment[1] for segment in segments)
    noise = make_input("noise", (total,), torch.float64, (), "noise")
    memo: dict[Node, Node] = {}
    start = 0
    for node, (_, size, *_) in zip([*draws, *numbers], segments, strict=True):
        piece = make("slice", noise, dim=-1, start=start, stop=start + size, step=1)
        start += size
        if node.op == "input":
            memo[node] = make("to", piece, dtype=torch.int64)
            continue
        value = reshape(piece, sizes(node.plates) + node.shape)
        for plate in node.plates:
            value = plate_slice(value, plate)
        memo[node] = value
    outputs = substitute(graph.outputs, memo)
    inputs = tuple(n for n in graph.inputs if n not in numbers)
    return Graph((*inputs, noise), tuple(outputs)), segments


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
