"""Pareto-smoothed importance sampling: how far weights can be trusted, and weights with a smaller error.

The largest weights are put in the places of the quantiles of a generalised Pareto distribution fitted to them. Its shape
k̂ says how heavy their tail is: up to 0.7 estimates from finitely many draws are reliable, from 1 on the weights have
no mean.

Written here because ArviZ, which has it too, takes four seconds to import, and every optimisation ends with it.

Sources: Vehtari, Simpson, Gelman, Yao & Gabry, "Pareto smoothed importance sampling" (JMLR 2024); Zhang & Stephens, "A
new and efficient estimation method for the generalized Pareto distribution" (Technometrics 2009).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FEWEST = 5  # weights in a tail that a distribution is fitted to
_TINY = math.log(np.finfo(np.float64).tiny)


def smooth(log_weights: Array) -> tuple[Array, float]:
    """Smoothed log weights that are normalised, and k̂.

    Args:
        log_weights: [n], finite, in any order.

    Returns:
        ([n], k̂): log weights whose exponentials sum to 1; k̂ is inf where fewer than five weights make the tail.

    >>> log_weights = np.log(np.random.default_rng(1).pareto(4.0, 4000) + 1.0)
    >>> smoothed, k = smooth(log_weights)
    >>> bool(abs(np.exp(smoothed).sum() - 1.0) < 1e-12), round(k, 1)
    (True, 0.2)
    """
    x = np.asarray(log_weights, np.float64) - np.max(log_weights)
    count = math.ceil(min(len(x) / 5, 3 * math.sqrt(len(x))))
    cutoff = max(float(np.partition(x, -count - 1)[-count - 1]), _TINY)
    tail = np.flatnonzero(x > cutoff)
    tail = tail[np.argsort(x[tail], kind="stable")]
    k = math.inf
    if len(tail) >= _FEWEST:
        least = math.exp(cutoff)
        k, scale = fit_pareto(np.exp(x[tail]) - least)
        if math.isfinite(k):
            shares = np.arange(0.5, len(tail)) / len(tail)
            x[tail] = np.minimum(np.log(quantiles(shares, k, scale) + least), 0.0)
    return x - math.log(float(np.exp(x).sum())), k


def fit_pareto(excess: Array) -> tuple[float, float]:
    """(shape k, scale σ) of a generalised Pareto distribution with density (1 + k x/σ)^(−1/k − 1)/σ, of which these are
    draws in increasing order.

    A mean over the profile likelihood of b = −k/σ, with a weak prior for k towards 1/2 (ten draws' worth).

    >>> k, scale = fit_pareto(np.sort(2.0 * np.random.default_rng(0).pareto(2.0, 20000)))
    >>> round(k, 1), round(scale, 1)
    (0.5, 1.0)
    """
    n = len(excess)
    points = 30 + int(math.sqrt(n))
    quarter = excess[int(n / 4 + 0.5) - 1]
    b = 1.0 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    b = b / (3.0 * quarter) + 1.0 / excess[-1]
    shapes = np.log1p(-b[:, None] * excess).mean(axis=1)
    with np.errstate(invalid="ignore"):  # 0/0 at b = 0, which is left out
        likelihood = np.nan_to_num(n * (np.log(-b / shapes) - shapes - 1.0), nan=-np.inf)
    share = np.exp(likelihood - likelihood.max())
    share = share / share.sum()
    share = np.where(share >= 10 * np.finfo(np.float64).eps, share, 0.0)
    mean = float(b @ share / share.sum())
    shape = float(np.log1p(-mean * excess).mean())
    return (n * shape + 10 * 0.5) / (n + 10), -shape / mean


def quantiles(shares: Array, shape: float, scale: float) -> Array:
    """Of a generalised Pareto distribution: σ ((1 − p)^(−k) − 1)/k, and −σ log(1 − p) for k = 0."""
    exponential = -np.log1p(-shares)
    with np.errstate(over="ignore"):
        return np.asarray(scale * (np.expm1(shape * exponential) / shape if shape else exponential))


__all__ = ["fit_pareto", "quantiles", "smooth"]
