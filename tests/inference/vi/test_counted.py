"""Draws in machine code: noise that is counted, and families that are made of it."""

from __future__ import annotations

import math

import pytest

import ppl
from ppl.distributions import Exponential, Gamma, Normal, Uniform
from ppl.std import objectives

Y = 1.4


@ppl.model
def model():
    ppl.sample("y", Normal(ppl.sample("z", Normal(0.0, 1.0)), 1.0))


def fit(law, steps=3000):
    """A guide with an auxiliary draw that no param reaches, proposed from its own law."""

    @ppl.guide
    def guide():
        u = ppl.sample("_u", law())
        ppl.sample("z", Normal(ppl.param("m", 0.0) + 0.1 * u, ppl.param("s", 1.0, constraint="positive")))

    @ppl.guide
    def reverse():
        ppl.sample("_u", law())

    how = ppl.VI(guide(), objectives.hvi, {"r": reverse}, steps=steps, particles=4)
    return ppl.infer(model(), {"y": Y}, method=how, draws=2, progress=False)


@pytest.mark.parametrize(
    ("law", "mean"),
    [
        (lambda: Uniform(0.0, 1.0), 0.5),
        (lambda: Uniform(1.0, 3.0), 2.0),
        (lambda: Normal(4.0, 2.0), 4.0),
        (lambda: Exponential(0.5), 2.0),
    ],
)
def test_draws_without_a_derivative_run_in_machine_code(law, mean):
    """E[log p(z, y) − log q(z | u)] is largest where E z = y/2 and the variance of z given u is 1/2."""
    found = fit(law)
    assert found.attrs["engine"] == "native", found.attrs["engine_reason"]
    # The posterior's sd is 0.7; the average of 300 iterates, 4 particles each, is within a hundredth of that
    # where no gradient is noisier than the residual 0.1 u: sd 0.2 at most.
    assert abs(found.params["m"] - (Y / 2 - 0.1 * mean)) < 0.03
    assert abs(found.params["s"] - math.sqrt(0.5)) < 0.03


def test_draws_that_are_no_function_of_standard_noise_run_on_torch():
    found = fit(lambda: Gamma(2.0, 1.0), steps=2)
    assert found.attrs["engine"] == "torch" and "_u" in found.attrs["engine_reason"]
