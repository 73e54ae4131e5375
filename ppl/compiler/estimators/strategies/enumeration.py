"""Enumeration: the expectation over a finite choice is a sum, with no variance.

    E[f(x)] = Σₖ q(k; θ) f(k)

The choice's values become a plate of their own, and what depends on it varies over that plate. The sum is
taken by variable elimination (`eliminate`), so that a chain of k choices that only touch their neighbours
costs k sums and not 2ᵏ.
"""

from __future__ import annotations

from ppl.compiler import specs
from ppl.compiler.estimators.strategy import Build, Facts, Strategy, strategy, support_values
from ppl.compiler.graph import Node
from ppl.compiler.ops import make
from ppl.compiler.ops.effects import Effect


@strategy
class Enumerate(Strategy):
    """The exact sum over all values of a finite choice."""

    name = "enum"

    def refusal(self, site: Facts) -> str | None:
        family = site.family
        if not family.finite:
            return f"{family.name} has no finite list of values"
        if site.entangled is None and site.support_size is None:
            return "its list of values is not a constant of the program"
        return site.entangled

    def moves_smoothly(self, e: Effect) -> bool:
        return True

    def value(self, e: Effect, build: Build) -> Node:
        values = support_values(e)
        assert values is not None
        listed, plate = build.values(e, values.to(e.node.dtype))
        value = build.own(e, listed)
        build.weights[plate] = make("exp", specs.log_density(e.site.spec, e.params, value))
        return value
