"""Changes of coordinates for sites: strategies for `bound.reparam(...)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributions import (
    Distribution,
    Independent,
    LogNormal,
    MultivariateNormal,
    TransformedDistribution,
)

from ppl.distributions import Normal, family_of
from ppl.errors import Mark, StructureError


@dataclass(frozen=True)
class NonCentered:
    """x = loc + scale · ε with ε of the standard family, the site `name_base`: moves a funnel's
    dependence out of the prior.

    Every location–scale family admits it (Normal, StudentT, Cauchy, Laplace, Logistic, Gumbel, …),
    LogNormal through its
    exponent, MultivariateNormal through its Cholesky factor, and `Independent` or affine transforms of these.

    Source: Papaspiliopoulos, Roberts & Sköld, "A General Framework for the Parametrization of
        Hierarchical Models" (2007).
    """

    suffix: str = "_base"

    def apply(
        self, d: Distribution, name: str, mark: Mark | None
    ) -> tuple[Distribution, str, Callable[[Any], Any]]:
        """The base distribution, the suffix of its site's name, and the map from its value to the site's."""
        found = standardise(d)
        if found is None:
            raise StructureError(
                f"{type(d).__name__} has no non-centred form",
                site=name,
                where=mark,
                expected="a location–scale family (Normal, StudentT, Cauchy, Laplace, …), LogNormal or MultivariateNormal",
                found=type(d).__name__,
                edit=f"leave {name.rpartition('/')[2]} out of .reparam(…)",
            )
        return found[0], self.suffix, found[1]


def standardise(d: Distribution) -> tuple[Distribution, Callable[[Any], Any]] | None:
    """(standard distribution, map from its value), or None where the family has none."""
    if isinstance(d, Independent):
        inner = standardise(d.base_dist)
        if inner is None:
            return None
        return Independent(inner[0], d.reinterpreted_batch_ndims, validate_args=False), inner[1]
    if isinstance(d, LogNormal):
        loc, scale = d.base_dist.loc, d.base_dist.scale
        return Normal(torch.zeros(d.batch_shape), torch.ones(d.batch_shape)), lambda eps: torch.exp(
            loc + scale * eps
        )
    if isinstance(d, MultivariateNormal):
        zeros = torch.zeros(d.batch_shape + d.event_shape)
        standard = Independent(
            Normal(zeros, torch.ones(d.batch_shape + d.event_shape)), 1, validate_args=False
        )
        return standard, lambda eps: d.loc + (d.scale_tril @ eps.unsqueeze(-1)).squeeze(-1)
    pair = family_of(d).location_scale
    if pair is not None:
        loc, scale = getattr(d, pair[0]), getattr(d, pair[1])
        return _standard(d, pair), lambda eps: loc + scale * eps
    if isinstance(d, TransformedDistribution) and all(t.bijective for t in d.transforms):
        inner = standardise(d.base_dist)
        if inner is None:
            return None
        base, rebuild = inner

        def through(eps: Any) -> Any:
            x = rebuild(eps)
            for t in d.transforms:
                x = t(x)
            return x

        return base, through
    return None


def _standard(d: Distribution, pair: tuple[str, str]) -> Distribution:
    parameters = {k: getattr(d, k) for k in d.arg_constraints if k not in pair}
    parameters[pair[0]] = torch.zeros(d.batch_shape)
    parameters[pair[1]] = torch.ones(d.batch_shape)
    return type(d)(**parameters, validate_args=False)
