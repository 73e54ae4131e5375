"""Gradient strategies of choices that depend on each other; coupling, exactness and refusals of single ones."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from inference.vi.subjects import near
from torch import Tensor

import ppl
from ppl.distributions import Bernoulli, Categorical, Gamma, Normal, Poisson
from ppl.errors import PplError

DRAWS = 100_000
START = {"m": 0.3, "s": 0.8, "a": -0.2}


def params() -> list[Any]:
    return [ppl.param(name, value) for name, value in START.items()]


def coin_after_normal(normal: Any, coin: Any) -> Any:
    @ppl.guide
    def q():
        m, s, a = params()
        z = ppl.sample("z", Normal(m, s), grad=normal)
        ppl.sample("k", Bernoulli(logits=z + a), grad=coin)

    return q()


def normal_after_coin(normal: Any, coin: Any) -> Any:
    @ppl.guide
    def q():
        m, s, a = params()
        k = ppl.sample("k", Bernoulli(logits=a), grad=coin)
        ppl.sample("z", Normal(m + k, s), grad=normal)

    return q()


def f(z: Any, k: Any) -> Any:
    return torch.sin(z) * (1.0 + k) + 2.0 * k


@ppl.objective
def both(q):
    x = ppl.simulate(q)
    return f(x["z"], x["k"])


def exact(coin_first: bool) -> dict[str, Tensor]:
    """By a sum over the coin and a fine sum over the normal's quantities."""
    leaves = {n: torch.tensor(v, dtype=torch.float64, requires_grad=True) for n, v in START.items()}
    m, s, a = leaves.values()
    e = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    w = torch.exp(-e * e / 2) / math.sqrt(2 * math.pi) * float(e[1] - e[0])
    total = torch.zeros((), dtype=torch.float64)
    for k in (0.0, 1.0):
        z = m + s * e + (k if coin_first else 0.0)
        p = torch.sigmoid(torch.sign(torch.tensor(k - 0.5)) * (a if coin_first else z + a))
        total = total + (w * p * f(z, k)).sum()
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))


NORMALS = ("reparam", "score", "mvd", "quadrature")
COINS = ("score", "enum", "mvd", "rebar", ppl.Score(baseline="mean"))
QUICK = [("mvd", "mvd"), ("reparam", "mvd"), ("mvd", "enum"), ("reparam", "rebar"), ("quadrature", "enum")]


def compare(guide: Any, exact: dict[str, Tensor], slack: float) -> None:
    _, grads = ppl.value_and_grad(both)(guide, draws=DRAWS)
    for name, slope in exact.items():
        near(grads[name], slope, slack)


@pytest.mark.parametrize(("normal", "coin"), QUICK)
def test_one_after_the_other(normal, coin):
    slack = 1e-4 if normal == "quadrature" else 1e-6
    compare(coin_after_normal(normal, coin), exact(False), slack)
    compare(normal_after_coin(normal, coin), exact(True), slack)


@pytest.mark.slow
@pytest.mark.parametrize("normal", NORMALS)
@pytest.mark.parametrize("coin", COINS)
def test_all_pairs(normal, coin):
    slack = 1e-4 if normal == "quadrature" else 1e-6
    compare(coin_after_normal(normal, coin), exact(False), slack)
    if coin == "rebar" and normal in ("score", "mvd"):
        with pytest.raises(PplError, match="'z' drawn after it"):
            ppl.value_and_grad(both)(normal_after_coin(normal, coin))
    else:
        compare(normal_after_coin(normal, coin), exact(True), slack)


# ---------------------------------------------------------------- coupling, exactness, variance


def test_a_finite_choice_has_no_variance_of_its_own_by_measures():
    @ppl.guide
    def q():
        ppl.sample("k", Categorical(logits=ppl.param("a", torch.tensor([0.3, -0.1, 0.8]))), grad="mvd")

    @ppl.objective
    def square(q):
        return ppl.simulate(q)["k"] ** 2.0

    _, grads = ppl.value_and_grad(square)(q(), draws=100)
    p = torch.softmax(torch.tensor([0.3, -0.1, 0.8], dtype=torch.float64), 0)
    values = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(grads["a"], (p * (values - (p * values).sum())).expand(100, 3))


def test_measures_find_the_derivative_of_a_probability():
    """P(x > 1) of a normal: no continuity is needed."""

    @ppl.guide
    def q():
        ppl.sample("x", Normal(ppl.param("m", 0.3), ppl.param("s", 0.8)), grad="mvd")

    @ppl.objective
    def above(q):
        return torch.where(ppl.simulate(q)["x"] > 1.0, 1.0, 0.0)

    _, grads = ppl.value_and_grad(above)(q(), draws=DRAWS)
    z = 0.7 / 0.8
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    near(grads["m"], torch.tensor(density / 0.8))
    near(grads["s"], torch.tensor(density * z / 0.8))


def test_coupling_makes_the_derivative_of_a_linear_function_certain():
    """E x of a Poisson: R(x + 1) − R(x) is 1, always."""

    @ppl.guide
    def q():
        ppl.sample("x", Poisson(ppl.param("r", 2.3)), grad="mvd")

    @ppl.objective
    def mean(q):
        return ppl.simulate(q)["x"]

    _, grads = ppl.value_and_grad(mean)(q(), draws=100)
    torch.testing.assert_close(grads["r"], torch.ones(100, dtype=torch.float64))


def test_a_shape_without_known_measures_is_refused_only_where_it_moves():
    def q(shape: Any, rate: Any) -> Any:
        @ppl.guide
        def guide():
            a, b = ppl.param("a", 2.0), ppl.param("b", 1.5)
            ppl.sample("x", Gamma(shape(a, b), rate(a, b)), grad="mvd")

        return guide()

    @ppl.objective
    def root(q):
        return torch.sqrt(ppl.simulate(q)["x"])

    ppl.value_and_grad(root)(q(lambda a, b: 2.0, lambda a, b: a * b))
    for shape in (lambda a, b: a, lambda a, b: 1.0 + b):
        with pytest.raises(PplError, match="Gamma in its concentration"):
            ppl.value_and_grad(root)(q(shape, lambda a, b: b))


@pytest.mark.parametrize("grad", ("mvd", "enum", "quadrature"))
def test_vectors_of_choices_and_elements_that_meet_are_refused(grad):
    family = (lambda x: Normal(x, 1.0)) if grad == "quadrature" else (lambda x: Bernoulli(logits=x))

    @ppl.guide
    def vector():
        ppl.sample("x", family(ppl.param("a", torch.zeros(3))), grad=grad)

    @ppl.guide
    def plated():
        a = ppl.param("a", torch.zeros(3))
        for i in ppl.plate("i", 3):
            ppl.sample("x", family(a[i]), grad=grad)

    @ppl.objective
    def product(q):
        return torch.prod(ppl.simulate(q)["x"], 0)

    with pytest.raises(PplError, match="it is a vector of choices"):
        ppl.value_and_grad(product)(vector())
    with pytest.raises(PplError, match="not a sum"):
        ppl.value_and_grad(product)(plated())


@pytest.mark.parametrize("grad", ("enum", "auto"))
def test_a_sum_over_a_plate_times_another_choice_is_summed_element_by_element(grad):
    """E (1 + k) Σᵢ xᵢ with xᵢ ~ Bernoulli(logits = b + k i)."""

    @ppl.guide
    def q():
        a, b = ppl.param("a", 0.2), ppl.param("b", -0.4)
        k = ppl.sample("k", Bernoulli(logits=a), grad=grad)
        for i in (plate := ppl.plate("i", 3)):
            x = ppl.sample("x", Bernoulli(logits=b + k * i), grad=grad)
        return (1.0 + k) * plate.gather(x).sum()

    objective = ppl.objective(lambda q: ppl.simulate(q).value)
    a, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.2, -0.4))
    p, i = torch.sigmoid(a), torch.arange(3.0, dtype=torch.float64)
    total = 2.0 * p * torch.sigmoid(b + i).sum() + (1.0 - p) * 3.0 * torch.sigmoid(b)
    value, grads = ppl.value_and_grad(objective)(q())
    torch.testing.assert_close(value, total.detach())
    for name, slope in zip("ab", torch.autograd.grad(total, (a, b)), strict=True):
        torch.testing.assert_close(grads[name], slope)


def test_products_of_sums_over_a_plate_are_refused_by_enumeration_and_scored_by_auto():
    """E (Σᵢ xᵢ)(Σⱼ yⱼ): elements of x meet all elements of y."""

    @ppl.guide
    def q(grad):
        a = ppl.param("a", torch.tensor([0.2, -0.4, 0.3]))
        for i in (plate := ppl.plate("i", 3)):
            x = ppl.sample("x", Bernoulli(logits=a[i]), grad=grad)
            y = ppl.sample("y", Bernoulli(logits=-a[i]), grad=grad)
        return plate.gather(x).sum() * plate.gather(y).sum()

    objective = ppl.objective(lambda q: ppl.simulate(q).value)
    with pytest.raises(PplError, match="a function that is not a sum"):
        ppl.value_and_grad(objective)(q("enum"))
    a = torch.tensor([0.2, -0.4, 0.3], dtype=torch.float64, requires_grad=True)
    total = torch.sigmoid(a).sum() * torch.sigmoid(-a).sum()
    value, grads = ppl.value_and_grad(objective)(q("auto"), draws=DRAWS)
    near(value, total.detach())
    near(grads["a"], torch.autograd.grad(total, a)[0])


# ---------------------------------------------------------------- quadrature


def test_quadrature_is_exact_for_polynomials_up_to_twice_its_order():
    @ppl.guide
    def q(order):
        ppl.sample("x", Normal(ppl.param("m", 0.3), ppl.param("s", 0.8)), grad=ppl.Quadrature(order))

    @ppl.objective
    def sixth(q):
        return ppl.simulate(q)["x"] ** 6

    def found(order: int) -> tuple[float, float]:
        value, grads = ppl.value_and_grad(sixth)(q(order))
        return float(value), float(grads["s"])

    m, s = 0.3, 0.8
    moment = m**6 + 15 * m**4 * s**2 + 45 * m**2 * s**4 + 15 * s**6
    slope = 30 * m**4 * s + 180 * m**2 * s**3 + 90 * s**5
    assert found(4) == pytest.approx((moment, slope), rel=1e-12)
    assert found(3)[0] != pytest.approx(moment, rel=1e-3)


def test_an_elbo_by_quadrature_has_no_variance():
    @ppl.model
    def p():
        x = ppl.sample("x", Normal(0.0, 1.0))
        for _ in ppl.plate("n", 2):
            y = ppl.sample("y", Normal(x, 0.5))
            ppl.sample("d", Normal(y, 0.3))

    @ppl.guide
    def q():
        x = ppl.sample("x", Normal(ppl.param("m", 0.3), ppl.param("s", 0.8)), grad="quadrature")
        a = ppl.param("a", torch.tensor([0.1, -0.5]))
        for i in ppl.plate("n", 2):
            ppl.sample("y", Normal(x + a[i], 0.4), grad="quadrature")

    @ppl.objective
    def elbo(p, q):
        z = ppl.simulate(q)
        return ppl.log_density(p, z) - ppl.log_density(q, z)

    bound = p().condition(d=torch.tensor([0.4, -0.2]))
    value, grads = ppl.value_and_grad(elbo)(bound, q())
    m, s, a = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 0.8, [0.1, -0.5]))
    d = torch.tensor([0.4, -0.2], dtype=torch.float64)
    log = math.log
    known = -0.5 * (m * m + s * s) + torch.log(s) + 0.5  # the constants of the prior and of q(x) cancel
    known = known + (-0.5 * (a * a + 0.16) / 0.25 - log(0.5) + 0.5 + log(0.4)).sum()
    spread = (m + a - d) ** 2 + s * s + 0.16
    known = known + (-0.5 * spread / 0.09 - log(0.3) - 0.5 * log(2 * math.pi)).sum()
    torch.testing.assert_close(value, known.detach())
    for name, slope in zip("msa", torch.autograd.grad(known, (m, s, a)), strict=True):
        torch.testing.assert_close(grads[name], slope)


# ---------------------------------------------------------------- what errors propose


def test_errors_propose_only_what_is_sound():
    """Nothing that a scored choice follows, or that the objective computes between, can be relaxed."""

    @ppl.guide
    def followed():
        k = ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3)), grad="quadrature")
        ppl.sample("z", Normal(ppl.param("m", 0.2) + k, 1.0), grad="score")

    @ppl.objective
    def product(q):
        x = ppl.simulate(q)
        return (1.0 + x["k"]) * x["z"]

    with pytest.raises(PplError) as caught:
        ppl.value_and_grad(product)(followed())
    assert 'sound here: "enum", "mvd", "score"' in str(caught.value)
    with pytest.raises(PplError, match="'z' drawn after it is not differentiable"):
        ppl.value_and_grad(product)(followed().grad(k="rebar"))
    with pytest.raises(PplError, match="'z' drawn after it is not differentiable"):
        ppl.explain(product(followed().grad(k="rebar")))


def test_a_relaxed_choice_is_followed_by_draws_along_it():
    """z ~ N(k, 1) has no params of its own: it is reparameterised all the same, for the control variate's sake."""

    @ppl.guide
    def q():
        k = ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3)), grad="rebar")
        ppl.sample("z", Normal(k, 1.0))

    @ppl.objective
    def square(q):
        return ppl.simulate(q)["z"] ** 2 / 2.0

    _, grads = ppl.value_and_grad(square)(q(), draws=DRAWS)
    p = 1 / (1 + math.exp(-0.3))
    near(grads["a"], torch.tensor(0.5 * p * (1 - p), dtype=torch.float64))


def test_the_users_word_holds_between_the_values_too():
    @ppl.guide
    def q():
        ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3)), grad="rebar")

    @ppl.objective
    def folded(q):
        k = ppl.simulate(q)["k"]
        return ppl.assume_continuous(torch.where(k > 0.5, 2.0 * k, 4.0 * k - 1.0) + 0.0)

    _, grads = ppl.value_and_grad(folded)(q(), draws=DRAWS)
    p = 1 / (1 + math.exp(-0.3))
    near(grads["a"], torch.tensor(3.0 * p * (1 - p), dtype=torch.float64))
