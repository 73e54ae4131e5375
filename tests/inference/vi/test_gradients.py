"""Gradients of objectives against closed forms, enumeration and quadrature, each by 1e5 estimates within four
standard errors; and what would be wrong is refused.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import ppl
from ppl.distributions import Bernoulli, Categorical, LogNormal, Normal, Uniform
from ppl.errors import PplError

DRAWS = 100_000


def near(estimates: torch.Tensor, exact: Any) -> None:
    """The mean of independent estimates is the exact value, within four standard errors (or 1e-9)."""
    exact = torch.as_tensor(exact, dtype=torch.float64)
    error = estimates.std(0) / math.sqrt(len(estimates))
    assert estimates.shape[1:] == exact.shape
    distance = (estimates.mean(0) - exact).abs()
    assert bool((distance <= 4 * error + 1e-9 * (1 + exact.abs())).all()), (estimates.mean(0), exact, error)


def phi(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


# ---------------------------------------------------------------- one choice


def normal_guide(grad: Any) -> Any:
    @ppl.guide
    def q():
        m, s = ppl.param("m", 0.4), ppl.param("s", 1.5, constraint="positive")
        return ppl.sample("x", Normal(m, s), grad=grad)

    return q()


@pytest.mark.parametrize("grad", ("auto", "reparam", "score"))
def test_smooth_function_of_a_normal(grad):
    @ppl.objective
    def f(q):
        x = ppl.simulate(q)["x"]
        return x**2 + torch.sin(x)

    value, grads = ppl.value_and_grad(f)(normal_guide(grad), draws=DRAWS)
    m, s = 0.4, 1.5
    damp = math.exp(-s * s / 2)
    near(value, m * m + s * s + math.sin(m) * damp)
    near(grads["m"], 2 * m + math.cos(m) * damp)
    near(grads["s"], 2 * s - s * math.sin(m) * damp)


def test_a_probability_by_its_score():
    @ppl.objective
    def positive(q):
        return torch.where(ppl.simulate(q)["x"] > 0, 1.0, 0.0)

    for grad in ("score", "auto"):
        value, grads = ppl.value_and_grad(positive)(normal_guide(grad), draws=DRAWS)
        near(value, 0.5 * math.erfc(-0.4 / 1.5 / math.sqrt(2)))
        near(grads["m"], phi(0.4 / 1.5) / 1.5)
        near(grads["s"], -phi(0.4 / 1.5) * 0.4 / 1.5**2)


def test_a_probability_by_reparameterisation_is_refused():
    @ppl.objective
    def positive(q):
        return torch.where(ppl.simulate(q)["x"] > 0, 1.0, 0.0)

    with pytest.raises(PplError) as caught:
        ppl.value_and_grad(positive)(normal_guide("reparam"))
    text = str(caught.value)
    assert "not sound for 'x'" in text and "`>`" in text and '"score"' in text and "> 0, 1.0, 0.0" in text


def test_the_score_of_a_moving_support_is_refused():
    @ppl.guide
    def q():
        return ppl.sample("x", Uniform(0.0, ppl.param("h", 2.0)), grad="score")

    @ppl.objective
    def mean(q):
        return ppl.simulate(q)["x"]

    with pytest.raises(PplError, match="support of Uniform moves"):
        ppl.value_and_grad(mean)(q())


def test_a_moving_support_by_reparameterisation():
    @ppl.guide
    def q():
        return ppl.sample("x", Uniform(0.0, ppl.param("h", 2.0)))

    @ppl.objective
    def square(q):
        return ppl.simulate(q)["x"] ** 2

    value, grads = ppl.value_and_grad(square)(q(), draws=DRAWS)
    near(value, 4 / 3)
    near(grads["h"], 4 / 3)


def test_a_density_whose_support_moves_with_a_reparameterised_value_is_refused():
    @ppl.model
    def p():
        z = ppl.sample("z", LogNormal(0.0, 1.0))
        ppl.sample("y", Uniform(0.0, z))

    @ppl.guide
    def q(grad):
        ppl.sample("z", LogNormal(ppl.param("m", 1.0), 0.3), grad=grad)

    @ppl.objective
    def elbo(p, q):
        z = ppl.simulate(q)
        return ppl.log_density(p, z) - ppl.log_density(q, z)

    with pytest.raises(PplError, match="density of 'y', whose support Uniform moves"):
        ppl.value_and_grad(elbo)(p().condition(y=0.1), q("reparam"))


def angle(y: torch.Tensor) -> torch.Tensor:
    """Jumps from −π to π at y = 0."""
    return torch.atan2(y, torch.tensor(-1.0))


def test_an_angle_jumps():
    @ppl.objective
    def mean(q):
        return angle(ppl.simulate(q)["x"])

    with pytest.raises(PplError, match="`atan2` of it is not continuous"):
        ppl.value_and_grad(mean)(normal_guide("reparam"))
    _, grads = ppl.value_and_grad(mean)(normal_guide("auto"), draws=DRAWS)
    x = torch.linspace(-15, 15, 200_001, dtype=torch.float64)
    m = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    exact = torch.trapezoid(angle(x) * torch.exp(Normal(m, 1.5).log_prob(x)), x)
    near(grads["m"], torch.autograd.grad(exact, m)[0])


def test_what_the_user_vouches_for_is_not_refused():
    @ppl.objective
    def mean(q):
        return ppl.assume_continuous(torch.cos(angle(ppl.simulate(q)["x"])))

    value, a = ppl.value_and_grad(mean)(normal_guide("reparam"), draws=DRAWS)
    _, b = ppl.value_and_grad(mean)(normal_guide("score"), draws=DRAWS, seed=1)
    assert float(value.max()) < 0.0  # the cosine of an angle on the left
    error = torch.sqrt((a["m"].var() + b["m"].var()) / DRAWS)
    assert abs(a["m"].mean() - b["m"].mean()) < 4 * error


@pytest.mark.parametrize(
    "kink", (torch.relu, torch.abs, lambda x: torch.clamp(x, min=0.2), lambda x: torch.maximum(x, x**2))
)
def test_continuous_kinks_are_not_refused(kink):
    @ppl.objective
    def f(q):
        return kink(ppl.simulate(q)["x"])

    _, a = ppl.value_and_grad(f)(normal_guide("reparam"), draws=DRAWS)
    _, b = ppl.value_and_grad(f)(normal_guide("score"), draws=DRAWS, seed=1)
    for name in a:
        error = torch.sqrt((a[name].var() + b[name].var()) / DRAWS)
        assert abs(a[name].mean() - b[name].mean()) < 4 * error


def test_numbers_given_for_params_keep_their_digits():
    @ppl.objective
    def mean(q):
        return ppl.simulate(q).value

    @ppl.guide
    def q():
        return ppl.param("m", 0.0)

    value, _ = ppl.value_and_grad(mean)(q(), params={"m": 0.1})
    assert float(value) == 0.1


# ---------------------------------------------------------------- discrete choices


def chain_guide(grads: tuple[str, ...], k: int = 3) -> Any:
    """k coins, each depending on the one before."""

    @ppl.guide
    def q():
        logits = ppl.param("logits", torch.linspace(-0.5, 0.7, k))
        before = torch.tensor(0.0)
        for i in range(k):
            before = ppl.sample(
                f"x{i}", Bernoulli(logits=logits[i] + 0.8 * before), grad=grads[i % len(grads)]
            )

    return q()


@ppl.objective
def pairs(q):
    """A sum over neighbours."""
    z = ppl.simulate(q)
    total = 1.3 * z["x0"]
    for i in range(1, len(z)):
        total = total + (i + 1.0) * z[f"x{i}"] * z[f"x{i - 1}"] - z[f"x{i}"]
    return total


def by_hand(k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The exact expectation of `pairs` and its gradient, over all 2^k outcomes."""
    logits = torch.linspace(-0.5, 0.7, k, dtype=torch.float64, requires_grad=True)
    total = torch.zeros((), dtype=torch.float64)
    for code in range(2**k):
        x = [float(code >> i & 1) for i in range(k)]
        log_p = torch.zeros((), dtype=torch.float64)
        for i in range(k):
            lp = logits[i] + 0.8 * (x[i - 1] if i else 0.0)
            log_p = log_p + torch.nn.functional.logsigmoid(lp if x[i] else -lp)
        f = 1.3 * x[0] + sum((i + 1.0) * x[i] * x[i - 1] - x[i] for i in range(1, k))
        total = total + torch.exp(log_p) * f
    (grad,) = torch.autograd.grad(total, logits)
    return total.detach(), grad


@pytest.mark.parametrize("grads", (("enum",), ("score",), ("enum", "score"), ("score", "enum"), ("auto",)))
def test_a_chain_of_coins(grads):
    value, gradient = by_hand(3)
    found, grad = ppl.value_and_grad(pairs)(chain_guide(grads), draws=DRAWS)
    near(found, value)
    near(grad["logits"], gradient)


def test_enumeration_has_no_variance():
    value, gradient = by_hand(4)
    found, grad = ppl.value_and_grad(pairs)(chain_guide(("enum",), 4))
    torch.testing.assert_close(found, value, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(grad["logits"], gradient, rtol=1e-12, atol=0.0)


def test_enumerating_a_chain_costs_a_sum_for_each_link():
    def size(k: int) -> int:
        from ppl.inference.vi.compiled import CompiledObjective

        return len(CompiledObjective(pairs(chain_guide(("enum",), k))).estimator.graph)

    a, b, c = size(8), size(12), size(16)
    assert b - a == c - b
    found, _ = ppl.value_and_grad(pairs)(chain_guide(("enum",), 8))
    torch.testing.assert_close(found, by_hand(8)[0], rtol=1e-12, atol=0.0)


# ---------------------------------------------------------------- plates


@ppl.model
def mixture(y):
    w = ppl.sample("w", Normal(0.0, 1.0))
    for _ in ppl.plate("obs", len(y)):
        k = ppl.sample("k", Categorical(torch.tensor([0.3, 0.7])))
        ppl.sample("y", Normal(w + 2.0 * k, 1.0))


Y = torch.tensor([0.3, 2.5, -0.4], dtype=torch.float64)


def mixture_guide(w: str, k: str) -> Any:
    @ppl.guide
    def q():
        ppl.sample("w", Normal(ppl.param("m", 0.3), 0.8), grad=w)
        logits = ppl.param("logits", torch.tensor([[0.2, -0.1], [0.0, 0.5], [1.0, 0.0]]))
        for i in ppl.plate("obs", 3):
            ppl.sample("k", Categorical(logits=logits[i]), grad=k)

    return q()


@ppl.objective
def elbo(p, q):
    z = ppl.simulate(q)
    return ppl.log_density(p, z) - ppl.log_density(q, z)


def exact_mixture() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The ELBO of the mixture: a sum over k, and moments of w."""
    m = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    logits = torch.tensor([[0.2, -0.1], [0.0, 0.5], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    s2, half = 0.64, 0.5 * math.log(2 * math.pi)
    total = -0.5 * (m * m + s2) - half + 0.5 * (1 + 2 * half + math.log(s2))
    q = torch.log_softmax(logits, -1)
    prior = torch.log(torch.tensor([0.3, 0.7], dtype=torch.float64))
    for i in range(3):
        for k in range(2):
            log_y = -0.5 * ((Y[i] - m - 2.0 * k) ** 2 + s2) - half
            total = total + torch.exp(q[i, k]) * (prior[k] + log_y - q[i, k])
    grads = torch.autograd.grad(total, (m, logits))
    return total.detach(), {"m": grads[0], "logits": grads[1]}


@pytest.mark.parametrize("w", ("reparam", "score"))
@pytest.mark.parametrize("k", ("enum", "score"))
def test_elbo_of_a_mixture(w, k):
    value, gradient = exact_mixture()
    p = mixture(Y).condition(y=Y)
    found, grad = ppl.value_and_grad(elbo)(p, mixture_guide(w, k), draws=DRAWS)
    near(found, value)
    for name, exact in gradient.items():
        near(grad[name], exact)


def test_a_score_counts_only_what_its_element_can_change():
    """The variance of an element's gradient does not grow with the number of elements."""

    def spread(n: int) -> float:
        @ppl.guide
        def q():
            logits = ppl.param("logits", torch.zeros(n))
            for i in ppl.plate("i", n):
                ppl.sample("x", Bernoulli(logits=logits[i]), grad="score")

        @ppl.objective
        def total(q):
            return (ppl.simulate(q)["x"] * 3.0).sum()

        _, grad = ppl.value_and_grad(total)(q(), draws=2000)
        return float(grad["logits"][:, 0].var())

    assert spread(100) < 1.3 * spread(1)


# ---------------------------------------------------------------- several particles


@ppl.objective
def iwelbo(p, q, K=3):
    for _ in (particles := ppl.plate("particle", K)):
        z = ppl.simulate(q)
        log_w = ppl.log_density(p, z) - ppl.log_density(q, z)
    return torch.logsumexp(particles.gather(log_w), 0) - math.log(K)


@ppl.model
def coin():
    x = ppl.sample("x", Bernoulli(0.3))
    ppl.sample("y", Normal(2.0 * x, 1.0))


def coin_guide(grad: Any) -> Any:
    @ppl.guide
    def q():
        ppl.sample("x", Bernoulli(logits=ppl.param("a", 0.4)), grad=grad)

    return q()


def exact_iwelbo(K: int) -> tuple[torch.Tensor, torch.Tensor]:
    a = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    log_q = torch.stack([torch.nn.functional.logsigmoid(-a), torch.nn.functional.logsigmoid(a)])
    half = 0.5 * math.log(2 * math.pi)
    log_p = torch.tensor(
        [math.log(0.7) - 0.5 * 1.2**2 - half, math.log(0.3) - 0.5 * 0.8**2 - half], dtype=torch.float64
    )
    total = torch.zeros((), dtype=torch.float64)
    for code in range(2**K):
        x = [code >> i & 1 for i in range(K)]
        log_w = torch.stack([log_p[j] - log_q[j] for j in x])
        total = total + torch.exp(sum(log_q[j] for j in x)) * (torch.logsumexp(log_w, 0) - math.log(K))
    (grad,) = torch.autograd.grad(total, a)
    return total.detach(), grad


@pytest.mark.parametrize("grad", ("auto", "score", ppl.Score(baseline="none")))
def test_iwelbo_of_a_coin(grad):
    value, gradient = exact_iwelbo(3)
    found, grads = ppl.value_and_grad(iwelbo)(coin().condition(y=1.2), coin_guide(grad), K=3, draws=DRAWS)
    near(found, value)
    near(grads["a"], gradient)


def test_leave_one_out_lowers_the_variance():
    p = coin().condition(y=1.2)
    _, plain = ppl.value_and_grad(iwelbo)(p, coin_guide(ppl.Score(baseline="none")), K=5, draws=20_000)
    _, better = ppl.value_and_grad(iwelbo)(p, coin_guide("score"), K=5, draws=20_000)
    assert float(better["a"].var()) < 0.5 * float(plain["a"].var())


def test_enumerating_between_particles_that_meet_is_refused():
    with pytest.raises(PplError, match="not a sum"):
        ppl.value_and_grad(iwelbo)(coin().condition(y=1.2), coin_guide("enum"), K=3)
