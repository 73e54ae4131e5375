"""The loop over the transitions of a chain, natively: sample, adapt, record, report."""

from __future__ import annotations

from ppl.compiler.native import Density, Floats, Ints, as_ints, bits, f64, i64, math, native
from ppl.inference.mcmc.native.adaptation import average_step, learn_diagonal, search_and_restart
from ppl.inference.mcmc.native.hmc import hmc
from ppl.inference.mcmc.native.layout import (
    ACCEPTANCE,
    ADAPT_STEP,
    BROKE,
    BROKE_AT,
    BROKE_TO,
    BROKEN,
    BROKEN_ROOM,
    CALLS,
    COLLECT,
    CONTROL,
    DIM,
    DIVERGENCES,
    DIVERGING,
    DONE,
    EVALUATIONS,
    FINISHED,
    FISHER,
    FULL,
    HMC_METHOD,
    ITERATION,
    KEEP_WARMUP,
    LOG_AVERAGE,
    LOG_STEP,
    METHOD,
    N_STEPS,
    PADDED,
    REACHED_MAX,
    REFRESH,
    RESTART,
    ROW,
    STATE_Q,
    STATS_SIZE,
    STEP,
    STOPPED,
    SWITCH,
    TARGET_ACCEPT,
    THIN,
    WARMUP,
    WINDOW_ROWS,
    WORST_ERROR,
    YIELD,
    YIELDED,
    state_out,
    vector_at,
)
from ppl.inference.mcmc.native.metric import copy
from ppl.inference.mcmc.native.nuts import nuts
from ppl.inference.mcmc.native.philox import SEARCH


@native
def evaluate(state: Floats, counts: Ints, spec: Ints, density: Density, env: Ints) -> i64:
    """Log density and gradient at the state's q, written beside it; returns the density's code."""
    code = density(state[STATE_Q:], state[state_out(spec[PADDED]) :], env)
    counts[EVALUATIONS] += 1
    return code


@native
def keep_statistics(work: Floats, row: Floats) -> None:
    """Write a transition's statistics; flags are or-ed: a thinned-out divergence shows on its draw."""
    diverging = max(row[DIVERGING], work[DIVERGING])
    reached = max(row[REACHED_MAX], work[REACHED_MAX])
    copy(work, row, STATS_SIZE)
    row[DIVERGING] = diverging
    row[REACHED_MAX] = reached


@native
def keep_break(work: Floats, counts: Ints, spec: Ints, draw: i64, broken: Floats) -> None:
    """Append a divergence to `broken`: rows of draw, energy error, last good point [D], next point [D]."""
    dim = spec[DIM]
    row = broken[counts[BROKEN] * (2 + 2 * dim) :]
    row[0] = float(draw)
    row[1] = work[WORST_ERROR]
    copy(work[vector_at(spec[PADDED], BROKE_AT) :], row[2:], dim)
    copy(work[vector_at(spec[PADDED], BROKE_TO) :], row[2 + dim :], dim)
    counts[BROKEN] += 1


@native
def report(counts: Ints, spec: Ints, step_size: f64, control: Ints) -> None:
    """Publish a chain's counters, and the step size it last used, to whoever watches."""
    row = control[spec[ROW] :]
    row[DONE] = counts[ITERATION]
    row[BROKE] = counts[DIVERGENCES]
    row[CALLS] = counts[EVALUATIONS]
    row[STEP] = bits(step_size)


@native
def adapt(
    state: Floats,
    counts: Ints,
    spec: Ints,
    options: Floats,
    metric: Floats,
    work: Floats,
    marks: Ints,
    density: Density,
    env: Ints,
    todo: i64,
    window: Floats,
) -> None:
    """What is due after a warm-up transition: `todo` holds the flags of its iteration in the plan.

    Where Python learns the metric, the draw and its gradient go to `window` (rows [2, D]), and the block of
    iterations ends where one of the other flags is set.
    """
    dim = spec[DIM]
    n = spec[PADDED]
    if spec[ADAPT_STEP] != 0:
        average_step(state, counts, work[ACCEPTANCE], options[TARGET_ACCEPT])
    if todo & COLLECT != 0:
        if spec[FISHER] != 0:
            learn_diagonal(state, counts, spec, metric, todo & REFRESH != 0, todo & SWITCH != 0)
        else:
            row = window[counts[WINDOW_ROWS] * 2 * dim :]
            copy(state[STATE_Q:], row, dim)
            copy(state[state_out(n) + 1 :], row[dim:], dim)
            counts[WINDOW_ROWS] += 1
    if todo & RESTART != 0 and spec[ADAPT_STEP] != 0 and spec[FISHER] != 0:
        search_and_restart(state, counts, spec, metric, work, marks, density, env, counts[ITERATION], SEARCH)


@native
def run_chain(
    until: i64,
    state: Floats,
    counts: Ints,
    spec: Ints,
    options: Floats,
    metric: Floats,
    work: Floats,
    marks: Ints,
    plan: Ints,
    draws: Floats,
    statistics: Floats,
    warmup_draws: Floats,
    warmup_statistics: Floats,
    window: Floats,
    broken: Floats,
    density: Density,
    env: Ints,
) -> i64:
    """Transitions until `counts[ITERATION]` is `until`, or there is a reason to return before.

    Args:
        until: at most the last iteration.
        state, counts, spec, options, metric, work, marks: see `layout.py`.
        plan: [warmup], flags of what is due after each iteration.
        draws, statistics: [draws, D] and [draws, 9], for the draws.
        warmup_draws, warmup_statistics: [warmup, D] and [warmup, 9], if warm-up is kept.
        window: [rows, 2, D], see `adapt`.
        broken: [rows, 2 + 2 D], see `keep_break`.
        density, env: the log density and its private words.

    Returns:
        FINISHED; STOPPED or YIELDED when the control asked for it; FULL when `broken` has to be emptied. In
        all cases the chain stands between two transitions.
    """
    dim = spec[DIM]
    warmup = spec[WARMUP]
    thin = spec[THIN]
    control = as_ints(spec[CONTROL])
    result = FINISHED
    while counts[ITERATION] < until and result == FINISHED:
        iteration = counts[ITERATION]
        warming = iteration < warmup
        step_size = math.exp(state[LOG_STEP] if warming else state[LOG_AVERAGE])
        if spec[METHOD] == HMC_METHOD:
            result = hmc(state, spec, options, metric, work, marks, density, env, iteration, step_size)
        else:
            result = nuts(state, spec, options, metric, work, marks, density, env, iteration, step_size)
        if result == STOPPED:
            return STOPPED
        counts[EVALUATIONS] += int(work[N_STEPS])
        if warming:
            if spec[KEEP_WARMUP] != 0:
                copy(state[STATE_Q:], warmup_draws[iteration * dim :], dim)
                keep_statistics(work, warmup_statistics[iteration * STATS_SIZE :])
            adapt(
                state,
                counts,
                spec,
                options,
                metric,
                work,
                marks,
                density,
                env,
                plan[iteration],
                window,
            )
        else:
            draw = (iteration - warmup) // thin
            copy(state[STATE_Q:], draws[draw * dim :], dim)
            keep_statistics(work, statistics[draw * STATS_SIZE :])
            if work[DIVERGING] != 0.0:
                counts[DIVERGENCES] += 1
                keep_break(work, counts, spec, draw, broken)
                if counts[BROKEN] == spec[BROKEN_ROOM]:
                    result = FULL
        counts[ITERATION] = iteration + 1
        report(counts, spec, step_size, control)
        if result == FINISHED and control[spec[ROW] + YIELD] != 0:
            result = YIELDED
    return result
