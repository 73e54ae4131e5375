"""Counts and finite integer families that torch lacks. Values are floats, as torch's counts."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.distributions as td
from torch import Tensor
from torch.distributions import constraints

from .base import Number, Univariate, as_float, guarded, only, open_uniform
from .registry import register
from .special import constant, log1mexp, log_diff_exp, log_iv
from .tails import log_cdf, log_survival

__all__ = [
    "BetaBinomial",
    "BoundedZipf",
    "DiscreteUniform",
    "DiscreteWeibull",
    "NegativeBinomial2",
    "Skellam",
]


def is_integer(x: Tensor) -> Tensor:
    return x == torch.floor(x)


class _Integers(constraints.Constraint):
    """Any integer, negative ones too."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return is_integer(value)


integers = _Integers()


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def _enumerated(d: Any, low: Tensor, count: int, expand: bool) -> Tensor:
    """low, low + 1, … along a new first axis."""
    steps = torch.arange(count, dtype=low.dtype, device=low.device).view((-1,) + (1,) * len(d.batch_shape))
    if expand:
        return (low + steps).expand((count,) + d.batch_shape)
    return low.flatten()[0] + steps


class _Count(Univariate):
    support = constraints.nonnegative_integer

    def _k(self, value: Number) -> tuple[Tensor, Tensor]:
        """Whether the value is a count, and a count."""
        x = as_float(value, self._first)
        inside = (x >= 0) & is_integer(x)
        return inside, guarded(x, inside, 0.0)


@register(
    strategies=("score",),
    discrete=True,
    event_dim=0,
    example=lambda: [Skellam(3.0, 2.0), Skellam(torch.tensor([0.5, 40.0]), torch.tensor([6.0, 38.0]))],
)
class Skellam(Univariate):
    """Difference of two Poissons: P(k) = exp(−(a + b)) (a/b)^(k/2) I_|k|(2 √(ab)), k any integer.

    Args: rate1 = a, rate2 = b: tensors that broadcast. Source: Skellam (1946), J. R. Stat. Soc. A 109.

    >>> Skellam(3.0, 2.0).mean.item(), Skellam(3.0, 2.0).variance.item()
    (1.0, 5.0)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"rate1": constraints.positive, "rate2": constraints.positive}
    support = integers
    fields = ("rate1", "rate2")
    rate1: Tensor
    rate2: Tensor

    def __init__(self, rate1: Number, rate2: Number, validate_args: bool | None = None):
        self._set(validate_args, rate1=rate1, rate2=rate2)

    @property
    def mean(self) -> Tensor:
        return self.rate1 - self.rate2

    @property
    def variance(self) -> Tensor:
        return self.rate1 + self.rate2

    def log_prob(self, value: Number) -> Tensor:
        k = as_float(value, self.rate1)
        tilt = 0.5 * k * (torch.log(self.rate1) - torch.log(self.rate2))
        log_p = tilt - self.rate1 - self.rate2 + log_iv(torch.abs(k), 2 * torch.sqrt(self.rate1 * self.rate2))
        return only(is_integer(k), log_p)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            return torch.poisson(self.rate1.expand(shape)) - torch.poisson(self.rate2.expand(shape))


@register(
    strategies=("enum", "score"),
    discrete=True,
    event_dim=0,
    example=lambda: [BetaBinomial(8, 2.0, 3.0), BetaBinomial(5, torch.tensor([0.5, 9.0]), 1.0)],
)
class BetaBinomial(Univariate):
    """Binomial whose probability is Beta(a, b): P(k) = C(n, k) B(k + a, n − k + b) / B(a, b).

    Args: total_count n (integer or tensor), concentration1 = a, concentration0 = b: they broadcast.
    Source: Skellam (1948), J. R. Stat. Soc. B 10.

    >>> BetaBinomial(3, 1.0, 1.0).log_prob(torch.tensor(2.0)).exp().item()
    0.25
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "total_count": constraints.nonnegative_integer,
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    fields = ("total_count", "concentration1", "concentration0")
    has_enumerate_support = True
    total_count: Tensor
    concentration1: Tensor
    concentration0: Tensor

    def __init__(
        self,
        total_count: Number,
        concentration1: Number,
        concentration0: Number,
        validate_args: bool | None = None,
    ):
        self._set(
            validate_args,
            total_count=total_count,
            concentration1=concentration1,
            concentration0=concentration0,
        )

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Tensor:
        a, b, n = self.concentration1, self.concentration0, self.total_count
        return n * a * b * (a + b + n) / ((a + b) ** 2 * (a + b + 1))

    def log_prob(self, value: Number) -> Tensor:
        a, b, n = self.concentration1, self.concentration0, self.total_count
        x = as_float(value, a)
        inside = (x >= 0) & (x <= n) & is_integer(x)
        k = guarded(x, inside, 0.0)
        return only(inside, _log_choose(n, k) + _log_beta(k + a, n - k + b) - _log_beta(a, b))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            p = td.Beta(self.concentration1, self.concentration0, validate_args=False).sample(sample_shape)
            return torch.binomial(self.total_count.expand(shape), p)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return _enumerated(self, torch.zeros_like(self.total_count), 1 + int(self.total_count.max()), expand)


@register(
    strategies=("score",),
    example=lambda: [NegativeBinomial2(4.0, 2.5), NegativeBinomial2(torch.tensor([0.3, 20.0]), 0.7)],
)
class NegativeBinomial2(_Count):
    """Negative binomial by mean μ and dispersion φ: variance μ + μ²/φ; P(k) = C(k + φ − 1, k) (μ/(μ+φ))^k
    (φ/(μ+φ))^φ.

    Args: mean μ > 0, dispersion φ > 0 (large is near Poisson): tensors that broadcast.
    Source: Stan Functions Reference, negative binomial in its alternative parametrisation.

    >>> NegativeBinomial2(2.0, 1.0).variance.item()
    6.0
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "mean": constraints.positive,
        "dispersion": constraints.positive,
    }
    fields = ("mean", "dispersion")
    mean: Tensor = None  # type: ignore[assignment]  # shadows torch's property: the mean is a parameter
    dispersion: Tensor

    def __init__(self, mean: Number, dispersion: Number, validate_args: bool | None = None):
        self._set(validate_args, mean=mean, dispersion=dispersion)

    @property
    def variance(self) -> Tensor:
        return self.mean + self.mean**2 / self.dispersion

    def log_prob(self, value: Number) -> Tensor:
        inside, k = self._k(value)
        mu, phi = self.mean, self.dispersion
        choose = torch.lgamma(k + phi) - torch.lgamma(phi) - torch.lgamma(k + 1)
        return only(inside, choose - phi * torch.log1p(mu / phi) - k * torch.log1p(phi / mu))

    @property
    def _by_odds(self) -> td.NegativeBinomial:
        logits = torch.log(self.mean) - torch.log(self.dispersion)
        return td.NegativeBinomial(self.dispersion, logits=logits, validate_args=False)

    def log_cdf(self, value: Number) -> Tensor:
        return log_cdf(self._by_odds, as_float(value, self.mean))

    def log_survival(self, value: Number) -> Tensor:
        return log_survival(self._by_odds, as_float(value, self.mean))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self._by_odds.sample(sample_shape)


@register(
    strategies=("score",),
    example=lambda: [DiscreteWeibull(0.6, 1.2), DiscreteWeibull(torch.tensor([0.2, 0.9]), 0.8)],
)
class DiscreteWeibull(_Count):
    """Discrete Weibull: P(X ≥ k) = q^(k^β), k = 0, 1, …; β = 1 is the geometric.

    Args: q in (0, 1), beta > 0: tensors that broadcast. Source: Nakagawa and Osaki (1975), IEEE Trans.
    Reliability 24.

    >>> round(DiscreteWeibull(0.5, 1.0).log_prob(torch.tensor(1.0)).exp().item(), 6)
    0.25
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"q": constraints.unit_interval, "beta": constraints.positive}
    fields = ("q", "beta")
    q: Tensor
    beta: Tensor

    def __init__(self, q: Number, beta: Number, validate_args: bool | None = None):
        self._set(validate_args, q=q, beta=beta)

    def _log_at_least(self, k: Tensor) -> Tensor:
        zero = k <= 0
        return torch.where(zero, 0.0, guarded(k, ~zero, 1.0) ** self.beta) * torch.log(self.q)

    def log_prob(self, value: Number) -> Tensor:
        inside, k = self._k(value)
        return only(inside, log_diff_exp(self._log_at_least(k), self._log_at_least(k + 1)))

    def log_survival(self, value: Number) -> Tensor:
        return self._log_at_least(torch.floor(as_float(value, self.q)) + 1)

    def log_cdf(self, value: Number) -> Tensor:
        return log1mexp(-self.log_survival(value))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            u = open_uniform(self._extended_shape(sample_shape), self.q)
            return torch.ceil((torch.log(u) / torch.log(self.q)) ** (1 / self.beta)) - 1


@register(strategies=("enum",), discrete=True, event_dim=0, example=lambda: DiscreteUniform(-2, 4))
class DiscreteUniform(Univariate):
    """Every integer from low to high, both included, with the same probability. The support moves with low
    and high.

    >>> DiscreteUniform(1, 6).mean.item()
    3.5
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"low": constraints.real, "high": constraints.real}
    fields = ("low", "high")
    has_enumerate_support = True
    low: Tensor
    high: Tensor

    def __init__(self, low: Number, high: Number, validate_args: bool | None = None):
        self._set(validate_args, low=low, high=high)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return 0.5 * (self.low + self.high)

    @property
    def variance(self) -> Tensor:
        return ((self.high - self.low + 1) ** 2 - 1) / 12

    def log_prob(self, value: Number) -> Tensor:
        x = as_float(value, self.low)
        return only((x >= self.low) & (x <= self.high) & is_integer(x), -torch.log(self.high - self.low + 1))

    def log_cdf(self, value: Number) -> Tensor:
        n = self.high - self.low + 1
        return torch.log(((torch.floor(as_float(value, n)) - self.low + 1) / n).clamp(0.0, 1.0))

    def log_survival(self, value: Number) -> Tensor:
        n = self.high - self.low + 1
        return torch.log(((self.high - torch.floor(as_float(value, n))) / n).clamp(0.0, 1.0))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            u = open_uniform(self._extended_shape(sample_shape), self.low)
            return torch.minimum(self.low + torch.floor(u * (self.high - self.low + 1)), self.high)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return _enumerated(self, self.low, 1 + int((self.high - self.low).max()), expand)


@register(strategies=("enum", "score"), example=lambda: BoundedZipf(torch.tensor([1.0, 2.5]), 7))
class BoundedZipf(Univariate):
    """Zipf on 1 … n: P(k) ∝ k^(−exponent). Args: exponent (tensor), total n (a Python integer).

    >>> round(BoundedZipf(1.0, 2).log_prob(torch.tensor(1.0)).exp().item(), 4)
    0.6667
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"exponent": constraints.real}
    fields = ("exponent",)
    has_enumerate_support = True
    exponent: Tensor

    def __init__(self, exponent: Number, n: int, validate_args: bool | None = None):
        self.n = n
        self._set(validate_args, exponent=exponent)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(1, self.n)

    def expand(self, batch_shape: Any, _instance: Any = None) -> BoundedZipf:
        return type(self)(self.exponent.expand(torch.Size(batch_shape)), self.n, validate_args=False)

    @property
    def _logits(self) -> Tensor:
        log_k = torch.log(torch.arange(1, self.n + 1, dtype=self.exponent.dtype))
        return torch.log_softmax(-self.exponent.unsqueeze(-1) * constant(log_k, self.exponent), -1)

    def log_prob(self, value: Number) -> Tensor:
        x = as_float(value, self.exponent)
        inside = (x >= 1) & (x <= self.n) & is_integer(x)
        top = self._logits[..., 0]
        return only(inside, top - self.exponent * torch.log(guarded(x, inside, 1.0)))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        draws = td.Categorical(logits=self._logits, validate_args=False).sample(sample_shape)
        return draws.to(self.exponent.dtype) + 1

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return _enumerated(self, torch.ones_like(self.exponent), self.n, expand)
