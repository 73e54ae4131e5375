"""RELAX: unbiased whatever its control variate, whose params get the gradient of minus the squared gradient."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from inference.vi.subjects import near
from torch import Tensor

import ppl
from ppl.distributions import Bernoulli, Categorical, Gamma, Normal, OneHotCategorical
from ppl.errors import PplError
from ppl.inference.vi.compiled import CompiledObjective

DRAWS = 100_000
REGIONS: dict[str, tuple[int, ...]] = {"none": (), "plate": (3,), "nested": (2, 2)}
LOGITS = torch.tensor([0.3, -0.4, 0.8], dtype=torch.float64)
FAMILIES = {"coin": Bernoulli, "one-hot": OneHotCategorical, "category": Categorical}


def control(z: Tensor) -> Tensor:
    """A function of the noise with params that begin where it is of use and of harm."""
    c = ppl.param("c", 0.7)
    return c * torch.tanh(z + ppl.param("d", -0.3)).sum()


def asked(family: str) -> Any:
    if family == "category":
        return ppl.Relax(control, eta=0.0)
    temperature = ppl.param("temperature", 0.6, constraint="positive")
    return ppl.Relax(control, temperature, ppl.param("eta", 0.8))


def program(family: str, region: tuple[int, ...]) -> tuple[Any, Tensor]:
    """Choices of each element, with logits of its own."""
    event = () if family == "coin" else (3,)
    n = math.prod(region)
    start = 0.5 * torch.arange(n, dtype=torch.float64).reshape((*region, *(1 for _ in event)))
    start = start + (LOGITS if event else 0.2)

    def site(a: Any) -> Any:
        return ppl.sample("k", FAMILIES[family](logits=a), grad=asked(family))

    @ppl.guide
    def q():
        a = ppl.param("a", start)
        if not region:
            return site(a)
        if len(region) == 1:
            for i in ppl.plate("i", region[0]):
                site(a[i])
            return None
        for i in ppl.plate("i", region[0]):
            for j in ppl.plate("j", region[1]):
                site(a[i, j])

    return q(), start


def f(k: Tensor, family: str) -> Tensor:
    if family == "one-hot":
        return torch.exp(k @ torch.tensor([0.5, -1.0, 1.2], dtype=torch.float64))
    return (k * 1.0 - 0.4) ** 2 + 2.0 * k


@ppl.objective
def total(q, w, family):
    return (w * f(ppl.simulate(q)["k"], family)).sum()


def exact(a: Tensor, w: Tensor, family: str) -> Tensor:
    a = a.clone().requires_grad_()
    if family == "coin":
        p = torch.sigmoid(a)
        mean = p * f(torch.ones(()), family) + (1 - p) * f(torch.zeros(()), family)
    else:
        k = torch.eye(3, dtype=torch.float64) if family == "one-hot" else torch.arange(3.0)
        mean = torch.softmax(a, -1) @ f(k.to(torch.float64), family)
    return torch.autograd.grad((w * mean).sum(), a)[0]


def weights(region: tuple[int, ...]) -> Tensor:
    return 0.5 + torch.arange(math.prod(region), dtype=torch.float64).reshape(region)


QUICK = {("coin", "nested"), ("one-hot", "plate"), ("category", "none")}
CASES = [
    pytest.param(f, r, marks=() if (f, r) in QUICK else pytest.mark.slow) for f in FAMILIES for r in REGIONS
]


@pytest.mark.parametrize(("family", "region"), CASES)
def test_it_is_unbiased(family, region):
    guide, a = program(family, REGIONS[region])
    w = weights(REGIONS[region])
    _, grads = ppl.value_and_grad(total)(guide, w, family, draws=DRAWS)
    near(grads["a"], exact(a, w, family))


@pytest.mark.parametrize("place", ("scan", "branch"))
def test_it_is_unbiased_in_scans_and_branches(place):
    """Steps: the logit is raised by a head before. A branch: taken with probability ¼."""

    def choice(logit):
        eta = ppl.param("eta", 0.8) if place == "branch" else 0.0  # a head before is no number between
        grad = ppl.Relax(lambda z: ppl.param("c", 0.7) * torch.tanh(z), eta=eta)
        return ppl.sample("k", Bernoulli(logits=logit), grad=grad)

    @ppl.guide
    def q():
        a = ppl.param("a", 0.2)
        if place == "scan":
            return ppl.scan("s", lambda c, _: choice(a + c), torch.zeros(()), length=2)
        return ppl.cond(ppl.sample("b", Bernoulli(0.25)) > 0, lambda: choice(a), lambda: torch.ones(()) * 0.3)

    @ppl.objective
    def value(q):
        return torch.exp(ppl.simulate(q).value)

    def p(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    low, high = p(0.2), p(1.2)
    slope = low * (1 - low)
    exact = 0.25 * slope
    if place == "scan":  # P(head) = low high + (1 − low) low
        exact = slope * high + low * high * (1 - high) - slope * low + (1 - low) * slope
    _, grads = ppl.value_and_grad(value)(q(), draws=20_000)
    near(grads["a"], torch.tensor((math.e - 1) * exact, dtype=torch.float64))
    assert all(grads[name].std() > 0 for name in grads)
    names = {"a", "c", "eta"} if place == "branch" else {"a", "c"}
    compiled = CompiledObjective(value(q()))
    assert set(grads) == names and compiled.estimator.fitted == names - {"a"}


@pytest.mark.parametrize("family", ("coin", "category"))
def test_the_control_variates_params_get_the_gradient_of_minus_the_squared_gradient(family):
    """By central differences of Σ ĝ² with the same noise."""
    guide, _ = program(family, (3,))
    compiled = CompiledObjective(total(guide, weights((3,)), family))

    def squared(values: dict[str, Tensor]) -> Tensor:
        _, grads, _ = compiled.run(values, 3, 50)
        return (grads["a"] ** 2).flatten(1).sum(1)

    values = compiled.values()
    _, grads, _ = compiled.run(values, 3, 50)
    step = 1e-5
    for name in set(values) - {"a"}:
        up, down = ({**values, name: values[name] + s} for s in (step, -step))
        slope = (squared(up) - squared(down)) / (2 * step)
        torch.testing.assert_close(grads[name], -slope, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("eta", (0.0, 1.0))
def test_learning_lowers_the_variance(eta):
    """Gradient steps on the control variate alone; an objective that jumps asks for eta=0."""

    @ppl.guide
    def q():
        a = ppl.param("a", LOGITS)
        weight, shift = ppl.param("weight", 0.0), ppl.param("shift", 0.0)
        grad = ppl.Relax(lambda z: weight * torch.sigmoid(2.0 * z) + shift, eta=eta)
        for i in ppl.plate("i", 3):
            ppl.sample("k", Bernoulli(logits=a[i]), grad=grad)

    @ppl.objective
    def loss(q):
        k = ppl.simulate(q)["k"]
        gain = torch.where(k > 0.5, 5.0, 2.0) if eta == 0.0 else 5.0 * k**2 + 2.0
        return gain.sum()

    compiled = CompiledObjective(loss(q()))
    values = compiled.values()
    spread = []
    for seed in range(60):
        _, grads, _ = compiled.run(values, seed, 1000)
        spread.append(float(grads["a"].var(0).sum()))
        for name in ("weight", "shift"):
            values[name] = values[name] + 0.2 * grads[name].mean(0)
    assert spread[-1] < 0.5 * spread[0]
    _, grads, _ = compiled.run(values, 99, DRAWS)
    p = torch.sigmoid(LOGITS)
    near(grads["a"], (3.0 if eta == 0.0 else 5.0) * p * (1 - p))


def test_a_normal_choice_after_it_is_seen_by_the_control_variate():
    """E (m + b) z with z ~ N(b, 1) is E (m + b) b."""

    @ppl.guide
    def q():
        b = ppl.sample("b", Bernoulli(logits=ppl.param("a", 0.3)), grad=asked("coin"))
        ppl.sample("z", Normal(b, 1.0))

    @ppl.objective
    def product(q):
        x = ppl.simulate(q)
        return (2.0 + x["b"]) * x["z"]

    _, grads = ppl.value_and_grad(product)(q(), draws=DRAWS)
    p = torch.sigmoid(torch.tensor(0.3, dtype=torch.float64))
    near(grads["a"], 3.0 * p * (1 - p))


@pytest.mark.parametrize(
    ("family", "grad", "reason"),
    (
        (Bernoulli, lambda: ppl.Relax(), "the objective jumps"),
        (Categorical, lambda: ppl.Relax(), "between whole numbers there is nothing"),
        (lambda logits: Gamma(logits.exp(), 1.0), lambda: ppl.Relax(control, eta=0.0), "no relaxation"),
        (Bernoulli, lambda: ppl.Relax(lambda z: z.expand(2)), "not one number"),
        (Bernoulli, lambda: ppl.Relax(temperature=0.0), "positive"),
        (Bernoulli, lambda: ppl.Relax(eta=0.0), "is the score function"),
    ),
)
def test_refusals(family, grad, reason):
    @ppl.guide
    def q():
        a = ppl.param("a", 0.3 if family is not Categorical else LOGITS)
        ppl.sample("k", family(logits=a), grad=grad())

    @ppl.objective
    def stepped(q):
        return torch.where(ppl.simulate(q)["k"] > 0.5, 1.0, 0.0)

    with pytest.raises(PplError, match=reason):
        ppl.value_and_grad(stepped)(q())
