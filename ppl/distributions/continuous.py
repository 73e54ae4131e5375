"""Families on the real line that torch lacks: symmetric alternatives to the normal, and the triangular."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints

from .base import Number, Univariate, as_float, guarded, only, open_uniform
from .registry import register
from .special import LOG_2, log1mexp, log_gammaincc

__all__ = [
    "GeneralizedNormal",
    "Logistic",
    "Triangular",
]

LOG_2PI = math.log(2 * math.pi)
LOC_SCALE = {"loc": constraints.real, "scale": constraints.positive}


def standard_log_normal(z: Tensor) -> Tensor:
    """log of the standard normal density."""
    return -0.5 * z * z - 0.5 * LOG_2PI


class LocScale(Univariate):
    """x = loc + scale · z; subclasses speak of z."""

    arg_constraints: ClassVar[dict[str, Any]] = LOC_SCALE
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
class Logistic(LocScale):
    """Logistic: p(x) = e^(−z) / (s (1 + e^(−z))²), z = (x − loc) / s.

    Args: loc, scale: tensors that broadcast. Source: Balakrishnan, Handbook of the Logistic Distribution
    (1992), 1.1.

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
    strategies=("implicit", "reparam", "score"),
    location_scale=("loc", "scale"),
    example=lambda: [GeneralizedNormal(0.5, 2.0, 1.5), GeneralizedNormal(0.0, 1.0, torch.tensor([2.0, 6.0]))],
)
class GeneralizedNormal(LocScale):
    """Generalised normal: p(x) = β / (2 s Γ(1/β)) exp(−|z|^β), z = (x − loc)/s; β = 2 normal, 1 Laplace, ∞
    uniform.

    Args: loc, scale, beta > 0: tensors that broadcast. Source: Nadarajah (2005), J. Appl. Statist. 32.

    >>> round(GeneralizedNormal(0.0, 1.0, 1.0).log_prob(torch.tensor(0.0)).exp().item(), 6)
    0.5
    """

    arg_constraints: ClassVar[dict[str, Any]] = {**LOC_SCALE, "beta": constraints.positive}
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
        g = torch.distributions.Gamma(1 / self.beta, torch.ones_like(self.beta), validate_args=False).rsample(
            sample_shape
        )
        sign = torch.where(open_uniform(shape, self.loc) < 0.5, -1.0, 1.0)
        return self.loc + self.scale * sign * g ** (1 / self.beta)


@register(strategies=("reparam", "icdf"), example=lambda: Triangular(-1.0, 3.0, 0.5))
class Triangular(Univariate):
    """Triangular on [low, high] with its mode at `mode_at`: p rises to 2/(high − low) there and falls
    linearly.

    Args: low, high, mode_at in (low, high): tensors that broadcast.

    >>> Triangular(0.0, 2.0, 1.0).log_prob(torch.tensor(1.0)).exp().item()
    1.0
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "low": constraints.real,
        "high": constraints.real,
        "mode_at": constraints.real,
    }
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
            left,
            self.low + torch.sqrt(value * width * rise),
            self.high - torch.sqrt((1 - value) * width * fall),
        )
