"""Every registered family, with random parameters, as a latent choice and as an observation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.distributions import Distribution
from torch.distributions.transforms import AffineTransform, ExpTransform

import ppl
from corpus.entry import Entry
from ppl import distributions as D
from ppl.distributions import biject_to, families, family_of
from ppl.language.program import Bound

Make = Callable[[Any, Any], Distribution]


def vector(*parts: Any) -> torch.Tensor:
    return torch.stack([torch.as_tensor(p) for p in parts])


def simplex(a: Any) -> torch.Tensor:
    return torch.softmax(vector(a, -a, 0.5 * a), 0)


def lower(a: Any, p: Any) -> torch.Tensor:
    """A Cholesky factor [2, 2]."""
    return vector(vector(p, 0.0 * p), vector(a, p + 0.5))


def covariance(a: Any, p: Any) -> torch.Tensor:
    return lower(a, p) @ lower(a, p).T


def cutpoints(a: Any, p: Any) -> torch.Tensor:
    return vector(a - p, a, a + p)


# name → the family from a real number a and a positive number p, both random
FAMILIES: dict[str, Make] = {
    "AsymmetricLaplace": lambda a, p: D.AsymmetricLaplace(a, p, p + 0.3),
    "AutoregressiveNormal": lambda a, p: D.AutoregressiveNormal(vector(0.3 * a, -0.2), p, 4, loc=a),
    "BandedNormal": lambda a, p: D.BandedNormal(
        vector(a, -a, 0.0), vector(vector(p, p + 0.5, 0.9), vector(a, 0.3, 0.0))
    ),
    "Bernoulli": lambda a, p: D.Bernoulli(logits=a * p),
    "Beta": lambda a, p: D.Beta(p + 0.5, torch.exp(a)),
    "BetaBinomial": lambda a, p: D.BetaBinomial(8, p, torch.exp(a)),
    "Binomial": lambda a, p: D.Binomial(6, logits=a * p),
    "BoundedZipf": lambda a, p: D.BoundedZipf(p, 7),
    "Categorical": lambda a, p: D.Categorical(simplex(a * p)),
    "Cauchy": lambda a, p: D.Cauchy(a, p),
    "Censored": lambda a, p: D.Censored(D.Normal(a, p), -0.5, 1.0),
    "Chi2": lambda a, p: D.Chi2(p + 1.0),
    "ContinuousBernoulli": lambda a, p: D.ContinuousBernoulli(logits=a * p),
    "Delta": lambda a, p: D.Delta(torch.tensor(1.5), a * p),
    "Dirichlet": lambda a, p: D.Dirichlet(vector(p, torch.exp(a), 1.5)),
    "DirichletMultinomial": lambda a, p: D.DirichletMultinomial(4, vector(p, torch.exp(a), 1.5)),
    "DiscreteUniform": lambda a, p: D.DiscreteUniform(-2, 4),
    "DiscreteWeibull": lambda a, p: D.DiscreteWeibull(torch.sigmoid(a), p),
    "Empirical": lambda a, p: D.Empirical(torch.tensor([1.0, 2.5, 2.5, 4.0]), vector(a, p, -a, 0.3)),
    "ExpRelaxedCategorical": lambda a, p: D.ExpRelaxedCategorical(p, simplex(a)),
    "Exponential": lambda a, p: D.Exponential(p),
    "ExponentiallyModifiedGaussian": lambda a, p: D.ExponentiallyModifiedGaussian(a, p, p + 0.2),
    "FisherSnedecor": lambda a, p: D.FisherSnedecor(p + 3.0, torch.exp(a) + 4.0),
    "Flat": lambda a, p: D.Flat(-4.0 - p, 4.0 + p),
    "Gamma": lambda a, p: D.Gamma(p + 1.0, torch.exp(a)),
    "GaussianRandomWalk": lambda a, p: D.GaussianRandomWalk(p, 4, init=D.Normal(a, 2.0), drift=0.1 * a),
    "GeneralizedNormal": lambda a, p: D.GeneralizedNormal(a, p, p + 1.0),
    "GeneralizedPareto": lambda a, p: D.GeneralizedPareto(0.0, p, 0.2 + 0.1 * torch.tanh(a)),
    "Geometric": lambda a, p: D.Geometric(logits=a * p),
    "Gumbel": lambda a, p: D.Gumbel(a, p),
    "HalfCauchy": lambda a, p: D.HalfCauchy(p),
    "HalfNormal": lambda a, p: D.HalfNormal(p),
    "HalfStudentT": lambda a, p: D.HalfStudentT(torch.exp(a) + 2.0, p),
    "Hurdle": lambda a, p: D.Hurdle(D.Poisson(p + 0.5), torch.sigmoid(a)),
    "Independent": lambda a, p: D.Independent(D.Normal(vector(a, -a), p), 1),
    "IntrinsicCAR": lambda a, p: D.IntrinsicCAR(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3]), 4, p),
    "InverseGamma": lambda a, p: D.InverseGamma(p + 1.0, torch.exp(a)),
    "InverseGaussian": lambda a, p: D.InverseGaussian(p, torch.exp(a) + 0.5),
    "InverseWishart": lambda a, p: D.InverseWishart(p + 6.0, covariance(a, p)),
    "Kumaraswamy": lambda a, p: D.Kumaraswamy(p + 0.5, torch.exp(a) + 0.5),
    "LKJ": lambda a, p: D.LKJ(3, p + 0.5),
    "LKJCholesky": lambda a, p: D.LKJCholesky(3, p + 0.5),
    "Laplace": lambda a, p: D.Laplace(a, p),
    "LogLogistic": lambda a, p: D.LogLogistic(p, torch.exp(a) + 0.5),
    "LogNormal": lambda a, p: D.LogNormal(a, p),
    "Logistic": lambda a, p: D.Logistic(a, p),
    "LogisticNormal": lambda a, p: D.LogisticNormal(vector(a, -a), vector(p, p + 0.5)),
    "LogitRelaxedBernoulli": lambda a, p: D.LogitRelaxedBernoulli(p, logits=a),
    "LowRankMultivariateNormal": lambda a, p: D.LowRankMultivariateNormal(
        vector(a, -a), vector(a, 0.5)[:, None], vector(p, p + 0.5)
    ),
    "MatrixNormal": lambda a, p: D.MatrixNormal(
        vector(vector(a, 0.0), vector(-a, p)), lower(a, p), lower(-a, p)
    ),
    "Mixture": lambda a, p: D.Mixture(simplex(a)[:2] * 0.0 + 0.5, [D.Normal(a, p), D.Laplace(-a, p)]),
    "MixtureSameFamily": lambda a, p: D.MixtureSameFamily(
        D.Categorical(simplex(a)), D.Normal(cutpoints(a, p), p)
    ),
    "Moyal": lambda a, p: D.Moyal(a, p),
    "Multinomial": lambda a, p: D.Multinomial(5, simplex(a * p)),
    "MultivariateLogNormal": lambda a, p: D.MultivariateLogNormal(vector(a, -a), scale_tril=lower(a, p)),
    "MultivariateNormal": lambda a, p: D.MultivariateNormal(vector(a, -a), covariance(a, p)),
    "MultivariateStudentT": lambda a, p: D.MultivariateStudentT(p + 3.0, vector(a, -a), lower(a, p)),
    "NegativeBinomial": lambda a, p: D.NegativeBinomial(p + 1.0, logits=a),
    "NegativeBinomial2": lambda a, p: D.NegativeBinomial2(torch.exp(a), p),
    "Normal": lambda a, p: D.Normal(a, p),
    "NormalInverseWishart": lambda a, p: D.NormalInverseWishart(vector(a, -a), p, p + 5.0, covariance(a, p)),
    "OneHotCategorical": lambda a, p: D.OneHotCategorical(simplex(a * p)),
    "OneHotCategoricalStraightThrough": lambda a, p: D.OneHotCategoricalStraightThrough(simplex(a * p)),
    "OrderedLogistic": lambda a, p: D.OrderedLogistic(a, cutpoints(0.3 * a, p)),
    "OrderedProbit": lambda a, p: D.OrderedProbit(a, cutpoints(0.3 * a, p)),
    "Pareto": lambda a, p: D.Pareto(torch.tensor(0.5), p + 1.0),
    "Pushforward": lambda a, p: D.Pushforward(D.Normal(a, p), "positive"),
    "Poisson": lambda a, p: D.Poisson(p * torch.exp(a)),
    "Product": lambda a, p: D.Product([D.Gamma(p + 1.0, 1.0), D.Dirichlet(vector(p, torch.exp(a), 1.5))]),
    "RelaxedBernoulli": lambda a, p: D.RelaxedBernoulli(p, logits=a),
    "RelaxedOneHotCategorical": lambda a, p: D.RelaxedOneHotCategorical(p, simplex(a)),
    "Restricted": lambda a, p: D.Restricted(D.Normal(cutpoints(a, p), 1.0), "ordered"),
    "Rice": lambda a, p: D.Rice(torch.exp(a), p),
    "Skellam": lambda a, p: D.Skellam(torch.exp(a), p),
    "SkewNormal": lambda a, p: D.SkewNormal(a, p, 2.0 * a),
    "StudentT": lambda a, p: D.StudentT(p + 2.0, a, p),
    "SumToZeroNormal": lambda a, p: D.SumToZeroNormal(4, p),
    "TransformedDistribution": lambda a, p: D.TransformedDistribution(
        D.Normal(a, p), [AffineTransform(0.1, 0.7), ExpTransform()]
    ),
    "Triangular": lambda a, p: D.Triangular(-4.0 - p, 4.0 + p, torch.tanh(a)),
    "Truncated": lambda a, p: D.Truncated(D.Normal(a, p), -0.5, 2.0),
    "Uniform": lambda a, p: D.Uniform(-4.0 - p, 4.0 + p),
    "UnitSphere": lambda a, p: D.UnitSphere(3),
    "VonMises": lambda a, p: D.VonMises(a, p),
    "VonMisesFisher": lambda a, p: D.VonMisesFisher(vector(torch.cos(a), torch.sin(a), 0.0 * a), p),
    "Weibull": lambda a, p: D.Weibull(p, p + 0.5),
    "Wishart": lambda a, p: D.Wishart(p + 4.0, scale_tril=lower(a, p)),
    "ZeroInflated": lambda a, p: D.ZeroInflated(D.Poisson(p + 0.5), torch.sigmoid(a)),
}

ELEMENTS = 3


def parameters() -> tuple[Any, Any]:
    return ppl.sample("a", D.Normal(0.0, 1.0)), ppl.sample("p", D.LogNormal(0.0, 0.5))


@ppl.model
def latent(make: Make) -> None:
    """A value of the family, and what depends on it."""
    x = ppl.sample("x", make(*parameters()))
    ppl.factor("use", torch.tanh(0.3 * x).sum())


@ppl.model
def observed(make: Make) -> None:
    a, p = parameters()
    for _ in ppl.plate("n", ELEMENTS):
        ppl.sample("y", make(a, p))


def values(make: Make) -> torch.Tensor:
    """Draws at a = 0.3 and p = 1.2; of an improper family, images of normal draws."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            d = make(torch.tensor(0.3), torch.tensor(1.2))
            if family_of(d).proper or family_of(d).atoms:
                return d.sample((ELEMENTS,))
            transform = biject_to(d.support)
            return transform(torch.randn(transform.inverse_shape((ELEMENTS, *d.batch_shape, *d.event_shape))))
    finally:
        torch.set_default_dtype(before)


def _observe(make: Make) -> Bound:
    return observed(make).condition(y=values(make))


def _entries() -> dict[str, Entry]:
    entries = {}
    for family in families():
        make = FAMILIES.get(family.name)
        if make is None:  # registered by a test: not one of ppl's
            continue
        entries[f"{family.name} observed"] = Entry(lambda make=make: _observe(make))
        if not family.discrete and not family.atoms:
            entries[f"{family.name} latent"] = Entry(lambda make=make: latent(make))
    return entries


OF_FAMILIES = _entries()
