"""Metrics of Hamiltonian dynamics: the inverse mass matrix Σ, an estimate of the target's covariance.

With momentum p ~ N(0, Σ⁻¹) the kinetic energy is ½ pᵀΣp and the velocity is Σp. The closer Σ is to the
target's covariance, the rounder the target looks to the integrator (Neal 2011, "MCMC using Hamiltonian
dynamics", section 5.4.2.4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Metric(Protocol):
    """What the integrator needs to know of Σ."""

    def sample_momentum(self, rng: Generator) -> Array:
        """p ~ N(0, Σ⁻¹), shape [D]."""
        ...

    def velocity(self, p: Array) -> Array:
        """Σ p, shape [D]; p [D]."""
        ...

    def drift(self, step_size: float) -> Callable[[Array], Array]:
        """The function p ↦ ε Σ p, prepared for many calls with one ε (the sampler's innermost operation)."""
        ...

    def covariance(self) -> Array:
        """Σ as a matrix [D, D]."""
        ...

    def diagonal(self) -> Array:
        """The diagonal of Σ, shape [D]."""
        ...


def kinetic_energy(metric: Metric, p: Array) -> float:
    """½ pᵀ Σ p.

    >>> kinetic_energy(Diagonal.from_variances(np.array([4.0])), np.array([3.0]))
    18.0
    """
    return 0.5 * float(p.dot(metric.velocity(p)))


@dataclass(frozen=True, slots=True)
class Diagonal:
    """Σ = diag(variances).

    Args:
        variances: [D], positive.
        inverse_scales: [D], 1/√variances, kept so that momenta cost one product.

    >>> Diagonal.from_variances(np.array([4.0, 1.0])).velocity(np.array([1.0, 1.0])).tolist()
    [4.0, 1.0]
    """

    variances: Array
    inverse_scales: Array

    @classmethod
    def from_variances(cls, variances: Array) -> Diagonal:
        return cls(variances, 1.0 / np.sqrt(variances))

    def sample_momentum(self, rng: Generator) -> Array:
        return rng.standard_normal(self.variances.shape[0]) * self.inverse_scales

    def velocity(self, p: Array) -> Array:
        return self.variances * p

    def drift(self, step_size: float) -> Callable[[Array], Array]:
        # A bound method of numpy's: no Python frame per call.
        return (step_size * self.variances).__mul__

    def covariance(self) -> Array:
        return np.diag(self.variances)

    def diagonal(self) -> Array:
        return self.variances


@dataclass(frozen=True, slots=True)
class Dense:
    """Σ, any symmetric positive definite matrix.

    Args:
        matrix: [D, D], Σ.
        momentum_factor: [D, D], L⁻ᵀ where Σ = LLᵀ, so that p = L⁻ᵀz has covariance Σ⁻¹.

    >>> metric = Dense.from_covariance(np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> metric.velocity(np.array([1.0, 0.0])).tolist()
    [2.0, 1.0]
    """

    matrix: Array
    momentum_factor: Array

    @classmethod
    def from_covariance(cls, matrix: Array) -> Dense:
        """Raises `numpy.linalg.LinAlgError` if the matrix is not positive definite."""
        return cls(matrix, np.ascontiguousarray(np.linalg.inv(np.linalg.cholesky(matrix)).T))

    def sample_momentum(self, rng: Generator) -> Array:
        return self.momentum_factor @ rng.standard_normal(self.matrix.shape[0])

    def velocity(self, p: Array) -> Array:
        return self.matrix.dot(p)

    def drift(self, step_size: float) -> Callable[[Array], Array]:
        return (step_size * self.matrix).dot

    def covariance(self) -> Array:
        return self.matrix

    def diagonal(self) -> Array:
        return np.diag(self.matrix).copy()


@dataclass(frozen=True, slots=True)
class LowRank:
    """Σ = S (I + U(Λ − I)Uᵀ) S: scales S = diag(scales) and k directions with a variance Λ other than 1.

    A product with Σ costs O(Dk) instead of O(D²).

    Args:
        scales: [D], positive.
        vectors: [D, k], orthonormal columns U.
        values: [k], positive, the diagonal of Λ.

    >>> metric = LowRank(np.ones(2), np.array([[1.0], [0.0]]), np.array([9.0]))
    >>> metric.velocity(np.array([1.0, 1.0])).tolist()
    [9.0, 1.0]
    """

    scales: Array
    vectors: Array
    values: Array

    def sample_momentum(self, rng: Generator) -> Array:
        z = rng.standard_normal(self.scales.shape[0])
        return (z + self.vectors @ ((1.0 / np.sqrt(self.values) - 1.0) * (self.vectors.T @ z))) / self.scales

    def velocity(self, p: Array) -> Array:
        z = self.scales * p
        return self.scales * (z + self.vectors.dot((self.values - 1.0) * self.vectors.T.dot(z)))

    def drift(self, step_size: float) -> Callable[[Array], Array]:
        scales, scaled = self.scales, step_size * self.scales
        down, up = self.vectors.T.dot, (self.vectors * (self.values - 1.0)).dot

        def apply(p: Array) -> Array:
            z = scales * p
            return scaled * (z + up(down(z)))

        return apply

    def covariance(self) -> Array:
        inner = np.eye(self.scales.shape[0]) + (self.vectors * (self.values - 1.0)) @ self.vectors.T
        return self.scales[:, None] * inner * self.scales

    def diagonal(self) -> Array:
        return self.scales**2 * (1.0 + (self.vectors**2) @ (self.values - 1.0))


def unit(dim: int) -> Diagonal:
    """Σ = I.

    >>> unit(2).covariance().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return Diagonal(np.ones(dim), np.ones(dim))
