"""Static Hamiltonian Monte Carlo: a trajectory of fixed length and a Metropolis test.

Duane et al. 1987, "Hybrid Monte Carlo"; Neal 2011, "MCMC using Hamiltonian dynamics", section 3.
"""

from __future__ import annotations

import math

from numpy.random import Generator

from ppl.inference.mcmc.hamiltonian import Info, Position, energy, leapfrog
from ppl.inference.mcmc.lanes import Coroutine
from ppl.inference.mcmc.metrics import Metric


def steps_for(trajectory_length: float, step_size: float, max_steps: int) -> int:
    """The number of leapfrog steps nearest to trajectory_length / step_size, from 1 to max_steps.

    >>> steps_for(2.0, 0.5, 1000), steps_for(2.0, 100.0, 1000), steps_for(2.0, 1e-9, 1000)
    (4, 1, 1000)
    """
    return max(1, round(min(trajectory_length / step_size, max_steps)))


def hmc_step(
    rng: Generator,
    position: Position,
    step_size: float,
    metric: Metric,
    num_steps: int | None = None,
    trajectory_length: float = math.pi / 2,
    jitter: float = 0.0,
    max_steps: int = 1000,
    max_energy_error: float = 1000.0,
) -> Coroutine[tuple[Position, Info]]:
    """One transition of static HMC (a coroutine): accept its end with probability min(1, exp(H₀ − H)).

    Args:
        rng: the generator of this transition alone.
        position: the current state.
        step_size: ε > 0.
        metric: Σ.
        num_steps: leapfrog steps; None: `trajectory_length / step_size`, at most `max_steps`.
        trajectory_length: the length in time; π/2 carries a standard normal to an independent point.
        jitter: each transition uses ε · U(1 − jitter, 1 + jitter), which breaks resonances with periodic
            orbits. The number of steps is not changed by it.
        max_steps: see `num_steps`.
        max_energy_error: H − H₀ above which (or where nan) the trajectory is divergent, stopped and rejected.

    Returns (as a coroutine): the new position and the transition's `Info`.

    >>> import numpy as np
    >>> from ppl.inference.mcmc.metrics import unit
    >>> start = Position(np.zeros(2), 0.0, np.zeros(2))
    >>> chain = hmc_step(np.random.default_rng(0), start, 0.5, unit(2), num_steps=3)
    >>> q = next(chain)
    >>> try:
    ...     while True:
    ...         q = chain.send((-0.5 * float(q @ q), -q))
    ... except StopIteration as stop:
    ...     print(stop.value[1].n_steps)
    3
    """
    count = steps_for(trajectory_length, step_size, max_steps) if num_steps is None else num_steps
    p = metric.sample_momentum(rng)
    stretch, accept = rng.random(2).tolist()
    eps = step_size * (1.0 + jitter * (2.0 * stretch - 1.0))
    energy0 = energy(position, p, metric)
    here, end, worst, steps = energy0, position, 0.0, 0
    broke_at = broke_to = None
    for _ in range(count):
        start = end
        end, p = yield from leapfrog(start, p, eps, metric)
        steps += 1
        here = energy(end, p, metric)
        error = here - energy0
        if not error <= max_energy_error or error == -math.inf:  # also nan
            worst = error if error == error else math.inf
            broke_at, broke_to = start.q, end.q
            break
        if abs(error) > abs(worst):
            worst = error
    rate = 0.0 if broke_at is not None else min(1.0, math.exp(min(0.0, energy0 - here)))
    accepted = accept < rate
    new = end if accepted else position
    info = Info(
        lp=new.logp,
        energy=here if accepted else energy0,
        acceptance_rate=rate,
        tree_depth=0,
        n_steps=steps,
        diverging=broke_at is not None,
        reached_max_treedepth=False,
        max_energy_error=worst,
        step_size=eps,
        broke_at=broke_at,
        broke_to=broke_to,
    )
    return new, info
