"""Warm-up: when to learn the metric and the step size, and the state that learns them.

A `Plan` says for every warm-up iteration what happens after it; it comes in two kinds.

`windows` is Stan's: a fast window (step size only), slow windows that double from 25 draws (at the end of
each the metric is set from the draws of that window alone and the step size is learnt anew) and a last fast
window (Stan Reference Manual, "HMC algorithm parameters"). It suits estimates that need many draws: variances
and covariances.

`overlapping` sets the metric after every draw from a foreground window, while a background window gathers
draws to replace it at the next switch, so that old draws are forgotten twice as gently and the metric is
never more than one draw old (the scheme of nutpie). It needs an estimator that is useful from a few
draws, as those by Fisher divergence are, so it is the plan of "diag" and "lowrank".

Measured with 300 warm-up iterations on eight schools, a logistic regression and normals with strong
correlations: with the same estimator, overlapping windows spent 25 to 75 per cent fewer gradients on warm-up
than Stan's (for "lowrank" 60 to 85), mostly because the first poor metric is left after a few draws, and the
draws after it were worth the same per gradient, within noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ppl.inference.mcmc.estimators import ESTIMATORS, Estimator
from ppl.inference.mcmc.metrics import Diagonal, Metric, unit
from ppl.inference.mcmc.step_size import DualAveraging, update

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

INIT_WINDOW, BASE_WINDOW, FINAL_WINDOW = 75, 25, 50
EARLY_SWITCH, LATE_SWITCH = 10, 80
EARLY_SHARE, FINAL_SHARE = 0.3, 0.15


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do after each warm-up iteration; arrays of length `warmup`.

    Args:
        collect: add the draw to the windows.
        refresh: set the metric from the foreground window.
        switch: the background window becomes the foreground, and begins anew.
        restart: search for a step size and restart dual averaging.
        overlap: whether there is a background window; without one a switch empties the foreground.
    """

    collect: Flags
    refresh: Flags
    switch: Flags
    restart: Flags
    overlap: bool

    @property
    def warmup(self) -> int:
        return int(self.collect.shape[0])


def stan_windows(warmup: int) -> tuple[int, ...]:
    """Lengths of Stan's windows, (initial fast, slow …, final fast); they sum to `warmup`.

    Below 20 iterations there is one fast window. Below 150 the three kinds get 15, 75 and 10 per cent. A slow
    window whose double would not fit is extended to the beginning of the final one.

    >>> stan_windows(1000), stan_windows(100), stan_windows(10)
    ((75, 25, 50, 100, 200, 500, 50), (15, 75, 10), (10,))
    """
    if warmup < 20:
        return (warmup,) if warmup > 0 else ()
    first, base, last = INIT_WINDOW, BASE_WINDOW, FINAL_WINDOW
    if first + base + last > warmup:
        first, last = int(0.15 * warmup), int(0.1 * warmup)
        base = warmup - first - last
    slow = []
    left, size = warmup - first - last, base
    while left > 0:
        if left - size < 2 * size:  # the next window, twice as long, would not fit
            size = left
        slow.append(size)
        left -= size
        size *= 2
    return (first, *slow, last)


def windows_plan(warmup: int) -> Plan:
    """Stan's windows as a plan.

    >>> plan = windows_plan(1000)
    >>> np.flatnonzero(plan.refresh).tolist()
    [99, 149, 249, 449, 949]
    """
    collect, ends = np.zeros(warmup, bool), np.zeros(warmup, bool)
    lengths = stan_windows(warmup)
    edges = np.cumsum(lengths)
    if len(lengths) > 1:
        collect[edges[0] : edges[-2]] = True
        ends[edges[1:-1] - 1] = True
    return Plan(collect, ends, ends, ends, overlap=False)


def overlapping_plan(warmup: int, refresh_every: int = 1) -> Plan:
    """Foreground and background windows as a plan.

    The windows switch every 10 draws in the first 30 per cent, every 80 later; the last 15 per cent learn the
    step size alone.

    Args:
        warmup: iterations.
        refresh_every: draws between two updates of the metric; a switch and the end always make one.

    >>> plan = overlapping_plan(1000)
    >>> int(plan.collect.sum()), int(plan.switch.sum())
    (850, 36)
    """
    final = warmup - max(int(FINAL_SHARE * warmup), min(warmup, EARLY_SWITCH))
    early = int(EARLY_SHARE * warmup)
    collect, refresh = np.zeros(warmup, bool), np.zeros(warmup, bool)
    switch, restart = np.zeros(warmup, bool), np.zeros(warmup, bool)
    collect[:final] = True
    refresh[refresh_every - 1 : final : refresh_every] = True
    since = 0
    for i in range(final):
        since += 1
        # The last window before the metric is frozen must have time to fill.
        if since >= (EARLY_SWITCH if i < early else LATE_SWITCH) and final - i >= EARLY_SWITCH:
            switch[i], since = True, 0
    if final > 0:
        refresh[final - 1] = restart[final - 1] = True
    if final > EARLY_SWITCH:  # the first metric was a guess from one gradient, and so was its step size
        restart[EARLY_SWITCH - 1] = True
    return Plan(collect, refresh | switch, switch, restart, overlap=True)


def plan_for(metric: str, warmup: int) -> Plan:
    """The plan that suits an estimator: overlapping for "diag" and "lowrank", Stan's windows for the others.

    >>> plan_for("dense", 100).overlap, plan_for("diag", 100).overlap
    (False, True)
    """
    if metric == "unit":
        none = np.zeros(warmup, bool)
        return Plan(none, none, none, none, overlap=False)
    if metric == "diag":
        return overlapping_plan(warmup)
    if metric == "lowrank":  # its estimate costs two singular value decompositions
        return overlapping_plan(warmup, refresh_every=EARLY_SWITCH)
    return windows_plan(warmup)


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What warm-up has learnt so far.

    Args:
        averaging: dual averaging of the step size.
        metric: Σ in use.
        foreground: the window the metric is set from; None for the unit metric.
        background: the window that replaces it; None without overlap.
    """

    averaging: DualAveraging
    metric: Metric
    foreground: Estimator | None
    background: Estimator | None


def first_metric(metric: str, grad: Array) -> Metric:
    """The metric before any draw: for "diag" and "lowrank" Σᵢ = 1/|∂ᵢ log π|, otherwise I.

    A normal component with variance Σᵢ, one standard deviation out, has a gradient of 1/√Σᵢ; half that
    correction (on the log scale) is made, as the first point may be far out.

    >>> first_metric("diag", np.array([10.0, 0.1])).diagonal().tolist()
    [0.1, 10.0]
    """
    if metric not in ("diag", "lowrank"):
        return unit(grad.shape[0])
    size = np.clip(np.abs(grad), 1e-10, 1e10)
    return Diagonal.from_variances(1.0 / size)


def start(metric: str, plan: Plan, first: Metric, step_size: float, dim: int) -> Adaptation:
    """The state before the first iteration."""
    empty = ESTIMATORS[metric]
    foreground = None if empty is None else empty(dim)
    return Adaptation(DualAveraging.start(step_size), first, foreground, foreground if plan.overlap else None)


def adapt(
    state: Adaptation,
    plan: Plan,
    iteration: int,
    q: Array,
    grad: Array,
    acceptance: float,
    target_accept: float,
    metric: str,
    adapt_step_size: bool = True,
) -> Adaptation:
    """The state after warm-up iteration `iteration` (from 0) ended at q [D] with gradient [D].

    Restarting dual averaging where `plan.restart` says so is left to the caller, as the search needs
    gradients.

    >>> plan = plan_for("diag", 100)
    >>> state = start("diag", plan, unit(1), 1.0, 1)
    >>> for i, x in enumerate((0.0, 1.0, 5.0)):
    ...     state = adapt(state, plan, i, np.array([x]), np.array([-x / 9.0]), 0.8, 0.8, "diag")
    >>> bool(state.metric.diagonal()[0] > 1.0)
    True
    """
    if adapt_step_size:
        state = replace(state, averaging=update(state.averaging, acceptance, target_accept))
    if not plan.collect[iteration] or state.foreground is None:
        return state
    foreground, background = state.foreground.add(q, grad), state.background
    if background is not None:
        background = background.add(q, grad)
    in_use = foreground.estimate(state.metric) if plan.refresh[iteration] else state.metric
    if plan.switch[iteration]:
        empty = ESTIMATORS[metric]
        assert empty is not None
        new = empty(q.shape[0])
        foreground, background = (background, new) if background is not None else (new, None)
    return Adaptation(state.averaging, in_use, foreground, background)
