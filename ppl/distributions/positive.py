"""Families on the positive half line that torch lacks."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints

from .base import Number, Univariate, as_float, guarded, only, open_uniform
from .implicit import with_implicit_gradient
from .registry import register
from .special import LOG_2, log1mexp
from .tails import log_survival
from .traceable import StudentT

__all__ = ["HalfStudentT", "InverseGaussian", "LogLogistic", "Rice"]

LOG_2PI = math.log(2 * math.pi)


class _Positive(Univariate):
    support: Any = constraints.positive
    has_rsample = True

    def _inside(self, value: Number) -> tuple[Tensor, Tensor]:
        """Whether the value is in the support, and a value that is."""
        x = as_float(value, self._first)
        inside = x > 0
        return inside, guarded(x, inside, 1.0)


@register(
    strategies=("implicit", "reparam", "score"),
    example=lambda: [HalfStudentT(3.0, 2.0), HalfStudentT(torch.tensor([1.0, 30.0]), 0.5)],
)
class HalfStudentT(_Positive):
    """Half Student's t: |T| · scale with T of df degrees of freedom; p(x) = 2 t(x; df, 0, scale), x ≥ 0.

    Args: df, scale: tensors that broadcast. Source: Gelman (2006), Bayesian Analysis 1, section 3.2.

    >>> round(HalfStudentT(1.0, 1.0).log_prob(torch.tensor(1.0)).exp().item(), 4)
    0.3183
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"df": constraints.positive, "scale": constraints.positive}
    support = constraints.nonnegative
    fields = ("df", "scale")
    df: Tensor
    scale: Tensor

    def __init__(self, df: Number, scale: Number, validate_args: bool | None = None):
        self._set(validate_args, df=df, scale=scale)

    @property
    def _whole(self) -> StudentT:
        return StudentT(self.df, torch.zeros_like(self.scale), self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        log_ratio = torch.lgamma((self.df + 1) / 2) - torch.lgamma(self.df / 2)
        value = 2 * self.scale * torch.sqrt(self.df / math.pi) * torch.exp(log_ratio) / (self.df - 1)
        return torch.where(self.df > 1, value, torch.inf)

    @property
    def variance(self) -> Tensor:
        value = self.scale**2 * self.df / (self.df - 2) - self.mean**2
        return torch.where(self.df > 2, value, torch.where(self.df > 1, torch.inf, torch.nan))

    def log_prob(self, value: Number) -> Tensor:
        x = as_float(value, self.df)
        return only(x >= 0, LOG_2 + self._whole.log_prob(x))

    def log_survival(self, value: Number) -> Tensor:
        x = as_float(value, self.df).clamp_min(0.0)
        return LOG_2 + log_survival(self._whole, x)

    def log_cdf(self, value: Number) -> Tensor:
        return log1mexp(-self.log_survival(value))

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return torch.abs(self._whole.rsample(sample_shape))


@register(
    strategies=("implicit", "score"),
    example=lambda: [InverseGaussian(1.5, 2.0), InverseGaussian(torch.tensor([0.5, 3.0]), 8.0)],
)
class InverseGaussian(_Positive):
    """Inverse Gaussian (Wald): p(x) = √(λ / (2π x³)) exp(−λ (x − μ)² / (2 μ² x)).

    Args: mean μ > 0, concentration λ > 0: tensors that broadcast; the variance is μ³/λ.
    Source: Michael, Schucany and Haas (1976), Amer. Statist. 30 (the sampler); gradients are implicit.

    >>> InverseGaussian(2.0, 4.0).variance.item()
    2.0
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "mean": constraints.positive,
        "concentration": constraints.positive,
    }
    fields = ("mean", "concentration")
    mean: Tensor = None  # type: ignore[assignment]  # shadows torch's property: the mean is a parameter
    concentration: Tensor

    def __init__(self, mean: Number, concentration: Number, validate_args: bool | None = None):
        self._set(validate_args, mean=mean, concentration=concentration)

    @property
    def variance(self) -> Tensor:
        return self.mean**3 / self.concentration

    def log_prob(self, value: Number) -> Tensor:
        inside, x = self._inside(value)
        lam = self.concentration
        quad = lam * (x / self.mean - 1) ** 2 / (2 * x)
        return only(inside, 0.5 * (torch.log(lam) - LOG_2PI - 3 * torch.log(x)) - quad)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        root, ratio = torch.sqrt(self.concentration / x), x / self.mean
        far = 2 * self.concentration / self.mean + torch.special.log_ndtr(-root * (ratio + 1))
        return root * (ratio - 1), far

    def log_cdf(self, value: Number) -> Tensor:
        inside, x = self._inside(value)
        z, far = self._parts(x)
        return only(inside, torch.logaddexp(torch.special.log_ndtr(z), far))

    def log_survival(self, value: Number) -> Tensor:
        inside, x = self._inside(value)
        z, far = self._parts(x)
        normal = torch.special.log_ndtr(-z)
        return torch.where(inside, normal + log1mexp(normal - far), 0.0)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            mu, lam = self.mean, self.concentration
            y = mu * torch.randn(shape, dtype=mu.dtype, device=mu.device) ** 2 / lam
            # The smaller root of the quadratic, in the form that does not cancel.
            x = mu / (1 + 0.5 * y + torch.sqrt(y + 0.25 * y * y))
            draw = torch.where(open_uniform(shape, mu) * (mu + x) <= mu, x, mu * mu / x)
        return with_implicit_gradient(draw, self.cdf, self.log_prob)


@register(strategies=("reparam", "icdf", "score"), example=lambda: LogLogistic(2.0, 3.5))
class LogLogistic(_Positive):
    """Log-logistic (Fisk): P(X ≤ x) = 1 / (1 + (x/scale)^(−shape)).

    Args: scale (the median), shape: tensors that broadcast. Source: Fisk (1961), Econometrica 29.

    >>> LogLogistic(2.0, 3.0).cdf(torch.tensor(2.0)).item()
    0.5
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"scale": constraints.positive, "shape": constraints.positive}
    fields = ("scale", "shape")
    scale: Tensor
    shape: Tensor

    def __init__(self, scale: Number, shape: Number, validate_args: bool | None = None):
        self._set(validate_args, scale=scale, shape=shape)

    @property
    def mean(self) -> Tensor:
        b = math.pi / self.shape
        return torch.where(self.shape > 1, self.scale * b / torch.sin(b), torch.inf)

    @property
    def variance(self) -> Tensor:
        b = math.pi / self.shape
        value = self.scale**2 * (2 * b / torch.sin(2 * b) - (b / torch.sin(b)) ** 2)
        return torch.where(self.shape > 2, value, torch.inf)

    def _logit(self, x: Tensor) -> Tensor:
        return self.shape * (torch.log(x) - torch.log(self.scale))

    def log_prob(self, value: Number) -> Tensor:
        inside, x = self._inside(value)
        z, ls = self._logit(x), torch.nn.functional.logsigmoid
        return only(inside, ls(z) + ls(-z) + torch.log(self.shape) - torch.log(x))

    def log_cdf(self, value: Number) -> Tensor:
        inside, x = self._inside(value)
        return only(inside, torch.nn.functional.logsigmoid(self._logit(x)))

    def log_survival(self, value: Number) -> Tensor:
        inside, x = self._inside(value)
        return torch.where(inside, torch.nn.functional.logsigmoid(-self._logit(x)), 0.0)

    def icdf(self, value: Tensor) -> Tensor:
        return self.scale * torch.exp(torch.logit(value) / self.shape)


@register(
    strategies=("reparam", "score"), example=lambda: [Rice(1.5, 0.8), Rice(torch.tensor([0.1, 20.0]), 2.0)]
)
class Rice(_Positive):
    """Rice: the length of a plane normal vector of standard deviation s whose mean lies ν from the origin;
    p(x) = x/s² exp(−(x² + ν²)/(2 s²)) I₀(x ν / s²). Source: Rice (1945), Bell Syst. Tech. J. 24.

    Args: nu ≥ 0, scale > 0: tensors that broadcast.

    >>> Rice(0.0, 1.0).support
    GreaterThan(lower_bound=0.0)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"nu": constraints.nonnegative, "scale": constraints.positive}
    fields = ("nu", "scale")
    nu: Tensor
    scale: Tensor

    def __init__(self, nu: Number, scale: Number, validate_args: bool | None = None):
        self._set(validate_args, nu=nu, scale=scale)

    @property
    def mean(self) -> Tensor:
        # s √(π/2) L_{1/2}(−ν²/2s²), with scaled Bessel functions.
        h = self.nu**2 / (4 * self.scale**2)
        bessel = (1 + 2 * h) * torch.special.i0e(h) + 2 * h * torch.special.i1e(h)
        return self.scale * math.sqrt(math.pi / 2) * bessel

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2 + self.nu**2 - self.mean**2

    def log_prob(self, value: Number) -> Tensor:
        inside, x = self._inside(value)
        s2 = self.scale**2
        bessel = torch.log(torch.special.i0e(x * self.nu / s2))
        return only(inside, torch.log(x / s2) - (x - self.nu) ** 2 / (2 * s2) + bessel)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape, like = self._extended_shape(sample_shape), self.nu
        first, second = (torch.randn(shape, dtype=like.dtype, device=like.device) for _ in range(2))
        return torch.sqrt((self.nu + self.scale * first) ** 2 + (self.scale * second) ** 2)
