"""Marginals and normalised programs against closed forms and enumeration: estimates are unbiased where they say so,
no entropy is lost, and gradients are those of what is estimated.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import pytest
import torch

import ppl
from ppl.distributions import Bernoulli, Categorical, Delta, HalfNormal, Normal, Poisson
from ppl.errors import PplError
from ppl.std.objectives import elbo, iwelbo

DRAWS = 100_000
S, T, M = 0.7, 1.3, 0.4


def near(estimates: torch.Tensor, exact: Any) -> None:
    """The mean of independent estimates is the exact value, within four standard errors (or 1e-9)."""
    exact = torch.as_tensor(exact, dtype=torch.float64)
    error = estimates.std(0) / math.sqrt(len(estimates))
    assert estimates.shape[1:] == exact.shape
    distance = (estimates.mean(0) - exact).abs()
    assert bool((distance <= 4 * error + 1e-9 * (1 + exact.abs())).all()), (estimates.mean(0), exact, error)


def agree(a: torch.Tensor, b: torch.Tensor) -> None:
    """Two sets of independent estimates have one mean."""
    near(a - b.roll(1, 0), torch.zeros(a.shape[1:]))


def log_normal(x: Any, loc: Any, scale: Any) -> torch.Tensor:
    x, loc, scale = (torch.as_tensor(v, dtype=torch.float64) for v in (x, loc, scale))
    return -0.5 * ((x - loc) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)


# ---------------------------------------------------------------- a normal auxiliary of a normal


@ppl.guide
def noisy(grad="auto"):
    """x ~ N(m, s² + t²), by way of u."""
    m, s, t = ppl.param("m", M), ppl.param("s", S), ppl.param("t", T)
    u = ppl.sample("u", Normal(m, t), grad=grad)
    ppl.sample("x", Normal(u, s), grad=grad)


@ppl.guide
def backwards(x):
    """The law of u given x, exactly."""
    m, s, t = ppl.param("m_r", M), ppl.param("s_r", S), ppl.param("t_r", T)
    v = s**2 + t**2
    ppl.sample("u", Normal(m + t**2 / v * (x - m), s * t / torch.sqrt(v)))


@ppl.guide
def roughly(x):
    """Something like it."""
    ppl.sample("u", Normal(0.6 * x, 0.9))


@ppl.guide
def roughly_too(x):
    """The same through an auxiliary of its own."""
    v = ppl.sample("v", Normal(0.6 * x, math.sqrt(0.9**2 - 0.5**2)))
    ppl.sample("u", Normal(v, 0.5))


@ppl.model
def standard():
    ppl.sample("x", Normal(0.0, 1.0))


def by_importance(proposal: Any, particles: int, grad: str = "auto") -> Any:
    return ppl.marginal(noisy(grad), keep=["x"], by=ppl.importance(proposal, particles))


NESTED = ppl.importance(particles=2)
PROPOSALS: dict[str, Any] = {
    "prior": None,
    "rough": lambda z: roughly(z["x"]),
    "marginal": lambda z: ppl.marginal(roughly_too(z["x"]), keep="u", by=NESTED),
}


def exact_elbo() -> tuple[float, dict[str, float]]:
    """E log N(x; 0, 1) + the entropy of N(m, s² + t²), and its gradient."""
    v = S * S + T * T
    return -0.5 * (v + M * M) + 0.5 * math.log(v) + 0.5, {
        "m": -M,
        "s": -S + S / v,
        "t": -T + T / v,
    }


@pytest.mark.parametrize("grad", ("reparam", "score"))
def test_one_particle_of_the_prior_gives_the_conditional_entropy(grad):
    value, grads = ppl.value_and_grad(elbo)(standard(), by_importance(None, 1, grad), draws=DRAWS)
    near(value, -0.5 * (S * S + T * T + M * M) + math.log(S) + 0.5)
    near(grads["m"], -M)
    near(grads["s"], -S + 1 / S)
    near(grads["t"], -T)


def test_the_exact_proposal_gives_the_exact_entropy_with_one_particle_or_two():
    exact, slope = exact_elbo()
    for particles in (1, 2):
        law = by_importance(lambda z: backwards(z["x"]), particles)
        value, grads = ppl.value_and_grad(elbo)(standard(), law, draws=DRAWS)
        near(value, exact)
        for name in slope:  # the bound is tight, so the proposal's own gradient is zero in expectation
            near(grads[name], slope[name])
            near(grads[f"{name}_r"], 0.0)


def test_the_density_of_a_marginal_by_the_exact_proposal_is_exact_at_every_draw():
    @ppl.objective
    def gap(q):
        z = ppl.simulate(q)
        exact = -0.5 * (z["x"] - M) ** 2 / (S * S + T * T) - 0.5 * math.log(2 * math.pi * (S * S + T * T))
        elsewhere = ppl.log_density(q, {"x": z["x"]})
        return torch.abs(z.log_density - exact) + torch.abs(elsewhere - exact)

    found = ppl.estimate(gap)(by_importance(lambda z: backwards(z["x"]), 3), draws=100)
    assert found.value < 1e-12


def test_bounds_of_marginals_tighten_with_the_particles():
    exact, _ = exact_elbo()
    found = [ppl.estimate(elbo)(standard(), by_importance(None, k), draws=20_000) for k in (1, 4, 64)]
    for looser, tighter in itertools.pairwise(found):
        assert looser.value < tighter.value - 3 * looser.standard_error
    assert abs(found[-1].value - exact) < 0.02 + 4 * found[-1].standard_error


@pytest.mark.parametrize("proposal", PROPOSALS)
@pytest.mark.parametrize("particles", (1, 3))
def test_estimates_of_a_density_are_unbiased_and_so_are_their_reciprocals(proposal, particles):
    law = by_importance(PROPOSALS[proposal], particles)

    @ppl.objective
    def elsewhere(q):
        return torch.exp(ppl.log_density(q, {"x": 0.3}))

    @ppl.objective
    def reciprocal(q):  # E[h(x) / q̂(x)] = ∫ h
        z = ppl.simulate(q)
        return torch.exp(
            -0.5 * ((z["x"] - M) / 0.4) ** 2 - math.log(0.4 * math.sqrt(2 * math.pi)) - z.log_density
        )

    value, grads = ppl.value_and_grad(elsewhere)(law, draws=DRAWS)
    v = S * S + T * T
    density = float(log_normal(0.3, M, math.sqrt(v)).exp())
    near(value, density)
    near(grads["m"], density * (0.3 - M) / v)
    near(grads["s"], density * ((0.3 - M) ** 2 / v - 1) * S / v)
    value, grads = ppl.value_and_grad(reciprocal)(law, draws=DRAWS)
    near(value, 1.0)
    near(grads["m"], 0.0)
    near(grads["t"], 0.0)


def test_score_and_reparameterisation_agree_in_particles_of_an_objective():
    found = [
        ppl.value_and_grad(iwelbo)(standard(), by_importance(None, 3, grad), K=3, draws=DRAWS, seed=seed)
        for seed, grad in enumerate(("reparam", "score"))
    ]
    agree(found[0][0], found[1][0])
    for name in ("m", "s", "t"):
        agree(found[0][1][name], found[1][1][name])


def test_a_marginal_of_another_program_does_not_know_what_was_drawn():
    """Only the very law that drew z knows its u; to another one z comes from elsewhere."""
    q = noisy()
    law, again, other = (ppl.marginal(b, keep=["x"], by=ppl.importance(particles=1)) for b in (q, q, noisy()))

    @ppl.objective
    def reciprocal(p, q):
        z = ppl.simulate(p)
        return log_h(z["x"]) - ppl.log_density(q, z)

    def log_h(x: Any) -> Any:
        return torch.zeros_like(x)

    near(
        ppl.value_and_grad(reciprocal)(law, again, draws=DRAWS)[0],
        math.log(S) + 0.5 + 0.5 * math.log(2 * math.pi),
    )
    # With an independent u the squared distance is s² + 2 t².
    expected = math.log(S) + 0.5 + T * T / (S * S) + 0.5 * math.log(2 * math.pi)
    near(ppl.value_and_grad(reciprocal)(law, other, draws=DRAWS)[0], expected)


# ---------------------------------------------------------------- exactly


def grouped() -> tuple[Any, Any]:
    """A hidden group, a hidden class of each item that depends on it, two measurements of each item."""

    @ppl.guide
    def q():
        w = ppl.param("w", torch.tensor([0.2, -0.4]))
        loc = ppl.param("loc", torch.tensor([-1.0, 0.5, 2.0]))
        g = ppl.sample("g", Categorical(logits=w))
        ppl.sample("a", Normal(loc[g], 1.0))
        for _ in ppl.plate("item", 3):
            c = ppl.sample("c", Categorical(logits=torch.stack([w[0], g * 1.0, -w[1]])))
            b = ppl.sample("b", Bernoulli(torch.sigmoid(loc[c])))
            for _ in ppl.plate("measure", 2):
                ppl.sample("x", Normal(loc[c] + b, 0.8))

    def log_density(a: torch.Tensor, x: torch.Tensor, w: torch.Tensor, loc: torch.Tensor) -> torch.Tensor:
        totals = []
        for g in range(2):
            total = torch.log_softmax(w, 0)[g] + log_normal(a, loc[g], 1.0)
            probs = torch.log_softmax(torch.stack([w[0], torch.tensor(float(g), dtype=w.dtype), -w[1]]), 0)
            for i in range(3):
                parts = [
                    probs[c]
                    + (torch.sigmoid(loc[c]) if b else torch.sigmoid(-loc[c])).log()
                    + log_normal(x[i], loc[c] + b, 0.8).sum()
                    for c in range(3)
                    for b in range(2)
                ]
                total = total + torch.stack(parts).logsumexp(0)
            totals.append(total)
        return torch.stack(totals).logsumexp(0)

    return q(), log_density


def test_hidden_choices_in_plates_are_summed_out_exactly():
    q, expected = grouped()
    x = torch.tensor([[0.3, -0.2], [1.4, 2.2], [-1.0, -0.7]], dtype=torch.float64)
    a = torch.tensor(0.9, dtype=torch.float64)

    @ppl.objective
    def score(m):
        return ppl.log_density(m, {"a": a, "x": x})

    value, grads = ppl.value_and_grad(score)(ppl.marginal(q, keep=["a", "x"], by="enumerate"))
    w = torch.tensor([0.2, -0.4], dtype=torch.float64, requires_grad=True)
    loc = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    exact = expected(a, x, w, loc)
    exact.backward()
    torch.testing.assert_close(value, exact.detach(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(grads["w"], w.grad, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(grads["loc"], loc.grad, rtol=1e-6, atol=1e-6)


def test_a_mixture_guide_has_the_gradient_of_its_exact_density():
    @ppl.guide
    def mixture():
        k = ppl.sample("k", Bernoulli(torch.sigmoid(ppl.param("w", 0.3))))
        ppl.sample("x", Normal(ppl.param("d", 1.5) * (2 * k - 1), 0.8))

    value, grads = ppl.value_and_grad(elbo)(standard(), ppl.marginal(mixture(), keep="x"), draws=DRAWS)
    w, d = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 1.5))
    x = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    p = torch.sigmoid(w)
    parts = [(1 - p).log() - 0.5 * ((x + d) / 0.8) ** 2, p.log() - 0.5 * ((x - d) / 0.8) ** 2]
    log_q = torch.stack(parts).logsumexp(0) - math.log(0.8) - 0.5 * math.log(2 * math.pi)
    exact = (log_q.exp() * (log_normal(x, 0.0, 1.0) - log_q)).sum() * (x[1] - x[0])
    exact.backward()
    near(value, exact.detach())
    near(grads["w"], w.grad)
    near(grads["d"], d.grad)


def test_a_chain_is_summed_along():
    """A hidden Markov chain of 12 steps against the forward algorithm."""
    steps = torch.log(torch.tensor([[0.9, 0.1], [0.3, 0.7]], dtype=torch.float64))
    x = torch.linspace(-1, 2, 12, dtype=torch.float64)

    @ppl.model
    def hmm(table, n):
        state = 0
        for t in range(n):
            state = ppl.sample(f"s{t}", Categorical(logits=table[state]))
            ppl.sample(f"x{t}", Normal(2.0 * state, 1.0))

    names = [f"x{t}" for t in range(12)]
    found = ppl.log_density(ppl.marginal(hmm(steps, 12), keep=names), dict(zip(names, x, strict=True)))
    alpha = steps[0]
    for t in range(12):
        alpha = (alpha if t == 0 else (alpha[:, None] + steps).logsumexp(0)) + log_normal(
            x[t], torch.tensor([0.0, 2.0]), 1.0
        )
    torch.testing.assert_close(found, alpha.logsumexp(0), rtol=1e-10, atol=1e-10)


# ---------------------------------------------------------------- normalised programs


@ppl.model
def coins():
    """A hidden kind, a coin of it in each of three places, its noisy sight."""
    k = ppl.sample("k", Categorical(torch.tensor([0.2, 0.5, 0.3])))
    p = ppl.param("p", torch.tensor([0.1, 0.5, 0.8]))
    for _ in ppl.plate("place", 3):
        c = ppl.sample("c", Bernoulli(p[k]))
        ppl.sample("y", Normal(2.0 * c, 1.0))


Y = torch.tensor([1.5, 0.2, 2.5], dtype=torch.float64)


def coins_posterior(p: torch.Tensor) -> tuple[torch.Tensor, list[tuple[int, torch.Tensor]]]:
    """log p(k, c | y) for every k and c."""
    every, logs = [], []
    for k in range(3):
        for bits in itertools.product((0.0, 1.0), repeat=3):
            c = torch.tensor(bits, dtype=torch.float64)
            prior = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)[k].log()
            logs.append(
                prior
                + torch.where(c > 0, p[k].log(), (1 - p[k]).log()).sum()
                + log_normal(Y, 2 * c, 1.0).sum()
            )
            every.append((k, c))
    return torch.log_softmax(torch.stack(logs), 0), every


def test_a_normalised_program_is_drawn_and_scored_exactly():
    law = ppl.normalize(coins().condition(y=Y))

    @ppl.objective
    def statistics(law):
        z = ppl.simulate(law)
        return z["k"] * (1.0 + z["c"][0] + 3.0 * z["c"][1] * z["c"][2]) + 0.1 * ppl.log_density(law, z)

    value, grads = ppl.value_and_grad(statistics)(law, draws=DRAWS)
    p = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64, requires_grad=True)
    logs, every = coins_posterior(p)
    f = torch.stack([k * (1.0 + c[0] + 3.0 * c[1] * c[2]) for k, c in every]) + 0.1 * logs
    exact = (logs.exp() * f).sum()
    exact.backward()
    near(value, exact.detach())
    near(grads["p"], p.grad)


@ppl.model
def located():
    z = ppl.sample("z", Normal(0.0, 1.0))
    ppl.sample("y", Normal(z, 0.5))


@ppl.guide
def proposal(grad="auto"):
    ppl.sample("z", Normal(ppl.param("loc", 0.4), ppl.param("scale", 0.9)), grad=grad)


POSTERIOR = located().condition(y=1.0)


@pytest.mark.parametrize("grad", ("reparam", "score"))
def test_resampling_from_a_guide_is_the_importance_weighted_bound(grad):
    law = ppl.normalize(POSTERIOR, by=ppl.importance(proposal(grad), particles=4))
    mine = ppl.value_and_grad(elbo)(POSTERIOR, law, draws=DRAWS)
    its = ppl.value_and_grad(iwelbo)(POSTERIOR, proposal("reparam"), K=4, draws=DRAWS, seed=1)
    agree(mine[0], its[0])
    for name in ("loc", "scale"):
        agree(mine[1][name], its[1][name])


def test_the_law_of_resampling_is_normalised_and_its_estimates_are_unbiased():
    law = ppl.normalize(POSTERIOR, by=ppl.importance(proposal(), particles=2))

    @ppl.objective
    def mass(law, h):
        z = ppl.simulate(h)
        return torch.exp(ppl.log_density(law, {"z": z["z"]}) - z.log_density)

    @ppl.objective
    def reciprocal(law):
        z = ppl.simulate(law)
        return torch.exp(-0.5 * ((z["z"] - 0.5) / 0.3) ** 2 - z.log_density) / (0.3 * math.sqrt(2 * math.pi))

    @ppl.guide
    def wide():
        ppl.sample("z", Normal(0.5, 1.2))

    near(ppl.value_and_grad(mass)(law, wide(), draws=DRAWS)[0], 1.0)
    value, grads = ppl.value_and_grad(reciprocal)(law, draws=DRAWS)
    near(value, 1.0)
    near(grads["loc"], 0.0)


def test_the_law_of_resampling_depends_on_its_particles():
    """With one particle it is the proposal; what four were weighed by says nothing of it."""
    four, one = (ppl.normalize(POSTERIOR, by=ppl.importance(proposal(), particles=k)) for k in (4, 1))

    @ppl.objective
    def gap(drawn, scored):
        z = ppl.simulate(drawn)
        exact = -0.5 * ((z["z"] - 0.4) / 0.9) ** 2 - math.log(0.9) - 0.5 * math.log(2 * math.pi)
        return torch.abs(ppl.log_density(scored, z) - exact)

    assert ppl.estimate(gap)(four, one, draws=100).value < 1e-12
    assert ppl.estimate(gap)(four, four, draws=100).value > 0.01


def test_many_particles_draw_from_the_posterior():
    @ppl.objective
    def first(law):
        return ppl.simulate(law)["z"]

    @ppl.objective
    def second(law):
        return ppl.simulate(law)["z"] ** 2

    law = ppl.normalize(POSTERIOR, by=ppl.importance(particles=500))  # from the prior
    found = ppl.estimate(first)(law, draws=4000), ppl.estimate(second)(law, draws=4000)
    for estimate, exact in zip(found, (0.8, 0.2 + 0.64), strict=True):  # z | y is N(0.8, 0.2)
        assert abs(estimate.value - exact) < 4 * estimate.standard_error + 0.01


def test_a_normalised_program_is_a_proposal_of_a_marginal():
    """The evidence of x, with u proposed by resampling among draws of the rough proposal."""

    @ppl.model
    def seen(x):
        u = ppl.sample("u", Normal(M, T))
        ppl.observe("x", Normal(u, S), x)

    @ppl.objective
    def elsewhere(q):
        return torch.exp(ppl.log_density(q, {"x": 0.3}))

    law = by_importance(lambda z: ppl.normalize(seen(z["x"]), by=ppl.importance(roughly(z["x"]), 2)), 2)
    near(ppl.value_and_grad(elsewhere)(law, draws=DRAWS)[0], log_normal(0.3, M, math.hypot(S, T)).exp())


# ---------------------------------------------------------------- elsewhere


@pytest.mark.parametrize("by", (None, ppl.importance(particles=8)))
def test_a_marginal_as_a_guide_fits_two_modes(by):
    """Half the posterior of the sign lies at 2 and half at −2; one normal can't say so."""

    @ppl.model
    def squared():
        z = ppl.sample("z", Normal(0.0, 2.0))
        ppl.sample("y", Normal(z**2, 1.0))

    @ppl.guide
    def mixture():
        k = ppl.sample("k", Bernoulli(torch.sigmoid(ppl.param("w", 1.0))))
        scale = ppl.param("scale", 0.5, constraint="positive")
        ppl.sample("z", Normal(ppl.param("d", 1.5) * (2 * k - 1), scale))

    method = ppl.VI(guide=ppl.marginal(mixture(), keep="z", by=by), steps=1500)
    fit = ppl.infer(squared(), {"y": 4.0}, method=method, draws=2000, progress=False)
    z = torch.linspace(-8, 8, 16_001, dtype=torch.float64)
    joint = log_normal(z, 0.0, 2.0) + log_normal(4.0, z**2, 1.0)
    evidence = float(joint.logsumexp(0) + torch.log(z[1] - z[0]))
    assert abs(fit.log_evidence - evidence) < 0.1
    share = (fit.draws["z"] > 0).mean()
    assert 0.4 < share < 0.6 and abs(abs(fit.draws["z"]).mean() - 1.97) < 0.05


def test_a_hidden_choice_in_a_scan_is_estimated():
    """A random walk seen in noise: the density of three sights of it."""

    @ppl.model
    def walk():
        def step(at, t):
            at = ppl.sample("u", Normal(at, 1.3))
            ppl.sample("x", Normal(at, 0.7))
            return at

        ppl.scan("time", step, torch.zeros(()), length=3)

    @ppl.objective
    def elsewhere(m):
        return torch.exp(ppl.log_density(m, {"x": torch.tensor([0.1, 0.4, -0.2])}))

    value, _ = ppl.value_and_grad(elsewhere)(
        ppl.marginal(walk(), keep="x", by=ppl.importance(particles=4)), draws=DRAWS
    )
    steps = torch.ones(3, 3, dtype=torch.float64).tril()
    covariance = 1.69 * steps @ steps.T + 0.49 * torch.eye(3, dtype=torch.float64)
    x = torch.tensor([0.1, 0.4, -0.2], dtype=torch.float64)
    exact = torch.distributions.MultivariateNormal(torch.zeros(3, dtype=torch.float64), covariance)
    near(value, exact.log_prob(x).exp())


def test_laws_outside_objectives():
    q, expected = grouped()
    law = ppl.marginal(q, keep=["a", "x"])
    trace = ppl.simulate(law, seed=3)
    assert set(trace.latents) == {"a", "x"} and trace["x"].shape == (3, 2)
    w, loc = (
        torch.tensor([0.2, -0.4], dtype=torch.float64),
        torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64),
    )
    exact = expected(trace["a"], trace["x"], w, loc)
    torch.testing.assert_close(ppl.log_density(law, trace.latents), exact, rtol=1e-6, atol=1e-6)
    with pytest.raises(PplError, match="does not say its density"):
        _ = trace.log_density
    posterior = ppl.normalize(coins().condition(y=Y))
    logs, every = coins_posterior(torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64))
    trace = ppl.simulate(posterior, seed=1)
    place = next(i for i, (k, c) in enumerate(every) if k == trace["k"] and torch.equal(c, trace["c"]))
    torch.testing.assert_close(ppl.log_density(posterior, trace.latents), logs[place], rtol=1e-6, atol=1e-6)


# ---------------------------------------------------------------- what is refused


@ppl.guide
def meeting():
    for _ in (items := ppl.plate("item", 3)):
        c = ppl.sample("c", Bernoulli(0.3))
    ppl.sample("x", Normal(items.gather(c).sum(), 1.0))


@ppl.guide
def crossed():
    for _ in (rows := ppl.plate("row", 2)):
        a = ppl.sample("a", Bernoulli(0.3))
    for _ in (columns := ppl.plate("column", 2)):
        b = ppl.sample("b", Bernoulli(0.3))
    left, right = rows.gather(a), columns.gather(b)
    for i in ppl.plate("row", 2):
        for j in ppl.plate("column", 2):
            ppl.sample("x", Normal(left[i] + right[j], 1.0))


@ppl.guide
def counting():
    n = ppl.sample("n", Poisson(2.0))
    ppl.sample("x", Normal(n, 1.0))


@ppl.guide
def other_choice(x):
    ppl.sample("v", Normal(x, 1.0))


@ppl.guide
def half(x):
    ppl.sample("u", HalfNormal(1.0))


@ppl.guide
def with_more(x):
    ppl.sample("u", Normal(ppl.sample("_w", Normal(x, 1.0)), 1.0))


@ppl.guide
def pointed():
    ppl.sample("x", Delta(2.0 * ppl.sample("u", Normal(0.0, 1.0))))


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (lambda: ppl.marginal(noisy(), keep=["y"]), "keeps 'y'"),
        (lambda: ppl.marginal(noisy(), keep=["x"]), "'u' can't be summed out.*no finite list"),
        (lambda: ppl.marginal(counting(), keep=["x"], by="enumerate"), "'n' can't be summed out"),
        (
            lambda: ppl.marginal(meeting(), keep=["x"]),
            "'c' can't be summed out.*elements of plate 'item' meet",
        ),
        (
            lambda: ppl.marginal(crossed(), keep=["x"]),
            "'b' can't be summed out.*elements of plate 'column' meet",
        ),
        (lambda: by_importance(lambda z: other_choice(z["x"]), 2), "does not draw 'u'"),
        (lambda: by_importance(lambda z: half(z["x"]), 2), "does not reach all values that 'u' has"),
        (lambda: by_importance(lambda z: with_more(z["x"]), 2), "draws '_w', which is not a hidden choice"),
        (lambda: by_importance(lambda z: half, 2), "has not been given its arguments"),
        (lambda: by_importance(lambda z: half(z["u"]), 2), "'u' is not a random choice of marginal"),
        (lambda: ppl.marginal(noisy(), keep=["x"], by="exact"), "does not know by='exact'"),
        (lambda: by_importance(None, 0), "at least one particle"),
        (lambda: ppl.marginal(ppl.marginal(noisy(), keep=["x", "u"]), keep=["x"]), "marginal of marginal"),
        (
            lambda: ppl.marginal(noisy().scale(u=2.0), keep=["x"], by=ppl.importance()),
            "'u' can't be .* scaled",
        ),
        (
            lambda: ppl.marginal(pointed(), keep=["x"], by=ppl.importance(particles=4)),
            "'x' lies where the hidden choices",
        ),
        (lambda: by_importance(None, 2).stop_gradient(), "is an estimate"),
        (lambda: by_importance(None, 2).condition(x=1.0), "has no .condition.*marginal.noisy.…..condition"),
    ],
)
def test_refusals(law, words):
    @ppl.objective
    def entropy(q):
        z = ppl.simulate(q)
        return -ppl.log_density(q, z)

    with pytest.raises(PplError) as caught:
        ppl.estimate(entropy)(law(), draws=2)
    assert re.search(words, str(caught.value), re.S), str(caught.value)


def test_laws_as_sites_are_refused():
    @ppl.model
    def m():
        ppl.sample("sub", by_importance(None, 2))

    with pytest.raises(PplError, match="can't be a site"):
        ppl.simulate(m())
