"""Baselines that the program computes: the score stays unbiased, the baseline's own params get the gradient of the
squared error, and nothing else gets any of it.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from inference.vi.subjects import near
from torch import Tensor

import ppl
from ppl.distributions import Bernoulli, Normal
from ppl.errors import PplError
from ppl.inference.vi.compiled import CompiledObjective

DRAWS = 100_000
REGIONS: dict[str, tuple[int, ...]] = {"none": (), "plate": (3,), "nested": (2, 2)}


def t(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def coins(region: tuple[int, ...], baseline: Any) -> Any:
    """Coins with logits a[at], each with its own baseline."""
    n = math.prod(region)
    logits = torch.linspace(-0.6, 0.8, n, dtype=torch.float64).reshape(region)

    def site(a: Any, c: Any, at: Any) -> None:
        b = baseline(a[at], c[at])
        ppl.sample("k", Bernoulli(logits=a[at]), grad=ppl.Score(baseline=b))

    @ppl.guide
    def q():
        a, c = ppl.param("a", logits), ppl.param("c", 0.5 * logits)
        if not region:
            return site(a, c, ())
        if len(region) == 1:
            for i in ppl.plate("i", region[0]):
                site(a, c, i)
            return None
        for i in ppl.plate("i", region[0]):
            for j in ppl.plate("j", region[1]):
                site(a, c, (i, j))

    return q(), logits


def weights(region: tuple[int, ...]) -> Tensor:
    return 0.5 + torch.arange(math.prod(region), dtype=torch.float64).reshape(region)


@ppl.objective
def total(q, w):
    return 10.0 + (w * (2.0 + 3.0 * ppl.simulate(q)["k"])).sum()


@pytest.mark.parametrize("region", REGIONS)
def test_learned_baselines(region):
    """b = c + a², learned in c alone: ∂/∂c of −E (R − b)² is 2 (E R − b), R = 3 w k what the coin can change."""
    guide, a = coins(REGIONS[region], lambda a, c: c + a**2)
    w = weights(REGIONS[region])
    _, grads = ppl.value_and_grad(total)(guide, w, draws=DRAWS)
    p = torch.sigmoid(a)
    near(grads["a"], 3.0 * w * p * (1 - p))
    near(grads["c"], 2.0 * (3.0 * w * p - 0.5 * a - a**2))


def test_a_good_baseline_lowers_the_variance():
    def spread(baseline: Any) -> float:
        guide, _ = coins((3,), baseline)
        _, grads = ppl.value_and_grad(total)(guide, torch.full((3,), 4.0), draws=10_000)
        return float(grads["a"].var(0).sum())

    assert spread(lambda a, c: 6.0) < 0.3 * spread(
        lambda a, c: 0.0
    )  # 12 k has the mean 12 p, and p is near ½
    assert spread(lambda a, c: 12.0 * torch.sigmoid(a)) < 0.3 * spread(lambda a, c: 0.0)


def chain(baseline: Any) -> Any:
    """A normal number, then a coin whose baseline may know it."""

    @ppl.guide
    def q():
        z = ppl.sample("z", Normal(ppl.param("m", 0.3), 0.8))
        b = baseline(z, ppl.param("slope", 0.7))
        ppl.sample("k", Bernoulli(logits=z), grad=ppl.Score(baseline=b))

    return q()


def test_a_baseline_of_an_earlier_choice():
    """f = k z: the objective's derivative in m does not see b(z), although z moves with m."""

    @ppl.objective
    def product(q):
        x = ppl.simulate(q)
        return x["k"] * x["z"]

    e = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    weight = torch.exp(-e * e / 2) / math.sqrt(2 * math.pi) * float(e[1] - e[0])
    m = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    z = m + 0.8 * e
    exact = torch.autograd.grad((weight * torch.sigmoid(z) * z).sum(), m)[0]
    z = z.detach()
    fit = 2.0 * (weight * z * (torch.sigmoid(z) * z - 0.7 * z)).sum()
    for learned in (True, False):
        b = (lambda z, s: s * z) if learned else (lambda z, s: 0.7 * z)
        _, grads = ppl.value_and_grad(product)(chain(b), draws=DRAWS)
        near(grads["m"], exact)
        near(grads["slope"], fit if learned else torch.zeros(()))


def test_a_network_as_baseline_learns_the_reward():
    x = t(-1.0, 0.0, 2.0)
    torch.manual_seed(0)
    net = torch.nn.Linear(1, 1, dtype=torch.float64)

    @ppl.guide
    def q(x):
        for i in ppl.plate("i", 3):
            b = ppl.module("baseline", net)(x[i].reshape(1)).squeeze(-1)
            ppl.sample("k", Bernoulli(logits=ppl.param("a", torch.zeros(3))[i]), grad=ppl.Score(baseline=b))

    @ppl.objective
    def lines(q, x):
        return (ppl.simulate(q)["k"] * x).sum()

    compiled = CompiledObjective(lines(q(x), x))
    values = compiled.values()
    for seed in range(40):  # plain gradient steps towards the least squares fit: E R = ½ x
        _, grads, _ = compiled.run(values, seed, 2000)
        for name in ("baseline.weight", "baseline.bias"):
            values[name] = values[name] + 0.05 * grads[name].mean(0)
    assert float(values["baseline.weight"]) == pytest.approx(0.5, abs=0.02)
    assert float(values["baseline.bias"]) == pytest.approx(0.0, abs=0.02)


def test_training_moves_the_baseline_with_the_guide():
    @ppl.guide
    def q():
        b = ppl.param("b", 0.0)
        ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.0)), grad=ppl.Score(baseline=b))

    @ppl.model
    def p():
        k = ppl.sample("k", Bernoulli(0.5))
        ppl.observe("y", Normal(3.0 * k, 1.0), 1.6)

    @ppl.objective
    def elbo(p, q):
        z = ppl.simulate(q)
        return ppl.log_density(p, z) - ppl.log_density(q.stop_gradient(), z)

    fit = ppl.infer(
        p(), {}, method="vi", guide=q(), objective=elbo, steps=400, learning_rate=0.1, progress=False
    )
    odds = -0.5 * (1.6 - 3.0) ** 2 + 0.5 * 1.6**2
    assert fit.params["a"] == pytest.approx(odds, abs=0.1)
    without = {**fit.params, "b": 0.0}
    spread = [
        float(ppl.value_and_grad(elbo)(p(), q(), draws=1000, params=at)[1]["a"].std())
        for at in (fit.params, without)
    ]
    assert spread[0] < 0.1 * spread[1]  # at the posterior the reward is certain, and the baseline knows it


@pytest.mark.parametrize(
    ("baseline", "text"),
    (
        (lambda: torch.zeros(2), "the baseline has the wrong shape"),
        (lambda: torch.zeros(1), r"baseline.squeeze\(-1\)"),
        (lambda: torch.nn.Identity(), r"call it: Score\(baseline=net\(x\)\)"),
    ),
)
def test_what_is_no_baseline_is_refused(baseline, text):
    guide, _ = coins((3,), lambda a, c: baseline())
    with pytest.raises(PplError, match=text):
        ppl.value_and_grad(total)(guide, weights((3,)))


def steps(length):
    """Coins whose logit is shifted by the heads so far, each with a baseline that knows them."""

    @ppl.guide
    def q():
        def step(c, _):
            logit = ppl.param("a", 0.3) - 0.5 * c
            guess = ppl.param("slope", 1.0) * c + ppl.param("guess", 0.5)
            return c + ppl.sample("k", Bernoulli(logits=logit), grad=ppl.Score(baseline=guess))

        return ppl.scan("s", step, torch.zeros(()), length=length)

    @ppl.objective
    def last(q):
        return ppl.simulate(q).value ** 2

    return last, q()


def test_each_step_of_a_scan_has_a_baseline():
    last, q = steps(3)
    exact = {0.0: (1.0, 0.0)}  # by heads so far: probability, and its derivative in a
    for _ in range(3):
        then: dict[float, tuple[float, float]] = {}
        for c, (p, dp) in exact.items():
            head = 1 / (1 + math.exp(0.5 * c - 0.3))
            for k, share, slope in ((1.0, head, head * (1 - head)), (0.0, 1 - head, -head * (1 - head))):
                old = then.get(c + k, (0.0, 0.0))
                then[c + k] = (old[0] + p * share, old[1] + dp * share + p * slope)
        exact = then
    _, grads = ppl.value_and_grad(last)(q, draws=20_000)
    near(grads["a"], torch.tensor(sum(c * c * dp for c, (_, dp) in exact.items()), dtype=torch.float64))
    assert grads["slope"].std() > 0 and grads["guess"].std() > 0  # they learn


def test_a_scan_too_long_for_baselines_is_refused():
    last, q = steps(1000)
    with pytest.raises(PplError, match="too long to be written out"):
        ppl.value_and_grad(last)(q)


def test_a_baseline_inside_a_branch():
    """It learns where the branch is taken: E (f − b)², f = 2k, has the derivative −2 (2p − b)."""

    @ppl.guide
    def q():
        def on():
            grad = ppl.Score(baseline=ppl.param("own", 0.5))
            return 2.0 * ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3)), grad=grad)

        return ppl.cond(ppl.sample("b", Bernoulli(0.25)) > 0, on, lambda: torch.zeros(()))

    @ppl.objective
    def value(q):
        return ppl.simulate(q).value

    _, grads = ppl.value_and_grad(value)(q(), draws=20_000)
    p = 1 / (1 + math.exp(-0.3))
    near(grads["a"], torch.tensor(2 * p * (1 - p) * 0.25, dtype=torch.float64))
    near(grads["own"], torch.tensor(2 * (2 * p - 0.5) * 0.25, dtype=torch.float64))


def test_outside_objectives_a_baseline_says_nothing():
    guide, _ = coins((3,), lambda a, c: c)
    assert ppl.simulate(guide, seed=1)["k"].shape == (3,)
    assert math.isfinite(float(ppl.log_density(guide, {"k": [1.0, 0.0, 1.0]})))
