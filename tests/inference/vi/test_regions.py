"""Random choices in scans and branches: fresh in every step, with the right gradients."""

from __future__ import annotations

import math

import pytest
import torch
from inference.vi.test_gradients import DRAWS, near

import ppl
from ppl.distributions import Bernoulli, Gamma, Normal
from ppl.errors import PplError


def flips(grad):
    """Three coins in a scan, each depending on the one before."""

    @ppl.guide
    def q():
        a = ppl.param("a", 0.3)

        def step(before, _):
            x = ppl.sample("x", Bernoulli(logits=a + 0.9 * before), grad=grad)
            return x

        return ppl.scan("time", step, torch.tensor(0.0), length=3)

    return q()


def exact_flips() -> tuple[torch.Tensor, torch.Tensor]:
    a = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    for code in range(8):
        x = [float(code >> t & 1) for t in range(3)]
        log_p = sum(
            torch.nn.functional.logsigmoid((1 if x[t] else -1) * (a + 0.9 * (x[t - 1] if t else 0.0)))
            for t in range(3)
        )
        total = total + torch.exp(log_p) * (x[0] + 2 * x[1] + 4 * x[2]) ** 2
    (grad,) = torch.autograd.grad(total, a)
    return total.detach(), grad


@pytest.mark.parametrize("grad", ("auto", "score"))
def test_three_flips(grad):
    @ppl.objective
    def squared(q):
        x = ppl.simulate(q)["x"]
        return (x * torch.tensor([1.0, 2.0, 4.0])).sum() ** 2

    value, gradient = exact_flips()
    found, grads = ppl.value_and_grad(squared)(flips(grad), draws=DRAWS)
    near(found, value)
    near(grads["a"], gradient)


def gaussian_chain(grad):
    @ppl.guide
    def q():
        a, s = ppl.param("a", 0.7), ppl.param("s", 0.5)

        def step(x, _):
            return ppl.sample("x", Normal(a * x, s), grad=grad)

        ppl.scan("time", step, torch.tensor(1.0), length=3)

    return q()


@pytest.mark.parametrize("grad", ("auto", "reparam", "score"))
def test_a_gaussian_chain(grad):
    """E Σ x_t²: the second moments follow v' = a² v + s²."""

    @ppl.objective
    def squares(q):
        return (ppl.simulate(q)["x"] ** 2).sum()

    a, s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.7, 0.5))
    v, total = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for _ in range(3):
        v = a * a * v + s * s
        total = total + v
    exact = torch.autograd.grad(total, (a, s))
    found, grads = ppl.value_and_grad(squares)(gaussian_chain(grad), draws=DRAWS)
    near(found, total.detach())
    near(grads["a"], exact[0])
    near(grads["s"], exact[1])


def test_noise_that_depends_on_parameters_in_a_scan():
    """A gamma chain: x' ~ Gamma(c (1 + x), 1), with mean c (1 + x)."""

    @ppl.guide
    def q():
        c = ppl.param("c", 0.8)
        ppl.scan("time", lambda x, _: ppl.sample("x", Gamma(c * (1.0 + x), 1.0)), torch.tensor(0.5), length=3)

    @ppl.objective
    def last(q):
        return ppl.simulate(q)["x"][2]

    c = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    mean = torch.tensor(0.5, dtype=torch.float64)
    for _ in range(3):
        mean = c * (1 + mean)
    (exact,) = torch.autograd.grad(mean, c)
    found, grads = ppl.value_and_grad(last)(q(), draws=DRAWS)
    near(found, mean.detach())
    near(grads["c"], exact)


@pytest.mark.parametrize("grad", ("reparam", "score"))
def test_elbo_of_a_random_walk(grad):
    """Model and guide as scans: the ELBO in closed form."""

    @ppl.model
    def p(y):
        def step(x, t):
            x = ppl.sample("x", Normal(x, 1.0))
            ppl.sample("y", Normal(x, 0.5))
            return x

        ppl.scan("time", step, torch.tensor(0.0), length=len(y))

    @ppl.guide
    def q():
        locs = ppl.param("m", torch.tensor([0.1, 0.2, 0.5, 0.4]))

        def step(_, loc):
            ppl.sample("x", Normal(loc, 0.3), grad=grad)
            return torch.tensor(0.0)

        ppl.scan("time", step, torch.tensor(0.0), xs=locs)

    @ppl.objective
    def elbo(p, q):
        z = ppl.simulate(q)
        return ppl.log_density(p, z) - ppl.log_density(q, z)

    y = torch.tensor([0.3, 0.8, 0.1, -0.2], dtype=torch.float64)
    m = torch.tensor([0.1, 0.2, 0.5, 0.4], dtype=torch.float64, requires_grad=True)
    half, v = 0.5 * math.log(2 * math.pi), 0.09
    steps = torch.diff(m, prepend=torch.zeros(1, dtype=torch.float64))
    walk = -0.5 * ((steps**2).sum() + 7 * v) - 4 * half
    data = (-0.5 * ((y - m) ** 2 + v) / 0.25 - math.log(0.5) - half).sum()
    total = walk + data + 4 * (0.5 + half + math.log(0.3))
    (exact,) = torch.autograd.grad(total, m)
    found, grads = ppl.value_and_grad(elbo)(p(y).condition(y=y), q(), draws=DRAWS)
    near(found, total.detach())
    near(grads["m"], exact)


def test_a_plate_inside_a_scan_inside_a_plate():
    @ppl.guide
    def q():
        m = ppl.param("m", torch.tensor([0.2, -0.4]))
        for g in ppl.plate("group", 2):

            def step(x, _, own=m[g]):
                for i in (inner := ppl.plate("inner", 3)):
                    e = ppl.sample("e", Normal(own * x, 1.0 + 0.1 * i))
                return 0.5 * x + inner.gather(e).sum()

            ppl.scan("time", step, torch.tensor(1.0), length=2)

    @ppl.objective
    def f(q):
        e = ppl.simulate(q)["e"]
        assert e.shape == (2, 2, 3)
        return (e * torch.tensor([1.0, 2.0, 3.0])).sum()

    m = torch.tensor([0.2, -0.4], dtype=torch.float64, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    for g in range(2):
        x = torch.ones((), dtype=torch.float64)
        for _ in range(2):
            total = total + 6 * m[g] * x
            x = 0.5 * x + 3 * m[g] * x
    (exact,) = torch.autograd.grad(total, m)
    found, grads = ppl.value_and_grad(f)(q(), draws=DRAWS)
    near(found, total.detach())
    near(grads["m"], exact)


@pytest.mark.parametrize("coin", ("enum", "score"))
@pytest.mark.parametrize("grad", ("reparam", "score"))
def test_a_branch(coin, grad):
    """x ~ N(m, 1) if the coin shows heads, else y ~ N(2m, 1); E of its square."""

    @ppl.guide
    def q():
        m = ppl.param("m", 0.6)
        heads = ppl.sample("heads", Bernoulli(logits=ppl.param("a", 0.3)), grad=coin)
        return ppl.cond(
            heads == 1,
            lambda: ppl.sample("x", Normal(m, 1.0), grad=grad),
            lambda: ppl.sample("y", Normal(2.0 * m, 1.0), grad=grad),
        )

    @ppl.objective
    def square(q):
        return ppl.simulate(q).value ** 2

    w = 1 / (1 + math.exp(-0.3))
    found, grads = ppl.value_and_grad(square)(q(), draws=DRAWS)
    near(found, w * (0.36 + 1) + (1 - w) * (1.44 + 1))
    near(grads["m"], w * 1.2 + (1 - w) * 8 * 0.6)
    near(grads["a"], w * (1 - w) * (1.36 - 2.44))


def test_a_branch_chosen_by_a_reparameterised_value_is_refused():
    @ppl.guide
    def q(grad):
        x = ppl.sample("x", Normal(ppl.param("m", 0.2), 1.0), grad=grad)
        return ppl.cond(x > 0, lambda: torch.tensor(1.0), lambda: torch.tensor(0.0))

    @ppl.objective
    def f(q):
        return ppl.simulate(q).value

    with pytest.raises(PplError, match="not sound for 'x'"):
        ppl.value_and_grad(f)(q("reparam"))
    _, grads = ppl.value_and_grad(f)(q("auto"), draws=DRAWS)
    near(grads["m"], math.exp(-0.02) / math.sqrt(2 * math.pi))


def test_an_objective_is_explained():
    @ppl.guide
    def q():
        x = ppl.sample("x", Normal(ppl.param("m", 0.2), 1.0))
        ppl.sample("k", Bernoulli(logits=x))
        ppl.sample("noise", Normal(0.0, 1.0))

    @ppl.objective
    def f(q, K):
        for _ in (particles := ppl.plate("particle", K)):
            z = ppl.simulate(q)
            value = torch.where(z["x"] > 0, 1.0, 0.0) + z["k"] + z["noise"]
        return particles.gather(value).mean()

    found = ppl.explain(f(q(), K=4))
    chosen = {c.name: c.strategy for c in found.choices}
    assert chosen == {"x": "score", "k": None, "noise": None}
    text = str(found)
    assert "particle 4" in text and "param m [] of q" in text
    assert "reparam: the objective jumps: `>` of it is not continuous" in " ".join(text.split())


def test_a_value_the_user_vouches_for_is_shown():
    @ppl.objective
    def f(q):
        x = ppl.simulate(q)["x"]
        return ppl.assume_continuous(torch.where(x > 0, x, 0.5 * x))

    @ppl.guide
    def q():
        ppl.sample("x", Normal(ppl.param("m", 0.2), 1.0), grad="reparam")

    assert ppl.explain(f(q())).vouched == 1
    _, grads = ppl.value_and_grad(f)(q(), draws=DRAWS)
    up = 0.5 * math.erfc(-0.2 / math.sqrt(2))
    near(grads["m"], up + 0.5 * (1 - up))
