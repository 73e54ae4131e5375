"""Generalised Pareto: excesses over a threshold, with a support that ends where the shape is negative."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import GeneralizedPareto as _TorchGeneralizedPareto
from torch.distributions import constraints

from .base import Number, Univariate, as_float, guarded, only
from .bijectors_base import Bijection, register_bijector
from .registry import register
from .shapes import broadcast_shapes
from .special import log1mexp

__all__ = ["GeneralizedPareto"]


def _from_exponential(s: Tensor, c: Tensor) -> Tensor:
    """(e^(c s) − 1) / c, which is s at c = 0."""
    flat = torch.abs(c) < 1e-8
    safe = torch.where(flat, 1.0, c)
    return torch.where(flat, s + 0.5 * c * s * s, torch.expm1(safe * torch.where(flat, 0.0, s)) / safe)


def _to_exponential(z: Tensor, c: Tensor) -> Tensor:
    """log(1 + c z) / c, the inverse."""
    flat = torch.abs(c) < 1e-8
    safe = torch.where(flat, 1.0, c)
    return torch.where(flat, z - 0.5 * c * z * z, torch.log1p(safe * torch.where(flat, 0.0, z)) / safe)


class _Excess(constraints.Constraint):
    """x > loc, and x < loc − scale/c where c < 0: which case holds depends on a value, so it is no plain
    interval.
    """

    def __init__(self, loc: Tensor, scale: Tensor, concentration: Tensor):
        self.loc, self.scale, self.concentration = loc, scale, concentration
        self.lower_bound = loc
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return (z >= 0) & (1 + self.concentration * z > 0)


class _ExcessTransform(Bijection):
    """x = loc + scale (e^(c s) − 1)/c with s = softplus(u): onto the support for every sign of c."""

    domain = constraints.real

    def __init__(self, support: _Excess):
        super().__init__()
        self.support = self.codomain = support

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ExcessTransform) and self.support is other.support

    __hash__ = Bijection.__hash__

    def _call(self, u: Tensor) -> Tensor:
        s = torch.nn.functional.softplus(u)
        return self.support.loc + self.support.scale * _from_exponential(s, self.support.concentration)

    def _inverse(self, x: Tensor) -> Tensor:
        s = _to_exponential((x - self.support.loc) / self.support.scale, self.support.concentration)
        return s + log1mexp(s)

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        stretch = self.support.concentration * torch.nn.functional.softplus(u)
        return torch.log(self.support.scale) + stretch + torch.nn.functional.logsigmoid(u)

    def forward_shape(self, shape: Any) -> torch.Size:
        return broadcast_shapes(torch.Size(shape), self.support.loc.shape)

    inverse_shape = forward_shape


register_bijector(_Excess, _ExcessTransform)


@register(
    strategies=("reparam", "icdf"),
    also=(_TorchGeneralizedPareto,),
    example=lambda: [
        GeneralizedPareto(0.5, 2.0, 0.3),
        GeneralizedPareto(0.0, torch.tensor([1.0, 2.0]), -0.4),
    ],
)
class GeneralizedPareto(Univariate):
    """Generalised Pareto: P(X > x) = (1 + c z)^(−1/c), z = (x − loc)/scale ≥ 0; c = 0 is the exponential.

    As torch's, with log density minus infinity outside a support that can be mapped from the real line.

    Args: loc, scale > 0, concentration c: tensors that broadcast. Source: Hosking and Wallis (1987),
    Technometrics 29.

    >>> GeneralizedPareto(0.0, 1.0, 0.5).mean.item()
    2.0
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    fields = ("loc", "scale", "concentration")
    has_rsample = True
    loc: Tensor
    scale: Tensor
    concentration: Tensor

    def __init__(self, loc: Number, scale: Number, concentration: Number, validate_args: bool | None = None):
        self._set(validate_args, loc=loc, scale=scale, concentration=concentration)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return _Excess(self.loc, self.scale, self.concentration)

    @property
    def mean(self) -> Tensor:
        c = self.concentration
        return torch.where(c < 1, self.loc + self.scale / (1 - c), torch.inf)

    @property
    def variance(self) -> Tensor:
        c = self.concentration
        return torch.where(c < 0.5, self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c)), torch.inf)

    def _exponential(self, value: Number) -> tuple[Tensor, Tensor]:
        """Whether the value is in the support, and −log P(X > value)."""
        z = (as_float(value, self.loc) - self.loc) / self.scale
        inside = (z >= 0) & (1 + self.concentration * z > 0)
        return inside, _to_exponential(guarded(z, inside, 0.0), self.concentration)

    def log_prob(self, value: Number) -> Tensor:
        inside, s = self._exponential(value)
        return only(inside, -(1 + self.concentration) * s - torch.log(self.scale))

    def log_survival(self, value: Number) -> Tensor:
        inside, s = self._exponential(value)
        return torch.where(inside, -s, torch.where(as_float(value, self.loc) < self.loc, 0.0, -torch.inf))

    def log_cdf(self, value: Number) -> Tensor:
        inside, s = self._exponential(value)
        return torch.where(
            inside, log1mexp(s), torch.where(as_float(value, self.loc) < self.loc, -torch.inf, 0.0)
        )

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * _from_exponential(-torch.log1p(-value), self.concentration)
