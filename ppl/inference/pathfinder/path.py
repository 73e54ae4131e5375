"""One path: L-BFGS towards a mode, a normal at each of its points, and the one with the largest ELBO.

Source: Zhang, Carpenter, Gelman & Vehtari, "Pathfinder: parallel quasi-Newton variational inference" (2022), algorithms
1, 3 and 4; Byrd, Nocedal & Schnabel, "Representations of quasi-Newton matrices" (1994), for the inverse Hessian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ValueAndGrad = Callable[[Array], tuple[float, Array]]
"""The log density and its gradient at one point [D]."""
LogDensity = Callable[[Array], Array]
"""The log density at points [n, D]."""

_CURVED = 1e-12
"""A step s with gradient change y enters the estimate if sᵀy > this · |y|²: the density is curved downwards there."""


@dataclass(frozen=True)
class Approximation:
    """N(μ, Σ) with Σ = diag(√α) (I + Q (L Lᵀ − I) Qᵀ) diag(√α).

    Attributes: `mean` [D]; `alpha` [D]; `q` [D, k] with orthonormal columns; `tril` [k, k]; `elbo`.
    """

    mean: Array
    alpha: Array
    q: Array
    tril: Array
    elbo: float = -math.inf

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """n draws, [n, D]."""
        u = rng.standard_normal((n, len(self.mean)))
        inside = u @ self.q
        return self.mean + np.sqrt(self.alpha) * (u + (inside @ self.tril.T - inside) @ self.q.T)

    def log_density(self, x: Array) -> Array:
        """log N(x; μ, Σ) at points [n, D]."""
        y = (x - self.mean) / np.sqrt(self.alpha)
        inside = y @ self.q
        whitened = np.linalg.solve(self.tril, inside.T).T
        square = (y**2).sum(-1) - (inside**2).sum(-1) + (whitened**2).sum(-1)
        log_det = np.log(self.alpha).sum() + 2 * np.log(np.diagonal(self.tril)).sum()
        return np.asarray(-0.5 * (square + log_det + len(self.mean) * math.log(2 * math.pi)))

    @property
    def covariance(self) -> Array:
        """Σ [D, D]."""
        root = np.eye(len(self.mean)) + self.q @ (self.tril - np.eye(len(self.tril))) @ self.q.T
        half = np.sqrt(self.alpha)[:, None] * root
        return np.asarray(half @ half.T)


def pathfinder(
    value_and_grad: ValueAndGrad,
    log_density: LogDensity,
    start: Array,
    rng: np.random.Generator,
    history: int = 6,
    steps: int = 1000,
    elbo_draws: int = 10,
) -> Approximation | None:
    """The best of the normals along one path; None where no point of it gives one.

    Args:
        value_and_grad, log_density: of the target on ℝᴰ, for one point and for `elbo_draws` points.
        start: where L-BFGS begins, [D].
        history: how many of its last steps the inverse Hessian is made of.
        steps: the most it takes.
        elbo_draws: draws for the estimate of each ELBO.

    >>> scale = np.array([3.0])
    >>> found = pathfinder(
    ...     lambda x: (-0.5 * ((x / scale) ** 2).sum(), -x / scale**2),
    ...     lambda x: -0.5 * ((x / scale) ** 2).sum(-1),
    ...     np.array([2.0]),
    ...     np.random.default_rng(0),
    ... )
    >>> abs(round(float(found.mean[0]), 4)), round(float(found.covariance[0, 0]), 4)
    (0.0, 9.0)
    """
    points, gradients = _path(value_and_grad, start, history, steps)
    alpha = np.ones(len(start))
    moves: list[tuple[Array, Array]] = []
    best = None
    for k in range(1, len(points)):
        s, z = points[k] - points[k - 1], gradients[k - 1] - gradients[k]  # z: change of −∇ log p
        if s @ z > _CURVED * (z @ z) > 0:
            alpha = _diagonal(alpha, s, z)
            moves = [*moves, (s, z)][-history:]
        found = _normal(points[k], gradients[k], alpha, moves)
        if found is None:
            continue
        draws = found.sample(rng, elbo_draws)
        with np.errstate(invalid="ignore", over="ignore"):
            elbo = float(np.mean(log_density(draws) - found.log_density(draws)))
        if math.isfinite(elbo) and (best is None or elbo > best.elbo):
            best = Approximation(found.mean, found.alpha, found.q, found.tril, elbo)
    return best


def _path(
    value_and_grad: ValueAndGrad, start: Array, history: int, steps: int
) -> tuple[list[Array], list[Array]]:
    """The points of L-BFGS and the gradients of log p there."""
    from scipy.optimize import minimize

    seen: dict[bytes, Array] = {}

    def loss(x: Array) -> tuple[float, Array]:
        value, gradient = value_and_grad(x)
        good = math.isfinite(value) and bool(np.isfinite(gradient).all())
        gradient = gradient if good else np.zeros_like(x)
        seen[x.tobytes()] = gradient
        return (-value if good else math.inf), -gradient

    points = [start.copy()]
    with np.errstate(all="ignore"):
        minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            callback=lambda x: points.append(np.array(x)),
            options={"maxcor": history, "maxiter": steps, "ftol": 1e-13, "gtol": 1e-8},
        )
    known = [x for x in points if x.tobytes() in seen]
    return known, [seen[x.tobytes()] for x in known]


def _diagonal(alpha: Array, s: Array, z: Array) -> Array:
    """The diagonal inverse Hessian after one more step (Gilbert & Lemaréchal 1989)."""
    a, b, c = z @ (alpha * z), z @ s, s @ (s / alpha)
    return np.asarray(1.0 / (a / (b * alpha) + z**2 / b - a * s**2 / (b * c * alpha**2)))


def _normal(
    x: Array, gradient: Array, alpha: Array, moves: list[tuple[Array, Array]]
) -> Approximation | None:
    """N(x + Σ ∇ log p(x), Σ), Σ the inverse BFGS matrix of these steps; None where that is not positive."""
    if not (np.isfinite(alpha).all() and (alpha > 0).all()):
        return None
    size = len(x)
    if not moves:
        return Approximation(x + alpha * gradient, alpha, np.zeros((size, 0)), np.zeros((0, 0)))
    s, z = (np.stack(column, 1) for column in zip(*moves, strict=True))
    upper = np.triu(s.T @ z)
    try:
        inverse = np.linalg.inv(upper)
        corner = inverse.T @ (np.diag(np.diagonal(upper)) + z.T @ (alpha[:, None] * z)) @ inverse
        gamma = np.block([[np.zeros_like(upper), -inverse], [-inverse.T, corner]])
        root = np.sqrt(alpha)[:, None]
        q, r = np.linalg.qr(np.concatenate([root * z, s / root], 1))
        tril = np.linalg.cholesky(np.eye(r.shape[0]) + r @ gamma @ r.T)
    except np.linalg.LinAlgError:
        return None
    scaled = np.sqrt(alpha) * gradient
    inside = q.T @ scaled
    step = np.sqrt(alpha) * (scaled + q @ (tril @ (tril.T @ inside) - inside))
    return Approximation(x + step, alpha, q, tril)
