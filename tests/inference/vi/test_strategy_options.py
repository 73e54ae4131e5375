"""Biased strategies, options of strategies, and what they keep between steps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from inference.vi.subjects import near
from torch import Tensor

import ppl
from ppl.distributions import Bernoulli, Exponential, OneHotCategorical
from ppl.errors import PplError
from ppl.inference.vi.compiled import CompiledObjective

DRAWS = 100_000


# ---------------------------------------------------------------- biased strategies


def test_straight_through_is_right_where_the_objective_is_linear():
    w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    @ppl.guide
    def q(grad):
        ppl.sample("k", OneHotCategorical(logits=ppl.param("a", torch.tensor([0.3, -0.1, 0.8]))), grad=grad)

    @ppl.objective
    def linear(q):
        return (w * ppl.simulate(q)["k"]).sum()

    p = torch.softmax(torch.tensor([0.3, -0.1, 0.8], dtype=torch.float64), 0)
    for grad in ("straight_through", ppl.GumbelSoftmax(hard=True), ppl.GumbelSoftmax(temperature=0.1)):
        value, grads = ppl.value_and_grad(linear)(q(grad), draws=DRAWS)
        near(value, (p * w).sum(), 0.01)  # at a temperature of 0.1 the relaxed mean is within 1 %
        if grad == "straight_through":
            near(grads["a"], p * (w - (p * w).sum()))


def test_the_value_of_straight_through_is_a_category():
    @ppl.guide
    def q(grad):
        ppl.sample("k", Bernoulli(ppl.param("p", 0.3)), grad=grad)

    @ppl.objective
    def itself(q):
        return ppl.simulate(q)["k"] * 1.0

    for grad in ("straight_through", ppl.GumbelSoftmax(hard=True)):
        value, _ = ppl.value_and_grad(itself)(q(grad), draws=1000)
        assert set(value.tolist()) == {0.0, 1.0}
    value, _ = ppl.value_and_grad(itself)(q("gumbel_softmax"), draws=1000)
    assert bool(((value > 0) & (value < 1)).all())


def test_gumbel_softmax_nears_the_gradient_as_its_temperature_falls():
    @ppl.guide
    def q(grad):
        ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3)), grad=grad)

    @ppl.objective
    def curved(q):
        return torch.exp(ppl.simulate(q)["k"])

    p = 1 / (1 + math.exp(-0.3))
    right = (math.e - 1) * p * (1 - p)

    def off(temperature: float) -> float:
        _, grads = ppl.value_and_grad(curved)(q(ppl.GumbelSoftmax(temperature)), draws=DRAWS)
        return abs(float(grads["a"].mean()) - right)

    assert off(0.05) < 0.02 < off(1.0)


def test_biased_strategies_are_called_so_and_only_taken_if_asked_for():
    @ppl.guide
    def q(grad):
        ppl.sample("k", Bernoulli(ppl.param("p", 0.3)), grad=grad)

    for grad in ("gumbel_softmax", "straight_through"):
        decision = CompiledObjective(both_of(q(grad))).estimator.decisions["k"]
        assert decision.biased and "biased" in decision.why
    assert not CompiledObjective(both_of(q("auto"))).estimator.decisions["k"].biased


@ppl.objective
def both_of(q):
    return ppl.simulate(q)["k"] * 2.0


# ---------------------------------------------------------------- options and states


@pytest.mark.parametrize(
    "make",
    (
        lambda: ppl.Quadrature(0),
        lambda: ppl.GumbelSoftmax(0.0),
        lambda: ppl.Rebar(-1.0),
        lambda: ppl.Rejection(0),
        lambda: ppl.Score(baseline="median"),
        lambda: ppl.Score(baseline="mean", decay=1.0),
    ),
)
def test_options_outside_their_range_are_refused(make):
    with pytest.raises(PplError):
        make()


@ppl.objective
def high(q):
    return 10.0 + 3.0 * ppl.simulate(q)["x"].sum()


def coins(grad: Any) -> Any:
    @ppl.guide
    def q():
        a = ppl.param("a", torch.tensor([0.1, -0.4, 0.8]))
        for i in ppl.plate("i", 3):
            ppl.sample("x", Bernoulli(logits=a[i]), grad=grad)

    return q()


def test_a_running_mean_is_kept_from_step_to_step():
    compiled = CompiledObjective(high(coins(ppl.Score(baseline="mean", decay=0.5))))
    (name,) = compiled.states
    values, now = compiled.values(), 0.0
    states: dict[str, Tensor] = {}
    for seed in range(3):
        value, _, states = compiled.run(values, seed, states=states)
        now = 0.5 * now + 0.5 * (float(value) - 10.0) / 3  # each coin is credited with its own term only
        assert float(states[name]) == pytest.approx(now)
    p = torch.sigmoid(torch.tensor([0.1, -0.4, 0.8], dtype=torch.float64))
    spread = {}
    for start in (0.0, 1.5):
        kept = {name: torch.tensor(start, dtype=torch.float64)}
        _, grads, _ = compiled.run(values, 1, DRAWS, states=kept)
        near(grads["a"], 3.0 * p * (1 - p))
        spread[start] = float(grads["a"].var(0).sum())
    assert spread[1.5] < 0.5 * spread[0.0]


def test_rebar_lowers_the_variance():
    def spread(grad: Any) -> float:
        _, grads = ppl.value_and_grad(high)(coins(grad), draws=DRAWS)
        return float(grads["a"].var(0).sum())

    assert spread(ppl.Rebar(1.0, 0.8)) < 0.5 * spread("score")
    assert spread(ppl.Rebar(1.0, 0.0)) == pytest.approx(spread("score"), rel=0.05)


def test_rebar_before_a_jump_is_refused():
    @ppl.guide
    def q():
        ppl.sample("x", Bernoulli(ppl.param("p", 0.3)), grad="rebar")

    @ppl.objective
    def stepped(q):
        return torch.where(ppl.simulate(q)["x"] > 0.5, 1.0, 0.0)

    with pytest.raises(PplError, match="jumps"):
        ppl.value_and_grad(stepped)(q())


def test_exponential_measures_with_many_particles():
    """A mean over particles, each with a draw of its own."""

    @ppl.guide
    def q():
        ppl.sample("x", Exponential(ppl.param("r", 1.3)), grad="mvd")

    @ppl.objective
    def mean(q, n):
        for _ in (particles := ppl.plate("particle", n)):
            x = torch.sin(ppl.simulate(q)["x"])
        return particles.gather(x).sum() / n

    _, grads = ppl.value_and_grad(mean)(q(), 4, draws=DRAWS)
    r = 1.3  # E sin x = r / (1 + r²)
    near(grads["r"], torch.tensor((1 - r * r) / (1 + r * r) ** 2))
