"""Joint draws from a recorded program: prior, prior predictive, and predictive given some sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ppl.compiler.graph import Graph, Node, Plate
from ppl.compiler.ops import make_input
from ppl.compiler.passes.layouts import Layout, input_for, layouts
from ppl.compiler.passes.sites import Lowering
from ppl.compiler.passes.vectorise import vectorise
from ppl.distributions import family_of
from ppl.language.readings import constant_input
from ppl.language.record import Recorded


class Sampler:
    """`sampler(seed, n)` draws all sites n times: `{name: [n, *shape]}`. Sites named in `given` are
    inputs instead, and
    `observed=True` draws the observed sites afresh too (predictions)."""

    def __init__(
        self,
        recorded: Recorded,
        engine: Any,
        device: str = "cpu",
        given: Sequence[str] = (),
        free: Sequence[str] = (),
        observed: bool = True,
    ) -> None:
        self.recorded, self.engine, self.device = recorded, engine, device
        self.layouts = layouts(recorded.graph)
        self.given = [lay for lay in self.layouts if lay.name in set(given)]
        self.free = [lay for lay in self.layouts if lay.name in set(free)]
        self.observed = observed
        self._programs: dict[int, tuple[Any, tuple[str, ...], list[torch.Tensor]]] = {}

    def _build(self, n: int) -> tuple[Any, tuple[str, ...], list[torch.Tensor]]:
        batch = Plate(-1, "batch", n)
        named = {lay.name for lay in self.given}
        free = {lay.name for lay in self.free}
        lowering = Lowering(
            lambda e: "value" if e.name in named else ("unconstrained" if e.name in free else "draw"),
            frozenset({"value", "deterministic"}),
            total=False,
            redraw=self.observed,
            batch=batch,
        )
        supplies = {
            lay.name: _with_plate(input_for(lay, lay.name in free), batch)
            for lay in (*self.given, *self.free)
        }
        reading, _, _ = lowering.run(self.recorded.graph, supplies)
        names = tuple(name for _, name in reading.parts)
        inputs = (*supplies.values(), *self.recorded.graph.inputs)
        graph = vectorise(Graph(inputs, tuple(reading.parts.values()), names=names), (batch,))
        program = self.engine.compile(graph, self.device)
        data = {k: v.to(self.device) for k, v in self.recorded.data.items()}
        rest = [constant_input(self.recorded, i, data, self.device) for i in self.recorded.graph.inputs]
        return program, names, rest

    def __call__(
        self, seed: int = 0, n: int = 1, given: Mapping[str, Any] | None = None
    ) -> dict[str, torch.Tensor]:
        if n not in self._programs:
            self._programs[n] = self._build(n)
        program, names, rest = self._programs[n]
        inputs = [self._value((given or {})[lay.name], lay) for lay in (*self.given, *self.free)]
        with torch.no_grad():
            out = program(*inputs, *rest, seed=seed)
        return dict(zip(names, out, strict=True))

    def _value(self, value: Any, layout: Layout) -> torch.Tensor:
        return torch.as_tensor(value).to(self.device, layout.dtype)


def improper(recorded: Recorded) -> list[str]:
    """Sites that can't be drawn from: their distributions are improper."""
    return improper_among(layouts(recorded.graph))


def improper_among(sites: Sequence[Layout]) -> list[str]:
    return [lay.name for lay in sites if not _proper(lay.effect.site.spec)]


def _proper(spec: Any) -> bool:
    cls = getattr(spec, "cls", None)
    if cls is None:
        return True
    inner = [v for _, v in getattr(spec, "fields", ()) if hasattr(v, "fields")]
    family = family_of(cls)
    return (family.proper or family.atoms) and all(_proper(v) for v in inner)  # a point can be drawn


def _with_plate(node: Node, plate: Plate) -> Node:
    return make_input(node.attr("name"), node.shape, node.dtype, (plate,), node.attr("role"))
