"""Small targets with known answers, for the tests of Markov chain Monte Carlo."""

import math

import numpy as np

from ppl.inference.mcmc import HMC, LANES, NUTS


class Density:
    """A target from a function of one point: q [D] → (log density, gradient [D])."""

    def __init__(self, dim, function):
        self.dim, self.function, self.calls = dim, function, 0

    def value_and_grad(self, q):
        assert q.shape == (LANES, self.dim) and q.dtype == np.float64
        self.calls += 1
        rows = [self.function(row) for row in q]
        return np.array([logp for logp, _ in rows]), np.array([grad for _, grad in rows])


class Gaussian:
    def __init__(self, covariance, mean=0.0):
        self.precision, self.mean, self.dim = np.linalg.inv(covariance), mean, len(covariance)

    def value_and_grad(self, q):
        x = q - self.mean
        grad = -x @ self.precision
        return 0.5 * (x * grad).sum(1), grad


def banana(q):
    """x ~ N(0, 1), y | x ~ N(x²/2, 1): E y = ½, var y = 1 + ½."""
    x, y = q
    r = y - 0.5 * x * x
    return -0.5 * x * x - 0.5 * r * r, np.array([-x + x * r, -r])


def log_gamma(q):
    """u = log x with x ~ Gamma(3, 1)."""
    x = math.exp(min(q[0], 700.0))
    return 3 * q[0] - x, np.array([3 - x])


def funnel(q):
    """v ~ N(0, 3²), x₁…x₄ | v ~ N(0, exp(v/2)²)."""
    v, x = q[0], q[1:]
    w = x * x * math.exp(min(-v, 700.0))
    grad = np.empty_like(q)
    grad[0], grad[1:] = -v / 9 + 0.5 * w.sum() - 0.5 * len(x), -x * math.exp(min(-v, 700.0))
    return -v * v / 18 - 0.5 * w.sum() - 0.5 * len(x) * v, grad


def starts(dim, chains=4, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (chains, dim))


def label(value):
    return f"{type(value).__name__}-{value.metric}" if isinstance(value, (NUTS, HMC)) else str(value)
