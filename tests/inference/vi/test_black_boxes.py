"""Functions that are not torch's: simultaneous perturbations, or scored choices before them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from inference.vi.subjects import near
from inference.vi.test_surrogates import REGIONS, each, total, weights

import ppl
from ppl.distributions import Bernoulli, Normal
from ppl.errors import PplError

DRAWS = 100_000
A = np.array([[1.0, 0.4], [-0.2, 0.7]])


def quadratic(x, y):
    """xᵀ A x + y, by NumPy."""
    at = np.asarray(x)
    return at @ A @ at + float(y)


def cubed(x):
    return float(x) ** 3


@pytest.mark.parametrize("region", REGIONS)
def test_quadratic_functions_have_no_bias(region):
    region = REGIONS[region]
    n = 1500  # each element calls Python thrice
    at = 0.3 * torch.arange(2 * math.prod(region), dtype=torch.float64).reshape((*region, 2)) - 0.4

    def site(i: Any) -> Any:
        m, y = ppl.param("m", at), ppl.param("y", torch.zeros(region))
        x = ppl.sample("x", Normal(m[i] if region else m, 0.5), grad="reparam")
        return ppl.black_box(quadratic, x, y[i] if region else y, step=0.3)

    w = weights(region)
    _, grads = ppl.value_and_grad(total)(each(region, site), w, draws=n)
    near(grads["m"], w.reshape((*region, 1)) * (at @ torch.tensor(A + A.T)))
    near(grads["y"], w)


@pytest.mark.parametrize("step", (0.1, 0.2))
def test_the_bias_is_of_second_order_in_the_step(step):
    """((x + c)³ − (x − c)³) / 2c = 3x² + c²: of one number there is no noise."""

    @ppl.objective
    def f():
        return ppl.black_box(cubed, ppl.param("x", 0.5), step=step)

    value, grads = ppl.value_and_grad(f)()
    assert float(value) == 0.125
    assert float(grads["x"]) == pytest.approx(0.75 + step**2)


def test_functions_that_return_vectors():
    @ppl.objective
    def f():
        x = ppl.param("x", torch.tensor([0.3, -0.5]))
        y = ppl.black_box(lambda x: np.array([x[0] * x[1], x[0] - x[1], x[1] ** 2]), x, shape=(3,), step=0.1)
        return y @ torch.tensor([1.0, 2.0, -3.0])

    _, grads = ppl.value_and_grad(f)(draws=1500)
    near(grads["x"], torch.tensor([-0.5 + 2.0, 0.3 - 2.0 + 3.0], dtype=torch.float64))


def test_steps_of_a_scan():
    """x ← x² twice: x⁴, whose derivative by exact differences is 4x³."""

    @ppl.objective
    def f():
        return ppl.scan(
            "s",
            lambda c, _: ppl.black_box(lambda x: float(x) ** 2, c, step=0.05),
            ppl.param("x", 0.8),
            length=2,
        )

    _, grads = ppl.value_and_grad(f)(draws=10)
    near(grads["x"], torch.tensor(4 * 0.8**3, dtype=torch.float64))


def test_inside_a_branch_and_a_scan():
    """x ← x³ in the steps where the branch is taken: x⁹ after two of them, by differences of x³."""

    def cube(c):
        return ppl.black_box(cubed, c, step=1e-4)

    @ppl.objective
    def f(twice):
        def step(c, on):
            return ppl.cond(on > 0, lambda: cube(c), lambda: 2.0 * c)

        return ppl.scan("s", step, ppl.param("x", 0.9), twice)

    for given, exact in (([1.0, 1.0], 9 * 0.9**8), ([1.0, 0.0], 6 * 0.9**2)):
        _, grads = ppl.value_and_grad(f)(torch.tensor(given))
        assert float(grads["x"]) == pytest.approx(exact, rel=1e-6)


def test_inside_a_branch():
    @ppl.objective
    def f():
        x = ppl.param("x", torch.tensor([0.9, -0.4]))
        taken = ppl.sample("b", Bernoulli(0.25)) > 0
        return ppl.cond(taken, lambda: ppl.black_box(lambda x: x[0] * x[1], x, step=0.1), lambda: 2.0 * x[0])

    _, grads = ppl.value_and_grad(f)(draws=2000)
    near(grads["x"], torch.tensor([0.25 * -0.4 + 0.75 * 2.0, 0.25 * 0.9], dtype=torch.float64))


def test_each_step_that_is_written_out_has_perturbations_of_its_own():
    """f(x) = B A x by two steps; with the same directions in both E[B Δ Δᵀ A Δ Δᵀ] would not be B A."""
    turn = np.array([[0.0, 1.0], [-1.0, 0.5]])

    @ppl.objective
    def f():
        def step(c, _):
            k = ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3)), grad="enum")
            moved = ppl.black_box(lambda x: turn @ np.asarray(x), c, shape=(2,), step=0.1)
            return moved + 0.0 * k

        x = ppl.scan("s", step, ppl.param("x", torch.tensor([0.3, -0.5])), length=2)
        return x @ torch.tensor([1.0, -2.0])

    _, grads = ppl.value_and_grad(f)(draws=1000)
    near(grads["x"], torch.tensor((turn @ turn).T @ [1.0, -2.0]))


def table(k):
    return {0.0: 2.0, 1.0: 5.0}[float(k)]


def coin(grad: Any) -> Any:
    @ppl.guide
    def q():
        return ppl.black_box(table, ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3)), grad=grad))

    return q()


@pytest.mark.parametrize(
    "grad", ("score", "enum", "mvd", ppl.Relax(lambda z: 2.0 * torch.sigmoid(z), eta=0.0))
)
def test_without_a_step_scores_are_unbiased(grad):
    _, grads = ppl.value_and_grad(total)(coin(grad), torch.ones(()), draws=2000)
    p = 1 / (1 + math.exp(-0.3))
    near(grads["a"], torch.tensor(3.0 * p * (1 - p), dtype=torch.float64))


def test_without_a_step_paths_are_refused_and_auto_scores():
    def q(grad: Any) -> Any:
        @ppl.guide
        def guide():
            return ppl.black_box(cubed, ppl.sample("x", Normal(ppl.param("m", 0.3), 0.5), grad=grad))

        return guide()

    with pytest.raises(PplError, match="the black box 'cubed'"):
        ppl.value_and_grad(total)(q("reparam"), torch.ones(()))
    assert ppl.explain(total(q("auto"), torch.ones(()))).choices[0].strategy == "score"
    _, grads = ppl.value_and_grad(total)(q("auto"), torch.ones(()), draws=10_000)
    near(grads["m"], torch.tensor(3 * (0.3**2 + 0.25), dtype=torch.float64))


def test_params_that_reach_one_without_a_step_are_refused():
    @ppl.objective
    def f():
        return ppl.black_box(cubed, ppl.param("x", 0.5))

    @ppl.objective
    def steps():
        shift = ppl.param("shift", 0.1)
        return ppl.scan("s", lambda c, _: ppl.black_box(cubed, c) + shift, torch.zeros(()), length=2)

    for objective in (f, steps):
        with pytest.raises(PplError, match=r"the black box 'cubed' has no derivative(.|\n)*step=0.01"):
            ppl.value_and_grad(objective)()


def test_rebar_needs_the_objective_between_its_values():
    with pytest.raises(PplError, match="not sound for 'k': the objective jumps: the black box 'table'"):
        ppl.value_and_grad(total)(coin("rebar"), torch.ones(()))


def test_programs_run_it_and_explain_it():
    @ppl.model
    def p():
        x = ppl.sample("x", Normal(0.0, 1.0))
        ppl.observe("y", Normal(ppl.black_box(cubed, x), 1.0), 2.0)

    log_density = float(ppl.log_density(p(), {"x": 0.5}))
    assert log_density == pytest.approx(-0.5 * 0.25 - 0.5 * 1.875**2 - math.log(2 * math.pi))
    assert ppl.black_box(cubed, 2.0) == 8.0

    @ppl.objective
    def f():
        return ppl.black_box(cubed, ppl.param("x", 0.5), step=0.01)

    assert "black box 'cubed': simultaneous perturbations of 0.01 (biased)" in str(ppl.explain(f()))


@pytest.mark.parametrize(
    ("call", "text"),
    (
        (lambda x: ppl.black_box(cubed, x, step=0.0), "the step of a perturbation is positive"),
        (lambda x: ppl.black_box(cubed, x, shape=(2,), step=0.1).sum(), r"shape=\(\)"),
    ),
)
def test_refusals(call, text):
    @ppl.objective
    def f():
        return call(ppl.param("x", 0.5))

    with pytest.raises(PplError, match=text):
        ppl.value_and_grad(f)()
