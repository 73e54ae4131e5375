"""`sample_native`: chains of NUTS or HMC in machine code, run by a crew of threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ppl.errors import PplError
from ppl.inference.mcmc.adaptation import plan_for
from ppl.inference.mcmc.chain import Record, Settings
from ppl.inference.mcmc.checkpoint import Checkpoint, load, save
from ppl.inference.mcmc.config import HMC, NUTS
from ppl.inference.mcmc.hamiltonian import STATS
from ppl.inference.mcmc.native import layout as at
from ppl.inference.mcmc.native.crew import Crew
from ppl.inference.mcmc.native.densities import Callback, PythonDensity, for_plain_python
from ppl.inference.mcmc.native.runner import ChainRunner, compiled_core, python_core, table
from ppl.inference.mcmc.sampling import (
    PROGRESS_SECONDS,
    ChainDraws,
    ChainProgress,
    chains_of,
    check_counts,
    collect,
    restore,
    room,
    whole_state,
)
from ppl.inference.random import check_seed

Array = NDArray[np.float64]
Words = NDArray[np.int64]
OnProgress = Callable[[list[ChainProgress]], None]

SAMPLER = "native"
"""Marks checkpoints: their random numbers are others than those of `ppl.inference.mcmc.sample`."""

TURN_SECONDS = 0.25
"""How long a chain runs while others wait for a thread."""


def sample_native(
    density: int | PythonDensity,
    envs: Sequence[Words],
    dim: int,
    initial_points: Array | None,
    method: NUTS | HMC,
    draws: int,
    warmup: int,
    seed: int,
    chain_ids: Sequence[int] | None = None,
    on_progress: OnProgress | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    resume_from: str | os.PathLike[str] | None = None,
    keep_warmup: bool = False,
    thin: int = 1,
    out: Array | None = None,
    warmup_out: Array | None = None,
    compiled: bool = True,
) -> ChainDraws:
    """Draw from a density by Hamiltonian Monte Carlo, wholly in machine code, a thread for every chain.

    The numbers depend on the seed, the chain's number and its initial point alone: not on the other chains,
    the number of threads, nor on where a run was stopped and resumed. (On another kind of processor a last bit
    may differ, and from there everything.)

    Args:
        density: the address of a compiled density `(x, out, env) -> code`, which stays loaded by the caller;
            or a Python function of arrays x [D], out [1 + D], env. It writes the log density to out[0] and
            its gradient to out[1:] and returns 0, or another number where it failed. What is not finite
            counts as a divergence.
        envs: private words for the density, an array for every thread: at most `len(envs)` chains run at
            once, nor more than there are processors.
        dim: D ≥ 1.
        compiled: False runs the sampler as plain Python, for debugging.
        initial_points, method, draws, warmup, seed, chain_ids, on_progress, checkpoint, resume_from,
            keep_warmup, thin, out, warmup_out: as for `ppl.inference.mcmc.sample`; chain numbers are
            below 2³².

    Returns:
        the draws; Ctrl-C returns those made so far, with `interrupted=True`.

    Raises:
        PplError: settings out of range, an initial point without a finite density, a checkpoint of another
            run.

    >>> def normal(x, out, env):
    ...     out[0], out[1:] = -0.5 * x @ x, -x
    ...     return 0
    >>> none = np.zeros(0, np.int64)
    >>> result = sample_native(normal, [none], 2, np.zeros((2, 2)), NUTS(), draws=50, warmup=50, seed=1)
    >>> result.q.shape, bool(abs(result.q.mean()) < 0.5)
    ((2, 50, 2), True)
    """
    check_counts(draws, warmup, thin)
    points = None if initial_points is None else np.asarray(initial_points, np.float64)
    ids = _chain_numbers(range(chains_of(points, resume_from)) if chain_ids is None else chain_ids)
    _check_arrays(points, envs, len(ids), dim)
    settings = Settings(method, draws, warmup, check_seed(seed), thin, plan_for(method.metric, warmup))

    q = room(out, (len(ids), draws, dim))
    warmup_q = room(warmup_out, (len(ids), warmup, dim)) if keep_warmup else None
    traces = [table(draws, dim, np.asarray(rows)) for rows in q]
    warm = [
        (None, None) if warmup_q is None else table(warmup, dim, np.asarray(warmup_q[row]))
        for row in range(len(ids))
    ]
    records = [Record(c, t, w) for c, (t, _), (w, _) in zip(ids, traces, warm, strict=True)]
    if resume_from is not None:
        restore(load(resume_from), records, settings, dim, keep_warmup, checkpoint is not None, SAMPLER)
    elif points is None:
        raise PplError(
            "there is nowhere to start", expected="initial_points [C, D] or resume_from", found="None"
        )

    control = at.aligned_ints(at.CONTROL_ROW * (len(ids) + 1))
    callback = None
    called: int | PythonDensity = density
    if not compiled:
        called = for_plain_python(density, dim)
    elif callable(density):
        callback = Callback(density, dim, len(envs[0]), lambda: control.__setitem__(at.STOP, 1))
        called = callback.address
    core = compiled_core() if compiled else python_core()
    starts = [None] * len(ids) if points is None else list(points)
    runners = [
        ChainRunner(
            settings, records[row], (traces[row][1], warm[row][1]), starts[row], called, core, control, row
        )
        for row in range(len(ids))
    ]
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)

    watch = _Watch(settings, runners, records, dim, keep_warmup, on_progress, checkpoint)
    crew = Crew(runners, envs, control)
    interrupted = False
    try:
        watch.show()
        crew.start()
        while not crew.wait(PROGRESS_SECONDS):
            watch.look(crew)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        crew.stop()
    if callback is not None and callback.error is not None:
        raise callback.error
    crew.raise_error()
    interrupted = interrupted or not all(runner.finished for runner in runners)
    watch.save()
    watch.show()
    result = collect(watch.records(), settings, dim, interrupted, q, warmup_q)
    warm_stats = None if result.warmup_stats is None else _typed(result.warmup_stats)
    return replace(result, stats=_typed(result.stats), warmup_stats=warm_stats)


class _Watch:
    """What the main thread does beside the crew: progress and checkpoints."""

    def __init__(
        self,
        settings: Settings,
        runners: list[ChainRunner],
        records: list[Record],
        dim: int,
        keep_warmup: bool,
        on_progress: OnProgress | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.settings, self.runners, self.dim, self.keep_warmup = settings, runners, dim, keep_warmup
        self.on_progress, self.checkpoint = on_progress, checkpoint
        self._records = records
        self._asked: dict[ChainRunner, int] | None = None  # since a checkpoint is due: publications by then
        self._saved = self._turned = perf_counter()

    def records(self) -> list[Record]:
        """All chains as last published."""
        published = [runner.snapshot() for runner in self.runners]
        return [
            Record(record.chain, record.trace, record.warmup_trace, now.state, list(now.divergences))
            for record, now in zip(self._records, published, strict=True)
        ]

    def look(self, crew: Crew) -> None:
        """Once in a while: report, give waiting chains a turn, save when it is time."""
        self.show()
        now = perf_counter()
        if now - self._turned >= TURN_SECONDS:
            crew.take_turns()
            self._turned = now
        if self.checkpoint is None:
            return
        if self._asked is None and now - self._saved >= self.checkpoint.every:
            self._asked = {runner: runner.snapshot().count for runner in crew.ask_to_publish()}
        if self._asked is not None and all(r.snapshot().count > n for r, n in self._asked.items()):
            self.save()

    def show(self) -> None:
        """Call `on_progress` with every chain's progress."""
        if self.on_progress is not None:
            self.on_progress([self._progress(runner) for runner in self.runners])

    def save(self) -> None:
        """Write the checkpoint, if there is to be one."""
        if self.checkpoint is not None:
            flat = whole_state(self.records(), self.settings, self.dim, self.keep_warmup, SAMPLER)
            save(self.checkpoint.path, flat)
        self._asked, self._saved = None, perf_counter()

    def _progress(self, runner: ChainRunner) -> ChainProgress:
        settings, row = self.settings, runner.control.copy()
        iteration = min(int(row[at.DONE]), settings.iterations)
        sampled = iteration - settings.warmup
        done = iteration == settings.iterations
        begun = runner.snapshot().state is not None
        return ChainProgress(
            runner.chain,
            iteration,
            settings.iterations,
            max(0, sampled) // settings.thin,
            float(row.view(np.float64)[at.STEP]) if begun else float("nan"),
            int(row[at.BROKE]),
            int(row[at.CALLS]),
            "done" if begun and done else "warmup" if sampled < 0 or not begun else "sampling",
        )


def _chain_numbers(chain_ids: Sequence[int]) -> tuple[int, ...]:
    ids = tuple(int(chain) for chain in chain_ids)
    if not ids or len(set(ids)) != len(ids) or min(ids) < 0 or max(ids) >= 1 << 32:
        raise PplError(
            "chain numbers must be distinct and not negative", expected="0, 1, …, below 2**32", found=str(ids)
        )
    return ids


def _check_arrays(points: Array | None, envs: Sequence[Words], chains: int, dim: int) -> None:
    if points is not None and points.shape != (chains, dim):
        raise PplError(
            "the initial points don't fit the target",
            expected=f"[{chains}, {dim}]",
            found=str(list(points.shape)),
        )
    if len(envs) == 0:
        raise PplError(
            "there must be private words for one thread at least", expected="envs=[env, …]", found="[]"
        )


def _typed(statistics: dict[str, NDArray]) -> dict[str, NDArray]:
    """Statistics with their own types: they were written as floats."""
    return {name: values.astype(STATS[name]) for name, values in statistics.items()}
