"""Functions without a derivative, by simultaneous perturbation.

    ∂f/∂xᵢ ≈ Δᵢ (f(x + cΔ) − f(x − cΔ)) / 2c,   Δ of independent signs

two evaluations whatever the number of x. Its expectation is off by O(c²) (by nothing for quadratic f), so it counts as
biased; f must be smooth. The chain rule does the rest: only what enters the function is perturbed.

Source: Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation" (1992).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch.distributions import Bernoulli

from ppl.compiler.estimators.flow import bodies_of
from ppl.compiler.estimators.strategy import Build
from ppl.compiler.graph import Graph, Node, Type, bodies, rebuild, substitute, topological
from ppl.compiler.ops import make, make_input, switch
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import EFFECTS, Effect, Site
from ppl.compiler.ops.pointwise import add, mul, sub
from ppl.compiler.ops.surrogates import COTANGENT, no_derivative, surrogate


def rewritten(node: Node, args: tuple[Operand, ...], build: Build) -> Node:
    """A black box with its estimated derivative, or with none."""
    box = rebuild(node, args)
    step = box.attr("step")
    if step is None:
        return make("detach", box)
    e = Effect(box, Site(box.attr("name")), None, (), None, None)
    signs = [_signs(e, f"direction{i}", x, build) for i, x in enumerate(box.nodes)]
    up, down = (_moved(box, signs, c) for c in (step, -step))
    slope = mul(sub(up, down), 0.5 / step)
    place = make_input(box.attr("name"), box.shape, box.dtype, box.plates, COTANGENT)
    total = mul(place, slope)
    assert isinstance(total, Node)
    if total.shape:
        total = make("sum", total, dims=tuple(range(-len(total.shape), 0)), keepdim=False)
    pulled = [make("mul", total, s) if s is not None else x for x, s in zip(box.nodes, signs, strict=True)]
    return surrogate(box, box.nodes, pulled, box.attr("name"), place.attr("name"))


@dataclass
class _InBranch(Build):
    """A strategy's view from inside a branch: noise comes in as an operand."""

    outer: Build = field(default_factory=Build)
    read: dict[Node, Node] = field(default_factory=dict)

    def noise(self, e: Effect, name: str, spec: Any, params: Sequence[Node], type_: Type) -> Node:
        drawn = self.outer.noise(e, name, spec, params, type_)
        place = make_input(f"draw {e.name}.{name}", drawn.shape, drawn.dtype, drawn.plates, "operand")
        self.read[place] = drawn
        return place


def in_branches(node: Node, args: tuple[Operand, ...], build: Build) -> Node:
    """A switch, the black boxes of its branches with their estimated derivatives."""
    old = rebuild(node, args)
    inside = _InBranch(build.batch, build.particles, outer=build)

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op == "black_box":
            return rewritten(node, args, inside)
        return in_branches(node, args, inside) if node.op == "switch" else None

    outputs = [tuple(substitute(b.outputs, {n: n for n in b.inputs}, visit)) for b in bodies(old)]
    graphs = [Graph((*b.inputs, *inside.read), o) for b, o in zip(bodies(old), outputs, strict=True)]
    index, *operands = old.nodes
    new = switch(graphs, index, [*operands, *inside.read.values()], old.attr("name"))
    new.mark = old.mark
    return new


def _signs(e: Effect, name: str, x: Node, build: Build) -> Operand | None:
    """Independent signs, one for each number; None for what is no real number."""
    if not x.is_float:
        return None
    return sub(mul(build.draw(e, name, Bernoulli, 0.5, type_=x.type), 2.0), 1.0)


def _moved(box: Node, signs: Sequence[Operand | None], c: float) -> Node:
    moved = (x if s is None else add(x, mul(s, c)) for x, s in zip(box.nodes, signs, strict=True))
    return rebuild(box, tuple(moved))


def check(roots: Sequence[Node], wrt: Iterable[Node]) -> None:
    """Refuse a derivative through a black box that has none, in bodies of regions too."""
    reached = _reached(roots, wrt)
    for node in reached:
        if node.op == "black_box" and node.attr("step") is None:
            raise no_derivative(node)
        for body, inputs in bodies_of(node) if node.op in ("scan", "switch") else ():
            check(body.outputs, _entered(node, body, [i for i, outer in inputs if outer in reached]))


def _reached(roots: Sequence[Node], wrt: Iterable[Node]) -> dict[Node, None]:
    """Where derivatives flow: along real numbers, and not through draws."""
    found = dict.fromkeys(wrt)
    for node in topological(roots):
        flows = node.is_float or node.outs is not None
        if flows and node.op not in ("detach", *EFFECTS) and any(a in found for a in node.nodes):
            found[node] = None
    return found


def _entered(region: Node, body: Graph, seeds: Iterable[Node]) -> set[Node]:
    """The inputs of a body that derivatives enter by, a carry that they reach once entering always."""
    entered = set(seeds)
    carries = region.attr("carries") if region.op == "scan" else 0
    while True:
        reached = _reached(body.outputs, entered)
        more = {i for i, o in zip(body.inputs[:carries], body.outputs, strict=False) if o in reached}
        if more <= entered:
            return entered
        entered |= more
