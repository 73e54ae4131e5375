"""Programs for the tests of marginals, what is known of them, and how estimates are compared."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch

import ppl
from ppl.distributions import Bernoulli, Categorical, Normal

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
