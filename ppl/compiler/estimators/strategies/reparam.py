"""Reparameterisation: the value is a smooth function of the parameters and of noise that doesn't know them.

    ∇θ E[f(x)] = E[∇x f(x) · ∂x(ε, θ)/∂θ]

Sources: Kingma & Welling, "Auto-encoding variational Bayes" (2014); Figurnov, Mohamed & Mnih, "Implicit
reparameterization gradients" (2018), for families without an explicit map (gamma, Dirichlet, von Mises).
"""

from __future__ import annotations

from typing import ClassVar

from ppl.compiler.estimators.pathwise import Pathwise, pathwise
from ppl.compiler.estimators.strategy import Build, Facts, Strategy, strategy
from ppl.compiler.graph import Node, inline
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
        return all(noise.standard for noise in sampler(e, self.inverse).noises)

    def value(self, e: Effect, build: Build) -> Node:
        form = sampler(e, self.inverse)
        draws = [
            build.noise(
                e, f"{noise.name}{i or ''}", noise.spec, inline(noise.params, list(e.params)), noise.type
            )
            for i, noise in enumerate(form.noises)
        ]
        return inline(form.value, [*e.params, *draws])[0]


def sampler(e: Effect, inverse: bool) -> Pathwise:
    """The site as a function of noise."""
    return pathwise(e.site.spec, tuple(p.type for p in e.params), e.node.type, inverse)


@strategy
class Reparam(PathwiseStrategy):
    """Pathwise derivatives, by the family's own map from noise or implicitly."""

    name = "reparam"


@strategy
class Implicit(PathwiseStrategy):
    """The same, asked for by the name of what gamma, beta, Dirichlet and Student-t need."""

    name = "implicit"
