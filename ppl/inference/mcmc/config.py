"""Options of the samplers: frozen, validated when made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ppl.errors import MethodError, closest, user_mark
from ppl.inference.mcmc.estimators import ESTIMATORS
from ppl.inference.options import is_real, is_whole, named_options, require

STARTS = ("prior", "pathfinder")


def _check_common(method: str, options: NUTS | HMC) -> None:
    accept, size, threshold = options.target_accept, options.step_size, options.max_energy_error
    require(
        method,
        "target_accept",
        accept,
        is_real(accept) and 0.0 < accept < 1.0,
        "0 < target_accept < 1",
        "0.8",
    )
    good = size is None or (is_real(size) and size > 0.0)
    require(method, "step_size", size, good, "a positive number, or None: search for one", "None")
    require(
        method,
        "max_energy_error",
        threshold,
        is_real(threshold) and threshold > 0.0,
        "a positive number",
        "1000.0",
    )
    if options.init not in STARTS:
        near = closest(str(options.init), STARTS) or STARTS
        raise MethodError(
            f"{method}: there is no start {options.init!r}",
            where=user_mark(),
            expected=", ".join(f'"{name}"' for name in STARTS),
            found=f"init={options.init!r}",
            edit=f'init="{near[0]}"',
        )
    if options.metric not in ESTIMATORS:
        near = closest(str(options.metric), ESTIMATORS)
        raise MethodError(
            f"{method}: there is no metric {options.metric!r}",
            expected="one of " + ", ".join(f'"{name}"' for name in ESTIMATORS),
            found=f"metric={options.metric!r}",
            edit=f'metric="{near[0] if near else "diag"}"',
        )


@named_options
@dataclass(frozen=True, slots=True)
class NUTS:
    """Options of the No-U-Turn sampler.

    Args:
        target_accept: mean acceptance probability that warm-up steers the step size to.
        max_treedepth: at most 2^max_treedepth − 1 gradients per draw.
        step_size: where to begin; None: search. With `adapt_step_size=False` it stays.
        metric: how the inverse mass matrix is learnt: "diag" (Fisher divergence), "lowrank", "dense",
            "diag_welford", "unit".
        adapt_step_size: whether warm-up learns the step size.
        max_energy_error: the energy error that marks a divergence.
        init: where chains start: "prior", about its median, or "pathfinder", at draws of `ppl.Pathfinder`'s approximation
            (each chain has a path of its own).

    Raises `MethodError` for values out of range and unknown metrics.

    >>> NUTS(target_accept=0.9).metric
    'diag'
    >>> try:
    ...     NUTS(metric="dens")
    ... except MethodError as error:
    ...     print(error.edit)
    metric="dense"
    """

    target_accept: float = 0.8
    max_treedepth: int = 10
    step_size: float | None = None
    metric: str = "diag"
    adapt_step_size: bool = True
    max_energy_error: float = 1000.0
    init: str = "prior"

    def __post_init__(self) -> None:
        _check_common("NUTS", self)
        depth = self.max_treedepth
        require(
            "NUTS",
            "max_treedepth",
            depth,
            is_whole(depth) and 1 <= depth <= 30,
            "a whole number from 1 to 30",
            "10",
        )


@named_options
@dataclass(frozen=True, slots=True)
class HMC:
    """Options of static Hamiltonian Monte Carlo.

    Args:
        num_steps: leapfrog steps per draw; None: `trajectory_length / step_size`, at most `max_steps`.
        trajectory_length: length of a trajectory in time, in units in which the metric makes the target's
            scales 1.
        jitter: the step size of a draw is ε · U(1 − jitter, 1 + jitter).
        max_steps: see `num_steps`.
        target_accept, step_size, metric, adapt_step_size, max_energy_error: as for `NUTS`.

    Raises `MethodError` for values out of range, unknown metrics, or both `num_steps` and
    `trajectory_length`.

    >>> HMC(num_steps=10).trajectory_length is None
    True
    """

    num_steps: int | None = None
    trajectory_length: float | None = None
    jitter: float = 0.3
    max_steps: int = 1000
    target_accept: float = 0.8
    step_size: float | None = None
    metric: str = "diag"
    adapt_step_size: bool = True
    max_energy_error: float = 1000.0
    init: str = "prior"

    def __post_init__(self) -> None:
        _check_common("HMC", self)
        steps, length, jitter, most = self.num_steps, self.trajectory_length, self.jitter, self.max_steps
        require(
            "HMC",
            "num_steps",
            steps,
            steps is None or (is_whole(steps) and steps >= 1),
            "a whole number ≥ 1",
            "10",
        )
        good = length is None or (is_real(length) and length > 0.0)
        require("HMC", "trajectory_length", length, good, "a positive number", "1.5")
        require("HMC", "jitter", jitter, is_real(jitter) and 0.0 <= jitter < 1.0, "0 <= jitter < 1", "0.3")
        require("HMC", "max_steps", most, is_whole(most) and most >= 1, "a whole number ≥ 1", "1000")
        if steps is not None and length is not None:
            raise MethodError(
                "HMC: a trajectory is given by `num_steps` or by `trajectory_length`, not both",
                found=f"num_steps={steps}, trajectory_length={length}",
                edit=f"num_steps={steps}",
            )
        if steps is None and length is None:
            object.__setattr__(self, "trajectory_length", math.pi / 2)
