"""Mixtures, factor models and networks, on small made-up data."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

import ppl
from corpus.entry import draws, program, t
from ppl.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    Independent,
    InverseWishart,
    LogNormal,
    Mixture,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Restricted,
    Wishart,
)

STEPS = 8
SERIES = draws(11).standard_normal(STEPS).cumsum()
TABLE = draws(13).standard_normal((6, 4))
CLUSTERED = np.concatenate([draws(14).standard_normal(5) - 2.0, draws(15).standard_normal(5) + 2.0])


# ---------------------------------------------------------------- mixtures


@program({"y": CLUSTERED}, components=3)
def mixture_of_normals(components):
    weights = ppl.sample("weights", Dirichlet(torch.ones(components)))
    mu = ppl.sample("mu", Restricted(Normal(0.0, 3.0).expand([components]), "ordered"))
    sigma = ppl.sample("sigma", LogNormal(0.0, 0.5).expand([components]))
    for _ in ppl.plate("n", len(CLUSTERED)):
        ppl.sample("y", MixtureSameFamily(Categorical(weights), Normal(mu, sigma)))


@program(y=CLUSTERED)
def mixture_by_logsumexp(y):
    theta = ppl.sample("theta", Beta(2.0, 2.0))
    mu = ppl.sample("mu", Normal(0.0, 3.0).expand([2]))
    parts = torch.stack(
        [
            torch.log(theta) + Normal(mu[0], 1.0).log_prob(y),
            torch.log1p(-theta) + Normal(mu[1], 1.0).log_prob(y),
        ]
    )
    ppl.factor("y", torch.logsumexp(parts, 0).sum())


@program({"y": TABLE})
def mixture_of_vectors():
    weights = ppl.sample("weights", Dirichlet(t(1, 1)))
    mu = ppl.sample("mu", Normal(0.0, 2.0).expand([2, 4]))
    for _ in ppl.plate("n", len(TABLE)):
        ppl.sample("y", MixtureSameFamily(Categorical(weights), Independent(Normal(mu, 1.0), 1)))


@program({"y": np.abs(CLUSTERED)})
def mixture_of_different_families():
    p = ppl.sample("p", Beta(1.0, 1.0))
    rate = ppl.sample("rate", Exponential(1.0))
    weights = torch.stack([p, 1.0 - p])
    for _ in ppl.plate("n", len(CLUSTERED)):
        ppl.sample("y", Mixture(weights, [Exponential(rate), LogNormal(0.0, 1.0)]))


@program({"y": CLUSTERED}, components=4)
def stick_breaking_mixture(components):
    """A Dirichlet process, cut at a few components (Sethuraman 1994)."""
    alpha = ppl.sample("alpha", Gamma(1.0, 1.0))
    v = ppl.sample("v", Beta(1.0, alpha).expand([components - 1]))
    left = torch.cumsum(torch.log1p(-v), 0)
    log_weights = torch.cat([torch.log(v), torch.zeros(1)]) + torch.cat([torch.zeros(1), left])
    mu = ppl.sample("mu", Normal(0.0, 3.0).expand([components]))
    for _ in ppl.plate("n", len(CLUSTERED)):
        ppl.sample("y", MixtureSameFamily(Categorical(logits=log_weights), Normal(mu, 1.0)))


@program(counts=draws(16).poisson(1.0, (3, 5)).astype(float), topics=2)
def topics_summed_out(counts, topics):
    """Latent Dirichlet allocation: words given the documents' topics and the topics' words."""
    words = ppl.sample("words", Dirichlet(torch.ones(topics, counts.shape[1])))
    for d in ppl.plate("document", len(counts)):
        theta = ppl.sample("theta", Dirichlet(torch.ones(topics)))
        ppl.factor("words seen", (counts[d] * torch.log(theta @ words)).sum())


# ---------------------------------------------------------------- factors


@program({"y": TABLE}, rows=len(TABLE), rank=2)
def factor_analysis(rows, rank):
    loadings = ppl.sample("loadings", Normal(0.0, 1.0).expand([4, rank]))
    noise = ppl.sample("noise", HalfNormal(1.0).expand([4]))
    lower = torch.tril(loadings)
    for _ in ppl.plate("row", rows):
        z = ppl.sample("z", Normal(0.0, 1.0).expand([rank]))
        ppl.sample("y", Normal(lower @ z, noise))


@program({"y": TABLE})
def probabilistic_pca():
    """Its latent coordinates integrated out (Tipping & Bishop 1999)."""
    W = ppl.sample("W", Normal(0.0, 1.0).expand([4, 2]))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    C = W @ W.T + (sigma**2 + 0.01) * torch.eye(4)
    ppl.sample("y", MultivariateNormal(torch.zeros(6, 4), C))


@program({"y": TABLE})
def matrix_factorisation():
    U = ppl.sample("U", Normal(0.0, 1.0).expand([6, 2]))
    V = ppl.sample("V", Normal(0.0, 1.0).expand([4, 2]))
    ppl.sample("y", Normal(U @ V.T, 0.5))


@program({"y": TABLE})
def covariance_by_wishart():
    precision = ppl.sample("precision", Wishart(6.0, torch.eye(4)))
    ppl.sample("y", MultivariateNormal(torch.zeros(6, 4), precision_matrix=precision))


@program({"y": TABLE})
def covariance_by_inverse_wishart():
    cov = ppl.sample("cov", InverseWishart(7.0, torch.eye(4)))
    ppl.sample("y", MultivariateNormal(torch.zeros(6, 4), cov))


@program({"wins": t(1, 0, 1, 1, 0)}, left=torch.tensor([0, 1, 2, 0, 3]), right=torch.tensor([1, 2, 3, 3, 0]))
def bradley_terry(left, right):
    skill = ppl.sample("skill", Normal(0.0, 1.0).expand([4]))
    for n in ppl.plate("game", len(left)):
        ppl.sample("wins", Bernoulli(logits=skill[left[n]] - skill[right[n]]))


# ---------------------------------------------------------------- networks


@program({"y": SERIES[:6]}, x=TABLE)
def neural_network(x):
    w1 = ppl.sample("w1", Normal(0.0, 1.0).expand([4, 3]))
    b1 = ppl.sample("b1", Normal(0.0, 1.0).expand([3]))
    w2 = ppl.sample("w2", Normal(0.0, 1.0).expand([3]))
    ppl.sample("y", Normal(torch.tanh(x @ w1 + b1) @ w2, 1.0))


@program({"y": np.arange(6) % 3}, x=TABLE)
def neural_network_of_torch_functions(x):
    w1 = ppl.sample("w1", Normal(0.0, 1.0).expand([5, 4]))
    w2 = ppl.sample("w2", Normal(0.0, 1.0).expand([5, 5]))
    w3 = ppl.sample("w3", Normal(0.0, 1.0).expand([3, 5]))
    h = F.gelu(F.linear(x, w1))
    h = F.layer_norm(h + F.silu(F.linear(h, w2)), (5,))
    ppl.factor("loss", -F.cross_entropy(F.elu(F.linear(h, w3)), torch.arange(6) % 3, reduction="sum"))
    ppl.sample("y", Categorical(logits=F.linear(F.relu(h), w3)))


@program({"y": SERIES})
def recurrent_network():
    W = ppl.sample("W", Normal(0.0, 0.5).expand([3, 3]))
    v = ppl.sample("v", Normal(0.0, 1.0).expand([3]))

    def step(h, _):
        y = ppl.sample("y", Normal(v @ h, 1.0))
        return torch.tanh(W @ h + y)

    ppl.scan("time", step, torch.zeros(3), length=STEPS)


@program({"y": TABLE})
def attention():
    q, k = (ppl.sample(n, Normal(0.0, 1.0).expand([4, 2])) for n in ("q", "k"))
    x = torch.tensor(TABLE)
    weights = torch.softmax((x @ q) @ (x @ k).T / math.sqrt(2.0), -1)
    scale = ppl.sample("scale", HalfCauchy(1.0))
    ppl.sample("y", Normal(weights @ x, scale))
