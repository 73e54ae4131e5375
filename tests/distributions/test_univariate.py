"""The univariate families: every registered one against the facts in `checks`, then against scipy, then far
in the tails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.stats as st
import torch
from distributions import checks

import ppl.distributions as dist
from ppl.errors import MethodError, ParameterError, PplError


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


MINE = [
    "base", "continuous", "positive", "discrete", "ordinal", "wrappers", "inflated", "improper", "mixtures",
    "traceable", "torch_families", "generalized_pareto", "points", "skewed", "multinomial",
]  # fmt: skip
FAMILIES = [
    f
    for f in dist.families()
    if f.cls.__module__.removeprefix("ppl.distributions.") in MINE or f.cls.__module__.startswith("torch.")
]
NAMES = [f.name for f in FAMILIES]


def scalar(family: dist.Family) -> list[Any]:
    return [d for d in family.examples() if not d.event_shape and dist.family_of(d).proper]


def smooth(family: dist.Family) -> list[Any]:
    return [d for d in scalar(family) if not dist.family_of(d).atoms]


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_density_integrates_to_one(family: dist.Family) -> None:
    for d in smooth(family):
        checks.check_normalised(d)


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_moments_are_those_of_the_density(family: dist.Family) -> None:
    if family.name == "VonMises":
        pytest.skip("its mean and variance are circular")
    for d in smooth(family):
        checks.check_moments(d)


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_cdf_is_the_integral_of_the_density(family: dist.Family) -> None:
    for d in smooth(family):
        checks.check_cdf(d)
        if dist.family_of(d).has_icdf:
            checks.check_icdf(d)


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_draws_follow_the_density(family: dist.Family) -> None:
    for d in smooth(family):
        checks.check_samples(d)


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_traceable(family: dist.Family) -> None:
    checks.check_traceable(family)


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_gradient_of_the_log_density(family: dist.Family) -> None:
    checks.check_gradient(family)


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_pathwise_gradient(family: dist.Family) -> None:
    checks.check_pathwise(family)


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_expand(family: dist.Family) -> None:
    for d in family.examples():
        checks.check_expand(d)


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_sample_dtype_is_the_registered_one(family: dist.Family) -> None:
    for d in family.examples():
        if dist.family_of(d).proper:
            expected = torch.int64 if dist.family_of(d).value_dtype == "int64" else torch.float64
            assert d.sample().dtype == expected


REFERENCES: dict[str, tuple[Callable[[], Any], Any]] = {
    "HalfStudentT": (lambda: dist.HalfStudentT(3.0, 2.0), None),
    "SkewNormal": (lambda: dist.SkewNormal(0.5, 2.0, -3.0), st.skewnorm(-3.0, 0.5, 2.0)),
    "Logistic": (lambda: dist.Logistic(0.5, 2.0), st.logistic(0.5, 2.0)),
    "AsymmetricLaplace": (
        lambda: dist.AsymmetricLaplace(0.5, 2.0, 0.7),
        st.laplace_asymmetric(0.7, 0.5, 2.0),
    ),
    "GeneralizedNormal": (lambda: dist.GeneralizedNormal(0.5, 2.0, 1.5), st.gennorm(1.5, 0.5, 2.0)),
    "ExponentiallyModifiedGaussian": (
        lambda: dist.ExponentiallyModifiedGaussian(0.5, 2.0, 0.7),
        st.exponnorm(1 / 1.4, 0.5, 2.0),
    ),
    "Moyal": (lambda: dist.Moyal(0.5, 2.0), st.moyal(0.5, 2.0)),
    "Triangular": (lambda: dist.Triangular(-1.0, 3.0, 0.0), st.triang(0.25, -1.0, 4.0)),
    "InverseGaussian": (lambda: dist.InverseGaussian(1.5, 2.0), st.invgauss(0.75, scale=2.0)),
    "LogLogistic": (lambda: dist.LogLogistic(2.0, 3.5), st.fisk(3.5, scale=2.0)),
    "Rice": (lambda: dist.Rice(1.5, 0.8), st.rice(1.5 / 0.8, scale=0.8)),
    "Skellam": (lambda: dist.Skellam(3.0, 2.0), st.skellam(3.0, 2.0)),
    "BetaBinomial": (lambda: dist.BetaBinomial(8, 2.0, 3.0), st.betabinom(8, 2.0, 3.0)),
    "NegativeBinomial2": (lambda: dist.NegativeBinomial2(4.0, 2.5), st.nbinom(2.5, 2.5 / 6.5)),
    "DiscreteUniform": (lambda: dist.DiscreteUniform(-2, 4), st.randint(-2, 5)),
    "BoundedZipf": (lambda: dist.BoundedZipf(1.5, 7), st.zipfian(1.5, 7)),
    "Truncated": (
        lambda: dist.Truncated(dist.Normal(0.5, 2.0), -1.0, 2.0),
        st.truncnorm(-0.75, 0.75, loc=0.5, scale=2.0),
    ),
    "StudentT": (lambda: dist.StudentT(3.0, 0.5, 2.0), st.t(3.0, 0.5, 2.0)),
    "FisherSnedecor": (lambda: dist.FisherSnedecor(4.0, 7.0), st.f(4.0, 7.0)),
    "Geometric": (lambda: dist.Geometric(0.3), st.geom(0.3, loc=-1)),
    "VonMises": (lambda: dist.VonMises(0.5, 30.0), st.vonmises(30.0, 0.5)),
    "Gamma": (lambda: dist.Gamma(2.5, 0.5), st.gamma(2.5, scale=2.0)),
    "Beta": (lambda: dist.Beta(2.0, 3.5), st.beta(2.0, 3.5)),
    "Poisson": (lambda: dist.Poisson(3.5), st.poisson(3.5)),
    "Binomial": (lambda: dist.Binomial(6, torch.tensor(0.3)), st.binom(6, 0.3)),
    "NegativeBinomial": (lambda: dist.NegativeBinomial(2.5, torch.tensor(0.4)), st.nbinom(2.5, 0.6)),
    "InverseGamma": (lambda: dist.InverseGamma(3.0, 2.0), st.invgamma(3.0, scale=2.0)),
    "Weibull": (lambda: dist.Weibull(2.0, 1.5), st.weibull_min(1.5, scale=2.0)),
    "Laplace": (lambda: dist.Laplace(0.5, 2.0), st.laplace(0.5, 2.0)),
    "Cauchy": (lambda: dist.Cauchy(0.5, 2.0), st.cauchy(0.5, 2.0)),
}


@pytest.mark.parametrize("name", [n for n, (_, r) in REFERENCES.items() if r is not None])
def test_against_scipy(name: str) -> None:
    make, reference = REFERENCES[name]
    d = make()
    torch.manual_seed(3)
    x = d.sample((50,))
    density = reference.logpmf if d.support.is_discrete else reference.logpdf
    assert np.allclose(d.log_prob(x).numpy(), density(x.numpy()), rtol=1e-9, atol=1e-9)
    if dist.has_cdf(d):
        assert np.allclose(dist.log_cdf(d, x).numpy(), reference.logcdf(x.numpy()), rtol=1e-8, atol=1e-9)
        assert np.allclose(dist.log_survival(d, x).numpy(), reference.logsf(x.numpy()), rtol=1e-8, atol=1e-9)


def log_normal_mass(a: float, b: float) -> float:
    if b < 0:
        a, b = -b, -a
    with mpmath.workdps(60):
        return float(mpmath.log((mpmath.erfc(a / mpmath.sqrt(2)) - mpmath.erfc(b / mpmath.sqrt(2))) / 2))


@pytest.mark.parametrize(
    ("low", "high"), [(8.0, 9.0), (37.0, 40.0), (-40.0, -37.0), (100.0, 100.5), (-1.0, 1.0)]
)
def test_truncated_normal_far_out(low: float, high: float) -> None:
    d = dist.Truncated(dist.Normal(0.0, 1.0), low, high)
    x = torch.linspace(low, high, 7)
    expected = -0.5 * x.numpy() ** 2 - 0.5 * math.log(2 * math.pi) - log_normal_mass(low, high)
    assert np.allclose(d.log_prob(x).numpy(), expected, rtol=1e-9, atol=1e-9)
    torch.manual_seed(0)
    draws = d.sample((2000,))
    assert bool(((draws >= low) & (draws <= high)).all())
    assert st.kstest(d.cdf(draws).numpy(), "uniform").pvalue > 1e-4


def test_truncated_one_sided_far_out_has_finite_gradients() -> None:
    loc = torch.tensor(0.0, requires_grad=True)
    d = dist.Truncated(dist.Normal(loc, 1.0, validate_args=False), low=60.0)
    (grad,) = torch.autograd.grad(d.log_prob(torch.tensor(60.5)), loc)
    # d/dμ [−(x−μ)²/2 − log Φ(μ − a)] at μ = 0; φ/Φ(−60) from its continued fraction.
    with mpmath.workdps(40):
        hazard = mpmath.npdf(60) / (mpmath.erfc(60 / mpmath.sqrt(2)) / 2)
    assert grad.item() == pytest.approx(60.5 - float(hazard), abs=1e-9)


@pytest.mark.parametrize(
    ("make", "reference", "low"),
    [
        (lambda: dist.Gamma(2.5, 1.0), lambda x: mpmath.gammainc(2.5, x, regularized=True), 300.0),
        (lambda: dist.Exponential(1.0), lambda x: mpmath.exp(-x), 2000.0),
        (lambda: dist.Logistic(0.0, 1.0), lambda x: 1 / (1 + mpmath.exp(x)), 900.0),
        (
            lambda: dist.LogNormal(0.0, 0.1),
            lambda x: mpmath.erfc(10 * mpmath.log(x) / mpmath.sqrt(2)) / 2,
            100.0,
        ),
        (
            lambda: dist.StudentT(4.0, 0.0, 1.0),
            lambda x: mpmath.betainc(2, 0.5, 0, 4 / (4 + mpmath.mpf(x) ** 2), regularized=True) / 2,
            1e6,
        ),
        (
            lambda: dist.SkewNormal(0.0, 1.0, -2.0),
            lambda x: mpmath.quad(
                lambda t: 2 * mpmath.npdf(t) * mpmath.erfc(2 * t / mpmath.sqrt(2)) / 2,
                [x, x + 0.05, x + 0.1, x + 0.2, x + 0.5, x + 9],
            ),
            12.0,
        ),
    ],
)
def test_truncation_constant_far_in_the_tail(make: Any, reference: Any, low: float) -> None:
    with mpmath.workdps(50):
        mass = mpmath.log(reference(low))
    d = make()
    x = torch.tensor(low * 1.0001)
    expected = d.log_prob(x).item() - float(mass)
    assert dist.Truncated(d, low=low).log_prob(x).item() == pytest.approx(expected, rel=1e-9, abs=1e-8)


def test_skew_normal_log_density_far_out() -> None:
    d = dist.SkewNormal(0.0, 1.0, 4.0)
    for x in (-100.0, -30.0, 30.0, 200.0):
        with mpmath.workdps(40):
            z = mpmath.mpf(x)
            expected = (
                mpmath.log(2)
                + mpmath.log(mpmath.npdf(z))
                + mpmath.log(mpmath.erfc(-4 * z / mpmath.sqrt(2)) / 2)
            )
        assert d.log_prob(torch.tensor(x)).item() == pytest.approx(float(expected), rel=1e-12)


def test_censored_puts_the_tails_on_the_bounds() -> None:
    d = dist.Censored(dist.Normal(0.0, 1.0), -50.0, 40.0)
    with mpmath.workdps(40):
        left, right = (float(mpmath.log(mpmath.erfc(b / mpmath.sqrt(2)) / 2)) for b in (50, 40))
    found = d.log_prob(torch.tensor([-50.0, 0.0, 40.0, 41.0]))
    expected = torch.tensor([left, -0.5 * math.log(2 * math.pi), right, -torch.inf])
    assert torch.allclose(found, expected, rtol=1e-11)


def test_an_infinite_bound_of_censored_censors_nothing() -> None:
    """Bounds may differ between elements; the gradient at an element without one is the density's."""
    scale = torch.tensor(2.0, requires_grad=True)
    bounds = torch.tensor([1.0, math.inf])
    dist.Censored(dist.Weibull(scale, 1.5), high=bounds).log_prob(torch.tensor([1.0, 0.5])).sum().backward()
    # log S(1) = −s^−k and log p(½) = log(k / s) + (k − 1) log(½ / s) − (½ / s)^k
    s, k = 2.0, 1.5
    expected = k * s ** (-k - 1) - k / s + k * 0.5**k * s ** (-k - 1)
    assert scale.grad.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("base", [lambda: dist.Poisson(3.0), lambda: dist.Normal(0.5, 2.0)])
def test_censored_total_probability(base: Callable[[], Any]) -> None:
    d = dist.Censored(base(), 1.0, 4.0)
    ends = torch.exp(d.log_prob(torch.tensor([1.0, 4.0]))).sum()
    if d.discrete:
        inner = torch.exp(d.log_prob(torch.tensor([2.0, 3.0]))).sum()
    else:
        x = torch.linspace(1, 4, 20_003)[1:-1]
        inner = torch.exp(d.log_prob(x)).sum() * (x[1] - x[0])
    assert (ends + inner).item() == pytest.approx(1.0, abs=1e-4)


def test_truncated_discrete_conditions_on_both_ends() -> None:
    p = st.poisson(3.0)
    d = dist.Truncated(dist.Poisson(3.0), 1, 6)
    k = np.arange(1, 7)
    expected = p.pmf(k) / p.pmf(k).sum()
    assert np.allclose(torch.exp(d.log_prob(torch.tensor(k))).numpy(), expected, atol=1e-10)
    assert torch.equal(d.enumerate_support(), torch.arange(1.0, 7.0))
    assert d.log_prob(torch.tensor([0.0, 7.0])).tolist() == [-math.inf, -math.inf]


def test_truncated_discrete_without_cdf_is_summed() -> None:
    d = dist.Truncated(dist.Skellam(3.0, 2.0), -2, 3)
    total = torch.exp(d.log_prob(torch.arange(-2.0, 4.0))).sum()
    assert total.item() == pytest.approx(1.0, abs=1e-12)


def test_truncating_without_a_cdf_is_refused() -> None:
    with pytest.raises(MethodError, match="cdf of Rice") as error:
        dist.Truncated(dist.Rice(0.0, 1.0), 0.0, 1.0)
    assert "Restricted(Rice" in str(error.value)


def test_restricted() -> None:
    half = dist.Restricted(dist.Normal(0.0, 1.0), "positive")
    x = torch.tensor([0.3, 2.0])
    assert half.normalized and torch.allclose(half.log_prob(x), dist.HalfNormal(1.0).log_prob(x))
    raw = dist.Restricted(dist.Rice(0.0, 2.0), (0.0, 1.0))
    assert not raw.normalized
    assert torch.allclose(raw.log_prob(torch.tensor(0.5)), dist.Rice(0.0, 2.0).log_prob(torch.tensor(0.5)))
    ordered = dist.Restricted(dist.Normal(0.0, 1.0).expand([2, 3]), "ordered")
    assert (ordered.batch_shape, ordered.event_shape) == ((2,), (3,))
    torch.manual_seed(0)
    draws = ordered.sample((100,))
    assert draws.shape == (100, 2, 3) and bool((draws.diff(dim=-1) > 0).all())
    assert ordered.log_prob(torch.tensor([1.0, 0.0, 2.0])).tolist() == [-math.inf] * 2
    with pytest.raises(ParameterError, match="about vectors"):
        dist.Restricted(dist.Normal(0.0, 1.0), "ordered")


def test_flat() -> None:
    with pytest.raises(PplError, match="improper"):
        dist.Flat().sample()
    assert dist.Flat(0.0, 1.0).log_prob(torch.tensor([0.5, 2.0])).tolist() == [0.0, -math.inf]
    assert dist.Flat().expand([3]).log_prob(torch.tensor(0.0)).shape == (3,)


def test_multinomial_of_any_total() -> None:
    p = torch.tensor([0.2, 0.5, 0.3])
    d = dist.Multinomial(3, p)
    for x in ([1, 2, 0], [4, 4, 2]):
        expected = st.multinomial(sum(x), p.numpy()).logpmf(x)
        assert d.log_prob(torch.tensor(x)).item() == pytest.approx(expected, rel=1e-12)
    torch.manual_seed(0)
    totals = torch.tensor([2.0, 50.0])
    draws = dist.Multinomial(totals, p).sample((4000,))
    assert torch.equal(draws.sum(-1), totals.expand(4000, 2))
    error = (totals[:, None] * p * (1 - p) / 4000).sqrt()
    assert bool(((draws.mean(0) - totals[:, None] * p).abs() < 5 * error).all())


def test_ordered_logistic_is_exact_in_far_categories() -> None:
    d = dist.OrderedLogistic(0.0, torch.tensor([50.0, 51.0]))
    with mpmath.workdps(40):
        expected = mpmath.log(1 / (1 + mpmath.exp(-51)) - 1 / (1 + mpmath.exp(-50)))
    assert d.log_prob(torch.tensor(1)).item() == pytest.approx(float(expected), rel=1e-12)
    assert d.log_prob(torch.tensor([-1, 3])).tolist() == [-math.inf, -math.inf]


def test_extra_zeros() -> None:
    p = st.poisson(3.0)
    x = torch.tensor([0.0, 1.0, 4.0])
    inflated = torch.exp(dist.ZeroInflated(dist.Poisson(3.0), 0.3).log_prob(x)).numpy()
    assert np.allclose(inflated, [0.3 + 0.7 * p.pmf(0), 0.7 * p.pmf(1), 0.7 * p.pmf(4)])
    hurdle = torch.exp(dist.Hurdle(dist.Poisson(3.0), 0.3).log_prob(x)).numpy()
    assert np.allclose(hurdle, [0.3, 0.7 * p.pmf(1) / (1 - p.pmf(0)), 0.7 * p.pmf(4) / (1 - p.pmf(0))])
    claims = dist.Hurdle(dist.Gamma(2.0, 1.0), 0.25)
    assert claims.log_prob(torch.tensor(0.0)).exp().item() == pytest.approx(0.25)
    assert dist.family_of(claims).atoms and not dist.family_of(claims).discrete


def test_mixture_of_different_supports_has_finite_gradients() -> None:
    rate = torch.tensor(1.0, requires_grad=True)
    d = dist.Mixture(
        torch.tensor([0.5, 0.5]),
        [dist.Normal(0.0, 1.0), dist.Gamma(2.5, rate, validate_args=False)],
        validate_args=False,
    )
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    grads = torch.autograd.grad(d.log_prob(x).sum(), [rate, x])
    assert all(bool(torch.isfinite(g).all()) for g in grads)
    assert d.log_prob(torch.tensor(-1.0)).item() == pytest.approx(math.log(0.5) + st.norm.logpdf(-1.0))


def test_empirical_and_delta() -> None:
    d = dist.Empirical(
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), torch.log(torch.tensor([0.2, 0.5, 0.3]))
    )
    assert d.log_prob(torch.tensor([1.0, 0.0])).exp().item() == pytest.approx(0.5)
    assert torch.exp(d.log_prob(d.enumerate_support())).sum().item() == pytest.approx(1.0)
    assert dist.Delta(torch.zeros(2, 3), event_dim=1).log_prob(torch.zeros(3)).tolist() == [0.0, 0.0]
