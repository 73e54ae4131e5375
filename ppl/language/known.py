"""The numbers behind a recorded value that data alone decide, so that mistakes in them are found before
inference.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node, Plate, substitute, topological
from ppl.compiler.ops import make_input, plate_index, plate_slice
from ppl.compiler.ops.batching import sizes
from ppl.compiler.ops.effects import EFFECTS
from ppl.compiler.passes.vectorise import vectorise
from ppl.errors import PplError

if TYPE_CHECKING:
    from ppl.language.scopes import Scope, ScopedTracer

_OPAQUE = {"draw", "scan", "switch"}
_LIMIT = 1 << 24  # elements; larger results are not computed for the sake of a check


def known(value: torch.Tensor, tracer: ScopedTracer) -> torch.Tensor | None:
    """The numbers of `value`: of a value that varies over open loops all elements, loops leading; None
    where they are random.

    Args:
        value: a real tensor (returned as it is) or a traced one.
        tracer: the recorder's.
    """
    entry = tracer.table.get(id(value))
    if entry is None:
        return value
    node = at_main(entry.node, tracer)
    if node is None:
        return None
    if node not in tracer.numbers:
        tracer.numbers[node] = _evaluate(node, tracer)
    return tracer.numbers[node]


def at_main(node: Node, tracer: ScopedTracer) -> Node | None:
    """`node` in terms of the main program's data inputs, steps of scans as plates; None where it needs
    anything else.
    """
    outer: dict[Node, Node] = {}
    scope: Scope | None = tracer.here
    while scope is not None:
        outer |= {inner: value for value, inner in scope.captured.items()}
        scope = scope.parent
    depth = 0
    for i, loop in enumerate(tracer.here.loops):
        depth += loop.plate is not None
        # Between the plates around the scan and those inside it.
        steps = Plate(depth - 1 + (i + 1) / 1024, loop.name, loop.size)  # type: ignore[arg-type]
        outer |= {
            inner: plate_slice(xs, steps) for inner, xs in loop.elements.items() if steps not in xs.plates
        }
    while True:
        nodes = topological([node])
        if any(n.op in EFFECTS or n.op in _OPAQUE for n in nodes):
            return None
        strange = [n for n in nodes if n.op == "input" and n not in tracer.inputs]
        if not strange:
            return node
        if all(n.attr("role") == "subsample" for n in strange):
            node = substitute((node,), _numbers_of_all(tracer))[0]
            if all(n.op != "input" or n in tracer.inputs for n in topological([node])):
                return node
            return None
        inner = {n: outer[n] for n in strange if n in outer}
        if not inner:
            return None
        node = substitute((node,), inner)[0]


def numbers_drawn(plate: Plate) -> Node:
    """The input that holds the numbers of the elements a subsampled plate draws; it goes by the plate's name."""
    return make_input(plate.name, (plate.size,), torch.int64, (), "subsample")


def _numbers_of_all(tracer: ScopedTracer) -> dict[Node, Node]:
    """The numbers of the elements that open plates drew → those of all their elements, over plates of them all."""
    return {
        plate_slice(numbers_drawn(loop.plate), loop.plate): plate_index(replace(loop.plate, size=loop.size))
        for loop in tracer.here.loops
        if loop.plate is not None and loop.counter is not None
    }


def _evaluate(node: Node, tracer: ScopedTracer) -> torch.Tensor | None:
    chain: list[Plate] = []
    source = node
    while source.op == "plate_slice":
        chain.insert(0, source.attr("plate"))
        source = source.nodes[0]
    if source in tracer.inputs and chain == sorted(chain):
        return tracer.inputs[source]
    volume = 1
    for n in sizes(node.plates) + node.shape:
        volume *= n
    if volume > _LIMIT:
        return None
    inputs = [n for n in topological([node]) if n in tracer.inputs]
    try:
        program = compile_torch(vectorise(Graph(tuple(inputs), (node,))))
        return program(*[tracer.inputs[n] for n in inputs])[0]
    except (RuntimeError, IndexError, ValueError, PplError):
        return None
