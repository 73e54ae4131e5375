"""Objectives for guides with auxiliary variables: on coins by enumeration, value and gradient by 1e5 estimates
within four standard errors; and in what order they bound.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
import torch

import ppl
from ppl.distributions import Bernoulli, Normal
from ppl.errors import PplError
from ppl.std import objectives

DRAWS = 100_000
AT = {"b": 0.3, "c": -0.8, "d": 1.5, "e": -0.2, "f": 0.9}
Tensor = torch.Tensor


@ppl.model
def model():
    x = ppl.sample("x", Bernoulli(0.3))
    ppl.sample("y", Normal(2.0 * x, 1.0))


@ppl.guide
def guide():
    mixed = ppl.sample("_mixed", Bernoulli(logits=ppl.param("b", AT["b"])))
    ppl.sample("x", Bernoulli(logits=ppl.param("c", AT["c"]) + ppl.param("d", AT["d"]) * mixed))


@ppl.guide
def reverse(x):
    ppl.sample("_mixed", Bernoulli(logits=ppl.param("e", AT["e"]) + ppl.param("f", AT["f"]) * x))


P, Q = model().condition(y=1.2), guide()


def near(estimates: Tensor, exact: Tensor) -> None:
    error = float(estimates.std()) / math.sqrt(len(estimates))
    assert abs(float(estimates.mean()) - float(exact)) <= 4 * error + 1e-9, (estimates.mean(), exact, error)


class Coins:
    """The densities of the three programs at 0s and 1s, and expectations over all outcomes."""

    def __init__(self) -> None:
        self.params = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in AT.items()}

    @staticmethod
    def coin(value: int, logit: Tensor) -> Tensor:
        return torch.nn.functional.logsigmoid(logit if value else -logit)

    def log_p(self, x: int) -> Tensor:
        y = torch.tensor(1.2, dtype=torch.float64)
        return math.log(0.3 if x else 0.7) + Normal(2.0 * x, 1.0).log_prob(y)

    def log_q(self, x: int, mixed: int) -> Tensor:
        k = self.params
        return self.coin(mixed, k["b"]) + self.coin(x, k["c"] + k["d"] * mixed)

    def log_r(self, mixed: int, x: int) -> Tensor:
        return self.coin(mixed, self.params["e"] + self.params["f"] * x)

    def one(self, x: int, mixed: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(log probability of a draw and its reverse draws, log weight)."""
        first, *others = mixed
        log_probability = self.log_q(x, first) + sum(self.log_r(m, x) for m in others)
        ratios = torch.stack([self.log_q(x, m) - self.log_r(m, x) for m in mixed])
        return log_probability, self.log_p(x) - torch.logsumexp(ratios, 0) + math.log(len(mixed))

    def expectation(self, M: int, K: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Of log (1/M) Σₘ wₘ, with K reverse draws each."""
        draws = [self.one(x, mixed) for x in (0, 1) for mixed in itertools.product((0, 1), repeat=K + 1)]
        total = torch.zeros((), dtype=torch.float64)
        for chosen in itertools.product(draws, repeat=M):
            log_w = torch.stack([w for _, w in chosen])
            probability = torch.exp(torch.stack([p for p, _ in chosen]).sum())
            total = total + probability * (torch.logsumexp(log_w, 0) - math.log(M))
        grads = torch.autograd.grad(total, list(self.params.values()))
        return total.detach(), dict(zip(self.params, grads, strict=True))

    def marginal_elbo(self) -> float:
        """The ELBO of q(x), its mixture summed out."""
        log_q = [torch.logsumexp(torch.stack([self.log_q(x, m) for m in (0, 1)]), 0) for x in (0, 1)]
        return sum(float((torch.exp(log_q[x]) * (self.log_p(x) - log_q[x])).detach()) for x in (0, 1))

    def evidence(self) -> float:
        return float(torch.logsumexp(torch.stack([self.log_p(0), self.log_p(1)]), 0))


CASES = {
    "hvi": (objectives.hvi, {}, 1, 0),
    "iwhvi": (objectives.iwhvi, {"K": 2}, 1, 2),
    "diwhvi": (objectives.diwhvi, {"M": 2, "K": 2}, 2, 2),
}


@pytest.mark.parametrize("grad", ("auto", "score"))
@pytest.mark.parametrize("name", CASES)
def test_coins(name: str, grad: str) -> None:
    objective, options, M, K = CASES[name]
    exact, gradient = Coins().expectation(M, K)
    found, grads = ppl.value_and_grad(objective)(
        P, Q.grad(grad), lambda z: reverse(z["x"]).grad(grad), **options, draws=DRAWS
    )
    near(found, exact)
    assert grads.keys() == gradient.keys()
    for param in AT:
        near(grads[param], gradient[param])


def test_a_reverse_model_is_called_by_the_names_of_sites() -> None:
    by_hand = ppl.value_and_grad(objectives.iwhvi)(P, Q, lambda z: reverse(z["x"]), seed=3)
    by_name = ppl.value_and_grad(objectives.iwhvi)(P, Q, reverse, seed=3)
    assert by_hand == by_name


def test_the_order_of_the_bounds() -> None:
    """HVI ≤ IWHVI ≤ ELBO of the mixture ≤ log p(y), and IWHVI ≤ DIWHVI: exact here, so the estimates, too."""
    coins = Coins()
    hvi, iwhvi, diwhvi = (float(coins.expectation(M, K)[0]) for M, K in ((1, 0), (1, 2), (2, 2)))
    assert hvi < iwhvi < coins.marginal_elbo() < coins.evidence()
    assert iwhvi < diwhvi < coins.evidence()


@ppl.guide
def mixture():
    """Normal given a Normal: the reverse model is Normal, too, and the mixture has a density of its own."""
    centre = ppl.sample("_centre", Normal(ppl.param("m", 0.4), 0.6))
    ppl.sample("z", Normal(centre, ppl.param("s", 0.7, constraint="positive")))


@ppl.guide
def exact_reverse(z):
    precision = 1 / 0.6**2 + 1 / 0.7**2
    ppl.sample("_centre", Normal((0.4 / 0.6**2 + z / 0.7**2) / precision, precision**-0.5))


@pytest.mark.parametrize("name", ("hvi", "iwhvi"))
def test_the_exact_reverse_gives_the_elbo_of_the_mixture(name: str) -> None:
    @ppl.model
    def p():
        ppl.sample("y", Normal(ppl.sample("z", Normal(0.0, 1.0)), 1.0))

    objective, options, _, _ = CASES[name]
    m, s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.4, 0.7))
    variance = 0.6**2 + s**2
    exact = 0.5 * torch.log(2 * math.pi * math.e * variance) - math.log(2 * math.pi)
    exact = exact - 0.5 * (m**2 + variance) - 0.5 * ((1.0 - m) ** 2 + variance)
    gradient = torch.autograd.grad(exact, (m, s))
    found, grads = ppl.value_and_grad(objective)(
        p().condition(y=1.0), mixture(), exact_reverse, **options, draws=DRAWS
    )
    near(found, exact.detach())
    for param, expected in zip("ms", gradient, strict=True):  # the bound touches: so do the derivatives
        near(grads[param], expected)


def test_a_reverse_model_without_the_auxiliary_site_is_refused() -> None:
    @ppl.guide
    def other(x):
        ppl.sample("_mixture", Bernoulli(logits=ppl.param("e", 0.0) + x))

    with pytest.raises(PplError, match="'_mixture'"):
        ppl.value_and_grad(objectives.hvi)(P, Q, other)


def test_unknown_arguments_of_a_reverse_model_are_refused() -> None:
    @ppl.guide
    def other(w):
        ppl.sample("_mixed", Bernoulli(logits=ppl.param("e", 0.0) + w))

    with pytest.raises(PplError, match="'w' is not a random choice of guide"):
        ppl.value_and_grad(objectives.hvi)(P, Q, other)


def test_a_guide_with_auxiliary_variables_has_no_importance_weights() -> None:
    """p(y, z) / q(z, λ) is no weight: its mean is not the evidence."""

    @ppl.model
    def p():
        ppl.sample("y", Normal(ppl.sample("z", Normal(0.0, 1.0)), 1.0))

    method = ppl.VI(guide=mixture(), objective=objectives.hvi, arguments={"r": exact_reverse}, steps=50)
    posterior = ppl.infer(p(), {"y": 1.0}, method=method, draws=200, seed=0, progress=False)
    assert posterior.draws["z"].shape == (1, 200)
    assert posterior.khat is None and posterior.log_weights is None
