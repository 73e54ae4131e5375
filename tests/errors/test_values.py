"""Data that could be taken wrongly without a word: each is understood or refused, never something else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import Bernoulli, Exponential, Normal, Pareto, Poisson
from ppl.errors import DataError

Y = [1.0, 2.0, 4.0]


@ppl.model
def normal():
    mu = ppl.sample("mu", Normal(0.0, 2.0))
    for _ in ppl.plate("i", 3):
        ppl.sample("y", Normal(mu, 1.0))


@ppl.model
def observing(y):
    mu = ppl.sample("mu", Normal(0.0, 2.0))
    for i in ppl.plate("i", 3):
        ppl.observe("y", Normal(mu, 1.0), y[i])


@ppl.model
def coin():
    p = ppl.sample("p", Normal(0.0, 1.0))
    for _ in ppl.plate("i", 3):
        ppl.sample("heads", Bernoulli(torch.sigmoid(p)))


def density(bound: ppl.Bound, *x: float) -> float:
    return float(ppl.compile(bound).log_density(torch.tensor(x)))


def log_normal(y: float, loc: float, scale: float) -> float:
    return -0.5 * ((y - loc) / scale) ** 2 - math.log(scale) - 0.5 * math.log(2 * math.pi)


EXACT = log_normal(0.5, 0.0, 2.0) + sum(log_normal(y, 0.5, 1.0) for y in Y)


@pytest.mark.parametrize(
    "y",
    [
        Y,
        tuple(Y),
        np.array(Y),
        np.array(Y, np.float32),
        np.array(Y, np.int8),
        np.array(Y, np.uint64),
        torch.tensor(Y, dtype=torch.float32),
        torch.tensor(Y, dtype=torch.uint8),
        np.ma.masked_array(Y, mask=[False] * 3),
        np.array([1, 2.0, 4], dtype=object),
        [torch.tensor(v) for v in Y],
    ],
)
def test_every_kind_of_array_means_the_same_numbers(y: object) -> None:
    assert density(normal().condition(y=y), 0.5) == pytest.approx(EXACT, rel=1e-12)


def test_observing_is_conditioning() -> None:
    assert density(observing(torch.tensor(Y)), 0.5) == pytest.approx(EXACT, rel=1e-12)
    posterior = ppl.infer(observing(np.array(Y)), draws=10, warmup=10, chains=1, progress=False)
    assert posterior.observed_data["y"].tolist() == Y


@pytest.mark.parametrize("y", [np.ma.masked_array(Y, [0, 1, 0]), [1.0, None, 4.0], [1.0, math.nan, 4.0]])
def test_masked_null_and_nan_are_missing(y: object) -> None:
    # the missing element is a coordinate of its own, here at 3.0
    exact = EXACT - log_normal(2.0, 0.5, 1.0) + log_normal(3.0, 0.5, 1.0)
    assert density(normal().condition(y=y), 0.5, 3.0) == pytest.approx(exact, rel=1e-12)


def test_nan_given_to_observe_is_missing() -> None:
    exact = EXACT - log_normal(2.0, 0.5, 1.0) + log_normal(3.0, 0.5, 1.0)
    assert density(observing(np.array([1.0, math.nan, 4.0])), 0.5, 3.0) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    "heads", [[True, False, True], np.array([1.0, 0.0, 1.0]), torch.tensor([1, 0, 1], dtype=torch.bool)]
)
def test_booleans(heads: object) -> None:
    assert density(coin().condition(heads=heads), 0.0) == pytest.approx(
        log_normal(0.0, 0.0, 1.0) + 3 * math.log(0.5)
    )


@pytest.mark.parametrize(
    "y",
    [
        [Y],
        np.array(Y)[:, None],
        np.array([Y] * 3),
        1.0,
        [],
        np.array([1.0, np.inf, 4.0]),
        np.array([1.0, -np.inf, 4.0]),
    ],
)
def test_other_shapes_and_infinities_are_refused(y: object) -> None:
    for bound in (normal().condition(y=y), normal().do(y=y)):
        with pytest.raises(DataError):
            ppl.compile(bound)


def test_a_density_is_zero_outside_a_support_with_random_bounds() -> None:
    @ppl.model
    def m():
        low = ppl.sample("low", Normal(0.0, 1.0))
        ppl.sample("y", Pareto(torch.exp(low), 2.0))

    bound = m().condition(y=2.0)
    assert density(bound, math.log(2.5)) == -math.inf
    # Pareto(1.5, 2) at 2: 2 · 1.5² / 2³
    assert density(bound, math.log(1.5)) == pytest.approx(
        log_normal(math.log(1.5), 0, 1) + math.log(2 * 1.5**2 / 8)
    )


def test_a_density_is_zero_where_a_random_value_is_observed_outside_the_support() -> None:
    @ppl.model
    def m():
        x = ppl.sample("x", Normal(0.0, 1.0))
        ppl.observe("y", Exponential(1.0), x)

    assert density(m(), -0.5) == -math.inf
    assert density(m(), 0.5) == pytest.approx(log_normal(0.5, 0, 1) - 0.5)


def test_weights_of_elements_are_not_data() -> None:
    @ppl.model
    def counts():
        rate = ppl.sample("rate", Normal(0.0, 1.0))
        for _ in ppl.plate("i", 3):
            ppl.sample("n", Poisson(torch.exp(rate)))

    weights = torch.tensor([0.5, 1.0, 0.0])
    bound = counts().condition(n=[1, 2, 5]).scale(n=weights)
    # log Poisson(n; 1) = −1 − log n!
    exact = log_normal(0.0, 0.0, 1.0) + 0.5 * -1 + (-1 - math.log(2))
    assert density(bound, 0.0) == pytest.approx(exact)
    assert ppl.infer(bound, draws=5, warmup=5, chains=1, progress=False).observed_data["n"].tolist() == [
        1,
        2,
        5,
    ]
