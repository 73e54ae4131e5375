"""Families of directions: the uniform law on the unit sphere and the von Mises–Fisher law."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from ppl.distributions import constraints
from ppl.distributions.constraints import Constraint
from ppl.distributions.linear import LOG_2PI, Joint
from ppl.distributions.registry import register
from ppl.distributions.special import log_iv
from ppl.errors import ParameterError

__all__ = ["UnitSphere", "VonMisesFisher"]


@register(strategies=("score",), example=lambda: UnitSphere(3))
class UnitSphere(Joint):
    """The uniform law on the unit sphere of R^D: log p = log Γ(D/2) - log 2 - D/2 log π, against the surface
    measure.

    Args:
        dim: D ≥ 2.  Use `expand` for a batch.

    >>> UnitSphere(3).log_prob(torch.tensor([0.0, 0.0, 1.0]))
    tensor(-2.5310)
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.unit_vector
    has_rsample = True

    def __init__(self, dim: int, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ParameterError(
                "UnitSphere needs a dimension of at least 2", expected="dim ≥ 2", found=str(dim)
            )
        self._set((dim,), validate_args)

    def _log_prob(self, value: Tensor) -> Tensor:
        half = 0.5 * self.event_shape[0]
        log_density = math.lgamma(half) - math.log(2.0) - half * math.log(math.pi)
        return torch.zeros_like(value).sum(-1) + log_density

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        noise = torch.randn(self._extended_shape(sample_shape))
        return noise / noise.norm(dim=-1, keepdim=True)

    @property
    def mean(self) -> Tensor:
        return torch.zeros(self.batch_shape + self.event_shape)

    @property
    def variance(self) -> Tensor:
        return torch.full(self.batch_shape + self.event_shape, 1.0 / self.event_shape[0])


@register(
    strategies=("score",),
    example=lambda: VonMisesFisher(torch.tensor([0.6, 0.0, 0.8]), 3.0),
)
class VonMisesFisher(Joint):
    """Directions around `loc`: log p = κ locᵀx + (D/2 - 1) log κ - D/2 log 2π - log I_{D/2-1}(κ), I the
    Bessel function.

    Args:
        loc: the mean direction, a unit vector, (…, D), D ≥ 2.  concentration: κ > 0, (…).
    Source: Mardia and Jupp 2000, Directional statistics, section 9.3; sampler: Wood 1994, Simulation of the
    von Mises Fisher distribution.

    >>> VonMisesFisher(torch.tensor([0.0, 1.0]), 2.0).sample().shape
    torch.Size([2])
    """

    parameters: ClassVar[dict[str, int]] = {"loc": 1, "concentration": 0}
    loc: Tensor
    concentration: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "loc": constraints.unit_vector,
        "concentration": constraints.positive,
    }
    support = constraints.unit_vector

    def __init__(self, loc: Tensor, concentration: float | Tensor, validate_args: bool | None = None) -> None:
        self._set(loc.shape[-1:], validate_args, loc=loc, concentration=concentration)
        if self.event_shape[0] < 2:
            raise ParameterError(
                "VonMisesFisher needs a dimension of at least 2", found=str(tuple(loc.shape))
            )

    def _log_bessel(self, order: float) -> Tensor:
        kappa = self.concentration
        return log_iv(torch.full_like(kappa, order), kappa)

    def _log_prob(self, value: Tensor) -> Tensor:
        half, kappa = 0.5 * self.event_shape[0], self.concentration
        log_constant = (half - 1.0) * kappa.log() - half * LOG_2PI - self._log_bessel(half - 1.0)
        return kappa * (self.loc * value).sum(-1) + log_constant

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            along = self._cosine(shape[:-1], shape[-1] - 1.0).unsqueeze(-1)
            side = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            side = side - (side * self.loc).sum(-1, keepdim=True) * self.loc
            side = side / side.norm(dim=-1, keepdim=True)
            return along * self.loc + (1.0 - along.square()).clamp(min=0.0).sqrt() * side

    def _cosine(self, shape: torch.Size, free: float) -> Tensor:
        """Draws of locᵀx by rejection from a transformed beta; the rate of acceptance is above ½ for every κ
        and D.
        """
        kappa = self.concentration.expand(shape)
        b = free / (2.0 * kappa + (4.0 * kappa.square() + free * free).sqrt())
        x0 = (1.0 - b) / (1.0 + b)
        top = kappa * x0 + free * (1.0 - x0.square()).log()
        half = torch.full_like(kappa, 0.5 * free)
        result, waiting = torch.zeros_like(kappa), torch.ones_like(kappa, dtype=torch.bool)
        while waiting.any():
            one, two = torch._standard_gamma(half), torch._standard_gamma(half)
            z = one / (one + two)
            w = (1.0 - (1.0 + b) * z) / (1.0 - (1.0 - b) * z)
            accepted = kappa * w + free * (1.0 - x0 * w).log() - top >= torch.rand_like(w).log()
            result = torch.where(waiting & accepted, w, result)
            waiting = waiting & ~accepted
        return result

    def _resultant(self) -> Tensor:
        half = 0.5 * self.event_shape[0]
        return (self._log_bessel(half) - self._log_bessel(half - 1.0)).exp().unsqueeze(-1)

    @property
    def mean(self) -> Tensor:
        return self._event(self._resultant() * self.loc)

    @property
    def variance(self) -> Tensor:
        dim, a = self.event_shape[0], self._resultant()
        ratio, squares = a / self.concentration.unsqueeze(-1), self.loc.square()
        return self._event(ratio + (1.0 - dim * ratio - a.square()) * squares)
