"""Marginals summed exactly, against brute force; as guides; outside objectives; what is refused."""

from __future__ import annotations

import math
import re

import pytest
import torch
from inference.vi.laws import (
    DRAWS,
    Y,
    by_importance,
    coins,
    coins_posterior,
    grouped,
    log_normal,
    near,
    noisy,
    standard,
)

import ppl
from ppl.distributions import Bernoulli, Categorical, Delta, HalfNormal, Normal, Poisson
from ppl.errors import PplError
from ppl.std.objectives import elbo


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
        (lambda: ppl.marginal(noisy(), keep=3), "by their names"),
        (lambda: by_importance(lambda z: half(z["x"]), 1), "does not reach all values that 'u' has"),
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
