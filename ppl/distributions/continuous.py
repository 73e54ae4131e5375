"""Families on the real line that torch lacks: skewed, heavy- or light-tailed alternatives to the normal."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from .base import Number, Univariate, as_float, guarded, only, open_uniform
from .registry import register
from .special import LOG_2, log1mexp, log_gammaincc, log_integral_above

__all__ = [
    "AsymmetricLaplace",
    "ExponentiallyModifiedGaussian",
    "GeneralizedNormal",
    "Logistic",
    "Moyal",
    "SkewNormal",
    "Triangular",
]

LOG_2PI = math.log(2 * math.pi)
LOC_SCALE = {"loc": constraints.real, "scale": constraints.positive}


def standard_log_normal(z: Tensor) -> Tensor:
    """log of the standard normal density."""
    return -0.5 * z * z - 0.5 * LOG_2PI


class _LocScale(Univariate):
    """x = loc + scale · z; subclasses speak of z."""

    arg_constraints = LOC_SCALE
    support = constraints.real
    has_rsample = True
    loc: Tensor
    scale: Tensor

    def _z(self, value: Number) -> Tensor:
        return (as_float(value, self.loc) - self.loc) / self.scale


@register(
    strategies=("reparam", "icdf", "score"),
    location_scale=("loc", "scale"),
    example=lambda: [Logistic(0.5, 2.0), Logistic(torch.tensor([0.0, -1.0]), 0.3)],
)
class Logistic(_LocScale):
    """Logistic: p(x) = e^(−z) / (s (1 + e^(−z))²), z = (x − loc) / s.

    Args: loc, scale: tensors that broadcast. Source: Balakrishnan, Handbook of the Logistic Distribution (1992), 1.1.

    >>> Logistic(0.0, 1.0).log_prob(torch.tensor(0.0)).exp().item()
    0.25
    """

    fields = ("loc", "scale")

    def __init__(self, loc: Number, scale: Number, validate_args: bool | None = None):
        self._set(validate_args, loc=loc, scale=scale)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (math.pi**2 / 3)

    def log_prob(self, value: Number) -> Tensor:
        z = self._z(value)
        return torch.nn.functional.logsigmoid(z) + torch.nn.functional.logsigmoid(-z) - torch.log(self.scale)

    def log_cdf(self, value: Number) -> Tensor:
        return torch.nn.functional.logsigmoid(self._z(value))

    def log_survival(self, value: Number) -> Tensor:
        return torch.nn.functional.logsigmoid(-self._z(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * torch.logit(value)


@register(
    strategies=("reparam", "score"),
    location_scale=("loc", "scale"), example=lambda: [SkewNormal(0.5, 2.0, 3.0), SkewNormal(torch.tensor([0.0, 1.0]), 1.0, torch.tensor([-5.0, 0.0]))],
)
class SkewNormal(_LocScale):
    """Skew normal: p(x) = 2/s φ(z) Φ(α z), z = (x − loc) / s.

    Args: loc, scale, alpha (shape; 0 is the normal): tensors that broadcast.
    Source: Azzalini (1985), Scand. J. Statist. 12.

    >>> round(SkewNormal(0.0, 1.0, 0.0).log_prob(torch.tensor(0.0)).item(), 4)
    -0.9189
    """

    arg_constraints = {**LOC_SCALE, "alpha": constraints.real}
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
    location_scale=("loc", "scale"), example=lambda: [AsymmetricLaplace(0.5, 2.0, 0.7), AsymmetricLaplace(0.0, 1.0, torch.tensor([1.0, 2.0]))],
)
class AsymmetricLaplace(_LocScale):
    """Asymmetric Laplace: p(x) = 1/(s (κ + 1/κ)) exp(−κ z) for z ≥ 0, exp(z/κ) below, z = (x − loc)/s.

    Args: loc, scale, asymmetry κ > 0 (1 is Laplace): tensors that broadcast.
    Source: Kotz, Kozubowski and Podgórski, The Laplace Distribution (2001), 3.1.

    >>> round(AsymmetricLaplace(0.0, 1.0, 1.0).log_prob(torch.tensor(0.0)).exp().item(), 6)
    0.5
    """

    arg_constraints = {**LOC_SCALE, "asymmetry": constraints.positive}
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
    strategies=("implicit", "reparam", "score"),
    location_scale=("loc", "scale"), example=lambda: [GeneralizedNormal(0.5, 2.0, 1.5), GeneralizedNormal(0.0, 1.0, torch.tensor([2.0, 6.0]))],
)
class GeneralizedNormal(_LocScale):
    """Generalised normal: p(x) = β / (2 s Γ(1/β)) exp(−|z|^β), z = (x − loc)/s; β = 2 normal, 1 Laplace, ∞ uniform.

    Args: loc, scale, beta > 0: tensors that broadcast. Source: Nadarajah (2005), J. Appl. Statist. 32.

    >>> round(GeneralizedNormal(0.0, 1.0, 1.0).log_prob(torch.tensor(0.0)).exp().item(), 6)
    0.5
    """

    arg_constraints = {**LOC_SCALE, "beta": constraints.positive}
    fields = ("loc", "scale", "beta")
    beta: Tensor

    def __init__(self, loc: Number, scale: Number, beta: Number, validate_args: bool | None = None):
        self._set(validate_args, loc=loc, scale=scale, beta=beta)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * torch.exp(torch.lgamma(3 / self.beta) - torch.lgamma(1 / self.beta))

    def _power(self, z: Tensor) -> Tensor:
        # |z|^β with a finite gradient in β at z = 0.
        zero = z == 0
        return torch.where(zero, 0.0, torch.abs(torch.where(zero, 1.0, z)) ** self.beta)

    def log_prob(self, value: Number) -> Tensor:
        norm = torch.log(2 * self.scale / self.beta) + torch.lgamma(1 / self.beta)
        return -self._power(self._z(value)) - norm

    def _tails(self, value: Number) -> tuple[Tensor, Tensor]:
        z = self._z(value)
        a, power = torch.broadcast_tensors(1 / self.beta, self._power(z))
        far = log_gammaincc(a, power) - LOG_2
        near = log1mexp(-far)
        return torch.where(z < 0, far, near), torch.where(z < 0, near, far)

    def log_cdf(self, value: Number) -> Tensor:
        return self._tails(value)[0]

    def log_survival(self, value: Number) -> Tensor:
        return self._tails(value)[1]

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        # |z|^β is Gamma(1/β, 1); torch's gamma is reparametrised implicitly.
        g = torch.distributions.Gamma(1 / self.beta, torch.ones_like(self.beta), validate_args=False).rsample(sample_shape)
        sign = torch.where(open_uniform(shape, self.loc) < 0.5, -1.0, 1.0)
        return self.loc + self.scale * sign * g ** (1 / self.beta)


@register(
    strategies=("reparam", "score"),
    example=lambda: [ExponentiallyModifiedGaussian(0.5, 2.0, 0.7), ExponentiallyModifiedGaussian(0.0, 0.5, 3.0)],
)
class ExponentiallyModifiedGaussian(_LocScale):
    """Normal plus exponential: p(x) = λ exp(−λ s (z − λ s/2)) Φ(z − λ s), z = (x − loc)/s.

    Args: loc, scale of the normal part, rate λ of the exponential: tensors that broadcast.
    Source: Grushka (1972), Anal. Chem. 44.

    >>> ExponentiallyModifiedGaussian(1.0, 1.0, 2.0).mean.item()
    1.5
    """

    arg_constraints = {**LOC_SCALE, "rate": constraints.positive}
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
class Moyal(_LocScale):
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


@register(strategies=("reparam", "icdf"), example=lambda: Triangular(-1.0, 3.0, 0.5))
class Triangular(Univariate):
    """Triangular on [low, high] with its mode at `mode_at`: p rises to 2/(high − low) there and falls linearly.

    Args: low, high, mode_at in (low, high): tensors that broadcast.

    >>> Triangular(0.0, 2.0, 1.0).log_prob(torch.tensor(1.0)).exp().item()
    1.0
    """

    arg_constraints = {"low": constraints.real, "high": constraints.real, "mode_at": constraints.real}
    fields = ("low", "high", "mode_at")
    has_rsample = True
    low: Tensor
    high: Tensor
    mode_at: Tensor

    def __init__(self, low: Number, high: Number, mode_at: Number, validate_args: bool | None = None):
        self._set(validate_args, low=low, high=high, mode_at=mode_at)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high + self.mode_at) / 3

    @property
    def variance(self) -> Tensor:
        a, b, c = self.low, self.high, self.mode_at
        return (a * a + b * b + c * c - a * b - a * c - b * c) / 18

    def _relative(self, value: Number) -> tuple[Tensor, Tensor, Tensor]:
        x = as_float(value, self.low)
        rise, fall = self.mode_at - self.low, self.high - self.mode_at
        left = x < self.mode_at
        u = torch.where(left, (x - self.low) / rise, (self.high - x) / fall)
        return left, u, torch.where(left, rise, fall) / (self.high - self.low)

    def log_prob(self, value: Number) -> Tensor:
        _, u, _ = self._relative(value)
        inside = u > 0
        return only(inside, LOG_2 + torch.log(guarded(u, inside, 1.0)) - torch.log(self.high - self.low))

    def _tails(self, value: Number) -> tuple[Tensor, Tensor]:
        left, u, share = self._relative(value)
        far = torch.log(share * u.clamp_min(0.0) ** 2)
        near = log1mexp(-far)
        return torch.where(left, far, near), torch.where(left, near, far)

    def log_cdf(self, value: Number) -> Tensor:
        return self._tails(value)[0]

    def log_survival(self, value: Number) -> Tensor:
        return self._tails(value)[1]

    def icdf(self, value: Tensor) -> Tensor:
        width, rise, fall = self.high - self.low, self.mode_at - self.low, self.high - self.mode_at
        left = value * width < rise
        return torch.where(
            left, self.low + torch.sqrt(value * width * rise), self.high - torch.sqrt((1 - value) * width * fall)
        )
