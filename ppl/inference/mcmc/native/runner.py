"""One chain as Python sees it: blocks of native transitions, and between them what only Python does.

That is: the metrics that need linear algebra (at the ends of their windows), fetching divergences, taking
the time, and publishing the chain's state for checkpoints and interrupts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from threading import Lock
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ppl.errors import PplError
from ppl.inference.mcmc.adaptation import Adaptation, Plan, first_metric, start
from ppl.inference.mcmc.chain import ChainState, Divergence, Record, Settings, Trace
from ppl.inference.mcmc.hamiltonian import STATS
from ppl.inference.mcmc.native import layout as at
from ppl.inference.mcmc.native.adaptation import find_step_size, search_and_restart
from ppl.inference.mcmc.native.arrays import ChainArrays, Words
from ppl.inference.mcmc.native.chain import evaluate, run_chain
from ppl.inference.mcmc.native.philox import FIRST_SEARCH, SEARCH
from ppl.inference.mcmc.step_size import DualAveraging

Array = NDArray[np.float64]


class Core(Protocol):
    """The sampler's functions, by name."""

    def __getitem__(self, name: str, /) -> Callable[..., Any]: ...


ENTRIES = (run_chain, evaluate, find_step_size, search_and_restart)
WINDOW_WORDS = 1 << 20
"""About how large the array may get in which draws wait for an estimator in Python."""
BROKEN_WORDS = 1 << 13
"""The same for divergences."""


@cache
def compiled_core() -> Core:
    """The sampler's entries in machine code, from the cache on disk where they have been compiled before."""
    from ppl.compiler.native import build

    return build(list(ENTRIES), name="mcmc")


def python_core() -> Core:
    """The same entries as plain Python."""

    def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            with np.errstate(all="ignore"):  # inf and nan far from the mode are expected
                return function(*args)

        return call

    return {entry.name: quiet(entry.python) for entry in ENTRIES}


def table(rows: int, dim: int, q: Array | None = None) -> tuple[Trace, Array]:
    """A trace to fill, and the table its statistics are columns of (flags and counts as floats)."""
    statistics = np.zeros((rows, at.STATS_SIZE))
    columns = {name: statistics[:, i] for i, name in enumerate(STATS)}
    return Trace(np.zeros((rows, dim)) if q is None else q, columns), statistics


def flags(plan: Plan) -> Words:
    """A plan as flags [warmup]."""
    todo = at.COLLECT * plan.collect + at.REFRESH * plan.refresh
    return (todo + at.SWITCH * plan.switch + at.RESTART * plan.restart).astype(np.int64)


@dataclass(slots=True)
class Published:
    """A chain between two transitions, as checkpoints and results see it; `count` goes up with each."""

    state: ChainState | None = None
    divergences: tuple[Divergence, ...] = ()
    count: int = 0


class ChainRunner:
    """Runs one chain, block by block, on whatever thread calls `advance`."""

    def __init__(
        self,
        settings: Settings,
        record: Record,
        tables: tuple[Array, Array | None],
        q: Array | None,
        density: Any,
        core: Core,
        control: Words,
        row: int,
    ) -> None:
        """
        Args:
            record: where draws go, and the state to go on from if it holds one.
            tables: the tables of the record's statistics, for draws and for warm-up.
            q: [D], where to begin without a state.
            density, core: the log density and the functions to run, both compiled or both not.
            control, row: the array all chains share, and the number of this one in it.
        """
        dim = record.trace.q.shape[-1]
        self.settings = settings
        self.chain = record.chain
        self.dim = dim
        self.core = core
        self.density = density
        self.row = row
        self.control = control[at.CONTROL_ROW * (row + 1) :][: at.CONTROL_ROW]
        self.published = Published()
        self._q = q
        self._stop = control[at.STOP : at.STOP + 1]
        self._learnt: Adaptation | None = None
        self._seconds = [0.0, 0.0]  # warm-up, sampling
        self._lock = Lock()

        warm = record.warmup_trace
        width = 2 + 2 * dim
        room = max(1, BROKEN_WORDS // width)
        self._arrays = ChainArrays.of(settings, record.chain, dim, warm is not None, room)
        self._arrays.spec[at.CONTROL] = control.ctypes.data
        self._arrays.spec[at.ROW] = at.CONTROL_ROW * (row + 1)
        self._broken = np.zeros((room, width))
        self._targets = (
            np.asarray(record.trace.q).reshape(-1),
            tables[0].reshape(-1),
            np.zeros(1) if warm is None else warm.q.reshape(-1),
            np.zeros(1) if tables[1] is None else tables[1].reshape(-1),
        )
        plan = settings.plan
        managed = settings.method.metric not in ("diag", "unit")  # the metric is learnt in Python
        ends = np.flatnonzero(plan.refresh | plan.switch | plan.restart) + 1
        self._plan = flags(plan)
        self._ends: list[int] = ends.tolist() if managed else []
        self._rows = max(16, WINDOW_WORDS // (2 * dim)) if managed else 0
        self._window = np.zeros((min(self._rows, settings.warmup) if managed else 1, 2, dim))
        if record.state is not None:
            self._stand(record.state)
            self.published = Published(record.state, tuple(record.divergences))

    @property
    def iteration(self) -> int:
        return int(self._arrays.counts[at.ITERATION])

    @property
    def finished(self) -> bool:
        return self._learnt is not None and self.iteration >= self.settings.iterations

    def snapshot(self) -> Published:
        """What was last published, whole even while the chain runs."""
        with self._lock:
            return self.published

    def advance(self, env: Words) -> None:
        """One block: to the end of warm-up or of the run, or to where Python is needed or asked for."""
        if self._learnt is None and not self._begin(env):
            return
        before = self.iteration
        until = self._until(before)
        warming = before < self.settings.warmup
        clock = perf_counter()
        if before < until:
            a = self._arrays
            self._run_block(until, env)
            if self.iteration > before and self._learns(self.iteration):
                self._learn(self.iteration - 1, env)
            elif a.counts[at.WINDOW_ROWS] > 0:
                self._empty_window()
        self._seconds[0 if warming else 1] += perf_counter() - clock
        self._publish()

    def _run_block(self, until: int, env: Words) -> None:
        a = self._arrays
        self.core["run_chain"](
            until,
            a.state,
            a.counts,
            a.spec,
            a.options,
            a.metric,
            a.work,
            a.marks,
            self._plan,
            *self._targets,
            self._window.reshape(-1),
            self._broken.reshape(-1),
            self.density,
            env,
        )

    def _until(self, iteration: int) -> int:
        """Where the block that begins at `iteration` has to end."""
        if iteration >= self.settings.warmup:
            return self.settings.iterations
        until = self.settings.warmup
        if self._rows:
            until = min(until, iteration + self._rows, *(end for end in self._ends if end > iteration))
        return until

    def _learns(self, iteration: int) -> bool:
        return iteration <= self.settings.warmup and iteration in self._ends

    # ---------------------------------------------------------------- beginning

    def _begin(self, env: Words) -> bool:
        """The first point, first metric and first step size; False if the run was stopped before."""
        clock = perf_counter()
        assert self._q is not None
        a, method, dim = self._arrays, self.settings.method, self.dim
        a.state[at.STATE_Q : at.STATE_Q + dim] = self._q
        code = self.core["evaluate"](a.state, a.counts, a.spec, self.density, env)
        position = a.position
        logp = position.logp if code == 0 else math.nan
        bad = int((~np.isfinite(position.grad)).sum())
        if bad or not math.isfinite(logp):
            raise PplError(
                f"chain {self.chain} can't start at its initial point",
                expected="a finite log density and gradient",
                found=f"log density {logp}, {bad} of {dim} gradient elements not finite",
                edit="choose the points with find_initial_points(...)",
            )
        first = first_metric(method.metric, position.grad)
        a.set_metric(first)
        step_size = method.step_size
        if step_size is None:
            step_size = self.core["find_step_size"](*self._search_arguments(env), 0, FIRST_SEARCH, 1.0)
        a.averaging = DualAveraging.start(step_size)
        self._learnt = start(method.metric, self.settings.plan, first, step_size, dim)
        self._seconds[0 if self.settings.warmup else 1] += perf_counter() - clock
        if self._stop[0] != 0:
            return False
        self._publish()
        return True

    def _stand(self, state: ChainState) -> None:
        self._arrays.load(state)
        self._learnt = state.adaptation
        self._seconds = [state.warmup_seconds, state.sampling_seconds]
        self._show()

    def _search_arguments(self, env: Words) -> tuple[Any, ...]:
        a = self._arrays
        return a.state, a.counts, a.spec, a.metric, a.work, a.marks, self.density, env

    # ---------------------------------------------------------------- between blocks

    def _empty_window(self) -> None:
        """Hand the draws that have gathered to the estimators."""
        assert self._learnt is not None
        front, back = self._learnt.foreground, self._learnt.background
        count = int(self._arrays.counts[at.WINDOW_ROWS])
        for q, grad in self._window[:count].copy():
            front = None if front is None else front.add(q, grad)
            back = None if back is None else back.add(q, grad)
        self._learnt = replace(self._learnt, foreground=front, background=back)
        self._arrays.counts[at.WINDOW_ROWS] = 0

    def _learn(self, iteration: int, env: Words) -> None:
        """What the plan asks of Python after `iteration`, the order of `adaptation.adapt`."""
        self._empty_window()
        learnt, plan, method = self._learnt, self.settings.plan, self.settings.method
        assert learnt is not None and learnt.foreground is not None
        if plan.refresh[iteration]:
            learnt = replace(learnt, metric=learnt.foreground.estimate(learnt.metric))
            self._arrays.set_metric(learnt.metric)
        if plan.switch[iteration]:
            empty = start(method.metric, plan, learnt.metric, 1.0, self.dim).foreground
            front, back = (learnt.background, empty) if learnt.background is not None else (empty, None)
            learnt = replace(learnt, foreground=front, background=back)
        self._learnt = learnt
        if plan.restart[iteration] and method.adapt_step_size:
            self.core["search_and_restart"](*self._search_arguments(env), iteration, SEARCH)

    def _publish(self) -> None:
        a = self._arrays
        counts = a.counts
        assert self._learnt is not None
        state = ChainState(
            int(counts[at.ITERATION]),
            a.position,
            a.adaptation(self._learnt),
            int(counts[at.EVALUATIONS]),
            int(counts[at.DIVERGENCES]),
            *self._seconds,
        )
        broken = tuple(
            Divergence(int(row[0]), row[2 : 2 + self.dim], row[2 + self.dim :], float(row[1]))
            for row in self._broken[: counts[at.BROKEN]].copy()
        )
        counts[at.BROKEN] = 0
        self._show()
        with self._lock:
            last = self.published
            self.published = Published(state, last.divergences + broken, last.count + 1)

    def _show(self) -> None:
        a = self._arrays
        warming = self.iteration < self.settings.warmup
        step = a.averaging.step_size if warming else a.averaging.average
        self.control[at.DONE] = a.counts[at.ITERATION]
        self.control[at.BROKE] = a.counts[at.DIVERGENCES]
        self.control[at.CALLS] = a.counts[at.EVALUATIONS]
        self.control[at.STEP : at.STEP + 1].view(np.float64)[:] = step
