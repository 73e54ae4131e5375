"""The von Mises law on the circle, with its cdf."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributions as td
from torch import Tensor
from torch.distributions import Distribution, constraints

from .base import Number, as_float, broadcast
from .registry import register
from .special import LOG_2, log1mexp, log_diff_exp, log_integral_above

__all__ = ["VonMises"]


@register(
    strategies=("score", "implicit"),
    example=lambda: [VonMises(0.5, 2.0), VonMises(torch.tensor([0.0, -3.0]), 30.0)],
    also=(td.VonMises,),
)
class VonMises(td.VonMises):
    """Von Mises on the circle; the density is exp(κ cos(x − μ)) / (2π I₀(κ)), exact to rounding where torch's
    is to 1e-7.

    The support is [−π, π]: on the whole line, which torch states, the density would integrate to infinity. Its cdf
    starts at −π, so implicit gradients hold for functions of the angle that jump at ±π too; where much of the mass
    crosses ±π their variance is large.

    >>> VonMises(0.0, 1.0).support
    Interval(lower_bound=-3.141592653589793, upper_bound=3.141592653589793)
    """

    support = constraints.interval(-math.pi, math.pi)  # type: ignore[assignment]

    def __init__(self, loc: Number, concentration: Number, validate_args: bool | None = None):
        self.loc, self.concentration = broadcast(loc, concentration)
        Distribution.__init__(self, self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        new = VonMises(self.loc.expand(shape), self.concentration.expand(shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        # cos(x) − 1 = −2 sin²(x/2) keeps its digits near the mode, and i0e is exp(−κ) I₀.
        half = torch.sin((as_float(value, self.loc) - self.loc) / 2)
        return -2 * self.concentration * half**2 - _log_norm(self.concentration)

    def _tails(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """log P(Z ≤ ·), log P(Z > ·) of the angle Z from the mode, in [−π, π): at −π as seen from there and at x,
        and whether ±π lies beyond the angle opposite the mode.
        """
        kappa = self.concentration
        start, z = (torch.remainder(t - self.loc + math.pi, 2 * math.pi) - math.pi for t in (-math.pi, x))
        return *_centred(kappa, start), *_centred(kappa, z), z < start

    def log_cdf(self, value: Number) -> Tensor:
        start_p, start_q, p, q, around = self._tails(as_float(value, self.loc))
        return torch.where(around, torch.logaddexp(start_q, p), _between(start_p, start_q, p, q))

    def log_survival(self, value: Number) -> Tensor:
        start_p, start_q, p, q, around = self._tails(as_float(value, self.loc))
        return torch.where(around, _between(p, q, start_p, start_q), torch.logaddexp(start_p, q))

    def cdf(self, value: Tensor) -> Tensor:
        return torch.exp(self.log_cdf(value))


def _log_norm(kappa: Tensor) -> Tensor:
    """log ∫ exp(κ (cos t − 1)) dt over the circle."""
    return LOG_2 + math.log(math.pi) + torch.log(torch.special.i0e(kappa))


def _between(p: Tensor, q: Tensor, other_p: Tensor, other_q: Tensor) -> Tensor:
    """log P(a < Z ≤ b) of log P(Z ≤ ·) and log P(Z > ·) at a and b, in the smaller tail; −∞ where b < a."""
    upper = p > q
    return log_diff_exp(torch.where(upper, q, other_p), torch.where(upper, other_q, p))


_FAR = 1e15


def _centred(kappa: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """log P(Z ≤ z) and log P(Z > z) for mode 0 and z in [−π, π].

    With y = tan(t/2) the tail is ∫ exp(−2κ y²/(1 + y²)) 2/(1 + y²) dy up to infinity.
    """
    kappa, z = torch.broadcast_tensors(kappa, z)
    y = torch.tan(0.5 * torch.where(z < 0, -z, z)).clamp(0.0, _FAR)
    k = kappa.unsqueeze(-1)

    def log_f(t: Tensor) -> Tensor:
        square = torch.where(t < _FAR, t, 1.0) ** 2
        return torch.where(t < _FAR, LOG_2 - 2 * k * square / (1 + square) - torch.log1p(square), -torch.inf)

    scale = (1 + y) / (1 + torch.sqrt(kappa) + kappa * y)
    far = (log_integral_above(log_f, y, scale) - _log_norm(kappa)).clamp_max(-LOG_2)
    near = log1mexp(-far)
    return torch.where(z < 0, far, near), torch.where(z < 0, near, far)
