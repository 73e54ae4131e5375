"""`optimise`: runs of optimisation steps in machine code, a block at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppl.errors import PplError
from ppl.inference.mcmc.native.densities import Callback, for_plain_python
from ppl.inference.mcmc.native.layout import aligned, aligned_ints, padded
from ppl.inference.options import count
from ppl.inference.vi.native import layout as at
from ppl.inference.vi.native.loop import run_steps
from ppl.inference.vi.native.noise import WORDS
from ppl.inference.vi.native.objective import Objective
from ppl.inference.vi.native.settings import Optimisation
from ppl.inference.vi.native.state import State

Array = NDArray[np.float64]

BLOCK_SECONDS = 0.05
"""About how long machine code runs before Python looks for Ctrl-C and shows progress."""
MOST_STEPS = 1 << 32
"""Steps are numbered by 32 bits where noise is drawn."""


@dataclass(frozen=True, slots=True)
class OptimisationProgress:
    """How far a run is.

    Args:
        step, total: steps done, and to be done.
        value: the mean estimate of the last block.
        seconds: since the run began.
        values, norms: as in `Run`, so far; views, good until the next block.
        u, average: the parameters and their average [D]; views too.
        state: makes a copy of the whole state.
    """

    step: int
    total: int
    value: float
    seconds: float
    values: Array
    norms: Array
    u: Array
    average: Array
    state: Callable[[], State]


@dataclass(frozen=True, eq=False, slots=True)
class Failure:
    """The first estimate that was not finite: its step (counted from 0), its value, and its gradient [D]."""

    step: int
    value: float
    gradient: Array

    @property
    def places(self) -> list[int]:
        """Where the gradient is not finite; none where only the value is not, or ‖g‖² overflowed."""
        return np.flatnonzero(~np.isfinite(self.gradient)).tolist()


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """What a run leaves.

    Args:
        state: to read, to keep, or to go on from. After a failure it is that before the failed step; its
            `last_finite` is then the last point at which an estimate was finite.
        values: the objective's estimates [steps done].
        norms: the squared norms of their gradients, before clipping [steps done].
        seconds: spent in the loop.
        interrupted: stopped by Ctrl-C.
        failure: why it ended early, if an estimate was not finite.
    """

    state: State
    values: Array
    norms: Array
    seconds: float
    interrupted: bool
    failure: Failure | None


def optimise(
    objective: Objective,
    start: State | ArrayLike,
    steps: int,
    how: Optimisation | None = None,
    on_progress: Callable[[OptimisationProgress], object] | None = None,
    compiled: bool = True,
    every: int = 0,
) -> Run:
    """Make `steps` more steps from a state, or from a point [D], wholly in machine code.

    A run that is continued from the state of an earlier one, with the same options, is to the bit the run that
    was not interrupted. Two runs at once need an objective each: they would share its noise.

    Args:
        objective: the estimator.
        steps: at most; fewer after Ctrl-C, or if an estimate is not finite.
        how: the optimiser and its options.
        on_progress: called after every block, 20 times a second; the run ends where it returns something true.
        compiled: False runs the loop as plain Python, for debugging.
        every: blocks end where a multiple of so many steps is done, if not before; 0: anywhere.

    Raises:
        PplError: the start doesn't fit the objective.
        Exception: what a Python objective raises.

    >>> def bowl(u, out, env):
    ...     out[0], out[1:] = u @ u, 2 * u
    ...     return 0
    >>> run = optimise(Objective.of_python(bowl, 2, []), [1.0, -1.0], 500)
    >>> run.state.step, bool(run.values[-1] < 1e-3)
    (500, True)
    """
    how = Optimisation() if how is None else how
    state = start if isinstance(start, State) else State.start(start)
    steps = count("steps", steps, 0, 1000)
    if len(state.u) != objective.dim or state.step + steps > MOST_STEPS:
        raise PplError(
            "the start doesn't fit the objective",
            expected=f"a vector [{objective.dim}], and at most 2**32 steps in all",
            found=f"[{len(state.u)}], and {state.step + steps} steps",
        )
    loop = _Loop(objective, state, steps, how, compiled)
    interrupted, size = False, 1
    begun = perf_counter()
    try:
        while not loop.finished:
            clock, before = perf_counter(), loop.step
            loop.advance(min(size, every - before % every) if every else size)
            now = perf_counter()
            made = (loop.step - before) * BLOCK_SECONDS / max(now - clock, 1e-9)
            size = max(1, min(4 * size, round(made)))
            if on_progress is not None and on_progress(loop.progress(before, now - begun)):
                break
    except KeyboardInterrupt:
        if not compiled:
            raise  # the arrays may be those of half a step
        interrupted = True
    return loop.result(perf_counter() - begun, interrupted)


@cache
def _machine_code() -> Callable[..., int]:
    from ppl.compiler.native import build

    return build([run_steps], name="vi")["run_steps"]


def _plain(*arguments: Any) -> int:
    with np.errstate(all="ignore"):  # what is not finite is tested for
        return run_steps(*arguments)


class _Loop:
    """The arrays of a run, and calls of `run_steps` on them."""

    def __init__(
        self, objective: Objective, start: State, steps: int, how: Optimisation, compiled: bool
    ) -> None:
        self.objective, self.first, self.until = objective, start.step, start.step + steps
        self.values, self.norms = np.zeros(steps), np.zeros(steps)
        self.failed = False
        self._n = padded(objective.dim)
        self._counts = np.array([start.step], np.int64)
        self._state = start.packed()
        self._spec, self._options, self._factors = how.arrays(objective.dim)
        self._spec[at.NOISE_AT] = objective.noise.ctypes.data
        self._spec[at.SEGMENTS] = len(objective.segments)
        self._work, self._words = aligned(at.work_size(self._n)), aligned_ints(WORDS)
        self._callback: Callback | None = None
        self._run: Callable[..., int] = _machine_code() if compiled else _plain
        self._function: Any = objective.function
        if not compiled:
            self._function = for_plain_python(objective.function, objective.dim)
        elif callable(objective.function):
            words = len(objective.env)
            self._callback = Callback(objective.function, objective.dim, words, lambda: None)
            self._function = self._callback.address

    @property
    def step(self) -> int:
        return int(self._counts[at.STEP])

    @property
    def finished(self) -> bool:
        return self.failed or self.step >= self.until

    def advance(self, size: int) -> None:
        """A block of at most `size` steps."""
        code = self._run(
            min(self.step + size, self.until),
            self._counts,
            self._state,
            self._spec,
            self._options,
            self.objective.segments.reshape(-1),
            self._factors,
            self._work,
            self._words,
            self.first,
            self.values,
            self.norms,
            self._function,
            self.objective.env,
        )
        if self._callback is not None and self._callback.error is not None:
            raise self._callback.error
        self.failed = code == at.NOT_FINITE

    def progress(self, before: int, seconds: float) -> OptimisationProgress:
        """After the block that began at step `before`."""
        done = self.step - self.first
        block = self.values[before - self.first : done]
        mean = float(block.mean()) if len(block) else float("nan")
        rows = self._state.reshape(at.ROWS, self._n)[:, : self.objective.dim]
        return OptimisationProgress(
            self.step,
            self.until,
            mean,
            seconds,
            self.values[:done],
            self.norms[:done],
            rows[at.PARAMETERS],
            rows[at.AVERAGE],
            self.state,
        )

    def state(self) -> State:
        """A copy of where the run is."""
        return State.unpacked(self.step, self._state, self.objective.dim)

    def result(self, seconds: float, interrupted: bool) -> Run:
        done, dim = self.step - self.first, self.objective.dim
        failure = None
        if self.failed:
            gradient = self._work[at.GRADIENT : at.GRADIENT + dim].copy()
            failure = Failure(self.step, float(self._work[at.VALUE]), gradient)
        return Run(self.state(), self.values[:done], self.norms[:done], seconds, interrupted, failure)
