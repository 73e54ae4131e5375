"""A transition of static Hamiltonian Monte Carlo in preallocated memory: `ppl.inference.mcmc.hmc`, natively."""

from __future__ import annotations

from ppl.compiler.native import Density, Floats, Ints, as_ints, f64, i64, math, native, round_even
from ppl.inference.mcmc.native.layout import (
    ACCEPTANCE,
    CONTROL,
    DIVERGING,
    FINISHED,
    JITTER,
    LENGTH,
    MAX_DEPTH,
    MAX_ENERGY_ERROR,
    MAX_STEPS,
    N_STEPS,
    NUM_STEPS,
    PADDED,
    REACHED_MAX,
    STEP_SIZE,
    STOP,
    STOPPED,
    TREE_DEPTH,
    WORST_ERROR,
    point_at,
)
from ppl.inference.mcmc.native.metric import leapfrog
from ppl.inference.mcmc.native.nuts import first_point, mark_break, move_to, next_uniform


@native
def steps_for(length: f64, step_size: f64, most: i64) -> i64:
    """The number of leapfrog steps nearest to length / step_size, from 1 to `most`.

    >>> steps_for(2.0, 0.5, 1000), steps_for(2.0, 100.0, 1000), steps_for(2.0, 1e-9, 1000)
    (4, 1, 1000)
    """
    return max(1, int(round_even(min(length / step_size, float(most)))))


@native(inline=False)
def hmc(
    state: Floats,
    spec: Ints,
    options: Floats,
    metric: Floats,
    work: Floats,
    marks: Ints,
    density: Density,
    env: Ints,
    iteration: i64,
    step_size: f64,
) -> i64:
    """One transition from `state` to the next, in place; its statistics go to the beginning of `work`.

    Returns FINISHED, or STOPPED when the stop flag was raised: then the state is as it was before.
    """
    n = spec[PADDED]
    levels = spec[MAX_DEPTH]
    stop = as_ints(spec[CONTROL])
    start = point_at(n, levels, 0)
    here = start
    there = point_at(n, levels, 1)
    other = point_at(n, levels, 2)
    start_energy = first_point(state, spec, metric, work, marks, start, iteration)
    stretch = next_uniform(spec, marks, iteration)
    accept = next_uniform(spec, marks, iteration)
    step = step_size * (1.0 + options[JITTER] * (2.0 * stretch - 1.0))
    length = spec[NUM_STEPS]
    if length == 0:
        length = steps_for(options[LENGTH], step_size, spec[MAX_STEPS])
    error = 0.0
    worst = 0.0
    steps = 0
    broke = False
    while steps < length and not broke:
        if stop[STOP] != 0:
            return STOPPED
        error = leapfrog(spec, metric, work, here, there, step, density, env) - start_energy
        steps += 1
        if not (error <= options[MAX_ENERGY_ERROR]) or error == -math.inf:  # also nan
            worst = math.inf if math.isnan(error) else error
            mark_break(spec, work, here, there)
            broke = True
        else:
            if abs(error) > abs(worst):
                worst = error
            here = there
            there = other
            other = here
    rate = 0.0 if broke else min(1.0, math.exp(-error))
    if accept < rate:
        move_to(state, spec, work, here)
    else:
        move_to(state, spec, work, start)
    work[ACCEPTANCE] = rate
    work[TREE_DEPTH] = 0.0
    work[N_STEPS] = float(steps)
    work[DIVERGING] = 1.0 if broke else 0.0
    work[REACHED_MAX] = 0.0
    work[WORST_ERROR] = worst
    work[STEP_SIZE] = step
    return FINISHED
