"""The readings of a recorded program as graphs over one flat unconstrained vector: density, gradient,
values, and back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ppl.compiler import specs
from ppl.compiler.graph import Graph, Node, inline
from ppl.compiler.ops import full, make, make_input, sliced
from ppl.compiler.ops.batching import reshape
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import add
from ppl.compiler.passes.distribute import distribute
from ppl.compiler.passes.layouts import Layout, input_for
from ppl.compiler.passes.reads import gradient
from ppl.compiler.passes.reroll import loops, reroll
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.passes.sites import Lowering
from ppl.compiler.tracer import trace, working_dtype
from ppl.distributions import constraints, family_of
from ppl.distributions.bijectors import biject_to
from ppl.errors import MethodError, listed
from ppl.language.record import Missing, Recorded


@dataclass(frozen=True)
class Part:
    """Where one site lives in the flat vector."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]
    layout: Layout
    missing: Missing | None = None


def _reading(build: Callable[[Any], Graph]) -> Any:
    """A graph built when first asked for, Python floats in its formulas having the program's dtype."""

    @functools.wraps(build)
    def built(self: Readings) -> Graph:
        with working_dtype(self.recorded.dtype):
            return build(self)

    return functools.cached_property(built)


class Readings:
    """Graphs of one recorded program. `x` is the flat unconstrained vector; `parts` says where each
    site lives in it.
    """

    recorded: Recorded
    layouts: list[Layout]
    passes: tuple[str, ...]

    # ------------------------------------------------------------ layout

    @functools.cached_property
    def dim(self) -> int:
        """The number of unconstrained coordinates."""
        return self.parts[-1].stop if self.parts else 0

    @functools.cached_property
    def x(self) -> Node:
        return make_input("x", (self.dim,), self.recorded.dtype, (), "flat")

    @functools.cached_property
    def parts(self) -> list[Part]:
        """Where each latent site lives in x."""
        parts: list[Part] = []
        start = 0
        for layout in self.layouts:
            missing = self.recorded.missing.get(layout.name)
            _require_movable(layout)
            shape = (missing.count,) if missing is not None else layout.unconstrained
            size = 1
            for n in shape:
                size *= n
            parts.append(Part(layout.name, start, start + size, shape, layout, missing))
            start += size
        return parts

    def _require_no_params(self) -> None:
        if self.recorded.params:
            name = next(iter(self.recorded.params))
            raise MethodError(
                f"param '{name}' has no prior, so its posterior is not defined",
                expected="sites only",
                found=f"params {listed(self.recorded.params)}",
                edit=f'{name} = ppl.sample("{name}", Flat()), or a method that optimises params',
            )

    @property
    def _inputs(self) -> tuple[Node, ...]:
        return (self.x, *self.recorded.graph.inputs)

    def _coordinates(self) -> list[Node]:
        """Each site's piece of x, in its own shape."""
        whole = len(self.parts) == 1
        return [
            reshape(
                self.x if whole else make("slice", self.x, dim=-1, start=p.start, stop=p.stop, step=1),
                p.shape,
            )
            for p in self.parts
        ]

    def _read(
        self, lowering: Lowering, coordinates: Sequence[Node] | None = None
    ) -> tuple[dict[tuple[str, str], Node], Operand]:
        """Lower the program with every site read off its coordinates: (what was collected, the
        total log density).
        """
        supplies: dict[str, Node] = {}
        jacobians: list[Node] = []
        for part, u in zip(self.parts, coordinates or self._coordinates(), strict=True):
            if part.missing is not None:
                u, jacobian = _fill(part, u)
                jacobians.append(jacobian)
            supplies[part.name] = u
        reading, _, _ = lowering.run(self.recorded.graph, supplies)
        total = reading.total
        for jacobian in jacobians:
            total = add(total, jacobian)
        return reading.parts, total

    def _policy(self, effect: Any) -> str:
        return "value" if effect.name in self.recorded.missing else "unconstrained"

    # ------------------------------------------------------------ graphs

    @_reading
    def graph(self) -> Graph:
        """log p(x) + log |Jacobian|, as a function of x and the data."""
        return self._finish(self._density)

    @_reading
    def _lowered(self) -> Graph:
        """The same as the program says it, no pass having changed anything."""
        self._require_no_params()
        _, total = self._read(Lowering(self._policy))
        if not isinstance(total, Node):
            total = full(total, (), self.recorded.dtype)
        return Graph(self._inputs, (total,), names=("log_density",))

    @functools.cached_property
    def _density(self) -> Graph:
        """The same, its unrolled loops rolled up and nothing else changed."""
        return reroll(self._lowered) if "reroll" in self.passes else self._lowered

    @property
    def rolled(self) -> list[str]:
        """The unrolled loops that became loops again in the density, in words."""
        return loops(self._density) if "reroll" in self.passes else []

    @_reading
    def gradient_graph(self) -> Graph:
        """(log p, d log p / dx)"""
        outputs = (*self.graph.outputs, gradient(self.graph, self.x))
        return self._finish(Graph(self._inputs, outputs, names=("log_density", "gradient")))

    @_reading
    def values_graph(self) -> Graph:
        """Every site's value, and the deterministics, as functions of x."""
        parts, _ = self._read(Lowering(self._policy, frozenset({"value", "deterministic"}), total=False))
        outputs = {name: node for (_, name), node in parts.items()}
        for part in self.parts:
            if part.missing is not None:
                flat = reshape(outputs[part.name], (_numel(outputs[part.name]),))
                outputs[part.name] = make("index", flat, part.missing.places, positions=(0,))
        return self._finish(Graph(self._inputs, tuple(outputs.values()), names=tuple(outputs)))

    @_reading
    def pointwise_graph(self) -> Graph:
        """Pointwise log densities of what is observed; nan for the missing elements of partly observed sites."""
        parts, _ = self._read(Lowering(self._policy, frozenset({"log_density", "site"}), total=False))
        partly = self.recorded.missing
        outputs = {
            name: _without(node, partly[name]) if name in partly else node
            for (kind, name), node in parts.items()
            if kind == "log_density" or name in partly
        }
        return self._finish(Graph(self._inputs, tuple(outputs.values()), names=tuple(outputs)))

    @_reading
    def sites_graph(self) -> Graph:
        """The log density of every site, elementwise."""
        parts, _ = self._read(Lowering(self._policy, frozenset({"site"}), total=False))
        outputs = {name: node for (_, name), node in parts.items()}
        return self._finish(Graph(self._inputs, tuple(outputs.values()), names=tuple(outputs)))

    @_reading
    def inverse_graph(self) -> Graph:
        """x as a function of every site's value (inputs in the order of `parts`)."""
        values = {p.name: input_for(p.layout, False) for p in self.parts}
        lowering = _Inverse(lambda e: "value", frozenset({"value"}), total=False)
        reading, _, _ = lowering.run(self.recorded.graph, values)
        pieces = []
        for part in self.parts:
            node = reading.parts["value", part.name]
            if part.missing is not None:
                flat = reshape(values[part.name], (_numel(values[part.name]),))
                held = make("index", flat, part.missing.places, positions=(0,))
                node = inline(_elementwise(part)[1], [held])[0]
            pieces.append(reshape(node, (part.stop - part.start,)))
        out = make("cat", *pieces, dim=-1) if len(pieces) > 1 else pieces[0]
        return self._finish(Graph((*values.values(), *self.recorded.graph.inputs), (out,)))

    def _finish(self, graph: Graph) -> Graph:
        for name, rewrite in (("simplify", simplify), ("distribute", distribute)):
            graph = rewrite(graph) if name in self.passes else graph
        return graph


def _require_movable(layout: Layout) -> None:
    """Refuse latent sites that no continuous coordinate can describe."""
    family = family_of(layout.effect.site.spec.cls)
    if not layout.discrete and not family.atoms:
        return
    what = "is discrete" if layout.discrete else "has points of positive probability"
    raise MethodError(
        f"site '{layout.name}' {what} ({family.name}): there is no gradient in it",
        site=layout.name,
        where=layout.effect.node.mark,
        expected="continuous latent sites",
        found=f"a latent {family.name}",
        edit="observe it, or sum it out by hand (torch.logsumexp over its values in a ppl.factor)",
    )


def constant_input(
    recorded: Recorded, node: Node, data: Mapping[Node, torch.Tensor], device: str
) -> torch.Tensor:
    """The tensor of an input that isn't a site: data, or a param's starting value."""
    if node in data:
        return data[node]
    return recorded.params[node.attr("name")].init.to(device)


class _Inverse(Lowering):
    """Reads every random choice as a value and reports where it lies in unconstrained space."""

    def _keep(self, reading: Any, kind: str, name: str, value: Node | None, inner: Any) -> None:
        if kind == "value" and value is not None:
            super()._keep(reading, kind, name, value, inner)

    def _sample(
        self, e: Any, original: Node, memo: Any, supplies: Any, inner: Any, reading: Any, hidden: bool
    ) -> list[Node]:
        x = memo[original] = sliced(supplies[e.name], inner)
        support = specs.bijector(e.site.spec, tuple(p.type for p in e.params), e.node.type)
        self._keep(reading, "value", e.name, inline(support.inverse, [*e.params, x])[0], inner)
        return []


def _numel(node: Node) -> int:
    count = 1
    for n in node.shape:
        count *= n
    return count


def _elementwise(part: Part) -> tuple[Graph, Graph]:
    """The bijector of a univariate support for a vector of missing elements: (u → x, log-Jacobian), (x
    → u).
    """
    assert part.missing is not None
    metas = [torch.empty(p.shape, dtype=p.dtype, device="meta") for p in part.layout.effect.params]
    support = specs.put_together(part.layout.effect.site.spec, metas).support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    t = biject_to(support)
    u = make_input("u", (part.missing.count,), part.layout.dtype)

    def forward(u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = t(u)
        return x, t.log_abs_det_jacobian(u, x).sum()

    return trace(forward, [u]), trace(lambda x: t.inv(x), [u])


def _without(density: Node, missing: Missing) -> Node:
    """The log densities of a site's elements, nan for the missing ones."""
    nan = full(float("nan"), (missing.count,), density.dtype)
    gaps = make("index_put_add", nan, missing.places, positions=(0,), shape=(_numel(density),))
    return make("add", density, reshape(gaps, density.shape))


def _fill(part: Part, u: Node) -> tuple[Node, Node]:
    """All elements of a partly observed site, its holes filled from u; and the log-Jacobian."""
    assert part.missing is not None
    x, jacobian = inline(_elementwise(part)[0], [u])
    data, places = part.missing.data, part.missing.places
    flat = reshape(data, (_numel(data),))
    change = make("sub", x, make("index", flat, places, positions=(0,)))
    moved = make("index_put_add", change, places, positions=(0,), shape=flat.shape)
    return reshape(make("add", flat, moved), data.shape), jacobian
