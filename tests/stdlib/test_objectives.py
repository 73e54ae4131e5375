"""The objectives of the standard library: expectation and gradient on a Gaussian model by quadrature, each by
1e5 estimates within four standard errors; and what they bound.

The model is z ~ Normal(a, 1), y ~ Normal(z, 1) with y = 1; the guide is z ~ Normal(m, s).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import ppl
from ppl.distributions import Bernoulli, Normal
from ppl.errors import PplError
from ppl.std import objectives

DRAWS = 100_000
AT = {"a": 0.2, "m": 0.3, "s": 1.1}
EVIDENCE = -0.5 * 0.8**2 / 2 - 0.5 * math.log(4 * math.pi)
Tensor = torch.Tensor


@ppl.model
def model():
    z = ppl.sample("z", Normal(ppl.param("a", AT["a"]), 1.0))
    ppl.sample("y", Normal(z, 1.0))


@ppl.guide
def guide():
    ppl.sample("z", Normal(ppl.param("m", AT["m"]), ppl.param("s", AT["s"], constraint="positive")))


P, Q = model().condition(y=1.0), guide()


def near(estimates: Tensor, exact: Tensor) -> None:
    """The mean of independent estimates is the exact value, within four standard errors (or 1e-9)."""
    error = estimates.std(0) / math.sqrt(len(estimates))
    assert estimates.shape[1:] == exact.shape
    distance = (estimates.mean(0) - exact).abs()
    assert bool((distance <= 4 * error + 1e-9 * (1 + exact.abs())).all()), (estimates.mean(0), exact, error)


class Reference:
    """Expectations over K draws of the guide on a grid: `value(log_p, log_q)` of `[points, K]`."""

    def __init__(self, K: int, held: bool = False, points: int = 501) -> None:
        self.params = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in AT.items()}
        grid = torch.linspace(-8.0, 8.0, points, dtype=torch.float64)
        step = float(grid[1] - grid[0])
        noise = torch.cartesian_prod(*([grid] * K)).reshape(-1, K)
        self.weights = torch.exp(Normal(0.0, 1.0).log_prob(noise).sum(1)) * step**K
        a, m, s = (self.params[k] for k in "ams")
        z = m + s * noise
        self.z = z.detach() if held else z
        self.log_prior = Normal(a, 1.0).log_prob(self.z)
        self.log_likelihood = Normal(self.z, 1.0).log_prob(torch.tensor(1.0))
        self.log_p = self.log_prior + self.log_likelihood
        self.log_q = Normal(m, s).log_prob(self.z)

    def expectation(self, value: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        total = (self.weights * value).sum()
        grads = torch.autograd.grad(total, list(self.params.values()), allow_unused=True)
        zero = torch.zeros((), dtype=torch.float64)
        return total.detach(), {k: zero if g is None else g for k, g in zip(self.params, grads, strict=True)}


def log_mean(x: Tensor) -> Tensor:
    return torch.logsumexp(x, -1) - math.log(x.shape[-1])


Case = tuple[Any, dict[str, Any], int, Callable[[Tensor], Tensor]]
OF_THE_WEIGHTS: dict[str, Case] = {
    "elbo": (objectives.elbo, {}, 1, lambda w: w[:, 0]),
    "elbo of two": (objectives.elbo, {"particles": 2}, 2, lambda w: w.mean(1)),
    "sticking the landing": (objectives.sticking_the_landing, {"particles": 2}, 2, lambda w: w.mean(1)),
    "iwelbo": (objectives.iwelbo, {"K": 2}, 2, log_mean),
    "dreg": (objectives.dreg, {"K": 2}, 2, log_mean),
    "miwae": (objectives.miwae, {"M": 3, "K": 2}, 2, log_mean),
    "ciwae": (
        objectives.ciwae,
        {"K": 2, "beta": 0.3},
        2,
        lambda w: 0.3 * w.mean(1) + 0.7 * log_mean(w),
    ),
    "renyi": (objectives.renyi, {"alpha": 0.4, "K": 2}, 2, lambda w: log_mean(0.6 * w) / 0.6),
    "renyi that seeks modes": (objectives.renyi, {"alpha": 2.0, "K": 2}, 2, lambda w: -log_mean(-w)),
    "renyi at one": (objectives.renyi, {"alpha": 1.0, "K": 2}, 2, lambda w: w.mean(1)),
    "vr-max": (objectives.vr_max, {"K": 2}, 2, lambda w: w.amax(1)),
    "cubo": (objectives.cubo, {"n": 2.0, "K": 2}, 2, lambda w: -log_mean(2 * w) / 2),
    "exp-cubo": (
        objectives.exp_cubo,
        {"n": 1.5, "K": 2, "shift": -1.0},
        2,
        lambda w: -torch.exp(1.5 * (w + 1.0)).mean(1),
    ),
    "forward KL by its f": (
        objectives.f_divergence,
        {"f": lambda w: w * torch.log(w), "shift": EVIDENCE},
        1,
        lambda w: -(torch.exp(w - EVIDENCE) * (w - EVIDENCE))[:, 0],
    ),
    "total variation": (
        objectives.f_divergence,
        {"f": lambda w: (w - 1).abs() / 2, "shift": EVIDENCE, "K": 2},
        2,
        lambda w: -(torch.exp(w - EVIDENCE) - 1).abs().mean(1) / 2,
    ),
}


@pytest.mark.parametrize("name", OF_THE_WEIGHTS)
def test_value_and_gradient(name: str) -> None:
    objective, options, K, value = OF_THE_WEIGHTS[name]
    reference = Reference(K)
    exact, gradient = reference.expectation(value(reference.log_p - reference.log_q))
    found, grads = ppl.value_and_grad(objective)(P, Q, **options, draws=DRAWS)
    near(found, exact)
    for param in AT:
        near(grads[param], gradient[param])


@pytest.mark.parametrize("name", ("elbo of two", "sticking the landing", "iwelbo", "miwae", "vr-max", "cubo"))
def test_the_same_by_scores(name: str) -> None:
    """With `q.grad("score")`, which makes the IWELBO VIMCO."""
    objective, options, K, value = OF_THE_WEIGHTS[name]
    reference = Reference(K)
    _, gradient = reference.expectation(value(reference.log_p - reference.log_q))
    _, grads = ppl.value_and_grad(objective)(P, Q.grad("score"), **options, draws=DRAWS)
    for param in AT:
        near(grads[param], gradient[param])


def test_beta_weighs_prior_and_guide() -> None:
    reference = Reference(1)
    value = reference.log_likelihood + 1.7 * (reference.log_prior - reference.log_q)
    exact, gradient = reference.expectation(value[:, 0])
    found, grads = ppl.value_and_grad(objectives.beta_elbo)(P, Q, beta=1.7, particles=2, draws=DRAWS)
    near(found, exact)
    for param in AT:
        near(grads[param], gradient[param])


def test_wake_phase() -> None:
    reference = Reference(2, held=True)
    exact, gradient = reference.expectation(log_mean(reference.log_p - reference.log_q.detach()))
    found, grads = ppl.value_and_grad(objectives.wake)(P, Q, K=2, draws=DRAWS)
    near(found, exact)
    near(grads["a"], gradient["a"])
    assert float(grads["m"].abs().max()) == float(grads["s"].abs().max()) == 0.0


def test_forward_kl() -> None:
    reference = Reference(2, held=True)
    weights = torch.softmax(reference.log_p - reference.log_q, 1).detach()
    exact, gradient = reference.expectation((weights * reference.log_q).sum(1))
    found, grads = ppl.value_and_grad(objectives.forward_kl)(P, Q, K=2, draws=DRAWS)
    near(found, exact)
    for param in AT:
        near(grads[param], gradient[param])


def test_forward_kl_is_at_its_maximum_at_the_posterior() -> None:
    at = {"m": 0.6, "s": 0.5**0.5}
    _, grads = ppl.value_and_grad(objectives.forward_kl)(P, Q, params=at, draws=20_000)
    for param in AT:
        near(grads[param], torch.zeros(()).double())


def test_stein_discrepancy() -> None:
    reference = Reference(2)
    x, y = reference.z.unbind(1)
    s, t = (reference.params["a"] + 1.0 - 2 * v for v in (x, y))
    h2, d = 0.8**2, x - y
    kernel = torch.exp(-0.5 * d**2 / h2)
    u = kernel * (s * t + s * d / h2 - t * d / h2 + 1 / h2 - d**2 / h2**2)
    exact, gradient = reference.expectation(-u)
    found, grads = ppl.value_and_grad(objectives.stein)(P, Q, K=3, bandwidth=0.8, draws=DRAWS)
    near(found, exact)
    for param in AT:
        near(grads[param], gradient[param])


def test_stein_discrepancy_is_zero_at_the_posterior_of_a_vector() -> None:
    @ppl.model
    def p():
        w = ppl.sample("w", Normal(torch.zeros(2), 1.0))
        for _ in ppl.plate("i", 3):
            ppl.sample("v", Normal(w[0], 0.5))

    found = ppl.estimate(objectives.stein)(p(), p(), K=10, draws=5000)
    assert abs(found.value) < 4 * found.standard_error


@ppl.guide
def recognition(y):
    loc = ppl.param("c", 0.3) * y + ppl.param("m", 0.1)
    ppl.sample("z", Normal(loc, ppl.param("s", 0.9, constraint="positive")))


def test_sleep_phase() -> None:
    """z − c y − m has mean a (1 − c) − m and variance (1 − c)² + c² under the model."""
    c, m, s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 0.1, 0.9))
    square = (0.2 * (1 - c) - m) ** 2 + (1 - c) ** 2 + c**2
    exact = -0.5 * math.log(2 * math.pi) - torch.log(s) - square / (2 * s**2)
    gradient = torch.autograd.grad(exact, (c, m, s))
    found, grads = ppl.value_and_grad(objectives.sleep)(P, recognition(y=1.0), draws=DRAWS)
    near(found, exact.detach())
    for param, expected in zip("cms", gradient, strict=True):
        near(grads[param], expected)
    assert float(grads["a"].abs().max()) == 0.0


def test_sleep_without_data_for_the_guide_is_refused() -> None:
    with pytest.raises(PplError, match="no data to give to the guide"):
        ppl.value_and_grad(objectives.sleep)(P, Q)


def test_bounds_bound() -> None:
    """ELBO ≤ MIWAE ≤ IWELBO ≤ log p(x) ≤ CUBO, each well apart."""
    at = {"m": -0.2, "s": 1.1}

    def mean(objective: Any, **options: Any) -> tuple[float, float]:
        found = ppl.estimate(objective)(P, Q, **options, params=at, draws=DRAWS)
        return found.value, 4 * found.standard_error

    ladder = [
        mean(objectives.elbo),
        mean(objectives.miwae, M=3, K=3),
        mean(objectives.iwelbo, K=9),
    ]
    for (low, below), (high, above) in zip(ladder, [*ladder[1:], (EVIDENCE, 0.0)], strict=True):
        assert low + below < high - above
    value, error = mean(objectives.exp_cubo, n=2.0, K=10, shift=EVIDENCE)
    assert EVIDENCE + 0.5 * math.log(-value - error) > EVIDENCE


def test_sticking_the_landing_has_no_noise_at_the_posterior() -> None:
    at = {"m": 0.6, "s": 0.5**0.5}
    _, plain = ppl.value_and_grad(objectives.elbo)(P, Q, params=at, draws=100)
    _, sticking = ppl.value_and_grad(objectives.sticking_the_landing)(P, Q, params=at, draws=100)
    assert float(plain["s"].std()) > 0.1
    assert float(sticking["m"].abs().max()) < 1e-12 and float(sticking["s"].abs().max()) < 1e-12


def test_dreg_keeps_its_signal_with_many_particles() -> None:
    def ratio(objective: Any) -> float:
        _, grads = ppl.value_and_grad(objective)(P, Q, K=100, draws=2000)
        return float(grads["s"].mean().abs() / grads["s"].std())

    assert ratio(objectives.dreg) > 3 * ratio(objectives.iwelbo)


def test_dreg_of_a_discrete_guide_is_refused() -> None:
    @ppl.guide
    def coin():
        ppl.sample("x", Bernoulli(logits=ppl.param("b", 0.4)))

    @ppl.model
    def p():
        ppl.sample("y", Normal(ppl.sample("x", Bernoulli(0.3)), 1.0))

    with pytest.raises(PplError, match="no reparameterisation"):
        ppl.value_and_grad(objectives.dreg)(p().condition(y=1.0), coin())


def test_particles_of_the_elbo_are_enumerated_one_by_one() -> None:
    """The mean over particles is a sum: each is summed out by itself, without noise."""

    @ppl.guide
    def coin():
        ppl.sample("x", Bernoulli(logits=ppl.param("b", 0.4)), grad="enum")

    @ppl.model
    def p():
        ppl.sample("y", Normal(ppl.sample("x", Bernoulli(0.3)), 1.0))

    b = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    q = torch.sigmoid(torch.stack([-b, b]))
    log_p = torch.tensor([0.7, 0.3], dtype=torch.float64).log()
    log_p = log_p + Normal(torch.tensor([0.0, 1.0]).double(), 1.0).log_prob(torch.tensor(1.0))
    exact = (q * (log_p - q.log())).sum()
    value, grads = ppl.value_and_grad(objectives.elbo)(p().condition(y=1.0), coin(), particles=3)
    torch.testing.assert_close(value, exact.detach())
    torch.testing.assert_close(grads["b"], torch.autograd.grad(exact, b)[0])


def test_an_f_that_is_no_function_is_refused() -> None:
    with pytest.raises(PplError, match="a function of the density ratio"):
        ppl.value_and_grad(objectives.f_divergence)(P, Q, f=2.0)
