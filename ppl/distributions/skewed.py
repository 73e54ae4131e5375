"""Skewed families on the real line."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints

from .base import Number, guarded, open_uniform
from .continuous import LOC_SCALE, LOG_2PI, LocScale, standard_log_normal
from .registry import register
from .special import LOG_2, log1mexp, log_integral_above

__all__ = ["AsymmetricLaplace", "ExponentiallyModifiedGaussian", "Moyal", "SkewNormal"]


@register(
    strategies=("reparam", "score"),
    location_scale=("loc", "scale"),
    example=lambda: [
        SkewNormal(0.5, 2.0, 3.0),
        SkewNormal(torch.tensor([0.0, 1.0]), 1.0, torch.tensor([-5.0, 0.0])),
    ],
)
class SkewNormal(LocScale):
    """Skew normal: p(x) = 2/s φ(z) Φ(α z), z = (x − loc) / s.

    Args: loc, scale, alpha (shape; 0 is the normal): tensors that broadcast.
    Source: Azzalini (1985), Scand. J. Statist. 12.

    >>> round(SkewNormal(0.0, 1.0, 0.0).log_prob(torch.tensor(0.0)).item(), 4)
    -0.9189
    """

    arg_constraints: ClassVar[dict[str, Any]] = {**LOC_SCALE, "alpha": constraints.real}
    fields = ("loc", "scale", "alpha")
    alpha: Tensor

    def __init__(self, loc: Number, scale: Number, alpha: Number, validate_args: bool | None = None):
        self._set(validate_args, loc=loc, scale=scale, alpha=alpha)

    @property
    def _delta(self) -> Tensor:
        return self.alpha / torch.sqrt(1 + self.alpha**2)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * self._delta * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi * self._delta**2)

    def log_prob(self, value: Number) -> Tensor:
        z = self._z(value)
        return LOG_2 + standard_log_normal(z) + torch.special.log_ndtr(self.alpha * z) - torch.log(self.scale)

    def _log_above(self, z: Tensor, alpha: Tensor) -> Tensor:
        a = alpha.unsqueeze(-1)
        # Beyond z the density falls over 1/z, or over 1/(z (1 + α²)) where α pulls mass to the other side.
        width = torch.sqrt(1 + torch.where(alpha < 0, alpha * alpha, 0.0))
        scale = 1 / (width * (1 + width * z.clamp_min(0.0)))

        def log_f(t: Tensor) -> Tensor:
            return LOG_2 + standard_log_normal(t) + torch.special.log_ndtr(a * t)

        return log_integral_above(log_f, z, scale)

    def _tails(self, value: Number) -> tuple[Tensor, Tensor]:
        z, alpha = torch.broadcast_tensors(self._z(value), self.alpha)
        # Integrate the tail that does not contain the mean: F(z; α) = 1 − F(−z; −α).
        left = z < alpha / torch.sqrt(1 + alpha**2) * math.sqrt(2 / math.pi)
        flip = torch.where(left, -1.0, 1.0)
        far = self._log_above(flip * z, flip * alpha).clamp_max(-1e-300)
        near = log1mexp(-far)
        return torch.where(left, far, near), torch.where(left, near, far)

    def log_cdf(self, value: Number) -> Tensor:
        return self._tails(value)[0]

    def log_survival(self, value: Number) -> Tensor:
        return self._tails(value)[1]

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape, like = self._extended_shape(sample_shape), self.loc
        first, second = (torch.randn(shape, dtype=like.dtype, device=like.device) for _ in range(2))
        z = self._delta * torch.abs(first) + second / torch.sqrt(1 + self.alpha**2)
        return self.loc + self.scale * z


@register(
    strategies=("reparam", "icdf", "score"),
    location_scale=("loc", "scale"),
    example=lambda: [AsymmetricLaplace(0.5, 2.0, 0.7), AsymmetricLaplace(0.0, 1.0, torch.tensor([1.0, 2.0]))],
)
class AsymmetricLaplace(LocScale):
    """Asymmetric Laplace: p(x) = 1/(s (κ + 1/κ)) exp(−κ z) for z ≥ 0, exp(z/κ) below, z = (x − loc)/s.

    Args: loc, scale, asymmetry κ > 0 (1 is Laplace): tensors that broadcast.
    Source: Kotz, Kozubowski and Podgórski, The Laplace Distribution (2001), 3.1.

    >>> round(AsymmetricLaplace(0.0, 1.0, 1.0).log_prob(torch.tensor(0.0)).exp().item(), 6)
    0.5
    """

    arg_constraints: ClassVar[dict[str, Any]] = {**LOC_SCALE, "asymmetry": constraints.positive}
    fields = ("loc", "scale", "asymmetry")
    asymmetry: Tensor

    def __init__(self, loc: Number, scale: Number, asymmetry: Number, validate_args: bool | None = None):
        self._set(validate_args, loc=loc, scale=scale, asymmetry=asymmetry)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * (1 / self.asymmetry - self.asymmetry)

    @property
    def variance(self) -> Tensor:
        k2 = self.asymmetry**2
        return self.scale**2 * (1 / k2 + k2)

    def _arms(self, value: Number) -> tuple[Tensor, Tensor]:
        z = self._z(value)
        return z, torch.where(z < 0, z / self.asymmetry, -self.asymmetry * z)

    def log_prob(self, value: Number) -> Tensor:
        return self._arms(value)[1] - torch.log(self.scale * (self.asymmetry + 1 / self.asymmetry))

    def _tails(self, value: Number) -> tuple[Tensor, Tensor]:
        z, arm = self._arms(value)
        k2 = self.asymmetry**2
        log_left, log_right = torch.log(k2 / (1 + k2)), -torch.log1p(k2)
        far = arm + torch.where(z < 0, log_left, log_right)
        near = log1mexp(-far)
        return torch.where(z < 0, far, near), torch.where(z < 0, near, far)

    def log_cdf(self, value: Number) -> Tensor:
        return self._tails(value)[0]

    def log_survival(self, value: Number) -> Tensor:
        return self._tails(value)[1]

    def icdf(self, value: Tensor) -> Tensor:
        k, k2 = self.asymmetry, self.asymmetry**2
        left = value * (1 + k2) < k2
        below = k * torch.log(guarded(value * (1 + k2) / k2, left, 1.0))
        above = -torch.log(guarded((1 - value) * (1 + k2), ~left, 1.0)) / k
        return self.loc + self.scale * torch.where(left, below, above)


@register(
    strategies=("reparam", "score"),
    example=lambda: [
        ExponentiallyModifiedGaussian(0.5, 2.0, 0.7),
        ExponentiallyModifiedGaussian(0.0, 0.5, 3.0),
    ],
)
class ExponentiallyModifiedGaussian(LocScale):
    """Normal plus exponential: p(x) = λ exp(−λ s (z − λ s/2)) Φ(z − λ s), z = (x − loc)/s.

    Args: loc, scale of the normal part, rate λ of the exponential: tensors that broadcast.
    Source: Grushka (1972), Anal. Chem. 44.

    >>> ExponentiallyModifiedGaussian(1.0, 1.0, 2.0).mean.item()
    1.5
    """

    arg_constraints: ClassVar[dict[str, Any]] = {**LOC_SCALE, "rate": constraints.positive}
    fields = ("loc", "scale", "rate")
    rate: Tensor

    def __init__(self, loc: Number, scale: Number, rate: Number, validate_args: bool | None = None):
        self._set(validate_args, loc=loc, scale=scale, rate=rate)

    @property
    def mean(self) -> Tensor:
        return self.loc + 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return self.scale**2 + 1 / self.rate**2

    def _exponential_part(self, value: Number) -> Tensor:
        z, r = self._z(value), self.rate * self.scale
        return torch.special.log_ndtr(z - r) - r * (z - 0.5 * r)

    def log_prob(self, value: Number) -> Tensor:
        return torch.log(self.rate) + self._exponential_part(value)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape, like = self._extended_shape(sample_shape), self.loc
        z = torch.randn(shape, dtype=like.dtype, device=like.device)
        return self.loc + self.scale * z - torch.log(open_uniform(shape, like)) / self.rate

    def log_survival(self, value: Number) -> Tensor:
        return torch.logaddexp(torch.special.log_ndtr(-self._z(value)), self._exponential_part(value))

    def log_cdf(self, value: Number) -> Tensor:
        z = self._z(value)
        normal = torch.special.log_ndtr(z)
        return normal + log1mexp(normal - self._exponential_part(value))


@register(strategies=("reparam", "score"), location_scale=("loc", "scale"), example=lambda: Moyal(0.5, 2.0))
class Moyal(LocScale):
    """Moyal: p(x) = exp(−(z + e^(−z))/2) / (s √(2π)), z = (x − loc)/s. Source: Moyal (1955), Phil. Mag. 46.

    >>> round(Moyal(0.0, 1.0).mean.item(), 4)
    1.2704
    """

    fields = ("loc", "scale")

    def __init__(self, loc: Number, scale: Number, validate_args: bool | None = None):
        self._set(validate_args, loc=loc, scale=scale)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * (0.5772156649015329 + LOG_2)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (math.pi**2 / 2)

    def log_prob(self, value: Number) -> Tensor:
        z = self._z(value)
        return -0.5 * (z + torch.exp(-z)) - 0.5 * LOG_2PI - torch.log(self.scale)

    def log_cdf(self, value: Number) -> Tensor:
        # P(Z ≤ z) = erfc(e^(−z/2) / √2) = 2 Φ(−e^(−z/2))
        return LOG_2 + torch.special.log_ndtr(-torch.exp(-0.5 * self._z(value)))

    def log_survival(self, value: Number) -> Tensor:
        return torch.log(torch.erf(torch.exp(-0.5 * self._z(value)) / math.sqrt(2)))

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        z = torch.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc - 2 * self.scale * torch.log(torch.abs(z))
