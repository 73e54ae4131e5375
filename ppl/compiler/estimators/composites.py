"""Functions of estimated expectations inside an objective.

A mean over particles is an unbiased estimate of an expectation; a curved function of it is not one of the function of
the expectation: E[f(w̄)] − f(E w) ≈ f''(E w) Var(w) / (2K) for K particles, below 0 for the logarithm (Jensen). The
gradient is unbiased for E[f(w̄)]. Source: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ppl.compiler.estimators.flow import dependents, visible
from ppl.compiler.graph import Node, Plate, topological
from ppl.compiler.ops import OPERATORS

_STRAIGHT = {"add", "sub", "neg", "mul", "div", "to", "detach", "relu", "abs", "maximum", "minimum", "where"}
"""Pointwise operators without curvature: a product of means of independent draws is unbiased."""

_SIDES = {"log": "below", "logsumexp": "below", "sqrt": "below", "exp": "above"}


@dataclass(frozen=True)
class Curved:
    """A curved function of a mean over a plate of the objective: `what` of it, and on which side of the function of the
    expectation it lies, if that is known.
    """

    what: str
    plate: Plate
    side: str | None

    def __str__(self) -> str:
        name, size = self.plate.name, self.plate.size
        what = "log" if self.what == "logsumexp" else self.what
        where = f"lies {self.side}" if self.side else "differs from"
        amount = (
            f"by about Var(w) / ({2 * size} E[w]²)" if what == "log" else f"by something of order 1/{size}"
        )
        return f"{what} of a mean w over {name} ({size}): its expectation {where} {what} E[w], {amount}"


def curved(root: Node, particles: Collection[Plate]) -> list[Curved]:
    """The curved functions of means over these plates that an objective has, each once."""
    order = topological([root])
    seen = visible([root])
    random = dependents(order, [n for n in order if n.op == "sample"], lambda _: True)
    found: dict[Curved, None] = {}
    for node in order:
        if node not in seen or node not in random:
            continue
        plates: set[Plate] = set()
        if node.op == "logsumexp":
            plates = _gathered(node.nodes[0], node.attr("dims"), particles)
        elif OPERATORS[node.op].kind == "pointwise" and node.op not in _STRAIGHT and node.is_float:
            plates = {p for a in node.nodes if a in random for p in _means(a, particles)}
        for plate in sorted(plates):
            found[Curved(node.op, plate, _SIDES.get(node.op))] = None
    return list(found)


def _means(node: Node, particles: Collection[Plate]) -> set[Plate]:
    """The plates over which a value is a mean, in one of its terms."""
    found: set[Plate] = set()
    waiting, seen = [node], set()
    while waiting:
        n = waiting.pop()
        if n in seen:
            continue
        seen.add(n)
        if n.op == "plate_sum" and n.attr("plate") in particles and n.attr("plate").size > 1:
            found.add(n.attr("plate"))
        if n.op == "sum":
            found |= _gathered(n.nodes[0], n.attr("dims"), particles)
        if n.op in ("add", "sub", "neg", "mul", "div", "sum", "plate_sum"):
            waiting.extend(n.nodes)
    return found


def _gathered(x: Node, dims: tuple[int, ...], particles: Collection[Plate]) -> set[Plate]:
    if x.op == "plate_stack" and x.attr("plate") in particles and -len(x.shape) in dims:
        return {x.attr("plate")} if x.attr("plate").size > 1 else set()
    return set()
