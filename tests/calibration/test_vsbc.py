"""Variational simulation-based calibration: right guides pass, shifted ones fail, narrow ones show a U."""

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import Bernoulli, Flat, Normal
from ppl.results.calibration import Calibration, symmetry_p


@ppl.model
def one_mean(n):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for _ in ppl.plate("row", n):
        ppl.sample("y", Normal(mu, 1.0))


@ppl.guide
def normal(loc, scale):
    """A guide that is where it ought to be, or `shift` beside it; its param moves it by nothing to speak of."""
    ppl.sample("mu", Normal(loc + 1e-9 * ppl.param("a", 0.0), scale))


def exact(shift=0.0, factor=1.0):
    """The posterior of `one_mean`, N(Σ y / (n + 1), 1 / (n + 1)), moved and stretched."""

    def of(data):
        y = data["y"]
        sd = (len(y) + 1) ** -0.5
        return ppl.VI(guide=normal(y.sum() / (len(y) + 1) + shift * sd, factor * sd), steps=1)

    return of


def test_the_exact_posterior_passes_and_one_beside_it_does_not():
    right = ppl.vsbc(one_mean(3), ["y"], exact(), replications=40)
    assert right.failures() == [] and right.criterion == "symmetric"
    row = right.table().loc["mu"]
    # p is uniform: its mean has sd 1/sqrt(12 n), that of |2p − 1| is twice as wide.
    assert abs(row["mean_p"] - 0.5) < 4 / np.sqrt(12 * 40) and abs(row["spread"] - 0.5) < 4 / np.sqrt(12 * 40)
    assert (row["location"], row["width"]) == ("", "")
    # One posterior sd too high: P(draw < truth) has mean Φ(−1/√2) = 0.24.
    beside = ppl.vsbc(one_mean(3), ["y"], exact(shift=1.0), replications=40)
    assert beside.failures() == ["mu"]
    assert beside.table().loc["mu", "location"] == "too high"
    assert "not symmetric: mu" in repr(beside)


def test_a_guide_of_independent_normals_is_too_narrow_and_not_biased():
    @ppl.model
    def line(x):
        a = ppl.sample("a", Normal(0.0, 1.0))
        b = ppl.sample("b", Normal(0.0, 1.0))
        ppl.sample("y", Normal(a + b * x, 0.5))

    x = torch.tensor([1.0, 1.5, 2.0, 2.5], dtype=torch.float64)
    found = ppl.vsbc(line(x), ["y"], ppl.VI(steps=600, learning_rate=0.05), replications=30)
    assert found.failures() == []
    table = found.table()
    assert list(table["width"]) == ["too narrow", "too narrow"] and list(table["location"]) == ["", ""]
    for p in found.probabilities.values():  # a U: the outer fifths hold more than the three between
        assert ((p < 0.2) | (p > 0.8)).mean() > 0.5
    assert found.khats.shape == (30,) and "above 0.7" in repr(found)


def test_the_test_of_symmetry_has_the_level_it_claims():
    """The exact law of the statistic: of 2000 symmetric samples about 5 in 100 fall below 0.05, and no more."""
    rng = np.random.default_rng(0)
    for draw in (lambda: rng.random(30), lambda: rng.beta(0.3, 0.3, 30)):
        small = np.mean([symmetry_p(draw()) < 0.05 for _ in range(2000)])
        assert 0.02 < small < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 2000)
    assert symmetry_p(rng.beta(2.0, 1.0, 100)) < 1e-3


def test_wider_draws_than_the_truth_needs_and_a_picture():
    rng = np.random.default_rng(0)
    found = Calibration({"x": rng.binomial(999, rng.beta(3, 3, 300)), "y": rng.integers(0, 1000, 300)}, 999)
    assert found.failures() == ["x"] and list(found.table()["width"]) == ["too wide", ""]
    axes = found.plot().axes
    assert [axis.get_title(loc="left") for axis in axes] == ["x", "y"]
    heights = [sum(bar.get_height() for bar in axis.patches[1:]) for axis in axes]
    assert heights == [300, 300]


def test_discrete_sites_are_ranked_with_ties_broken_by_chance():
    @ppl.model
    def coin():
        k = ppl.sample("k", Bernoulli(0.5))
        ppl.sample("y", Normal(1.0 * k, 1.0))

    found = ppl.vsbc(coin(), ["y"], ppl.VI(steps=200, learning_rate=0.1), replications=20)
    assert set(found.ranks) == {"k"} and found.failures() == []


def test_what_can_not_be_simulated_is_refused():
    @ppl.model
    def flat():
        ppl.sample("y", Normal(ppl.sample("mu", Flat()), 1.0))

    with pytest.raises(ppl.PplError, match="'mu' can't be drawn from: it is improper"):
        ppl.vsbc(flat(), ["y"])
    with pytest.raises(ppl.PplError, match="'z' can't be simulated"):
        ppl.sbc(one_mean(3), ["z"])
    with pytest.raises(ppl.PplError, match="leave out condition"):
        ppl.sbc(one_mean(3).condition(y=torch.zeros(3)), ["y"])
