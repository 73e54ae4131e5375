"""Choices that stand alone in one part of an objective and meet others of their plate in another; what is told apart
there, against sums over all their values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from inference.vi.subjects import near
from torch import Tensor
from torch.distributions import AffineTransform, TransformedDistribution

import ppl
from ppl.distributions import Bernoulli, Empirical, Gamma, Normal
from ppl.errors import PplError

DRAWS = 20_000
LOGITS = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)


def expected(f: Callable[[Tensor], Tensor], logits: Tensor) -> tuple[Tensor, Tensor]:
    """E f(x) over independent coins x, and its gradient in their logits."""
    leaf = logits.clone().requires_grad_()
    p = torch.sigmoid(leaf)
    total = torch.zeros((), dtype=torch.float64)
    for bits in itertools.product((0.0, 1.0), repeat=len(logits)):
        x = torch.tensor(bits, dtype=torch.float64)
        total = total + torch.where(x > 0.5, p, 1.0 - p).prod() * f(x)
    return total.detach(), torch.autograd.grad(total, leaf)[0]


def both(x: Tensor) -> Tensor:
    """A sum, and a function of a sum."""
    return 1.5 * x.sum() + torch.exp(0.7 * x.sum())


def weighted(x: Tensor) -> Tensor:
    """Elements times what all elements make, and that alone."""
    w = 1.3 * x + 0.2
    return (torch.exp(w) * torch.exp(0.3 * w.sum())).sum() + torch.exp(0.5 * w.sum())


@pytest.mark.parametrize("function", (both, weighted))
@pytest.mark.parametrize("baseline", ("auto", "leave-one-out", "none"))
def test_baselines_between_particles_that_stand_alone_and_meet(function, baseline):
    @ppl.guide
    def q():
        ppl.sample("x", Bernoulli(logits=ppl.param("a", 0.3)), grad=ppl.Score(baseline=baseline))

    @ppl.objective
    def of_particles(q):
        for _ in (particles := ppl.plate("particle", 3)):
            x = ppl.simulate(q)["x"]
        return function(particles.gather(x))

    value, grads = ppl.value_and_grad(of_particles)(q(), draws=DRAWS)
    exact, slopes = expected(function, torch.full((3,), 0.3, dtype=torch.float64))
    near(value, exact)
    near(grads["a"], slopes.sum())


def test_a_baseline_of_both_parts_lowers_the_variance():
    def of(baseline: str) -> Tensor:
        @ppl.guide
        def q():
            ppl.sample("x", Bernoulli(logits=ppl.param("a", 0.3)), grad=ppl.Score(baseline=baseline))

        @ppl.objective
        def of_particles(q):
            for _ in (particles := ppl.plate("particle", 3)):
                x = ppl.simulate(q)["x"]
            return both(particles.gather(x))

        return ppl.value_and_grad(of_particles)(q(), draws=DRAWS)[1]["a"].std()

    assert of("leave-one-out") < 0.5 * of("none")


@ppl.guide
def coins(grad):
    a = ppl.param("a", LOGITS)
    for i in ppl.plate("i", 3):
        ppl.sample("x", Bernoulli(logits=a[i]), grad=grad)


@ppl.objective
def of_both(q):
    return both(ppl.simulate(q)["x"])


@pytest.mark.parametrize(
    "grad", ("score", "rebar", ppl.Rebar(0.3, 0.5), ppl.Relax(eta=0.4, control=torch.tanh))
)
def test_coins_of_a_plate_that_stand_alone_and_meet(grad):
    value, grads = ppl.value_and_grad(of_both)(coins(grad), draws=DRAWS)
    exact, slopes = expected(both, LOGITS)
    near(value, exact)
    near(grads["a"], slopes)


def test_weights_of_control_variates_differ_only_between_choices_that_do_not_meet():
    @ppl.guide
    def q():
        a, eta = ppl.param("a", LOGITS), ppl.param("eta", torch.tensor([0.2, 0.5, 0.8]))
        for i in ppl.plate("i", 3):
            ppl.sample("x", Bernoulli(logits=a[i]), grad=ppl.Relax(eta=eta[i]))

    def squares(x: Tensor) -> Tensor:
        return ((x - 0.4) ** 2).sum()

    objective = ppl.objective(lambda q: squares(ppl.simulate(q)["x"]))
    near(ppl.value_and_grad(objective)(q(), draws=DRAWS)[1]["a"], expected(squares, LOGITS)[1])
    with pytest.raises(PplError, match="differs between choices that meet"):
        ppl.value_and_grad(of_both)(q())


def test_a_gathered_vector_in_a_loop_over_its_plate():
    """Σᵢ (Σⱼ xⱼ wᵢ)²: i and j run over the same plate, but are not the same."""

    @ppl.guide
    def q():
        b = ppl.param("b", LOGITS)
        for i in ppl.plate("i", 3):
            ppl.sample("x", Normal(b[i], 0.5))

    @ppl.objective
    def squares(q):
        x, w = ppl.simulate(q)["x"], torch.tensor([1.0, 2.0, 3.0])
        for i in (plate := ppl.plate("i", 3)):
            y = (x * w[i]).sum() ** 2
        return plate.gather(y).sum()

    value, grads = ppl.value_and_grad(squares)(q(), draws=DRAWS)
    near(value, 14.0 * (LOGITS.sum() ** 2 + 0.75))
    near(grads["b"], (28.0 * LOGITS.sum()).expand(3))


def test_a_relaxed_choice_that_the_objective_does_not_depend_on():
    @ppl.guide
    def q(grad):
        ppl.sample("x", Bernoulli(logits=ppl.param("a", 0.3)), grad=grad)
        ppl.sample("y", Normal(ppl.param("b", 0.2), 1.0))

    objective = ppl.objective(lambda q: ppl.simulate(q)["y"])
    for grad in ("rebar", ppl.Relax()):
        _, grads = ppl.value_and_grad(objective)(q(grad))
        assert (float(grads["a"]), float(grads["b"])) == (0.0, 1.0)


# ---------------------------------------------------------------- values held fixed, values that move


@pytest.mark.parametrize("grad", ("rebar", ppl.Relax(eta=0.5)))
def test_a_detached_choice_is_not_relaxed(grad):
    objective = ppl.objective(lambda q: (2.0 * ppl.simulate(q)["x"].detach()).sum())
    with pytest.raises(PplError, match="detaches what depends on it"):
        ppl.value_and_grad(objective)(coins(grad))
    for sound in ("score", "enum", "mvd", ppl.Relax(eta=0.0, control=torch.tanh)):
        _, grads = ppl.value_and_grad(objective)(coins(sound), draws=DRAWS)
        near(grads["a"], expected(lambda x: 2.0 * x.sum(), LOGITS)[1])


def test_a_derivative_in_two_parts_does_not_lose_one_of_them():
    @ppl.guide
    def q():
        ppl.sample("x", Gamma(ppl.param("a", 1.4), 1.0), grad="rejection")

    def step(x: Tensor, _: Any) -> Tensor:
        return x + x.detach()

    ppl.value_and_grad(ppl.objective(lambda q: ppl.simulate(q)["x"] ** 2))(q())
    for f in (lambda x: x.detach() ** 2, lambda x: ppl.scan("t", step, x, length=2)):
        objective = ppl.objective(lambda q, f=f: f(ppl.simulate(q)["x"]))
        with pytest.raises(PplError, match="detaches what depends on it"):
            ppl.value_and_grad(objective)(q())


def test_scores_of_discrete_choices_whose_values_move_are_refused():
    def shifted(t: Tensor) -> Any:
        return TransformedDistribution(Bernoulli(0.3), [AffineTransform(t, 1.0)])

    def points(t: Tensor) -> Any:
        return Empirical(torch.stack([t, 2.0 * t]))

    for law in (shifted, points):

        @ppl.guide
        def q(law=law):
            ppl.sample("x", law(ppl.param("t", 0.4)))

        objective = ppl.objective(lambda q: ppl.simulate(q)["x"] ** 2)
        with pytest.raises(PplError, match="move with its parameters"):
            ppl.value_and_grad(objective)(q())
        with pytest.raises(PplError, match="move with its parameters"):
            ppl.value_and_grad(objective)(q().grad(x="score"))

    @ppl.guide
    def weights():
        ppl.sample("x", Empirical(torch.tensor([1.0, 3.0]), ppl.param("w", torch.zeros(2))))

    objective = ppl.objective(lambda q: ppl.simulate(q)["x"])
    _, grads = ppl.value_and_grad(objective)(weights().grad(x="score"), draws=500)
    near(grads["w"], torch.tensor([-0.5, 0.5], dtype=torch.float64))


# ---------------------------------------------------------------- baselines of loops


@pytest.mark.parametrize("length", (5, 70))
def test_a_param_that_a_loop_reads_in_baselines_alone_learns(length):
    """Its choices have no params, so that the loop stays one. 2 (3p − b), as elsewhere."""

    @ppl.guide
    def q():
        b = ppl.param("b", 0.1)

        def step(total, _):
            return total + ppl.sample("x", Bernoulli(0.4), grad=ppl.Score(baseline=b * 1.0))

        total = ppl.scan("t", step, torch.zeros(()), length=length)
        grad = ppl.Score(baseline=b * 1.0)
        return 3.0 * ppl.sample("u", Bernoulli(logits=ppl.param("a", 0.3) + 0.0 * total), grad=grad)

    objective = ppl.objective(lambda q: ppl.simulate(q).value)
    _, grads = ppl.value_and_grad(objective)(q(), draws=DRAWS)
    p = torch.sigmoid(torch.tensor(0.3, dtype=torch.float64))
    near(grads["b"], 2.0 * (3.0 * p - 0.1))
    near(grads["a"], 3.0 * p * (1.0 - p))
