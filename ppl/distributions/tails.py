"""log F and log(1 − F) of any univariate family, accurate far in both tails: what truncation, censoring and
survival need.

A family of ours brings methods `log_cdf` and `log_survival`; for torch's families the formulas stand here,
one `_formula` each. Anything else with a `cdf` falls back to its logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.distributions as td
from torch import Tensor
from torch.distributions import Distribution

from ..errors import MethodError
from .base import Univariate
from .special import (
    LOG_2,
    constant,
    log1mexp,
    log_betainc,
    log_diff_exp,
    log_gammainc,
    log_gammaincc,
    log_integral_above,
)

__all__ = ["has_cdf", "has_icdf", "log_cdf", "log_interval", "log_survival"]

Pair = tuple[Tensor, Tensor]
_FORMULAS: dict[type, Callable[[Any, Tensor], Pair]] = {}


def _formula(cls: type) -> Callable[[Callable[[Any, Tensor], Pair]], Callable[[Any, Tensor], Pair]]:
    def add(f: Callable[[Any, Tensor], Pair]) -> Callable[[Any, Tensor], Pair]:
        _FORMULAS[cls] = f
        return f

    return add


def _find(cls: type) -> Callable[[Any, Tensor], Pair] | None:
    return next((_FORMULAS[c] for c in cls.__mro__ if c in _FORMULAS), None)


def has_cdf(d: Distribution | type) -> bool:
    """Whether `log_cdf` works: known for the class, or for this instance (its parts may lack one).

    >>> has_cdf(torch.distributions.Normal), has_cdf(torch.distributions.Dirichlet)
    (True, False)
    """
    cls = d if isinstance(d, type) else type(d)
    if not isinstance(d, type):
        own = getattr(d, "has_cdf", None)
        if isinstance(own, bool):
            return own
        if len(d.event_shape):
            return False
        if isinstance(d, td.MixtureSameFamily):
            return has_cdf(d.component_distribution)
        if isinstance(d, td.TransformedDistribution) and _find(cls) is _transformed:
            return has_cdf(d.base_dist) and all(t.bijective and not t.domain.event_dim for t in d.transforms)
    if _own_tails(cls) or _find(cls) not in (None, _transformed):
        return True
    if cls.__module__.startswith("torch.distributions") and issubclass(cls, td.TransformedDistribution):
        return not isinstance(cls.support, property) and getattr(cls.support, "event_dim", 1) == 0
    inherited = (Distribution.cdf, td.TransformedDistribution.cdf, Univariate.cdf)
    return getattr(cls, "cdf", Distribution.cdf) not in inherited


def _own_tails(cls: type) -> bool:
    return hasattr(cls, "log_cdf") and hasattr(cls, "log_survival")


def has_icdf(cls: type) -> bool:
    """Whether the class defines `icdf` itself (torch's transformed families inherit one that may fail)."""
    inherited = (Distribution.icdf, td.TransformedDistribution.icdf)
    return getattr(cls, "icdf", Distribution.icdf) not in inherited


def _pair(d: Distribution, x: Tensor) -> Pair:
    if _own_tails(type(d)):
        return d.log_cdf(x), d.log_survival(x)  # type: ignore[attr-defined]
    f = _find(type(d))
    if f is not None:
        return f(d, x)
    if has_cdf(d):
        p = d.cdf(x)
        return torch.log(p), torch.log1p(-p)
    raise MethodError(
        f"{type(d).__name__} has no known cdf",
        expected="a univariate family with a cdf",
        found=type(d).__name__,
        edit=f"Restricted({type(d).__name__}(…), (low, high)), which leaves the normalising constant out",
    )


def log_cdf(d: Distribution, x: Tensor) -> Tensor:
    """log P(X ≤ x).

    >>> round(log_cdf(torch.distributions.Normal(0.0, 1.0), torch.tensor(-40.0)).item(), 3)
    -804.608
    """
    return _pair(d, x)[0]


def log_survival(d: Distribution, x: Tensor) -> Tensor:
    """log P(X > x).

    >>> round(log_survival(torch.distributions.Exponential(2.0), torch.tensor(500.0)).item(), 3)
    -1000.0
    """
    return _pair(d, x)[1]


def log_interval(d: Distribution, low: Tensor | None, high: Tensor | None) -> Tensor:
    """log P(low < X ≤ high), taken in whichever tail the interval lies in; `None` is an absent bound.

    >>> import torch
    >>> d = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    >>> round(log_interval(d, torch.tensor(30.0).double(), torch.tensor(31.0).double()).item(), 4)
    -454.3212
    """
    if low is None and high is None:
        raise ValueError("an interval needs a bound")
    if low is None:
        assert high is not None
        return log_cdf(d, high)
    if high is None:
        return log_survival(d, low)
    (cdf_low, sf_low), (cdf_high, sf_high) = _pair(d, low), _pair(d, high)
    upper = cdf_low > sf_low
    return log_diff_exp(torch.where(upper, sf_low, cdf_high), torch.where(upper, sf_high, cdf_low))


def _standard(d: Any, x: Tensor) -> Tensor:
    return (x - d.loc) / d.scale


def _complement(log_p: Tensor) -> Tensor:
    return log1mexp(-log_p)


@_formula(td.Normal)
def _normal(d: Any, x: Tensor) -> Pair:
    z = _standard(d, x)
    return torch.special.log_ndtr(z), torch.special.log_ndtr(-z)


@_formula(td.HalfNormal)
def _half_normal(d: Any, x: Tensor) -> Pair:
    z = (x / d.scale).clamp_min(0.0)
    return torch.log(torch.erf(z / math.sqrt(2))), LOG_2 + torch.special.log_ndtr(-z)


@_formula(td.Cauchy)
def _cauchy(d: Any, x: Tensor) -> Pair:
    z = _standard(d, x)
    one = torch.ones_like(z)
    return torch.log(torch.atan2(one, -z) / math.pi), torch.log(torch.atan2(one, z) / math.pi)


@_formula(td.HalfCauchy)
def _half_cauchy(d: Any, x: Tensor) -> Pair:
    z = (x / d.scale).clamp_min(0.0)
    return torch.log(torch.atan(z) * 2 / math.pi), torch.log(torch.atan2(torch.ones_like(z), z) * 2 / math.pi)


@_formula(td.Laplace)
def _laplace(d: Any, x: Tensor) -> Pair:
    z = _standard(d, x)
    near, far = -torch.abs(z) - LOG_2, torch.log1p(-0.5 * torch.exp(-torch.abs(z)))
    return torch.where(z < 0, near, far), torch.where(z < 0, far, near)


@_formula(td.Exponential)
def _exponential(d: Any, x: Tensor) -> Pair:
    a = (d.rate * x).clamp_min(0.0)
    return log1mexp(a), -a


@_formula(td.Uniform)
def _uniform(d: Any, x: Tensor) -> Pair:
    p = ((x - d.low) / (d.high - d.low)).clamp(0.0, 1.0)
    q = ((d.high - x) / (d.high - d.low)).clamp(0.0, 1.0)
    return torch.log(p), torch.log(q)


@_formula(td.Gumbel)
def _gumbel(d: Any, x: Tensor) -> Pair:
    a = torch.exp(-_standard(d, x))
    return -a, log1mexp(a)


@_formula(td.Gamma)
def _gamma(d: Any, x: Tensor) -> Pair:
    a, z = d.concentration, d.rate * x
    return log_gammainc(a, z), log_gammaincc(a, z)


@_formula(td.Beta)
def _beta(d: Any, x: Tensor) -> Pair:
    a, b = d.concentration1, d.concentration0
    return log_betainc(a, b, x), log_betainc(b, a, 1 - x, x)


@_formula(td.FisherSnedecor)
def _fisher_snedecor(d: Any, x: Tensor) -> Pair:
    a, b = d.df1 * x.clamp_min(0.0), d.df2
    p, q = a / (a + b), b / (a + b)
    return log_betainc(d.df1 / 2, b / 2, p, q), log_betainc(b / 2, d.df1 / 2, q, p)


def _student_log_sf(df: Tensor, z: Tensor) -> Tensor:
    """log P(T > z) for z ≥ 0."""
    nu = df.unsqueeze(-1)
    log_c = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * torch.log(df * math.pi)
    scale = 1 / (1 + z) + z / (df + 1)

    def log_f(t: Tensor) -> Tensor:
        return -0.5 * (nu + 1) * torch.log1p(t * t / nu)

    return log_c + log_integral_above(log_f, z, scale)


@_formula(td.StudentT)
def _student_t(d: Any, x: Tensor) -> Pair:
    df, z = torch.broadcast_tensors(d.df, _standard(d, x))
    far = _student_log_sf(df, torch.abs(z)).clamp_max(-LOG_2)
    near = _complement(far)
    return torch.where(z < 0, far, near), torch.where(z < 0, near, far)


@_formula(td.Poisson)
def _poisson(d: Any, x: Tensor) -> Pair:
    k, rate = torch.broadcast_tensors(torch.floor(x), d.rate)
    a = k.clamp_min(0.0) + 1
    return _from_zero(k, log_gammaincc(a, rate), log_gammainc(a, rate))


def _from_zero(k: Tensor, log_p: Tensor, log_q: Tensor) -> Pair:
    return torch.where(k < 0, -torch.inf, log_p), torch.where(k < 0, 0.0, log_q)


@_formula(td.Binomial)
def _binomial(d: Any, x: Tensor) -> Pair:
    n, p = d.total_count, d.probs
    k = torch.floor(x)
    k, n, p = torch.broadcast_tensors(k, n, p)
    inside = (k >= 0) & (k < n)
    a, b = torch.where(inside, n - k, 1.0), torch.where(inside, k + 1, 1.0)
    log_p, log_q = log_betainc(a, b, 1 - p, p), log_betainc(b, a, p, 1 - p)
    log_p, log_q = torch.where(k < n, log_p, 0.0), torch.where(k < n, log_q, -torch.inf)
    return _from_zero(k, log_p, log_q)


@_formula(td.NegativeBinomial)
def _negative_binomial(d: Any, x: Tensor) -> Pair:
    k, r, p = torch.broadcast_tensors(torch.floor(x), d.total_count, d.probs)
    b = k.clamp_min(0.0) + 1
    return _from_zero(k, log_betainc(r, b, 1 - p, p), log_betainc(b, r, p, 1 - p))


@_formula(td.Geometric)
def _geometric(d: Any, x: Tensor) -> Pair:
    k, p = torch.broadcast_tensors(torch.floor(x), d.probs)
    a = -(k.clamp_min(0.0) + 1) * torch.log1p(-p)
    return _from_zero(k, log1mexp(a), -a)


@_formula(td.Bernoulli)
def _bernoulli(d: Any, x: Tensor) -> Pair:
    k, logits = torch.broadcast_tensors(torch.floor(x), d.logits)
    ls = torch.nn.functional.logsigmoid
    log_p = torch.where(k < 1, ls(-logits), 0.0)
    return _from_zero(k, log_p, torch.where(k < 1, ls(logits), -torch.inf))


@_formula(td.Categorical)
def _categorical(d: Any, x: Tensor) -> Pair:
    below = constant(torch.arange(d.logits.shape[-1]), d.logits) <= x.unsqueeze(-1)
    minus = -torch.inf
    inside = torch.logsumexp(torch.where(below, d.logits, minus), -1)
    return inside, torch.logsumexp(torch.where(below, minus, d.logits), -1)


@_formula(td.MixtureSameFamily)
def _mixture(d: Any, x: Tensor) -> Pair:
    log_p, log_q = _pair(d.component_distribution, x.unsqueeze(-1))
    weights = torch.log_softmax(d.mixture_distribution.logits, -1)
    return torch.logsumexp(log_p + weights, -1), torch.logsumexp(log_q + weights, -1)


@_formula(td.TransformedDistribution)
def _transformed(d: Any, x: Tensor) -> Pair:
    """Through the inverse of each monotone transform; a decreasing one exchanges the tails."""
    sign: Any = 1
    for transform in reversed(d.transforms):
        x, sign = transform.inv(x), sign * transform.sign
    log_p, log_q = _pair(d.base_dist, x)
    if isinstance(sign, int | float):
        return (log_p, log_q) if sign > 0 else (log_q, log_p)
    return torch.where(sign > 0, log_p, log_q), torch.where(sign > 0, log_q, log_p)
