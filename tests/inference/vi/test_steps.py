"""Choices in scans that are written out, in branches, and in regions inside regions; enumeration of chains; credit
from step to step.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from inference.vi.subjects import near
from inference.vi.test_gradients import DRAWS
from torch.nn.functional import logsigmoid

import ppl
from ppl.compiler.estimators import steps
from ppl.distributions import Bernoulli, Categorical, Normal
from ppl.errors import PplError

F = torch.float64


def leaf(x):
    return torch.tensor(x, dtype=F, requires_grad=True)


# ---------------------------------------------------------------- hidden Markov chains


def coins(grad, length):
    """A chain of coins, each depending on the one before."""

    @ppl.guide
    def q():
        a = ppl.param("a", 0.3)
        step = lambda before, _: ppl.sample("x", Bernoulli(logits=a + 0.9 * before), grad=grad)  # noqa: E731
        ppl.scan("time", step, torch.tensor(0.0), length=length)

    return q()


def by_combinations(f, length):
    """E f(x) of the coins and its derivative in a, over all 2^length combinations."""
    a, total = leaf(0.3), torch.zeros((), dtype=F)
    for x in itertools.product((0.0, 1.0), repeat=length):
        log_p = sum(
            logsigmoid((1 if k else -1) * (a + 0.9 * before)) for k, before in zip(x, (0.0, *x), strict=False)
        )
        total = total + torch.exp(log_p) * f(torch.tensor(x, dtype=F))
    return total.detach(), torch.autograd.grad(total, a)[0]


FUNCTIONS = {
    "of each": lambda x: (torch.sin(x) * torch.tensor([1.0, 2.0, 4.0])).sum(),
    "of neighbours": lambda x: (x[1:] * x[:-1]).sum(),
    "of all together": lambda x: (x * torch.tensor([1.0, 2.0, 4.0])).sum() ** 2,
}


@pytest.mark.parametrize("of", FUNCTIONS)
@pytest.mark.parametrize("grad", ("auto", "enum", "score", "mvd"))
def test_a_chain_of_coins(of, grad):
    objective = ppl.objective(lambda q: FUNCTIONS[of](ppl.simulate(q)["x"]))
    value, slope = by_combinations(FUNCTIONS[of], 3)
    found, grads = ppl.value_and_grad(objective)(coins(grad, 3), draws=DRAWS)
    near(found, value)
    near(grads["a"], slope)
    if grad in ("auto", "enum"):
        assert float(grads["a"].std()) < 1e-9


def chain_elbo(length):
    """The ELBO of a hidden Markov model under a guide that is a chain too: program, guide and exact value."""

    @ppl.model
    def p(y):
        def step(k, seen):
            k = ppl.sample(
                "k", Categorical(torch.where(k == 0, torch.tensor([0.8, 0.2]), torch.tensor([0.3, 0.7])))
            )
            ppl.observe("y", Normal(2.0 * k, 1.0), seen)
            return k

        ppl.scan("time", step, torch.tensor(0), y)

    @ppl.guide
    def q():
        rows = ppl.param("rows", torch.tensor([[0.2, -0.1], [-0.3, 0.4]]))
        ppl.scan(
            "time",
            lambda k, _: ppl.sample("k", Categorical(logits=rows[k]), grad="enum"),
            torch.tensor(0),
            length=length,
        )

    @ppl.objective
    def elbo(p, q):
        z = ppl.simulate(q)
        return ppl.log_density(p, z) - ppl.log_density(q, z)

    y = torch.sin(torch.arange(length, dtype=F)) * 2.0
    return elbo, p(y), q(), y


@pytest.mark.parametrize("length", (4, 20))
def test_the_elbo_of_a_hidden_markov_model_is_summed_by_the_forward_algorithm(length):
    elbo, model, guide, y = chain_elbo(length)
    rows = leaf([[0.2, -0.1], [-0.3, 0.4]])
    log_q = torch.log_softmax(rows, 1)
    log_p = torch.log(torch.tensor([[0.8, 0.2], [0.3, 0.7]], dtype=F))
    here, total = torch.tensor([1.0, 0.0], dtype=F), torch.zeros((), dtype=F)
    for seen in y:
        joint = here[:, None] * torch.exp(log_q)
        fit = Normal(torch.tensor([0.0, 2.0], dtype=F), 1.0).log_prob(seen)
        total = total + (joint * (log_p - log_q + fit)).sum()
        here = joint.sum(0)
    value, grads = ppl.value_and_grad(elbo)(model, guide)
    torch.testing.assert_close(value, total.detach())
    torch.testing.assert_close(grads["rows"], torch.autograd.grad(total, rows)[0])


def test_too_many_combinations_are_refused_and_not_taken_by_auto():
    objective = ppl.objective(lambda q: torch.tanh(ppl.simulate(q)["x"].sum()))
    with pytest.raises(PplError, match="combinations of values"):
        ppl.value_and_grad(objective)(coins("enum", 30))
    found, _ = ppl.value_and_grad(objective)(coins("auto", 30), draws=10)
    assert len(torch.unique(found)) > 1


def test_a_long_scan_is_refused_where_it_has_to_be_written_out():
    objective = ppl.objective(lambda q: ppl.simulate(q)["x"].sum())
    with pytest.raises(PplError, match="too long to be written out") as refused:
        ppl.value_and_grad(objective)(coins("enum", steps.STEPS + 1))
    assert "'x'" in str(refused.value) and 'grad="score"' in str(refused.value)
    _, grads = ppl.value_and_grad(objective)(coins("auto", steps.STEPS + 1), draws=2)
    assert bool(torch.isfinite(grads["a"]).all())


# ---------------------------------------------------------------- credit


def test_a_step_is_credited_with_what_comes_after_it():
    """Independent coins, f = Σ w_t x_t: the variance of a step's score is that of its own terms."""

    def q(grad):
        @ppl.guide
        def guide():
            a = ppl.param("a", torch.zeros(6))
            zero = torch.tensor(0.0)

            def step(total, t):
                x = ppl.sample("x", Bernoulli(logits=a[t]), grad=grad)
                return total + (t + 1.0) * x

            return ppl.scan("time", step, zero, length=6)

        return guide()

    objective = ppl.objective(lambda q: ppl.simulate(q).value)
    _, grads = ppl.value_and_grad(objective)(q(ppl.Score()), draws=DRAWS)
    w = torch.arange(1.0, 7.0, dtype=F)
    near(grads["a"], w / 4)
    # (x − ½) w x: its second moment is w² / 8, and nothing of the other steps is in it
    torch.testing.assert_close(grads["a"].var(0), w**2 / 8 - w**2 / 16, rtol=0.05, atol=0.0)


def test_rewards_of_earlier_steps_are_left_out(monkeypatch):
    """A chain with a reward in each step: the same gradient with less variance than the whole objective gives."""
    objective = ppl.objective(lambda q: (5.0 + ppl.simulate(q)["x"]).sum())
    _, written = ppl.value_and_grad(objective)(coins("score", 8), draws=DRAWS)
    monkeypatch.setattr("ppl.compiler.estimators.plan.FEW", 0)
    _, rolled = ppl.value_and_grad(objective)(coins("score", 8), draws=DRAWS)
    near(written["a"], rolled["a"].mean(), float(4 * rolled["a"].std() / math.sqrt(DRAWS)))
    assert float(written["a"].var()) < 0.5 * float(rolled["a"].var())


# ---------------------------------------------------------------- regions inside regions


@pytest.mark.parametrize("grad", ("reparam", "score", "mvd", "auto"))
def test_a_scan_in_a_scan(grad):
    """Σ E x² over four steps of v' = a² v + s², two and two."""

    @ppl.guide
    def q():
        a = ppl.param("a", 0.7)

        def outer(x, _):
            inner = lambda x, _: ppl.sample("x", Normal(a * x, 0.5), grad=grad)  # noqa: E731
            return ppl.scan("inner", inner, x, length=2)

        ppl.scan("outer", outer, torch.tensor(1.0), length=2)

    @ppl.objective
    def f(q):
        x = ppl.simulate(q)["x"]
        assert x.shape == (2, 2)
        return (x**2).sum()

    a, v, total = leaf(0.7), torch.ones((), dtype=F), torch.zeros((), dtype=F)
    for _ in range(4):
        v = a * a * v + 0.25
        total = total + v
    found, grads = ppl.value_and_grad(f)(q(), draws=DRAWS)
    near(found, total.detach())
    near(grads["a"], torch.autograd.grad(total, a)[0])


@pytest.mark.parametrize(
    ("coin", "grad"), [("enum", "reparam"), ("score", "score"), ("mvd", "mvd"), ("auto", "auto")]
)
def test_a_branch_in_a_scan(coin, grad):
    """In each step x ~ N(m, 1) if a coin shows heads, else y ~ N(2m, 0.7); the coins make a chain."""

    @ppl.guide
    def q():
        m, a = ppl.param("m", 0.6), ppl.param("a", 0.3)

        def step(before, _):
            heads = ppl.sample("heads", Bernoulli(logits=a + 0.5 * before), grad=coin)
            value = ppl.cond(
                heads == 1,
                lambda: ppl.sample("x", Normal(m, 1.0), grad=grad),
                lambda: ppl.sample("y", Normal(2.0 * m, 0.7), grad=grad),
            )
            return heads, value**2

        return ppl.scan("time", step, torch.tensor(0.0), length=2)[1]

    m, a = leaf(0.6), leaf(0.3)
    first = torch.sigmoid(a)
    second = first * torch.sigmoid(a + 0.5) + (1 - first) * torch.sigmoid(a)
    total = sum(p * (m * m + 1) + (1 - p) * (4 * m * m + 0.49) for p in (first, second))
    objective = ppl.objective(lambda q: ppl.simulate(q).value.sum())
    found, grads = ppl.value_and_grad(objective)(q(), draws=DRAWS)
    near(found, total.detach())
    for name, slope in zip("ma", torch.autograd.grad(total, (m, a)), strict=True):
        near(grads[name], slope)


@pytest.mark.parametrize("grad", ("reparam", "score", "mvd"))
def test_a_scan_in_a_branch_in_a_plate(grad):
    @ppl.guide
    def q():
        m = ppl.param("m", torch.tensor([0.6, -0.2]))
        for i in (plate := ppl.plate("i", 2)):
            heads = ppl.sample("heads", Bernoulli(0.3))

            def walk(own=m[i]):
                step = lambda x, _: ppl.sample("x", Normal(own * x, 1.0), grad=grad)  # noqa: E731
                return ppl.scan("time", step, torch.tensor(1.0), length=2)

            value = ppl.cond(heads == 1, walk, lambda: torch.tensor(2.0))
        return plate.gather(value)

    w = torch.tensor([1.0, 2.0], dtype=F)
    m = leaf([0.6, -0.2])
    total = ((0.3 * (m * m * (m * m + 1) + 1) + 0.7 * 4) * w).sum()
    objective = ppl.objective(lambda q: (ppl.simulate(q).value ** 2 * w).sum())
    found, grads = ppl.value_and_grad(objective)(q(), draws=DRAWS)
    near(found, total.detach())
    near(grads["m"], torch.autograd.grad(total, m)[0])


@pytest.mark.parametrize("grad", ("score", "enum"))
def test_a_plate_of_choices_in_a_scan(grad):
    """Coins in a plate, in every step, given a coin that the steps carry."""

    @ppl.guide
    def q():
        a = ppl.param("a", torch.tensor([0.2, -0.4]))

        def step(before, _):
            heads = ppl.sample("heads", Bernoulli(logits=a[0] + before), grad=grad)
            for i in (inner := ppl.plate("inner", 3)):
                tail = ppl.sample("tail", Bernoulli(logits=a[1] + heads * i), grad=grad)
            return heads, inner.gather(tail).sum() * (1.0 + heads)

        return ppl.scan("time", step, torch.tensor(0.0), length=2)[1]

    a = leaf([0.2, -0.4])
    first = torch.sigmoid(a[0])
    total = torch.zeros((), dtype=F)
    for p in (first, first * torch.sigmoid(a[0] + 1) + (1 - first) * torch.sigmoid(a[0])):
        for i in range(3):
            total = total + p * 2 * torch.sigmoid(a[1] + i) + (1 - p) * torch.sigmoid(a[1])
    objective = ppl.objective(lambda q: ppl.simulate(q).value.sum())
    found, grads = ppl.value_and_grad(objective)(q(), draws=DRAWS)
    near(found, total.detach())
    near(grads["a"], torch.autograd.grad(total, a)[0])


def test_a_choice_of_a_branch_has_parameters_of_its_own_only_where_the_branch_is_taken():
    """Normal(0, x) where x > 0: no draw with a negative scale, and no noise from a branch that is not taken."""

    @ppl.guide
    def q():
        x = ppl.sample("x", Normal(ppl.param("m", 0.2), 1.0), grad="score")
        return ppl.cond(
            x > 0, lambda: ppl.sample("y", Normal(0.0, x), grad="score"), lambda: torch.tensor(0.0)
        )

    objective = ppl.objective(lambda q: ppl.simulate(q).value ** 2)
    found, grads = ppl.value_and_grad(objective)(q(), draws=DRAWS)
    density, below = math.exp(-0.02) / math.sqrt(2 * math.pi), 0.5 * math.erfc(0.2 / math.sqrt(2))
    near(found, torch.tensor(1.04 * (1 - below) + 0.2 * density))
    near(grads["m"], torch.tensor(2 * (0.2 * (1 - below) + density)))


def test_steps_are_explained_together():
    objective = ppl.objective(lambda q: ppl.simulate(q)["x"].sum())
    (choice,) = ppl.explain(objective(coins("enum", 5))).choices
    assert (choice.name, choice.strategy, choice.steps) == ("x", "enum", 5)
    assert "x  Bernoulli: enum in each of 5 steps" in str(ppl.explain(objective(coins("enum", 5))))
