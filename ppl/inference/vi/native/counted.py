"""An estimator's draws as pieces of one vector of noise, which the loop fills by counting."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from ppl.compiler.estimators.assemble import Estimator
from ppl.compiler.estimators.noise import PathwiseError
from ppl.compiler.estimators.strategy import Build, pathwise_of
from ppl.compiler.graph import Graph, Node, rebuild, substitute, topological
from ppl.compiler.ops import make, make_input, sliced
from ppl.compiler.ops.batching import reshape, sizes
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.inference.vi.native.noise import Kind

_STANDARD = {
    "Normal": ("normal", {"loc": 0.0, "scale": 1.0}),
    "Uniform": ("uniform", {"low": 0.0, "high": 1.0}),
    "Exponential": ("exponential", {"rate": 1.0}),
}
"""Families of standard noise: the kind, and what its parameters must be."""


def counted(found: Estimator, subsamples: Mapping[str, tuple[int, int]]) -> tuple[Graph, list[Kind]] | str:
    """The estimator as a pure function of params, noise and data, and the kinds and sizes of the noise's
    segments; or, in words, why it is not one.

    Args:
        subsamples: by plate how many elements it draws, and of how many.
    """
    graph = _explicit(found.graph)
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
        memo[node] = sliced(reshape(piece, sizes(node.plates) + node.shape), node.plates)
    outputs = substitute(graph.outputs, memo)
    inputs = tuple(n for n in graph.inputs if n not in numbers)
    return Graph((*inputs, noise), tuple(outputs)), segments


def _bodies(node: Node) -> tuple[Graph, ...]:
    from ppl.compiler.graph import bodies

    return bodies(node)


def _explicit(graph: Graph) -> Graph:
    """Draws through which no derivative flows, as Uniform(−π, π), are drawn from their own families: where such a
    family has a sampler made of standard noise, its draws become that.
    """

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op != "sample" or _kind(node) is not None:
            return None
        e = Effect.of(rebuild(node, args))
        try:
            form = pathwise_of(e)
        except PathwiseError:
            return None
        return Build().sampled(e, form) if all(n.standard for n in form.noises) else None

    return Graph(graph.inputs, tuple(substitute(graph.outputs, {}, visit)))


def _kind(draw: Node) -> str | None:
    """Which standard noise a draw is; None: none."""
    spec = draw.attr("site").spec
    kind, numbers = _STANDARD.get(spec.cls.__name__, (None, {}))
    fields = dict(spec.fields) if kind else {}
    given = {name: draw.nodes[fields[name].index] for name in numbers}
    fixed = all(given[n].op == "full" and given[n].attr("value") == number for n, number in numbers.items())
    return kind if fixed else None
