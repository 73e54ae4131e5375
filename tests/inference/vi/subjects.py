"""Families with values of their parameters, and expectations under them by enumeration or quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints as c

import ppl.distributions as families
from ppl.distributions.bijectors import biject_to


def t(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@dataclass(frozen=True)
class Subject:
    """A distribution as a function of its parameters."""

    name: str
    params: tuple[Any, ...]
    make: Callable[..., Any]

    @property
    def family(self) -> str:
        return self.name.split()[0]

    @property
    def values(self) -> list[Tensor]:
        return [torch.as_tensor(p, dtype=torch.float64) for p in self.params]


def _of(name: str, *params: Any, make: Any = None) -> Subject:
    return Subject(name, params, make or getattr(families, name.split()[0]))


SUBJECTS = {
    s.name: s
    for s in (
        _of("AsymmetricLaplace", 0.3, 1.2, 0.8),
        _of("Beta", 1.4, 2.0),
        _of("Cauchy", 0.3, 1.2),
        _of("Chi2", 2.3),
        _of("ContinuousBernoulli", 0.3),
        _of("Exponential", 1.3),
        _of("ExponentiallyModifiedGaussian", 0.2, 1.1, 0.9),
        _of("FisherSnedecor", 4.0, 5.0),
        _of("Gamma", 0.8, 1.3),
        _of("Gamma in its rate", 1.3, make=lambda b: families.Gamma(2.0, b)),
        _of("GeneralizedNormal", 0.1, 1.2, 1.5),
        _of("GeneralizedPareto", 0.1, 1.2, 0.3),
        _of("Gumbel", 0.2, 1.1),
        _of("HalfCauchy", 1.2),
        _of("HalfNormal", 1.2),
        _of("HalfStudentT", 4.0, 1.2),
        _of("InverseGamma", 3.0, 1.3),
        _of("InverseGaussian", 1.2, 2.0),
        _of("Kumaraswamy", 1.5, 2.0),
        _of("Laplace", 0.2, 1.1),
        _of("LogLogistic", 1.2, 2.5),
        _of("LogNormal", 0.2, 0.6),
        _of("Logistic", 0.2, 0.7),
        _of(
            "LogitRelaxedBernoulli", 0.3, make=lambda p: families.LogitRelaxedBernoulli(torch.tensor(0.7), p)
        ),
        _of("Moyal", 0.2, 0.8),
        _of("Normal", 0.4, 1.2),
        _of("Pareto", 1.3, 3.0),
        _of("Rice", 1.0, 0.8),
        _of("SkewNormal", 0.2, 1.1, 2.0),
        _of("StudentT", 5.0, 0.2, 1.2),
        _of("Triangular", -1.0, 3.0, 0.5),
        _of("Uniform", -1.0, 3.0),
        _of("VonMises", 0.5, 1.5),
        _of("Weibull", 1.3, 1.7),
        _of("Weibull in its scale", 1.3, make=lambda s: families.Weibull(s, 1.7)),
        # discrete
        _of("Bernoulli", 0.3),
        _of("Bernoulli by logits", 0.3, make=lambda a: families.Bernoulli(logits=a)),
        _of("BetaBinomial", 1.4, 2.0, make=lambda a, b: families.BetaBinomial(5, a, b)),
        _of("Binomial", 0.3, make=lambda p: families.Binomial(5, p)),
        _of("BoundedZipf", 1.5, make=lambda s: families.BoundedZipf(s, 6)),
        _of("Categorical", t(0.1, 0.6, -0.4), make=lambda a: families.Categorical(logits=a)),
        _of("DiscreteWeibull", 0.6, 1.2),
        _of("Geometric", 0.3),
        _of("Geometric by logits", 0.3, make=lambda a: families.Geometric(logits=a)),
        _of("NegativeBinomial", 0.4, make=lambda p: families.NegativeBinomial(2.5, p)),
        _of("NegativeBinomial2", 2.0, 1.5),
        _of("OneHotCategorical", t(0.1, 0.6, -0.4), make=lambda a: families.OneHotCategorical(logits=a)),
        _of("OrderedLogistic", 0.3, make=lambda x: families.OrderedLogistic(x, t(-1.0, 0.5))),
        _of("OrderedProbit", 0.3, make=lambda x: families.OrderedProbit(x, t(-1.0, 0.5))),
        _of("Poisson", 2.3),
        _of("Skellam", 1.2, 0.8),
        # vectors
        _of("Dirichlet", t(0.7, 1.5, 2.0)),
    )
}


def smooth(x: Tensor) -> Tensor:
    """A bounded smooth function of a number, or of a vector through a linear map; large in no moment."""
    return torch.sin(x) + torch.tanh(0.5 * x)


def of_vector(x: Tensor) -> Tensor:
    """The same of vectors: quadratic, so that two moments give its expectation."""
    return x @ t(1.0, -0.5, 2.0) + (x * x) @ t(0.3, 1.0, -0.7)


def near(estimates: Tensor, exact: Tensor, slack: float = 1e-6) -> None:
    """The mean of independent estimates is the exact value, within four standard errors."""
    error = estimates.std(0) / math.sqrt(len(estimates))
    gap = (estimates.mean(0) - exact).abs()
    assert estimates.shape[1:] == exact.shape
    assert bool((gap <= 4 * error + slack).all()), f"{estimates.mean(0)} ± {error}, exact {exact}"


def function_of(s: Subject) -> Callable[[Tensor], Tensor]:
    return of_vector if s.make(*s.values).event_shape else smooth


def exact(s: Subject) -> tuple[float, list[Tensor]]:
    """E f(x) and its derivative in each parameter."""
    leaves = [p.clone().requires_grad_() for p in s.values]
    total = expectation(s.make(*leaves), function_of(s))
    return float(total.detach()), list(torch.autograd.grad(total, leaves))


def expectation(d: Any, f: Callable[[Tensor], Tensor]) -> Tensor:
    """E f(x) as a differentiable number."""
    if d.event_shape and not getattr(d, "has_enumerate_support", False):
        a, b = t(1.0, -0.5, 2.0), t(0.3, 1.0, -0.7)
        return (d.mean * a).sum() + ((d.variance + d.mean**2) * b).sum()
    if families.family_of(d).discrete:
        finite = getattr(d, "has_enumerate_support", False)
        x = d.enumerate_support() if finite else torch.arange(0.0, 400.0, dtype=torch.float64)
        if type(d).__name__ == "Skellam":
            x = torch.arange(-60.0, 60.0, dtype=torch.float64)
        weights = torch.exp(d.log_prob(x))
    else:
        x, log_slope, step = _grid(d.support)
        with torch.no_grad():
            log_weight = d.log_prob(x) + log_slope
            here = torch.isfinite(log_weight) & (log_weight > -600)
        x = x[here]
        weights = torch.exp(d.log_prob(x) + log_slope[here]) * step
    mass = float(weights.detach().sum())
    assert abs(mass - 1) < 1e-5, (d, mass)
    return (weights * f(x.to(torch.float64))).sum()


def _grid(support: Any) -> tuple[Tensor, Tensor, float]:
    """Points of a support, the log slope of the map that makes them of evenly spaced ones, and their spacing."""
    u = torch.linspace(-38.0, 38.0, 76_001, dtype=torch.float64)
    step = float(u[1] - u[0])
    onto = biject_to(support)
    if support is c.real or type(support).__name__ == "_Real":
        return torch.sinh(u), torch.log(torch.cosh(u)), step
    x = onto(u)
    return x, onto.log_abs_det_jacobian(u, x), step
