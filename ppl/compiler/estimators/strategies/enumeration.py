"""Enumeration: the expectation over a finite choice is a sum, with no variance.

    E[f(x)] = Σₖ q(k; θ) f(k)

The choice's values become a plate of their own, and what depends on it varies over that plate. The sum is
taken by variable elimination (`eliminate`), so that a chain of k choices that only touch their neighbours
costs k sums and not 2ᵏ.
"""

from __future__ import annotations

from ppl.compiler.estimators.strategy import Build, Facts, Strategy, strategy, support_values
from ppl.compiler.graph import Node, Plate
from ppl.compiler.ops import constant, make, plate_slice
from ppl.compiler.ops.effects import Effect

DEEP = 1 << 20  # the depth of the plates of values: inside all others


@strategy
class Enumerate(Strategy):
    """The exact sum over all values of a finite choice."""

    name = "enum"

    def refusal(self, site: Facts) -> str | None:
        family = site.family
        if not family.finite:
            return f"{family.name} has no finite list of values"
        if site.support_size is None:
            return "it is a vector of choices; a plate makes each a choice of its own"
        if site.in_region:
            return "it stands in a scan or a branch"
        if not site.separate:
            return (
                "elements of its plate meet in a function that is not a sum, so that all combinations count"
            )
        return None

    def value(self, e: Effect, build: Build) -> Node:
        values = support_values(e).to(e.node.dtype)
        plate = Plate(DEEP + len(build.enumerated), f"values of {e.name}", len(values))
        build.enumerated[plate] = e
        value = plate_slice(constant(values), plate)
        for outer in build.context(e):  # each element has a choice of its own, though all have these values
            if outer in build.enumerated:
                continue  # what it depends on enters its weights
            value = plate_slice(make("expand", value, shape=(outer.size, *value.shape)), outer)
        return value
