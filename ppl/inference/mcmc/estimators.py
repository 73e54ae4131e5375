"""Estimators of the inverse mass matrix Σ from the draws (and gradients) of warm-up.

Each is a small state with `add(q, grad) → state` and `estimate(previous) → Metric`: `previous` is the metric
in use, to which estimates from few draws are shrunk or which stands in where an estimate can't be had.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppl.inference.mcmc.metrics import Dense, Diagonal, LowRank, Metric

Array = NDArray[np.float64]

_TINY, _HUGE = 1e-20, 1e20


class Estimator(Protocol):
    @property
    def count(self) -> int: ...

    def add(self, q: Array, grad: Array) -> Estimator: ...

    def estimate(self, previous: Metric) -> Metric: ...


@dataclass(frozen=True, slots=True)
class WelfordDiagonal:
    """Variances of the draws by Welford's recursion (1962), shrunk as in Stan: n/(n+5) var + 5/(n+5) · 10⁻³.

    Args:
        count: n.
        mean: [D].
        squares: [D], the sum of squared deviations from the mean.
    """

    count: int
    mean: Array
    squares: Array

    @classmethod
    def empty(cls, dim: int) -> WelfordDiagonal:
        return cls(0, np.zeros(dim), np.zeros(dim))

    def add(self, q: Array, grad: Array) -> WelfordDiagonal:
        count = self.count + 1
        deviation = q - self.mean
        mean = self.mean + deviation / count
        return WelfordDiagonal(count, mean, self.squares + deviation * (q - mean))

    def estimate(self, previous: Metric) -> Metric:
        n = self.count
        if n < 2:
            return previous
        return Diagonal.from_variances((n / (n + 5.0)) * self.squares / (n - 1) + 1e-3 * (5.0 / (n + 5.0)))


@dataclass(frozen=True, slots=True)
class WelfordDense:
    """Covariances of the draws by Welford's recursion, shrunk as in Stan: n/(n+5) cov + 5/(n+5) · 10⁻³ I."""

    count: int
    mean: Array
    products: Array

    @classmethod
    def empty(cls, dim: int) -> WelfordDense:
        return cls(0, np.zeros(dim), np.zeros((dim, dim)))

    def add(self, q: Array, grad: Array) -> WelfordDense:
        count = self.count + 1
        deviation = q - self.mean
        mean = self.mean + deviation / count
        return WelfordDense(count, mean, self.products + np.outer(deviation, q - mean))

    def estimate(self, previous: Metric) -> Metric:
        n = self.count
        if n < 2:
            return previous
        covariance = (n / (n + 5.0)) * self.products / (n - 1)
        covariance = 0.5 * (covariance + covariance.T)
        covariance[np.diag_indices_from(covariance)] += 1e-3 * (5.0 / (n + 5.0))
        try:
            return Dense.from_covariance(covariance)
        except np.linalg.LinAlgError:
            return previous


def _ratio_of_scales(q_squares: Array, grad_squares: Array, fallback: Array) -> Array:
    """√(var q / var ∇) elementwise, within bounds; `fallback` where it is not a positive finite number."""
    with np.errstate(all="ignore"):
        ratio = np.sqrt(q_squares / grad_squares)
    good = np.isfinite(ratio) & (ratio > 0.0)
    return np.clip(np.where(good, ratio, fallback), _TINY, _HUGE)


@dataclass(frozen=True, slots=True)
class FisherDiagonal:
    """Σᵢ = √(var(qᵢ) / var(∂ᵢ log π)), the diagonal of least Fisher divergence to a standard normal.

    For a normal target with independent components the gradient is −(q − μ)/σ², so the ratio is σ² exactly,
    from any two
    draws: no noise to be shrunk away. For other targets the estimate is shrunk on the log scale to the metric
        before it, with the weight of two draws (Seyboldt, Carlson & Carpenter 2026, "Preconditioning
        Hamiltonian Monte Carlo by minimizing Fisher divergence", arXiv:2603.18845).

    Args:
        count: n.
        q_mean, q_squares: [D], mean and sum of squared deviations of the draws.
        grad_mean, grad_squares: [D], the same of the gradients.

    >>> state = FisherDiagonal.empty(1)
    >>> for x in (0.0, 1.0, 5.0):
    ...     state = state.add(np.array([x]), np.array([-x / 9.0]))
    >>> state.estimate(Diagonal.from_variances(np.array([9.0]))).diagonal().round(9).tolist()
    [9.0]
    """

    count: int
    q_mean: Array
    q_squares: Array
    grad_mean: Array
    grad_squares: Array

    @classmethod
    def empty(cls, dim: int) -> FisherDiagonal:
        zeros = np.zeros(dim)
        return cls(0, zeros, zeros, zeros, zeros)

    def add(self, q: Array, grad: Array) -> FisherDiagonal:
        count = self.count + 1
        dq, dg = q - self.q_mean, grad - self.grad_mean
        q_mean, grad_mean = self.q_mean + dq / count, self.grad_mean + dg / count
        return FisherDiagonal(
            count,
            q_mean,
            self.q_squares + dq * (q - q_mean),
            grad_mean,
            self.grad_squares + dg * (grad - grad_mean),
        )

    def estimate(self, previous: Metric) -> Metric:
        n = self.count
        if n < 3:
            return previous
        before = previous.diagonal()
        now = _ratio_of_scales(self.q_squares, self.grad_squares, before)
        return Diagonal.from_variances(now * (before / now) ** (2.0 / (n + 2.0)))


@dataclass(frozen=True, slots=True)
class LowRankWindow:
    """A diagonal plus k directions, from a window of draws and gradients (Seyboldt et al. 2026).

    Draws and gradients are scaled by the Fisher diagonal, projected on the span of the leading directions of
    both, and there the matrix Σ with Σ C_grad Σ = C_q (their regularised covariances) minimises the Fisher
    divergence. Its eigenvectors with an eigenvalue outside [1/2, 2] are kept; in all other directions the
    diagonal is good enough.

    Args:
        count: n, the rows in use.
        draws, grads: [capacity, D]. An `add` writes the next row in place: older states don't see it, as
            their count is smaller. Each state may be extended once.
    """

    count: int
    draws: Array
    grads: Array

    @classmethod
    def empty(cls, dim: int) -> LowRankWindow:
        return cls(0, np.zeros((0, dim)), np.zeros((0, dim)))

    def add(self, q: Array, grad: Array) -> LowRankWindow:
        n, draws, grads = self.count, self.draws, self.grads
        if n == draws.shape[0]:
            room = np.zeros((max(16, n), draws.shape[1]))
            draws, grads = np.concatenate([draws, room]), np.concatenate([grads, room])
        draws[n], grads[n] = q, grad
        return LowRankWindow(n + 1, draws, grads)

    def estimate(self, previous: Metric) -> Metric:
        if self.count < 3:
            return previous
        return low_rank_metric(self.draws[: self.count], self.grads[: self.count], previous)


def low_rank_metric(
    draws: Array,
    grads: Array,
    previous: Metric,
    cutoff: float = 2.0,
    ridge: float = 1e-5,
    max_rank: int = 100,
) -> Metric:
    """The low-rank metric of `LowRankWindow` from draws [n, D] and gradients [n, D].

    Args:
        cutoff: eigenvalues within [1/cutoff, cutoff] count as 1.
        ridge: added to the diagonals of both projected covariances, whose rank is below their size when n is
            small.
        max_rank: at most so many directions from draws and from gradients each.

    >>> rng = np.random.default_rng(0)
    >>> z = rng.standard_normal((50, 2)) @ np.linalg.cholesky(np.array([[1.0, 0.9], [0.9, 1.0]])).T
    >>> grads = -np.linalg.solve([[1.0, 0.9], [0.9, 1.0]], z.T).T
    >>> metric = low_rank_metric(z, grads, Diagonal(np.ones(2), np.ones(2)))
    >>> metric.covariance().round(2).tolist()
    [[1.0, 0.9], [0.9, 1.0]]
    """
    n = draws.shape[0]
    x, g = draws - draws.mean(0), grads - grads.mean(0)
    before = previous.diagonal()
    variances = _ratio_of_scales((x * x).sum(0), (g * g).sum(0), before)
    scales = np.sqrt(variances)
    x, g = x / scales, g * scales
    try:
        basis = _leading_span(x, g, max_rank)
        x, g = x @ basis, g @ basis
        eye = ridge * np.eye(basis.shape[1])
        mean = _geometric_mean(x.T @ x / n + eye, g.T @ g / n + eye)
        values, vectors = np.linalg.eigh(mean)
    except np.linalg.LinAlgError:
        return previous
    keep = (values > cutoff) | (values < 1.0 / cutoff)
    keep &= np.isfinite(values) & (values > 0.0)
    return LowRank(scales, np.ascontiguousarray(basis @ vectors[:, keep]), np.clip(values[keep], 1e-10, 1e10))


def _leading_span(x: Array, g: Array, max_rank: int) -> Array:
    """An orthonormal basis [D, k] of the leading right singular vectors of x [n, D] and of g [n, D]."""
    directions = []
    for rows in (x, g):
        _, sizes, right = np.linalg.svd(rows, full_matrices=False)
        count = min(max_rank, int((sizes > 1e-10 * max(float(sizes[0]), _TINY)).sum()))
        directions.append(right[:count])
    left, sizes, _ = np.linalg.svd(np.concatenate(directions).T, full_matrices=False)
    return left[:, sizes > 1e-8]


def _geometric_mean(a: Array, b: Array) -> Array:
    """The symmetric positive definite Σ with Σ b Σ = a: Σ = b^−½ (b^½ a b^½)^½ b^−½."""
    values, vectors = np.linalg.eigh(b)
    values = np.maximum(values, _TINY)
    root, inverse_root = (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T
    values, vectors = np.linalg.eigh(root @ a @ root)
    middle = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    mean = inverse_root @ middle @ inverse_root
    return 0.5 * (mean + mean.T)


ESTIMATORS: dict[str, Callable[[int], Estimator] | None] = {
    "diag": FisherDiagonal.empty,
    "diag_welford": WelfordDiagonal.empty,
    "dense": WelfordDense.empty,
    "lowrank": LowRankWindow.empty,
    "unit": None,
}
"""Metric's name → an empty estimator of given dimension; None: no adaptation."""
