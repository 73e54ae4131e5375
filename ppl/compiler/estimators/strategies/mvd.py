"""Measure-valued derivatives: the derivative of a density is a difference of two densities.

    ∂q(x; θ)/∂θ = c(θ) (q⁺(x) − q⁻(x)),   so   ∂E[f(x)]/∂θ = c(θ) E[f(x⁺) − f(x⁻)]

f need not be differentiable nor continuous. x⁺ and x⁻ are coupled (made of the same draws), which lowers the
variance; for a finite choice all values are visited, Σₖ ∂q(k)/∂θ f(k), with no variance of its own. What is drawn
after the choice is drawn again at x⁺ and x⁻, pathwise choices from the same noise.

Sources: Pflug, "Optimization of stochastic models" (1996); Heidergott, Vázquez-Abad, Pflug & Farenhorst-Yuan,
"Gradient estimation for discrete-event systems by measure-valued differentiation" (2010); Mohamed, Rosca, Figurnov
& Mnih, "Monte Carlo gradient estimation in machine learning" (2020), table 1; for finite choices Titsias &
Lázaro-Gredilla, "Local expectation gradients for black box variational inference" (2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.distributions import Bernoulli, Exponential, Gamma, Uniform

from ppl.compiler import specs
from ppl.compiler.estimators.credit import credit, elementwise
from ppl.compiler.estimators.strategy import (
    Build,
    Facts,
    Strategy,
    Terms,
    family_at,
    strategy,
    support_values,
)
from ppl.compiler.graph import Node, substitute, topological
from ppl.compiler.ops import make
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import add, div, mul, sub
from ppl.errors import MethodError


@dataclass(frozen=True)
class At:
    """A site whose derivative is taken: its attributes, its value, and further draws that belong to it."""

    effect: Effect
    value: Node
    build: Build

    def __getitem__(self, name: str) -> Node:
        return specs.attribute(self.effect.site.spec, self.effect.params, name)

    def draw(self, name: str, family: Any, *params: float) -> Node:
        return self.build.draw(self.effect, name, family, *params)

    def again(self) -> Node:
        """Another draw of the site's own distribution."""
        e = self.effect
        return self.build.noise(e, "again", e.site.spec, e.params, e.node.type)


Coupled = tuple[Operand, Operand, Operand]
"""c, x⁺, x⁻."""


def _normal_loc(at: At) -> Coupled:
    """Both tails are Rayleigh, c = 1 / (σ √2π)."""
    step = mul(at["scale"], make("sqrt", mul(at.draw("rayleigh", Exponential, 1.0), 2.0)))
    return div((2 * math.pi) ** -0.5, at["scale"]), add(at["loc"], step), sub(at["loc"], step)


def _normal_scale(at: At) -> Coupled:
    """x⁺ is a double-sided Maxwell variable, which times a uniform one is the normal x⁻; c = 1 / σ."""
    side = sub(mul(at.draw("side", Bernoulli, 0.5), 2.0), 1.0)
    size = make("sqrt", mul(at.draw("maxwell", Gamma, 1.5, 1.0), 2.0))
    step = mul(at["scale"], mul(side, size))
    inner = mul(step, at.draw("share", Uniform, 0.0, 1.0))
    return div(1.0, at["scale"]), add(at["loc"], step), add(at["loc"], inner)


def _exponential_rate(at: At) -> Coupled:
    """x⁻ is Erlang, one more exponential step; c = 1 / λ."""
    step = div(at.draw("step", Exponential, 1.0), at["rate"])
    return div(1.0, at["rate"]), at.value, add(at.value, step)


def _gamma_rate(at: At) -> Coupled:
    """x⁻ has a shape larger by one; c = α / β."""
    step = div(at.draw("step", Exponential, 1.0), at["rate"])
    return div(at["concentration"], at["rate"]), at.value, add(at.value, step)


def _weibull_scale(at: At) -> Coupled:
    """(x / λ)ᵏ is exponential, and Erlang for x⁺; c = k / λ."""
    shape, scale = at["concentration"], at["scale"]
    longer = add(make("pow", div(at.value, scale), shape), at.draw("step", Exponential, 1.0))
    return div(shape, scale), mul(scale, make("pow", longer, div(1.0, shape))), at.value


def _poisson_rate(at: At) -> Coupled:
    return 1.0, add(at.value, 1.0), at.value


def _geometric_probs(at: At) -> Coupled:
    """x⁻ goes on to a second success; c = 1 / p."""
    return div(1.0, at["probs"]), at.value, add(add(at.value, at.again()), 1.0)


@dataclass(frozen=True)
class Known:
    """The derivatives of a family, by attribute, and the attributes in which none is known."""

    by: dict[str, Callable[[At], Coupled]]
    unknown: tuple[str, ...] = ()


DERIVATIVES = {
    "Normal": Known({"loc": _normal_loc, "scale": _normal_scale}),
    "Exponential": Known({"rate": _exponential_rate}),
    "Gamma": Known({"rate": _gamma_rate}, ("concentration",)),
    "Weibull": Known({"scale": _weibull_scale}, ("concentration",)),
    "Poisson": Known({"rate": _poisson_rate}),
    "Geometric": Known({"probs": _geometric_probs}),
}


@strategy
class MeasureValued(Strategy):
    """Measure-valued derivatives."""

    name = "mvd"

    def refusal(self, site: Facts) -> str | None:
        family, e = site.family, site.effect
        known = DERIVATIVES.get(family.name)
        if "mvd" not in family.strategies or (known is None and not family.finite):
            return f"no measure-valued derivative of {family.name} is known"
        if site.entangled is not None:
            return site.entangled
        if known is None:
            return None if site.support_size else "its list of values is not a constant of the program"
        for name in known.unknown:
            if any(site.moving[i] for i in specs.behind(e.site.spec, e.params, name)):
                return f"no measure-valued derivative of {family.name} in its {name} is known"
        return None

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        seeds = {value: frozenset(value.plates)}
        reward = credit(root, seeds)
        if not isinstance(reward, Node):
            return []
        if elementwise(topological([reward]), seeds)[reward] != seeds[value]:
            raise MethodError(  # enumerating others may bring elements together that the program keeps apart
                f"the measure-valued derivative of '{e.name}' can't be taken beside this enumeration",
                site=e.name,
                where=e.node.mark,
                expected="values of enumerated choices that meet in sums only",
                edit='grad="score"',
            )

        def moved(x: Operand) -> Node:
            return substitute([reward], {value: _typed(x, value)})[0]

        known = DERIVATIVES.get(family_at(e).name)
        if known is None:
            values = support_values(e)
            assert values is not None
            each = build.own(e, build.values(e, values.to(value.dtype))[0])
            return [(make("exp", specs.log_density(e.site.spec, e.params, each)), moved(each))]
        at = At(e, value, build)
        pairs: Terms = []
        for name, derivative in known.by.items():
            c, up, down = derivative(at)
            pairs.append((at[name], mul(c, sub(moved(up), moved(down)))))
        return pairs


def _typed(x: Operand, like: Node) -> Node:
    assert isinstance(x, Node)
    return x if x.dtype == like.dtype else make("to", x, dtype=like.dtype)
