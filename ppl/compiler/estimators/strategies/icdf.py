"""Reparameterisation through the inverse cdf: x = F⁻¹(u; θ), u uniform on (0, 1).

    ∇θ E[f(x)] = E[f'(F⁻¹(u; θ)) ∂F⁻¹(u; θ)/∂θ]

One number of noise for one number, in which x increases: what quasi-random and antithetic noise needs, and a sampler
for families whose own has no derivative.

Source: Devroye, "Non-uniform random variate generation" (1986), section II.2.
"""

from __future__ import annotations

from ppl.compiler.estimators.noise import PathwiseError
from ppl.compiler.estimators.strategies.reparam import PathwiseStrategy
from ppl.compiler.estimators.strategy import Facts, pathwise_of, strategy


@strategy
class Icdf(PathwiseStrategy):
    """Pathwise derivatives through the inverse cdf."""

    name = "icdf"
    inverse = True

    def refusal(self, site: Facts) -> str | None:
        family = site.family
        if family.discrete:
            return f"{family.name} has no inverse cdf with a derivative, its values are discrete"
        if not family.has_icdf and "icdf" not in family.strategies:
            return f"{family.name} has no inverse cdf"
        try:
            pathwise_of(site.effect, inverse=True)
        except PathwiseError as error:
            return error.headline
        return site.jumping
