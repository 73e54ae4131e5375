"""Handlers that matter in objectives: params held fixed, strategies given from outside."""

from __future__ import annotations

import pytest
import torch

import ppl
from ppl.distributions import Bernoulli, Normal
from ppl.errors import PplError


@ppl.guide
def q(grad="auto"):
    ppl.sample("x", Normal(ppl.param("m", 0.4), ppl.param("s", 1.5, constraint="positive")), grad=grad)


@ppl.objective
def mean(q):
    return ppl.simulate(q)["x"]


def test_draws_of_a_stopped_guide_have_no_gradient():
    value, grads = ppl.value_and_grad(mean)(q().stop_gradient(), draws=50)
    assert float(value.std()) > 0.5
    assert all(float(g.abs().max()) == 0.0 for g in grads.values())


def test_a_stopped_density_passes_on_the_derivative_of_its_value():
    """log q(x) with q held fixed: ∂/∂m = −(x − m)/s² and ∂/∂s = −(x − m)²/s³ along x = m + s ε."""

    @ppl.objective
    def entropy(q):
        z = ppl.simulate(q)
        return ppl.log_density(q.stop_gradient(), z)

    value, grads = ppl.value_and_grad(entropy)(q(), draws=20)
    squared = -2 * (value - Normal(0.0, 1.5).log_prob(torch.tensor(0.0)))  # ε²
    torch.testing.assert_close(grads["m"] ** 2, squared / 1.5**2)
    torch.testing.assert_close(grads["s"], -squared / 1.5)


def test_a_stopped_subprogram_leaves_the_others_theirs():
    @ppl.guide
    def inner(name):
        return ppl.sample("x", Normal(ppl.param("m" + name, 0.0), 1.0))

    @ppl.guide
    def outer():
        a = ppl.sample("a", inner("a").stop_gradient())
        b = ppl.sample("b", inner("b"))
        return a + b + ppl.param("c", 0.0)

    @ppl.objective
    def f(q):
        return ppl.simulate(q).value

    _, grads = ppl.value_and_grad(f)(outer())
    assert {k: float(g) for k, g in grads.items()} == {"a/ma": 0.0, "b/mb": 1.0, "c": 1.0}


def test_a_stopped_network():
    net = torch.nn.Linear(1, 1)

    @ppl.guide
    def g():
        return ppl.module("net", net)(torch.ones(1))[0]

    @ppl.objective
    def f(q):
        return ppl.simulate(q).value + 2 * ppl.simulate(q.stop_gradient()).value

    _, grads = ppl.value_and_grad(f)(g())
    assert {k: float(v) for k, v in grads.items()} == {"net.weight": 1.0, "net.bias": 1.0}


def test_a_stopped_program_runs_eagerly():
    trace = ppl.simulate(q().stop_gradient(), seed=1)
    assert float(trace["x"]) == float(ppl.simulate(q(), seed=1)["x"])


def test_strategies_from_outside():
    _, path = ppl.value_and_grad(mean)(q("score").grad("reparam"))
    assert float(path["m"]) == 1.0  # the path's derivative, in every draw
    _, score = ppl.value_and_grad(mean)(q().grad(x="score"), draws=10)
    assert float(score["m"].std()) > 0.0


def test_a_strategy_from_outside_is_refused_where_it_is_not_sound():
    @ppl.guide
    def coin():
        ppl.sample("x", Bernoulli(logits=ppl.param("a", 0.4)))

    with pytest.raises(PplError, match="Bernoulli has no reparameterisation"):
        ppl.value_and_grad(mean)(coin().grad("reparam"))
    with pytest.raises(PplError, match="'y' is not a site of coin"):
        ppl.value_and_grad(mean)(coin().grad(y="score"))


def test_the_score_of_a_program_eagerly_and_in_an_objective():
    @ppl.model
    def p():
        x = ppl.sample("x", Normal(0.3, 2.0))
        for _ in ppl.plate("i", 2):
            ppl.sample("y", Normal(x**2, 0.5))
        ppl.sample("k", Bernoulli(torch.sigmoid(x)))

    at = {"x": 0.7, "y": torch.tensor([0.1, -0.4]), "k": 1.0}

    @ppl.objective
    def f(p, part):
        z = {"x": torch.tensor(0.7), "y": torch.tensor([0.1, -0.4]), "k": torch.tensor(1.0)}
        return ppl.score(p, z)[part].sum()

    by_hand = {
        "x": -(0.7 - 0.3) / 4
        + 2 * 0.7 * (0.1 - 0.4 - 2 * 0.49) / 0.25
        + 1 / (1 + torch.tensor(0.7).double().exp()),
        "y": -(0.1 - 0.4 - 2 * 0.49) / 0.25,
    }
    eager = ppl.score(p(), at)
    for name, expected in by_hand.items():
        assert float(eager[name].sum()) == pytest.approx(float(expected), abs=1e-6)
        value, _ = ppl.value_and_grad(f)(p(), name)
        assert float(value) == pytest.approx(float(expected), abs=1e-6)
