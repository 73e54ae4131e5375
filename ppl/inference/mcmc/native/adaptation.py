"""What warm-up learns natively: the step size (search, dual averaging) and the diagonal of least Fisher
divergence. The formulas are those of `step_size.py` and `estimators.py`; other metrics are learnt there.
"""

from __future__ import annotations

from ppl.compiler.native import Density, Floats, Ints, f64, i64, math, native, select
from ppl.inference.mcmc.native.layout import (
    AVERAGE_ERROR,
    AVERAGED,
    BLOCK,
    CENTER,
    CHAIN,
    DIM,
    EVALUATIONS,
    FOREGROUND,
    GRAD_MEAN,
    GRAD_SQUARES,
    LOG_AVERAGE,
    LOG_STEP,
    MAX_DEPTH,
    PADDED,
    POINT_LOGP,
    Q_MEAN,
    Q_SQUARES,
    RANDOM,
    SEED,
    SEEN,
    STATE_Q,
    point_at,
    state_out,
    state_windows,
)
from ppl.inference.mcmc.native.metric import copy, leapfrog, start_point
from ppl.inference.mcmc.native.philox import WORDS, normals
from ppl.inference.mcmc.step_size import GAMMA, KAPPA, LARGEST, SMALLEST, T0

LOG_THRESHOLD = -0.2231435513142097  # log 0.8: the acceptance at which the search turns
LOG_10 = 2.302585092994046
LOG_LARGEST, LOG_SMALLEST = 16.11809565095832, -27.631021115928547

TINY, HUGE = 1e-20, 1e20
"""Bounds of an estimated variance."""
PRIOR_DRAWS = 2.0
"""The weight of the metric in use, in draws, when it is estimated anew."""


@native
def restart_averaging(state: Floats, counts: Ints, step_size: f64) -> None:
    """Begin dual averaging at a step size."""
    log_step = math.log(step_size)
    state[CENTER] = LOG_10 + log_step
    state[LOG_STEP] = log_step
    state[LOG_AVERAGE] = log_step
    state[AVERAGE_ERROR] = 0.0
    counts[AVERAGED] = 0


@native(inline=False)
def average_step(state: Floats, counts: Ints, acceptance: f64, target: f64) -> None:
    """One step of dual averaging towards a mean acceptance rate (a nan acceptance counts as 0)."""
    rate = 0.0 if math.isnan(acceptance) else min(1.0, acceptance)
    count = counts[AVERAGED] + 1
    weight = 1.0 / (float(count) + T0)
    error = (1.0 - weight) * state[AVERAGE_ERROR] + weight * (target - rate)
    log_step = state[CENTER] - math.sqrt(float(count)) / GAMMA * error
    log_step = min(max(log_step, LOG_SMALLEST), LOG_LARGEST)
    forget = math.exp(-KAPPA * math.log(float(count)))
    state[LOG_AVERAGE] = forget * log_step + (1.0 - forget) * state[LOG_AVERAGE]
    state[LOG_STEP] = log_step
    state[AVERAGE_ERROR] = error
    counts[AVERAGED] = count


@native
def find_step_size(
    state: Floats,
    counts: Ints,
    spec: Ints,
    metric: Floats,
    work: Floats,
    marks: Ints,
    density: Density,
    env: Ints,
    iteration: i64,
    purpose: i64,
    guess: f64,
) -> f64:
    """A step size whose first leapfrog step is accepted with probability near 0.8, to a factor of two.

    Doubles or halves from `guess`, with new momentum each time, until exp(H₀ − H) crosses 0.8 (Hoffman &
    Gelman 2014, algorithm 4). Energies that are not finite count as rejection.
    """
    n = spec[PADDED]
    start = point_at(n, spec[MAX_DEPTH], 0)
    end = point_at(n, spec[MAX_DEPTH], 1)
    point = work[start:]
    copy(state[STATE_Q:], point, n)
    copy(state[state_out(n) :], point[3 * n + POINT_LOGP :], n + 1)
    step = guess
    rising = False
    attempts = 0
    searching = True
    while searching and SMALLEST < step < LARGEST:
        passed = attempts * WORDS * ((spec[DIM] + WORDS - 1) // WORDS)
        normals(point[n:], marks[RANDOM:], spec[DIM], n, passed, iteration, spec[CHAIN], purpose, spec[SEED])
        before = start_point(spec, metric, work, start)
        gain = before - leapfrog(spec, metric, work, start, end, step, density, env)
        good = math.isfinite(gain) and gain > LOG_THRESHOLD
        if attempts == 0:
            rising = good
        elif good != rising:
            searching = False
        if searching:
            step = step * 2.0 if rising else step * 0.5
        attempts += 1
    counts[EVALUATIONS] += attempts
    return min(max(step, SMALLEST), LARGEST)


@native
def search_and_restart(
    state: Floats,
    counts: Ints,
    spec: Ints,
    metric: Floats,
    work: Floats,
    marks: Ints,
    density: Density,
    env: Ints,
    iteration: i64,
    purpose: i64,
) -> None:
    """Search from the step size in use and begin dual averaging anew with what was found."""
    guess = math.exp(state[LOG_STEP])
    found = find_step_size(state, counts, spec, metric, work, marks, density, env, iteration, purpose, guess)
    restart_averaging(state, counts, found)


@native
def add_to_window(window: Floats, q: Floats, grad: Floats, count: i64, blocks: i64) -> None:
    """Welford's recursion (1962) for draws and gradients; `count` includes this draw."""
    n = BLOCK * blocks
    share = 1.0 / float(count)
    q_mean = window[Q_MEAN * n :]
    q_squares = window[Q_SQUARES * n :]
    grad_mean = window[GRAD_MEAN * n :]
    grad_squares = window[GRAD_SQUARES * n :]
    for i in range(BLOCK * blocks):
        dq = q[i] - q_mean[i]
        dg = grad[i] - grad_mean[i]
        moved_q = q_mean[i] + dq * share
        moved_g = grad_mean[i] + dg * share
        q_mean[i] = moved_q
        grad_mean[i] = moved_g
        q_squares[i] += dq * (q[i] - moved_q)
        grad_squares[i] += dg * (grad[i] - moved_g)


@native
def estimate_diagonal(window: Floats, metric: Floats, count: i64, blocks: i64) -> None:
    """Set the diagonal metric to √(var q / var ∇), shrunk on the log scale to the one in use.

    Seyboldt, Carlson & Carpenter 2026, arXiv:2603.18845; see `estimators.FisherDiagonal`. Beyond D variances
    are zero, and zero they stay: the logarithm of their ratio is −∞.
    """
    n = BLOCK * blocks
    variances = metric[n:]
    q_squares = window[Q_SQUARES * n :]
    grad_squares = window[GRAD_SQUARES * n :]
    weight = PRIOR_DRAWS / (float(count) + PRIOR_DRAWS)
    for i in range(BLOCK * blocks):
        before = variances[i]
        ratio = math.sqrt(q_squares[i] / grad_squares[i])
        good = math.isfinite(ratio) & (ratio > 0.0)
        ratio = min(max(select(good, ratio, before), TINY), HUGE)
        variance = ratio * math.exp(weight * math.log(before / ratio))
        variances[i] = variance
        metric[i] = math.sqrt(variance)


@native(inline=False)
def learn_diagonal(
    state: Floats, counts: Ints, spec: Ints, metric: Floats, refresh: bool, switch: bool
) -> None:
    """Add the draw to both windows; set the metric from the one in front; let the other take its place."""
    n = spec[PADDED]
    blocks = n // BLOCK
    front = counts[FOREGROUND]
    for i in range(2):
        count = counts[SEEN + i] + 1
        counts[SEEN + i] = count
        window = state[state_windows(n) + 4 * n * i :]
        add_to_window(window, state[STATE_Q:], state[state_out(n) + 1 :], count, blocks)
    window = state[state_windows(n) + 4 * n * front :]
    if refresh and counts[SEEN + front] >= 3:
        estimate_diagonal(window, metric, counts[SEEN + front], blocks)
    if switch:
        counts[SEEN + front] = 0
        counts[FOREGROUND] = 1 - front
        for i in range(BLOCK * 4 * blocks):
            window[i] = 0.0
