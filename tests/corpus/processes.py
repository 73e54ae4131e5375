"""Time series, spatial models and Gaussian processes, on small made-up data."""

from __future__ import annotations

import math

import numpy as np
import torch

import ppl
from corpus.entry import draws, program, t
from ppl.distributions import (
    Bernoulli,
    Beta,
    Dirichlet,
    Exponential,
    Gamma,
    GaussianRandomWalk,
    HalfNormal,
    IntrinsicCAR,
    InverseGamma,
    LKJCholesky,
    LogNormal,
    MultivariateNormal,
    Normal,
    Poisson,
    Restricted,
    StudentT,
    Uniform,
    VonMises,
)

STEPS = 8
SERIES = draws(11).standard_normal(STEPS).cumsum()
POINTS = np.linspace(-1.0, 1.0, 6)
RESPONSES = np.sin(3.0 * POINTS) + 0.1 * draws(12).standard_normal(6)
EDGES = (torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 2, 3, 4, 4]))
AREAS = 5
CASES = t(3, 1, 4, 2, 6)
TABLE = draws(13).standard_normal((6, 4))


# ---------------------------------------------------------------- time series


@program({"y": SERIES})
def autoregression():
    phi, sigma = ppl.sample("phi", Uniform(-1.0, 1.0)), ppl.sample("sigma", HalfNormal(1.0))

    def step(before, _):
        return ppl.sample("y", Normal(phi * before, sigma))

    ppl.scan("time", step, torch.tensor(0.0), length=STEPS)


@program({"y": SERIES}, lambda b: b.reparam(level=ppl.NonCentered()))
def local_level_non_centred():
    scales = ppl.sample("scales", HalfNormal(1.0).expand([2]))

    def step(level, _):
        level = ppl.sample("level", Normal(level, scales[0]))
        ppl.sample("y", Normal(level, scales[1]))
        return level

    ppl.scan("time", step, torch.tensor(0.0), length=STEPS)


@program({"y": SERIES})
def local_linear_trend():
    scales = ppl.sample("scales", LogNormal(-1.0, 0.5).expand([3]))

    def step(state, _):
        level, slope = state
        slope = ppl.sample("slope", Normal(slope, scales[0]))
        level = ppl.sample("level", Normal(level + slope, scales[1]))
        ppl.sample("y", Normal(level, scales[2]))
        return level, slope

    ppl.scan("time", step, (torch.tensor(0.0), torch.tensor(0.0)), length=STEPS)


@program(y=SERIES)
def kalman_filter(y):
    """The local level model with its states integrated out: mean and variance of each one-step forecast."""
    q, r = ppl.sample("q", Exponential(1.0)), ppl.sample("r", Exponential(1.0))

    def step(state, seen):
        mean, variance, total = state
        variance = variance + q
        spread = variance + r
        gain = variance / spread
        total = total + Normal(mean, torch.sqrt(spread)).log_prob(seen)
        return mean + gain * (seen - mean), (1.0 - gain) * variance, total

    start = (torch.tensor(0.0), torch.tensor(1.0), torch.tensor(0.0))
    ppl.factor("y", ppl.scan("time", step, start, y)[2])


@program(y=TABLE)
def kalman_filter_of_vectors(y):
    """A stable transition matrix, a covariance carried from step to step, and a solve in each."""
    A = ppl.sample("A", Normal(0.0, 0.3).expand([2, 2]))
    H = ppl.sample("H", Normal(0.0, 1.0).expand([4, 2]))
    r = ppl.sample("r", LogNormal(0.0, 0.3))

    def step(state, seen):
        mean, P = state
        mean, P = A @ mean, A @ P @ A.T + torch.eye(2)
        S = H @ P @ H.T + r * torch.eye(4)
        K = torch.linalg.solve(S, H @ P).T
        score = MultivariateNormal(H @ mean, S).log_prob(seen)
        return (mean + K @ (seen - H @ mean), P - K @ H @ P), score

    _, scores = ppl.scan("time", step, (torch.zeros(2), torch.eye(2)), y)
    ppl.factor("y", scores.sum())


@program({"y": 0.5 * SERIES})
def garch():
    omega, a = ppl.sample("omega", HalfNormal(1.0)), ppl.sample("a", Uniform(0.0, 1.0))
    b = ppl.sample("b", Uniform(0.0, 1.0 - a))

    def step(variance, _):
        y = ppl.sample("y", Normal(0.0, torch.sqrt(variance)))
        return omega + a * y**2 + b * variance

    ppl.scan("time", step, torch.tensor(1.0), length=STEPS)


@program({"y": SERIES})
def stochastic_volatility():
    mu, phi = ppl.sample("mu", Normal(0.0, 1.0)), ppl.sample("phi", Beta(20.0, 1.5))
    sigma = ppl.sample("sigma", Gamma(2.0, 10.0))

    def step(h, _):
        h = ppl.sample("h", Normal(mu + phi * (h - mu), sigma))
        ppl.sample("y", Normal(0.0, torch.exp(0.5 * h)))
        return h

    ppl.scan("time", step, torch.tensor(0.0), length=STEPS)


@program({"y": SERIES})
def random_walk_of_a_family():
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    walk = ppl.sample("walk", GaussianRandomWalk(sigma, STEPS))
    ppl.sample("y", StudentT(4.0, walk, 0.5))


@program({"y": SERIES})
def moving_average():
    theta, sigma = ppl.sample("theta", Normal(0.0, 0.5)), ppl.sample("sigma", HalfNormal(1.0))

    def step(shock, _):
        y = ppl.sample("y", Normal(theta * shock, sigma))
        return y - theta * shock

    ppl.scan("time", step, torch.tensor(0.0), length=STEPS)


@program({"y": TABLE})
def vector_autoregression():
    A = ppl.sample("A", Normal(0.0, 0.5).expand([4, 4]))
    scale = ppl.sample("scale", HalfNormal(1.0).expand([4]))
    L = ppl.sample("L", LKJCholesky(4, 2.0))

    def step(before, _):
        return ppl.sample("y", MultivariateNormal(A @ before, scale_tril=scale[:, None] * L))

    ppl.scan("time", step, torch.zeros(4), length=len(TABLE))


@program(y=SERIES)
def hidden_markov_forward_algorithm(y):
    rows = ppl.sample("rows", Dirichlet(torch.ones(3, 3)))
    mu = ppl.sample("mu", Restricted(Normal(0.0, 2.0).expand([3]), "ordered"))

    def step(log_p, seen):
        moved = torch.logsumexp(log_p[:, None] + torch.log(rows), 0)
        return moved + Normal(mu, 1.0).log_prob(seen)

    start = torch.full((3,), -math.log(3.0)) + Normal(mu, 1.0).log_prob(y[0])
    ppl.factor("y", torch.logsumexp(ppl.scan("time", step, start, y[1:]), 0))


@program({"seen": t(1, 0, 1)})
def time_series_of_several_units():
    """A scan inside a plate."""
    for _ in ppl.plate("unit", 3):
        phi = ppl.sample("phi", Normal(0.0, 0.5))

        def step(z, _, phi=phi):
            return ppl.sample("z", Normal(phi * z, 1.0))

        last = ppl.scan("time", step, phi, length=4)
        ppl.sample("seen", Bernoulli(logits=last))


@program({"y": TABLE})
def units_beside_each_other_in_time():
    """A plate inside a scan."""
    sigma = ppl.sample("sigma", HalfNormal(1.0))

    def step(level, _):
        for _ in (units := ppl.plate("unit", 4)):
            y = ppl.sample("y", Normal(level, sigma))
        return 0.5 * level + 0.5 * units.gather(y).mean()

    ppl.scan("time", step, torch.tensor(0.0), length=len(TABLE))


@program({"y": t(30, 25, 21, 18, 17, 16)}, steps=6)
def logistic_growth_by_euler_steps(steps):
    r, K = ppl.sample("r", LogNormal(-1.0, 0.3)), 20.0 * ppl.sample("k", LogNormal(0.0, 0.3))

    def year(size, _):
        size = ppl.scan("substep", lambda z, _: z + 0.1 * r * z * (1.0 - z / K), size, length=10)
        ppl.sample("y", Poisson(size))
        return size

    ppl.scan("year", year, torch.tensor(30.0), length=steps)


# ---------------------------------------------------------------- space


def squared_exponential(x, scale, length):
    return scale**2 * torch.exp(-0.5 * ((x[:, None] - x) / length) ** 2)


@program({"y": RESPONSES}, x=POINTS)
def gaussian_process_marginal(x):
    length, scale = ppl.sample("length", InverseGamma(5.0, 5.0)), ppl.sample("scale", HalfNormal(1.0))
    noise = ppl.sample("noise", HalfNormal(0.5))
    K = squared_exponential(x, scale, length) + (noise**2 + 1e-6) * torch.eye(len(x))
    ppl.sample("y", MultivariateNormal(torch.zeros(len(x)), K))


@program({"y": (RESPONSES > 0).astype(float)}, x=POINTS)
def gaussian_process_classification(x):
    length, scale = ppl.sample("length", LogNormal(0.0, 0.5)), ppl.sample("scale", HalfNormal(1.0))
    z = ppl.sample("z", Normal(0.0, 1.0).expand([len(x)]))
    L = torch.linalg.cholesky(squared_exponential(x, scale, length) + 1e-4 * torch.eye(len(x)))
    ppl.sample("y", Bernoulli(logits=L @ z))


@program({"y": RESPONSES}, x=POINTS)
def matern_process(x):
    length = ppl.sample("length", LogNormal(0.0, 0.5))
    d = math.sqrt(3.0) * torch.abs(x[:, None] - x) / length
    K = (1.0 + d) * torch.exp(-d) + 0.05 * torch.eye(len(x))
    ppl.sample("y", MultivariateNormal(torch.zeros(len(x)), scale_tril=torch.linalg.cholesky(K)))


@program({"cases": CASES}, tail=EDGES[0], head=EDGES[1])
def besag_york_mollie(tail, head):
    tau, sigma = ppl.sample("tau", HalfNormal(1.0)), ppl.sample("sigma", HalfNormal(1.0))
    phi = ppl.sample("phi", IntrinsicCAR(tail, head, AREAS, tau))
    theta = ppl.sample("theta", Normal(0.0, 1.0).expand([AREAS]))
    ppl.sample("cases", Poisson(torch.exp(1.0 + phi + sigma * theta)))


@program({"cases": CASES}, tail=EDGES[0], head=EDGES[1])
def intrinsic_car_by_a_factor(tail, head):
    phi = ppl.sample("phi", Normal(0.0, 10.0).expand([AREAS]))
    ppl.factor("neighbours", -0.5 * ((phi[tail] - phi[head]) ** 2).sum())
    ppl.factor("sum to zero", Normal(0.0, 0.001 * AREAS).log_prob(phi.sum()))
    ppl.sample("cases", Poisson(torch.exp(phi)))


@program({"phi": 0.3 * t(1, -1, 0, 2, 1)})
def proper_car():
    """Precision τ (D − α W) for the neighbours' matrix W."""
    W = torch.zeros(AREAS, AREAS, dtype=torch.float64)
    W[EDGES[0], EDGES[1]] = 1.0
    W = W + W.T
    alpha, tau = ppl.sample("alpha", Uniform(0.0, 1.0)), ppl.sample("tau", Gamma(2.0, 1.0))
    Q = tau * (torch.diag(W.sum(0)) - alpha * W)
    ppl.sample("phi", MultivariateNormal(torch.zeros(AREAS), precision_matrix=Q))


@program({"angle": t(0.3, -0.4, 2.9)})
def directions():
    mu, kappa = ppl.sample("mu", VonMises(0.0, 1.0)), ppl.sample("kappa", Gamma(2.0, 1.0))
    ppl.sample("angle", VonMises(mu, kappa).expand([3]))
