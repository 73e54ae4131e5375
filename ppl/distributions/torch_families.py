"""What the registry knows of torch's own families that need no change."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributions as td
from torch.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Cauchy,
    Chi2,
    Dirichlet,
    Exponential,
    Gamma,
    Gumbel,
    HalfCauchy,
    HalfNormal,
    Independent,
    InverseGamma,
    Kumaraswamy,
    Laplace,
    LogisticNormal,
    LogNormal,
    NegativeBinomial,
    Normal,
    Pareto,
    Poisson,
    TransformedDistribution,
    Uniform,
    Weibull,
)

from . import registry
from .registry import Family, register
from .tails import has_cdf

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "Dirichlet",
    "Exponential",
    "Gamma",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "NegativeBinomial",
    "Normal",
    "Pareto",
    "Poisson",
    "TransformedDistribution",
    "Uniform",
    "Weibull",
]

LOC_SCALE = ("loc", "scale")
PATH = ("reparam", "icdf", "score")
IMPLICIT = ("implicit", "reparam", "score")
BY_GAMMAS = ("implicit", "reparam", "rejection", "score")


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values if len(values) > 1 else values[0])


# The real line
register(
    Normal,
    strategies=("reparam", "icdf", "score", "mvd"),
    location_scale=LOC_SCALE,
    example=lambda: [Normal(0.5, 2.0), Normal(t(0.0, 3.0), t(1.0, 0.1))],
)
register(Cauchy, strategies=PATH, location_scale=LOC_SCALE, example=lambda: Cauchy(0.5, 2.0))
register(Laplace, strategies=PATH, location_scale=LOC_SCALE, example=lambda: Laplace(0.5, 2.0))
register(
    Gumbel, strategies=PATH, location_scale=LOC_SCALE, has_icdf=True, example=lambda: Gumbel(t(0.5), t(2.0))
)

# The positive half line; scale families have a location of zero, so they have no location_scale entry.
register(HalfNormal, strategies=PATH, example=lambda: HalfNormal(2.0))
register(HalfCauchy, strategies=PATH, example=lambda: HalfCauchy(2.0))
register(
    Exponential,
    strategies=("reparam", "icdf", "score", "mvd"),
    example=lambda: [Exponential(0.5), Exponential(t(1.0, 4.0))],
)
register(
    Gamma,
    strategies=("implicit", "reparam", "rejection", "score", "mvd"),
    example=lambda: [Gamma(2.5, 0.5), Gamma(t(0.5, 20.0), t(1.0, 3.0))],
)
register(Chi2, strategies=BY_GAMMAS, example=lambda: Chi2(5.0))
register(InverseGamma, strategies=BY_GAMMAS, example=lambda: InverseGamma(3.0, 2.0))
register(LogNormal, strategies=PATH, has_icdf=True, example=lambda: LogNormal(0.2, 0.6))
register(
    Weibull, strategies=("reparam", "icdf", "score", "mvd"), has_icdf=True, example=lambda: Weibull(2.0, 1.5)
)
# The support starts at a parameter: no score.
register(
    Pareto,
    strategies=("reparam", "icdf"),
    has_cdf=True,
    has_icdf=True,
    example=lambda: Pareto(t(1.5), t(3.0)),
)

# Intervals
register(Uniform, strategies=("reparam", "icdf"), example=lambda: Uniform(-1.0, 3.0))
register(Beta, strategies=BY_GAMMAS, example=lambda: [Beta(2.0, 3.5), Beta(t(0.7, 30.0), t(0.8, 10.0))])
register(Kumaraswamy, strategies=PATH, has_icdf=True, example=lambda: Kumaraswamy(t(2.0), t(3.0)))

# Counts and categories
register(
    Bernoulli,
    strategies=("enum", "score", "mvd"),
    example=lambda: [Bernoulli(0.3), Bernoulli(logits=t(-2.0, 1.0))],
)
register(
    Categorical,
    strategies=("enum", "score", "mvd"),
    value_dtype="int64",
    example=lambda: [
        Categorical(t(0.2, 0.5, 0.3)),
        Categorical(logits=torch.tensor([[0.1, 2.0], [3.0, -1.0]])),
    ],
)
register(
    Binomial, strategies=("enum", "score"), example=lambda: [Binomial(6, t(0.3)), Binomial(9, logits=t(1.0))]
)
register(Poisson, strategies=("score", "mvd"), example=lambda: [Poisson(3.5), Poisson(t(0.4, 12.0))])
register(
    NegativeBinomial,
    strategies=("score",),
    example=lambda: [NegativeBinomial(2.5, t(0.4)), NegativeBinomial(4.0, logits=t(0.2))],
)

# Vectors (matrices and the rest are registered beside our own in their group files)
register(Dirichlet, strategies=BY_GAMMAS, example=lambda: Dirichlet(t(1.5, 2.0, 3.0)))
register(
    LogisticNormal, strategies=("reparam", "score"), example=lambda: LogisticNormal(t(0.0, 0.5), t(1.0, 0.7))
)


# Wrappers: the entry of an instance is made from its parts.
def _of_independent(d: Any, family: Family) -> Family:
    base = registry.family_of(d.base_dist)
    keep = tuple(s for s in base.strategies if s != "enum" or not d.reinterpreted_batch_ndims)
    return Family(
        family.name,
        family.cls,
        event_dim=len(d.event_shape),
        discrete=base.discrete,
        finite=False if d.reinterpreted_batch_ndims else base.finite,
        strategies=keep,
        value_dtype=base.value_dtype,
        atoms=base.atoms,
        proper=base.proper,
    )


def _of_transformed(d: Any, family: Family) -> Family:
    base = registry.family_of(d.base_dist)
    keep = tuple(s for s in base.strategies if s in ("reparam", "implicit", "rejection", "icdf", "score"))
    return Family(
        family.name,
        family.cls,
        event_dim=len(d.event_shape),
        discrete=base.discrete,
        finite=False,
        # With parameters in the transforms the base's score is not the score: `support` shows a moving end
        # only.
        strategies=tuple(s for s in keep if s != "score"),
        has_cdf=has_cdf(d),
        atoms=base.atoms,
        proper=base.proper,
    )


register(
    Independent,
    strategies=("reparam", "score"),
    discrete=False,
    event_dim=1,
    instance=_of_independent,
    example=lambda: Independent(Normal(t(0.0, 1.0), t(1.0, 2.0)), 1),
)
register(
    TransformedDistribution,
    strategies=("reparam",),
    discrete=False,
    event_dim=0,
    instance=_of_transformed,
    example=lambda: TransformedDistribution(Normal(0.0, 1.0), [td.SigmoidTransform()]),
)
