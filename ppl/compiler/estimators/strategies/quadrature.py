"""Gauss–Hermite quadrature: the expectation over a normal choice is a weighted sum over sigma points.

    E[f(x)] ≈ Σᵢ wᵢ f(μ + σ √2 tᵢ)

exact for polynomials f of degree up to 2·order − 1; for others it has an error, which is no Monte Carlo error and
doesn't shrink with more particles: so it counts as biased, and "auto" doesn't take it. There is no variance. The
points are a plate of their own; choices that depend on each other multiply their numbers of points.

Source: Golub & Welsch, "Calculation of Gauss quadrature rules" (1969).
"""

from __future__ import annotations

import numpy as np
import torch

from ppl.compiler import specs
from ppl.compiler.estimators.strategy import Build, Facts, Strategy, strategy
from ppl.compiler.graph import Node
from ppl.compiler.ops import constant, plate_slice
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import add, mul
from ppl.errors import MethodError


@strategy
class Quadrature(Strategy):
    """Gauss–Hermite quadrature of a normal choice.

    Args:
        order: the number of points.

    >>> import ppl
    >>> ppl.Quadrature(order=4)
    Quadrature(order=4)
    """

    name = "quadrature"
    pathwise = True
    biased = True

    def __init__(self, order: int = 8) -> None:
        if not isinstance(order, int) or not 1 <= order <= 100:
            raise MethodError(
                "the order of a quadrature is its number of points",
                expected="a whole number between 1 and 100",
                found=repr(order),
                edit="Quadrature(order=8)",
            )
        self.order = order

    def refusal(self, site: Facts) -> str | None:
        if site.family.name != "Normal" or site.family.location_scale is None:
            return f"{site.family.name} is not Normal"
        return site.entangled or site.jumping

    def value(self, e: Effect, build: Build) -> Node:
        t, w = np.polynomial.hermite_e.hermegauss(self.order)
        dtype = e.node.dtype
        points, plate = build.values(e, torch.as_tensor(t, dtype=dtype))
        loc, scale = (specs.attribute(e.site.spec, e.params, name) for name in ("loc", "scale"))
        value = add(loc, mul(scale, points))
        assert isinstance(value, Node)
        value = build.own(e, value)
        build.weights[plate] = plate_slice(constant(torch.as_tensor(w / w.sum(), dtype=dtype)), plate)
        return value
