"""Laws on a support that are stated in unconstrained coordinates: what guides are made of.

T is `biject_to(support)`, the map from unconstrained space onto a support.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, TransformedDistribution

from . import constraints
from .base import as_float
from .bijectors import biject_to
from .constraints import Constraint
from .points import Delta
from .registry import Family, family_of, register

__all__ = ["Placed", "Pushforward"]

Support = str | tuple[object, object] | Constraint

_THROUGH = ("reparam", "implicit", "rejection", "score")
"""Strategies of a base that are strategies of its image under a map without parameters."""


def _of_pushforward(d: Any, family: Family) -> Family:
    base = family_of(d.base_dist)
    bounds = (getattr(d.support, name, None) for name in ("lower_bound", "upper_bound"))
    moves = any(isinstance(bound, Tensor) for bound in bounds)
    kept = tuple(s for s in base.strategies if s in _THROUGH and not (moves and s == "score"))
    return Family(family.name, family.cls, len(d.event_shape), False, False, kept, proper=base.proper)


@register(
    strategies=("reparam", "score"),
    discrete=False,
    event_dim=0,
    instance=_of_pushforward,
    example=lambda: [
        Pushforward(Normal(torch.tensor([0.3, -1.0]), 0.5), "positive"),
        Pushforward(Normal(0.3, torch.tensor(0.5)), (-1.0, 2.0)),
        Pushforward(Normal(torch.tensor([0.3, -1.0]), torch.tensor([0.5, 1.5])), "simplex"),
        Pushforward(Normal(torch.tensor([0.3, -1.0, 0.2]), 0.4), "ordered"),
        Pushforward(Normal(torch.tensor([0.3, -1.0, 0.2]), 0.4), "corr_cholesky"),
    ],
)
class Pushforward(TransformedDistribution):
    """The law of x = T(u) with u ~ `base`: log p(x) = log base(T⁻¹(x)) − log |dT/du|.

    Args:
        base: a distribution on unconstrained space, of the shape that T takes (`biject_to(support).inverse_shape`).
        support: a name ("positive", "simplex", "ordered", …), a pair (lower, upper) or a constraint, as
            in `ppl.param`.

    Source: Kucukelbir et al., "Automatic differentiation variational inference" (2017), section 2.3.

    >>> d = Pushforward(Normal(torch.zeros(2), 1.0), "simplex")
    >>> d.event_shape, round(float(d.sample().sum()), 5)
    (torch.Size([3]), 1.0)
    """

    base_dist: Distribution

    def __init__(self, base: Distribution, support: Support, validate_args: bool | None = None) -> None:
        onto = biject_to(constraints.constraint_from(support))
        super().__init__(base, [onto], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = type(self).__new__(type(self)) if _instance is None else _instance
        return super().expand(torch.Size(batch_shape), new)


def _of_placed(d: Any, family: Family) -> Family:
    return Family(
        family.name, family.cls, len(d.event_shape), False, False, ("reparam",), atoms=True, proper=False
    )


@register(
    strategies=("reparam",),
    discrete=False,
    event_dim=0,
    atoms=True,
    proper=False,
    instance=_of_placed,
    example=lambda: [Placed(torch.tensor(0.3), "positive"), Placed(torch.tensor([0.3, -1.0]), "simplex")],
)
class Placed(Delta):
    """All mass at x = T(u), with log density −log |dT/du| there.

    In a guide that draws u as a site of its own, u's density together with this one is the density of x, so
    that coordinates of several sites may have a joint law.

    Args:
        coordinates: u, of the shape that T takes (`biject_to(support).inverse_shape`).
        support: as in `Pushforward`.

    >>> d = Placed(torch.tensor(0.5), "positive")
    >>> d.sample(), d.log_prob(torch.tensor(0.5).exp())
    (tensor(1.6487), tensor(-0.5000))
    """

    def __init__(self, coordinates: Tensor, support: Support, validate_args: bool | None = None) -> None:
        self.constraint = constraints.constraint_from(support)
        onto = biject_to(self.constraint)
        value = onto(coordinates)
        log_jacobian = onto.log_abs_det_jacobian(coordinates, value)
        event_dim = self.constraint.event_dim
        super().__init__(value, -log_jacobian, event_dim, validate_args=validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return self.constraint

    def expand(self, batch_shape: Any, _instance: Any = None) -> Placed:
        new = Placed.__new__(Placed)
        new.constraint = self.constraint
        shape, event = torch.Size(batch_shape), self.event_shape
        density = self.log_density.expand(shape)
        Delta.__init__(new, self.value.expand(shape + event), density, len(event), validate_args=False)
        return new

    def log_prob(self, value: Any) -> Tensor:
        """−log |dT/du| where the value is x but for rounding: another engine may have computed it."""
        given = as_float(value, self.value)
        room = 1e3 * torch.finfo(self.value.dtype).eps * (1.0 + self.value.abs())
        same = (given - self.value).abs() <= room
        if self.event_shape:
            same = same.flatten(-len(self.event_shape)).all(-1)
        return torch.where(same, self.log_density, -torch.inf)
