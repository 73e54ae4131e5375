"""Hamiltonian dynamics of H(q, p) = −log π(q) + ½ pᵀΣp: states, the leapfrog step and its energy.

The integrator is a coroutine as everything that needs a gradient here (see `lanes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppl.inference.mcmc.lanes import Coroutine
from ppl.inference.mcmc.metrics import Metric

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Position:
    """A point q [D] with its log density and gradient [D]: the state of a chain between transitions."""

    q: Array
    logp: float
    grad: Array


@dataclass(frozen=True, slots=True)
class Info:
    """What happened in one transition; the first nine fields carry ArviZ's names for sampler statistics.

    Args:
        lp: log density of the new draw.
        energy: H of the new draw with the momentum it was reached with.
        acceptance_rate: mean Metropolis acceptance probability over the points of the trajectory.
        tree_depth: completed doublings (NUTS; 0 for static HMC).
        n_steps: leapfrog steps taken, each one gradient.
        diverging: the energy error passed the threshold or became nan.
        reached_max_treedepth: the trajectory was cut off before it turned.
        max_energy_error: the energy error H − H₀ of largest size.
        step_size: the step size used.
        broke_at: where the trajectory broke (None if it did not): the last good point [D] …
        broke_to: … and the point [D] the next step led to.
    """

    lp: float
    energy: float
    acceptance_rate: float
    tree_depth: int
    n_steps: int
    diverging: bool
    reached_max_treedepth: bool
    max_energy_error: float
    step_size: float
    broke_at: Array | None = None
    broke_to: Array | None = None


STATS: dict[str, Any] = {
    "lp": np.float64,
    "energy": np.float64,
    "acceptance_rate": np.float64,
    "tree_depth": np.int64,
    "n_steps": np.int64,
    "diverging": np.bool_,
    "reached_max_treedepth": np.bool_,
    "max_energy_error": np.float64,
    "step_size": np.float64,
}
"""The per-draw statistics and their types, in the order of `Info`'s fields."""


def leapfrog(
    position: Position, p: Array, step_size: float, metric: Metric
) -> Coroutine[tuple[Position, Array]]:
    """One leapfrog step: half a kick, a drift, half a kick.

        p½ = p + ε/2 ∇log π(q);   q' = q + ε Σ p½;   p' = p½ + ε/2 ∇log π(q')

    It is time-reversible (ε → −ε undoes it) and keeps volume, with an energy error of O(ε³) per step (Neal
    2011, section 2.3).

    Args:
        position: q with its log density and gradient.
        p: momentum [D].
        step_size: ε; negative goes back in time.
        metric: Σ.

    Returns (as a coroutine): the new position and momentum.

    >>> from ppl.inference.mcmc.metrics import unit
    >>> step = leapfrog(Position(np.array([1.0]), -0.5, np.array([-1.0])), np.array([0.0]), 0.1, unit(1))
    >>> next(step).round(4).tolist()
    [0.995]
    """
    p = p + (0.5 * step_size) * position.grad
    q = position.q + step_size * metric.velocity(p)
    logp, grad = yield q
    return Position(q, logp, grad), p + (0.5 * step_size) * grad


def energy(position: Position, p: Array, metric: Metric) -> float:
    """H(q, p) = −log π(q) + ½ pᵀΣp.

    >>> from ppl.inference.mcmc.metrics import unit
    >>> energy(Position(np.zeros(1), -2.0, np.zeros(1)), np.array([2.0]), unit(1))
    4.0
    """
    return 0.5 * float(p.dot(metric.velocity(p))) - position.logp
