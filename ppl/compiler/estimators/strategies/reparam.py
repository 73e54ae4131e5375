"""Reparameterisation: the value is a smooth function of the parameters and of noise that doesn't know them.

    ∇θ E[f(x)] = E[∇x f(x) · ∂x(ε, θ)/∂θ]

Sources: Kingma & Welling, "Auto-encoding variational Bayes" (2014); Figurnov, Mohamed & Mnih, "Implicit
reparameterization gradients" (2018), for families without an explicit map (gamma, Dirichlet, von Mises).
"""

from __future__ import annotations

from typing import ClassVar

from ppl.compiler.estimators.strategy import Build, Facts, Strategy, pathwise_of, strategy
from ppl.compiler.graph import Node
from ppl.compiler.ops.effects import Effect

_ADMIT = ("reparam", "implicit", "icdf")


class PathwiseStrategy(Strategy):
    """The value is the family's sampler at noise; `inverse`: its inverse cdf at uniform noise."""

    pathwise = True
    rolled = True
    inverse: ClassVar[bool] = False

    def refusal(self, site: Facts) -> str | None:
        family = site.family
        if not any(s in family.strategies for s in _ADMIT):
            return f"{family.name} has no reparameterisation" + (
                ", its values are discrete" if family.discrete else ""
            )
        return site.jumping

    def moves_smoothly(self, e: Effect) -> bool:
        return all(noise.standard for noise in pathwise_of(e, self.inverse).noises)

    def value(self, e: Effect, build: Build) -> Node:
        return build.sampled(e, pathwise_of(e, self.inverse))


@strategy
class Reparam(PathwiseStrategy):
    """Pathwise derivatives, by the family's own map from noise or implicitly."""

    name = "reparam"


@strategy
class Implicit(PathwiseStrategy):
    """The same, asked for by the name of what gamma, beta, Dirichlet and Student-t need."""

    name = "implicit"
