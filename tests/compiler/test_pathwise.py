"""Pathwise samplers: the family's distribution, and the derivative of its draws, for every family that has one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from compiler.checks import Tensors, cotangents_of, differentiated, plated, pull, run
from compiler.pathwise_subject import Subject
from torch import Tensor
from torch.distributions import constraints

from ppl.compiler.estimators.pathwise import PathwiseError, pathwise
from ppl.compiler.graph import Plate, Type
from ppl.compiler.passes.differentiate import vjp
from ppl.compiler.specs import take_apart
from ppl.distributions import (
    AffineTransform,
    Categorical,
    Censored,
    Dirichlet,
    Distribution,
    Gamma,
    GaussianRandomWalk,
    Independent,
    InverseGaussian,
    LKJCholesky,
    LogNormal,
    Mixture,
    MixtureSameFamily,
    Normal,
    OneHotCategoricalStraightThrough,
    Poisson,
    Product,
    StudentT,
    TransformedDistribution,
    Truncated,
    Uniform,
    VonMises,
    VonMisesFisher,
    families,
    family_of,
    log_cdf,
    log_survival,
    registry,
)
from ppl.errors import MethodError

PATHS = {"reparam", "implicit", "icdf"}


def examples(wanted: Callable[[Distribution], bool]) -> list[Any]:
    """Name and number of the registered examples of which this holds."""
    return [
        pytest.param(f.name, i, id=f"{f.name}-{i}")
        for f in families()
        for i, d in enumerate(f.examples())
        if wanted(d)
    ]


def strategies(d: Distribution) -> set[str]:
    return set(family_of(d).strategies)


EXAMPLES = examples(lambda d: bool(PATHS & strategies(d)))
THROUGH_CDF = examples(lambda d: "implicit" in strategies(d) and "reparam" not in strategies(d))
WITH_RSAMPLE = examples(lambda d: bool(PATHS & strategies(d)) and d.has_rsample)


def example(name: str, index: int) -> Subject:
    return Subject.of(next(f for f in families() if f.name == name).examples()[index])


# ---------------------------------------------------------------- the distribution


def same_law(found: Tensor, expected: Tensor, what: str) -> None:
    """Kolmogorov–Smirnov for each coordinate and for two projections, at the level of four standard errors."""
    count = len(found)
    a, b = found.reshape(count, -1), expected.reshape(count, -1)
    directions = torch.randn(a.shape[1], 2, generator=torch.Generator().manual_seed(1), dtype=a.dtype)
    a, b = (torch.cat([t, t @ directions], 1) for t in (a, b))
    level = math.sqrt(-math.log(math.erfc(4 / math.sqrt(2)) / 2) / count)
    for i, (x, y) in enumerate(zip(a.T, b.T, strict=True)):
        grid = torch.cat([x, y]).sort().values
        cdfs = [torch.searchsorted(v.sort().values.contiguous(), grid, right=True) / count for v in (x, y)]
        gap = float((cdfs[0] - cdfs[1]).abs().max())
        assert gap < level, f"{what}, coordinate {i}: cdfs differ by {gap:.3f}, more than {level:.3f}"


@pytest.mark.parametrize(("name", "index"), EXAMPLES)
def test_draws_have_the_distribution_of_the_family(name: str, index: int) -> None:
    subject, count = example(name, index), 2000
    found = subject.over_draws(count)
    expected = subject.distribution().sample(torch.Size((count,)))
    assert found.dtype == torch.float64 and found.shape == expected.shape
    same_law(found, expected, name)


# ---------------------------------------------------------------- the derivative


def test_every_family_has_its_derivative_checked() -> None:
    checked = {p.id for p in (*THROUGH_CDF, *WITH_RSAMPLE)}
    assert checked == {p.id for p in EXAMPLES} and len(checked) > 80


@pytest.mark.parametrize(("name", "index"), WITH_RSAMPLE)
def test_derivative_is_that_of_rsample_with_the_same_noise(name: str, index: int) -> None:
    subject = example(name, index)
    for seed in range(5):
        torch.manual_seed(seed)
        noise = subject.noise()
        torch.manual_seed(seed)
        cotangent = torch.randn(subject.shape, generator=torch.Generator().manual_seed(seed))
        (x,), grads = pull(lambda *t: subject.distribution(t).rsample(), subject.tensors, [cotangent])
        found, found_grads = subject.pulled(noise, cotangent)
        torch.testing.assert_close(found, x, rtol=1e-12, atol=1e-14)
        for f, g in zip(found_grads, grads, strict=True):
            torch.testing.assert_close(f, g, rtol=1e-8, atol=1e-9)


def quantile_slopes(subject: Subject, x: Tensor, cotangent: Tensor, step: float = 1e-5) -> list[Tensor]:
    """Σ cotangent · −(∂F/∂θ) / p at x, the cdf differenced in its smaller tail."""
    density = subject.distribution().log_prob(x).exp()
    lower = log_cdf(subject.distribution(), x) < log_survival(subject.distribution(), x)

    def tail(tensors: Tensors) -> Tensor:
        d = subject.distribution(tensors)
        return torch.where(lower, log_cdf(d, x).exp(), -log_survival(d, x).exp())

    slopes = []
    for i, t in enumerate(subject.tensors):
        if not t.is_floating_point():
            continue
        slope = torch.zeros_like(t)
        for j in range(t.numel()):
            ends = []
            for h in (step, -step):
                moved = t.clone().reshape(-1)
                moved[j] += h
                ends.append(tail([*subject.tensors[:i], moved.reshape(t.shape), *subject.tensors[i + 1 :]]))
            slope.reshape(-1)[j] = (-cotangent * (ends[0] - ends[1]) / (2 * step) / density).sum()
        slopes.append(slope)
    return slopes


@pytest.mark.parametrize(("name", "index"), THROUGH_CDF)
def test_implicit_derivative_is_that_of_a_quantile(name: str, index: int) -> None:
    subject = example(name, index)
    for seed in range(5):
        torch.manual_seed(seed)
        noise, cotangent = subject.noise(), torch.randn(subject.shape)
        x, grads = subject.pulled(noise, cotangent)
        assert torch.equal(x, noise[0]), "the value is the draw, to the bit"
        for found, expected in zip(grads, quantile_slopes(subject, x, cotangent), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_parameters_and_noise_may_vary_over_different_plates() -> None:
    """Gamma: rows of parameters, noise for each row; one gradient a row, as without a plate."""
    rows = Plate(0, "rows", 3)
    for d in (
        Gamma(torch.tensor(2.0), 3.0),
        Dirichlet(torch.tensor([1.5, 2.0, 3.0])),
        Truncated(Normal(0.0, 1.0), -1.0),
    ):
        subject = Subject.of(d)
        graph = subject.sampler.value
        scale = torch.tensor([0.5, 1.0, 2.0])
        tensors = [torch.stack([t * s for s in scale]) for t in subject.tensors]
        singles = [Subject(subject.spec, tuple(t[i] for t in tensors), subject.shape) for i in range(3)]
        noises = [s.noise() for s in singles]
        cotangents = [torch.randn(subject.shape) for _ in singles]
        batched = plated(graph, [(rows,)] * len(graph.inputs))
        wrt = [n for n in batched.inputs if n.attr("role") != "noise"]
        both = differentiated(batched, wrt, cotangents_of(batched))
        found = run(
            both, [*tensors, *(torch.stack(n) for n in zip(*noises, strict=True)), torch.stack(cotangents)]
        )
        for i, single in enumerate(singles):
            x, grads = single.pulled(noises[i], cotangents[i])
            for f, e in zip(found, [x, *grads], strict=True):
                torch.testing.assert_close(f[i], e)


# ---------------------------------------------------------------- what the sampler is


def test_standard_noise_is_what_no_parameter_moves() -> None:
    student = Subject.of(StudentT(torch.tensor(3.0))).sampler
    assert [(n.name, n.standard) for n in student.noises] == [("normal", True), ("gamma", False)]
    truncated = Subject.of(Truncated(Normal(torch.zeros(2), 1.0), -1.0)).sampler
    assert [(n.name, n.standard, n.type.shape) for n in truncated.noises] == [("Truncated", False, (2,))]


def test_float32_stays_float32() -> None:
    tensors: list[Tensor] = []
    spec = take_apart(
        Gamma(torch.tensor(2.0, dtype=torch.float32), torch.tensor(1.0, dtype=torch.float32)), tensors
    )
    one = Type((), torch.float32)
    sampler = pathwise(spec, (one, one), one)
    assert {n.dtype for n in sampler.value.nodes()} == {torch.float32} and sampler.noises[0].type == one


@pytest.mark.parametrize(
    "d",
    [
        lambda: Independent(Truncated(Normal(torch.tensor([0.0, 1.0]), 1.0), 0.0), 1),
        lambda: TransformedDistribution(
            Truncated(Normal(0.0, 1.0), 0.0), [AffineTransform(torch.tensor(1.0), torch.tensor(-2.0))]
        ),
        lambda: Product([Truncated(Normal(0.5, 1.0), 0.0), Dirichlet(torch.tensor([1.0, 2.0]))]),
        lambda: GaussianRandomWalk(0.5, 3, init=InverseGaussian(2.0, 4.0)),
        lambda: Independent(Truncated(Normal(0.5, 1.0), 0.0).expand([2, 3]), 2),
    ],
    ids=["Independent", "Transformed", "Product", "Walk", "expanded"],
)
def test_parts_that_are_known_by_their_cdf(d: Callable[[], Distribution]) -> None:
    """The parts' own rsample attaches the same derivative."""
    subject = Subject.of(d())
    cotangent = torch.randn(subject.shape)
    torch.manual_seed(3)
    (x,), grads = pull(lambda *t: subject.distribution(t).rsample(), subject.tensors, [cotangent])
    torch.manual_seed(3)
    found, found_grads = subject.pulled(subject.noise(), cotangent)
    torch.testing.assert_close(found, x)
    for f, g in zip(found_grads, grads, strict=True):
        torch.testing.assert_close(f, g, rtol=1e-8, atol=1e-9)


def test_derivatives_are_finite_at_the_ends_and_far_out() -> None:
    """On an end of the support a draw doesn't move; 30 standard deviations out it moves with its component."""
    gammas = Gamma(torch.tensor([0.02, 0.5]), torch.tensor([1.0, 2.0]))
    for d, ends in (
        (Truncated(Normal(0.5, 2.0), torch.tensor(-1.0), torch.tensor(2.0)), (-1.0, 2.0)),
        (MixtureSameFamily(Categorical(torch.ones(2)), gammas), (0.0,)),
        (MixtureSameFamily(Categorical(torch.ones(2)), LogNormal(torch.zeros(2), 1.0)), (0.0,)),
        (VonMises(torch.tensor(0.5), torch.tensor(2.0)), (-math.pi, math.pi)),
        (InverseGaussian(torch.tensor(2.0), torch.tensor(4.0)), (0.0,)),
    ):
        for end in ends:
            x, grads = Subject.of(d).pulled([torch.tensor(end)], torch.tensor(1.0))
            assert float(x) == end and all(not g.any() for g in grads), f"{d} at {end}: {grads}"
    d = MixtureSameFamily(
        Categorical(torch.tensor([0.3, 0.7])), Normal(torch.tensor([-1.0, 2.0]), torch.tensor([1.0, 0.5]))
    )
    mixture = Subject.of(d)
    for far in (-31.0, 31.0):
        x, grads = mixture.pulled([torch.tensor(far)], torch.tensor(1.0))
        assert float(x) == far and all(bool(torch.isfinite(g).all()) for g in grads)
        loc = next(
            g
            for g, t in zip(grads, mixture.tensors, strict=True)
            if torch.equal(t, torch.tensor([-1.0, 2.0]))
        )
        torch.testing.assert_close(loc, torch.tensor([1.0, 0.0]))


class ByInversion(Distribution):
    """Exponential with a rate, of which only the inverse cdf is known."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.positive

    def __init__(self, rate: Tensor, validate_args: bool | None = None) -> None:
        self.rate = rate
        super().__init__(rate.shape, validate_args=validate_args)

    def icdf(self, value: Tensor) -> Tensor:
        return -torch.log1p(-value) / self.rate


def test_a_family_known_by_its_inverse_cdf(monkeypatch: pytest.MonkeyPatch) -> None:
    known = replace(family_of(ByInversion), strategies=("icdf",))
    monkeypatch.setitem(registry._BY_CLASS, ByInversion, known)
    subject = Subject.of(ByInversion(torch.tensor(2.0)))
    assert [n.name for n in subject.sampler.noises] == ["uniform"]
    x, (slope,) = subject.pulled([torch.tensor(0.3)], torch.tensor(1.0))
    torch.testing.assert_close(torch.stack([x, slope]), -math.log(0.7) * torch.tensor([1 / 2, -1 / 4]))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "d",
    [
        lambda: Poisson(3.0),
        lambda: OneHotCategoricalStraightThrough(torch.tensor([0.2, 0.8])),
        lambda: Truncated(Poisson(3.0), 1, 6),
        lambda: Censored(Normal(0.0, 1.0), 0.0),
        lambda: LKJCholesky(3, 1.0),
        lambda: VonMisesFisher(torch.tensor([0.0, 1.0]), 3.0),
        # a draw would jump over the gap between the components
        lambda: Mixture(
            torch.ones(2), [Truncated(Normal(0.0, 1.0), 0.0, 1.0), Truncated(Normal(0.0, 1.0), 2.0, 3.0)]
        ),
        # and here the ends move
        lambda: Mixture(torch.ones(2), [Uniform(0.0, 1.0), Uniform(0.0, 1.0)]),
        lambda: MixtureSameFamily(Categorical(torch.ones(2)), Poisson(torch.tensor([1.0, 5.0]))),
        lambda: Product([Normal(0.0, 1.0), Poisson(3.0)]),
    ],
    ids=[
        "Poisson",
        "straight through",
        "Truncated",
        "Censored",
        "LKJ",
        "Fisher",
        "gap",
        "ends",
        "counts",
        "Product",
    ],
)
def test_families_without_a_pathwise_sampler_are_refused(d: Callable[[], Distribution]) -> None:
    subject = Subject.of(d())
    with pytest.raises(PathwiseError) as error:
        _ = subject.sampler
    name = family_of(d()).name
    assert f"{name} has no pathwise sampler" in str(error.value)
    assert "expected: a family with 'reparam', 'implicit' or 'icdf' among its strategies" in str(error.value)


@pytest.mark.parametrize(
    "d",
    [
        Gamma(torch.tensor(2.0), 1.0),
        Dirichlet(torch.tensor([1.0, 2.0])),
        Truncated(Normal(0.0, 1.0), torch.tensor(-1.0)),
    ],
    ids=["Gamma", "Dirichlet", "Truncated"],
)
def test_a_second_derivative_is_refused(d: Distribution) -> None:
    graph = Subject.of(d).sampler.value
    wrt = [n for n in graph.inputs if n.attr("role") != "noise"]
    once = differentiated(graph, wrt, cotangents_of(graph))
    with pytest.raises(MethodError, match="implicit gradients can be differentiated once"):
        vjp(once.outputs[1:2], [1.0], wrt)
