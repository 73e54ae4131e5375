"""Where a program's sites stand and what their values look like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ppl.compiler import specs
from ppl.compiler.graph import Graph, Node, Plate, bodies
from ppl.compiler.ops import make_input
from ppl.compiler.ops.effects import Effect
from ppl.distributions import family_of


@dataclass(frozen=True)
class Layout:
    """Where a random choice stands and what its values look like."""

    name: str
    effect: Effect
    loops: tuple[tuple[str, int], ...]
    optional: bool = False  # inside a branch: exists only when that is taken

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(n for _, n in self.loops)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all its elements."""
        return self.sizes + self.effect.node.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.effect.node.dtype

    @property
    def discrete(self) -> bool:
        return bool(family_of(self.effect.site.spec.cls).discrete) or not self.dtype.is_floating_point

    @property
    def support(self) -> specs.Support:
        return specs.bijector(
            self.effect.site.spec, tuple(p.type for p in self.effect.params), self.effect.node.type
        )

    @property
    def unconstrained(self) -> tuple[int, ...]:
        """The shape of all its elements in unconstrained space."""
        return self.sizes + self.support.unconstrained

    @property
    def dims(self) -> tuple[str, ...]:
        named = self.effect.site.dims
        rest = len(self.effect.node.shape) - len(named)
        return (*(n for n, _ in self.loops), *named, *(f"{self.name}_dim_{i}" for i in range(rest)))


def layouts(graph: Graph, kinds: Sequence[str] = ("sample",)) -> list[Layout]:
    """The sites of a recorded program, in program order; a site in several branches once."""
    found: dict[str, Layout] = {}
    for layout in effects_in(graph, (), False, kinds, frozenset()):
        found.setdefault(layout.name, layout)
    return list(found.values())


def effects_in(
    graph: Graph,
    loops: tuple[tuple[str, int], ...],
    optional: bool,
    kinds: Sequence[str],
    outer: frozenset[Plate],
) -> Iterator[Layout]:
    for node in graph.effects:
        if node.op in kinds:
            e = Effect.of(node)
            if not dict(e.site.options).get("hidden"):
                inner = tuple((p.name, p.size) for p in e.context if p not in outer)
                yield Layout(e.name, e, (*loops, *inner), optional)
        elif node.op in ("scan", "switch"):
            here = (*loops, *((p.name, p.size) for p in node.plates if p not in outer))
            if node.op == "scan":
                here = (*here, (node.attr("name"), node.attr("length")))
            for body in bodies(node):
                yield from effects_in(
                    body, here, optional or node.op == "switch", kinds, outer | set(node.plates)
                )


def input_for(layout: Layout, unconstrained: bool) -> Node:
    """The graph input that stands for all elements of a site."""
    if unconstrained:
        return make_input(layout.name, layout.unconstrained, layout.dtype, (), "unconstrained")
    return make_input(layout.name, layout.shape, layout.dtype, (), "value")
