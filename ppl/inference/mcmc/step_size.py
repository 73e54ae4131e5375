"""The step size: a rough search for a starting value, then dual averaging towards an acceptance rate.

Hoffman & Gelman 2014, "The No-U-Turn Sampler", section 3.2 (algorithms 4 and 5), with the constants Stan
uses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.random import Generator

from ppl.inference.mcmc.hamiltonian import Position, energy, leapfrog
from ppl.inference.mcmc.lanes import Coroutine
from ppl.inference.mcmc.metrics import Metric

GAMMA, T0, KAPPA = 0.05, 10.0, 0.75
"""How strongly errors act, how much early iterations are damped, how fast the average forgets."""

LARGEST, SMALLEST = 1e7, 1e-12


@dataclass(frozen=True, slots=True)
class DualAveraging:
    """Nesterov's dual averaging on log ε.

    With the error η = target − acceptance of iteration t,

        H̄ₜ = (1 − 1/(t+t₀)) H̄ₜ₋₁ + η/(t+t₀);   log εₜ = μ − √t/γ · H̄ₜ;   log ε̄ₜ = w log εₜ + (1 − w) log ε̄ₜ₋₁

    where w = t^−κ.

    Args:
        center: μ, log of ten times the starting value: exploration leans to large steps, which are cheap.
        log_step: log εₜ, the step size in use.
        log_average: log ε̄ₜ, the step size to keep after warm-up.
        error: H̄ₜ.
        count: t.

    >>> state = DualAveraging.start(0.5)
    >>> update(state, acceptance=0.0, target=0.8).step_size < update(state, 1.0, target=0.8).step_size
    True
    """

    center: float
    log_step: float
    log_average: float
    error: float
    count: int

    @classmethod
    def start(cls, step_size: float) -> DualAveraging:
        log_step = math.log(step_size)
        return cls(math.log(10.0) + log_step, log_step, log_step, 0.0, 0)

    @property
    def step_size(self) -> float:
        return math.exp(self.log_step)

    @property
    def average(self) -> float:
        return math.exp(self.log_average)


def update(state: DualAveraging, acceptance: float, target: float) -> DualAveraging:
    """One step of dual averaging; `acceptance` and `target` in [0, 1] (a nan acceptance counts as 0).

    >>> update(DualAveraging.start(1.0), 1.0, 0.8).count
    1
    """
    acceptance = min(1.0, acceptance) if acceptance == acceptance else 0.0
    count = state.count + 1
    weight = 1.0 / (count + T0)
    error = (1.0 - weight) * state.error + weight * (target - acceptance)
    log_step = state.center - math.sqrt(count) / GAMMA * error
    log_step = min(max(log_step, math.log(SMALLEST)), math.log(LARGEST))
    forget = count**-KAPPA
    log_average = forget * log_step + (1.0 - forget) * state.log_average
    return DualAveraging(state.center, log_step, log_average, error, count)


def find_step_size(
    rng: Generator, position: Position, metric: Metric, start: float = 1.0
) -> Coroutine[tuple[float, int]]:
    """A step size whose leapfrog step is accepted with probability near 0.8, to a factor of two (coroutine).

    Doubles or halves ε, with new momentum each time, until exp(H₀ − H) crosses 0.8. Non-finite energies count
    as rejection.

    Args:
        rng: a generator for the search alone.
        position: a point with finite log density and gradient.
        metric: Σ.
        start: the value to begin from.

    Returns (as a coroutine): the step size and the number of gradients it took.

    >>> import numpy as np
    >>> from ppl.inference.mcmc.metrics import unit
    >>> search = find_step_size(np.random.default_rng(0), Position(np.ones(1), -0.5, -np.ones(1)), unit(1))
    >>> q = next(search)
    >>> try:
    ...     while True:
    ...         q = search.send((-0.5 * float(q @ q), -q))
    ... except StopIteration as stop:
    ...     print(0.1 < stop.value[0] < 10)
    True
    """
    threshold = math.log(0.8)
    step_size = start
    direction = evaluations = 0
    while SMALLEST < step_size < LARGEST:
        p = metric.sample_momentum(rng)
        before = energy(position, p, metric)
        end, p = yield from leapfrog(position, p, step_size, metric)
        evaluations += 1
        gain = before - energy(end, p, metric)
        good = math.isfinite(gain) and gain > threshold
        if direction == 0:
            direction = 1 if good else -1
        elif good != (direction == 1):
            break
        step_size *= 2.0**direction
    return min(max(step_size, SMALLEST), LARGEST), evaluations
