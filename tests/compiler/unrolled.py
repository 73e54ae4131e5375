"""Programs whose loops are Python's, so that recording unrolls them."""

from __future__ import annotations

import torch

import ppl
from ppl.distributions import Beta, Dirichlet, HalfNormal, Normal, StudentT, Uniform


@ppl.model
def hidden_markov(y):
    mu = ppl.sample("mu", Normal(0.0, 3.0).expand([3]))
    log_p = torch.log(ppl.sample("p", Dirichlet(torch.ones(3, 3))))
    alpha = Normal(mu, 1.0).log_prob(y[0])
    for t in range(1, len(y)):
        alpha = torch.logsumexp(alpha[:, None] + log_p, 0) + Normal(mu, 1.0).log_prob(y[t])
    ppl.factor("forward", torch.logsumexp(alpha, 0))


@ppl.model
def hidden_markov_in_numbers(y):
    """State by state, as lists of numbers."""
    mu = [ppl.sample(f"mu{k}", Normal(float(k), 3.0)) for k in range(3)]
    log_p = [torch.log(ppl.sample(f"p{k}", Dirichlet(torch.ones(3)))) for k in range(3)]
    alpha = [Normal(m, 1.0).log_prob(y[0]) for m in mu]
    for t in range(1, len(y)):
        into = [torch.stack([alpha[j] + log_p[j][k] for j in range(3)]) for k in range(3)]
        alpha = [torch.logsumexp(into[k], 0) + Normal(mu[k], 1.0).log_prob(y[t]) for k in range(3)]
    ppl.factor("forward", torch.logsumexp(torch.stack(alpha), 0))


@ppl.model
def random_walk(y):
    s = ppl.sample("s", HalfNormal(1.0))
    x = ppl.sample("x0", Normal(0.0, 1.0))
    for i in range(1, len(y)):
        x = ppl.sample(f"x{i}", Normal(x, s))


@ppl.model
def volatility(y):
    """AR(1) on latent sites, each with an observation; the first state is stationary."""
    phi = ppl.sample("phi", Uniform(-1.0, 1.0))
    s = ppl.sample("s", HalfNormal(1.0))
    h = ppl.sample("h0", Normal(0.0, s / torch.sqrt(1 - phi**2)))
    ppl.observe("y0", Normal(0.0, torch.exp(h / 2)), y[0])
    for i in range(1, len(y)):
        h = ppl.sample(f"h{i}", Normal(phi * h, s))
        ppl.observe(f"y{i}", Normal(0.0, torch.exp(h / 2)), y[i])


@ppl.model
def scalars(y):
    m, s = ppl.sample("m", Normal(0.0, 1.0)), ppl.sample("s", HalfNormal(1.0))
    for i in range(len(y)):
        ppl.observe(f"y{i}", Normal(m, s), y[i])


@ppl.model
def garch(y):
    mu, a0 = ppl.sample("mu", Normal(0.0, 1.0)), ppl.sample("a0", HalfNormal(1.0))
    a1, b1 = ppl.sample("a1", Uniform(0.0, 1.0)), ppl.sample("b1", Uniform(0.0, 1.0))
    scale = torch.tensor(1.0)
    for t in range(len(y)):
        if t > 0:
            scale = torch.sqrt(a0 + a1 * (y[t - 1] - mu) ** 2 + b1 * scale**2)
        ppl.observe(f"y{t}", Normal(mu, scale), y[t])


@ppl.model
def groups(y):
    """Groups × items, with a recurrence in each group."""
    m, s = ppl.sample("m", Normal(0.0, 1.0)), ppl.sample("s", HalfNormal(1.0))
    size = len(y) // 10
    for g in range(10):
        x = theta = ppl.sample(f"theta{g}", Normal(m, s))
        for i in range(size):
            x = torch.tanh(0.9 * x + theta)
            ppl.observe(f"y{g}_{i}", Normal(x, s), y[g * size + i])


@ppl.model
def constants(y):
    """Numbers that differ from term to term, in every place."""
    m = ppl.sample("m", Normal(0.0, 1.0))
    for i in range(len(y)):
        ppl.observe(f"y{i}", Normal(m * (0.1 * i + 1) + i, 1.0 + 0.01 * i), y[i])


@ppl.model
def autoregression(y):
    """Lags of data, and of a shock that isn't seen."""
    a, b = ppl.sample("a", Normal(0.0, 1.0)), ppl.sample("b", Normal(0.0, 1.0))
    s = ppl.sample("s", HalfNormal(1.0))
    shock = 0.0
    for i in range(2, len(y)):
        mean = a * y[i - 1] + y[i - 2] + b * shock
        ppl.observe(f"y{i}", Normal(mean, s), y[i])
        shock = y[i] - mean


@ppl.model
def windows(y):
    c, s = ppl.sample("c", Normal(0.0, 1.0).expand([4])), ppl.sample("s", HalfNormal(1.0))
    for t in range(4, len(y)):
        ppl.observe(f"y{t}", Normal((c * y[t - 4 : t]).sum(), s), y[t])


@ppl.model
def alternating(y):
    a, s = ppl.sample("a", Normal(0.0, 1.0)), ppl.sample("s", HalfNormal(1.0))
    theta = [ppl.sample(f"theta{j}", Normal(0.0, 1.0)) for j in range(5)]
    for t in range(len(y)):
        mean = theta[(t * 7) % 5]
        ppl.observe(f"y{t}", Normal(a + mean, s) if t % 2 else StudentT(4.0, mean, s), y[t])


@ppl.model
def collected(y):
    """Sites put side by side in a vector."""
    m, s = ppl.sample("m", Normal(0.0, 1.0)), ppl.sample("s", HalfNormal(1.0))
    x = torch.stack([ppl.sample(f"x{i}", Normal(m, s)) for i in range(len(y))])
    ppl.observe("y", Normal(x, 1.0), y)


@ppl.model
def epidemic(y):
    """Three carries, and plain numbers to begin with."""
    b, g = ppl.sample("b", HalfNormal(1.0)), ppl.sample("g", HalfNormal(1.0))
    susceptible, infected, removed = 0.99, 0.01, 0.0
    for t in range(len(y)):
        new, gone = b * susceptible * infected, g * infected
        susceptible, infected, removed = susceptible - new, infected + new - gone, removed + gone
        ppl.observe(f"y{t}", Normal(infected, 0.1), y[t])


@ppl.model
def mixture(y):
    w, m = ppl.sample("w", Beta(1.0, 1.0)), ppl.sample("m", Normal(0.0, 1.0).expand([2]))
    for t in range(len(y)):
        left, right = (Normal(m[k], 1.0).log_prob(y[t]) for k in range(2))
        ppl.factor(f"f{t}", torch.logaddexp(torch.log(w) + left, torch.log1p(-w) + right))


@ppl.model
def in_a_plate(y):
    m, s = ppl.sample("m", Normal(0.0, 1.0)), ppl.sample("s", HalfNormal(1.0))
    rows = y.reshape(2, -1)
    for j in ppl.plate("row", 2):
        x = ppl.sample("x", Normal(m, s))
        for t in range(rows.shape[1]):
            x = torch.tanh(0.5 * x + rows[j, t])
        ppl.observe("z", Normal(x, 1.0), rows[j, 0])


@ppl.model
def in_a_scan(y):
    m, s = ppl.sample("m", Normal(0.0, 1.0)), ppl.sample("s", HalfNormal(1.0))

    def step(c, v):
        for _ in range(12):
            c = torch.tanh(0.5 * c + v * m)
        ppl.observe("z", Normal(c, s), v)
        return c

    ppl.scan("time", step, m, y)


ROLLED = {
    hidden_markov: ["recurrence of {1} steps"],
    hidden_markov_in_numbers: ["recurrence of {2} steps"],
    random_walk: [],
    volatility: [],
    scalars: [],
    garch: ["recurrence of {2} steps"],
    constants: [],
    autoregression: ["recurrence of {4} steps"],
    windows: [],
    alternating: [],
    collected: [],
    epidemic: ["recurrence of {2} steps"],
    mixture: [],
}
"""The programs as long as their data, and the recurrences found in them: {k} is the length less k."""
OTHERS = [groups, in_a_plate, in_a_scan]
