"""Densities with known moments as native functions, and what tests need to call them."""

from functools import cache

import numpy as np

from ppl.compiler.native import Floats, Ints, as_floats, build, i64, math, native
from ppl.inference.mcmc.native import sample_native


@native
def normal(x: Floats, out: Floats, env: Ints) -> i64:
    """N(mean, precision⁻¹); env: dim, addresses of mean [D] and precision [D, D]."""
    n = env[0]
    mean = as_floats(env[1])
    precision = as_floats(env[2])
    total = 0.0
    for i in range(n):
        slope = 0.0
        for j in range(n):
            slope -= precision[i * n + j] * (x[j] - mean[j])
        out[1 + i] = slope
        total += 0.5 * slope * (x[i] - mean[i])
    out[0] = total
    return 0


@native
def log_gamma(x: Floats, out: Floats, env: Ints) -> i64:
    """u = log x with x ~ Gamma(3, 1)."""
    value = math.exp(x[0])
    out[0] = 3.0 * x[0] - value
    out[1] = 3.0 - value
    return 0


@native
def banana(x: Floats, out: Floats, env: Ints) -> i64:
    """x ~ N(0, 1), y | x ~ N(x²/2, 1): E y = ½, var y = 1 + ½."""
    residual = x[1] - 0.5 * x[0] * x[0]
    out[0] = -0.5 * x[0] * x[0] - 0.5 * residual * residual
    out[1] = x[0] * residual - x[0]
    out[2] = -residual
    return 0


@native
def funnel(x: Floats, out: Floats, env: Ints) -> i64:
    """v ~ N(0, 3²), x₁…x₄ | v ~ N(0, exp(v/2)²)."""
    v = x[0]
    precision = math.exp(-v)
    total = 0.0
    for i in range(1, 5):
        total += x[i] * x[i] * precision
        out[1 + i] = -x[i] * precision
    out[0] = -v * v / 18.0 - 0.5 * total - 2.0 * v
    out[1] = -v / 9.0 + 0.5 * total - 2.0
    return 0


@native
def half_normal(x: Floats, out: Floats, env: Ints) -> i64:
    """A half normal on x > 0; elsewhere it reports failure (env[0] = 1) or answers nan."""
    out[0] = -0.5 * x[0] * x[0]
    out[1] = -x[0]
    if x[0] > 0.0:
        return 0
    if env[0] == 1:
        return 7
    out[0] = math.nan
    out[1] = math.nan
    return 0


@native
def logistic(x: Floats, out: Floats, env: Ints) -> i64:
    """Logistic regression with a standard normal prior; env: dim, rows, addresses of X [rows, D] and y."""
    n = env[0]
    features = as_floats(env[2])
    outcomes = as_floats(env[3])
    total = 0.0
    for j in range(n):
        total -= 0.5 * x[j] * x[j]
        out[1 + j] = -x[j]
    for i in range(env[1]):
        z = 0.0
        for j in range(n):
            z += features[i * n + j] * x[j]
        total += outcomes[i] * z - max(z, 0.0) - math.log1p(math.exp(-abs(z)))
        residual = outcomes[i] - 1.0 / (1.0 + math.exp(-z))
        for j in range(n):
            out[1 + j] += residual * features[i * n + j]
    out[0] = total
    return 0


DENSITIES = (normal, log_gamma, banana, funnel, half_normal, logistic)


@cache
def library():
    return build(list(DENSITIES), name="test densities")


class Model:
    """A density of this file with its private words; `data` are kept alive and passed by address."""

    def __init__(self, function, dim, *words, data=()):
        self.function, self.dim, self.data = function, dim, [np.ascontiguousarray(x, float) for x in data]
        self.words = np.array([*words, *(x.ctypes.data for x in self.data)] or [0], np.int64)

    @property
    def address(self):
        return library()[self.function.name].address

    def sample(self, points, method, draws, warmup, seed, threads=2, **options):
        envs = [self.words.copy() for _ in range(threads)]
        density = options.pop("density", None) or self.address
        return sample_native(density, envs, self.dim, points, method, draws, warmup, seed, **options)


def gaussian(covariance, mean=0.0):
    dim = len(covariance)
    return Model(normal, dim, dim, data=(np.zeros(dim) + mean, np.linalg.inv(covariance)))


LOGISTIC_X = np.random.default_rng(9).standard_normal((40, 3))
LOGISTIC_Y = (np.random.default_rng(8).random(40) < 0.6).astype(float)
LOGISTIC = Model(logistic, 3, 3, 40, data=(LOGISTIC_X, LOGISTIC_Y))
FUNNEL = Model(funnel, 5)
