"""One chain from its first point to its last draw: a coroutine over transitions, and the record it fills.

Between transitions all that a chain is stands in one frozen `ChainState`; the random numbers of a transition
depend on the seed, the chain and the iteration only. So a chain can be stopped after any transition and
continued elsewhere, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ppl.errors import PplError
from ppl.inference.mcmc.adaptation import Adaptation, Plan, adapt, first_metric, start
from ppl.inference.mcmc.config import HMC, NUTS
from ppl.inference.mcmc.hamiltonian import STATS, Info, Position
from ppl.inference.mcmc.hmc import hmc_step
from ppl.inference.mcmc.lanes import Coroutine
from ppl.inference.mcmc.metrics import Metric
from ppl.inference.mcmc.nuts import nuts_step
from ppl.inference.mcmc.step_size import DualAveraging, find_step_size
from ppl.inference.random import ChainStreams

Array = NDArray[np.float64]
Transition = Callable[[Generator, Position, float, Metric], Coroutine[tuple[Position, Info]]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all chains of a run."""

    method: NUTS | HMC
    draws: int
    warmup: int
    seed: int
    thin: int
    plan: Plan

    @property
    def iterations(self) -> int:
        return self.warmup + self.draws * self.thin


@dataclass(frozen=True, slots=True)
class ChainState:
    """A chain between two transitions.

    Args:
        iteration: transitions done, warm-up included.
        position: where it is.
        adaptation: what warm-up has learnt.
        gradient_evaluations: calls of the target so far.
        divergences: divergent transitions after warm-up.
        warmup_seconds, sampling_seconds: wall time so far, shared with the chains that ran beside it.
    """

    iteration: int
    position: Position
    adaptation: Adaptation
    gradient_evaluations: int
    divergences: int
    warmup_seconds: float
    sampling_seconds: float


@dataclass(frozen=True, slots=True)
class Divergence:
    """A divergent transition: its draw after warm-up, the last good point [D], the next, the error."""

    draw: int
    broke_at: Array
    broke_to: Array
    energy_error: float


@dataclass(slots=True)
class Trace:
    """Draws [n, D] and their statistics [n], filled in place."""

    q: Array
    stats: dict[str, NDArray]

    @classmethod
    def around(cls, q: Array) -> Trace:
        """Draws go to q [n, D], statistics to memory."""
        return cls(q, {name: np.zeros(q.shape[0], dtype) for name, dtype in STATS.items()})

    def write(self, index: int, position: Position, info: Info) -> None:
        """Put a transition into slot `index`; flags are or-ed: a thinned-out divergence shows on its draw."""
        self.q[index] = position.q
        stats = self.stats
        stats["lp"][index] = info.lp
        stats["energy"][index] = info.energy
        stats["acceptance_rate"][index] = info.acceptance_rate
        stats["tree_depth"][index] = info.tree_depth
        stats["n_steps"][index] = info.n_steps
        stats["diverging"][index] |= info.diverging
        stats["reached_max_treedepth"][index] |= info.reached_max_treedepth
        stats["max_energy_error"][index] = info.max_energy_error
        stats["step_size"][index] = info.step_size


@dataclass(slots=True)
class Record:
    """What one chain has produced so far; `state` is set last, so the record is whole at any interrupt."""

    chain: int
    trace: Trace
    warmup_trace: Trace | None
    state: ChainState | None = None
    divergences: list[Divergence] = field(default_factory=list)

    def add(self, settings: Settings, iteration: int, position: Position, info: Info) -> None:
        if iteration < settings.warmup:
            if self.warmup_trace is not None:
                self.warmup_trace.write(iteration, position, info)
            return
        draw = (iteration - settings.warmup) // settings.thin
        self.trace.write(draw, position, info)
        if info.broke_at is not None and info.broke_to is not None:
            self.divergences.append(Divergence(draw, info.broke_at, info.broke_to, info.max_energy_error))

    def draws_done(self, settings: Settings) -> int:
        """Of those asked for: a chain that came from a checkpoint may have more."""
        done = 0 if self.state is None else self.state.iteration - settings.warmup
        return min(settings.draws, max(0, done) // settings.thin)

    def warmup_done(self, settings: Settings) -> int:
        return 0 if self.state is None else min(self.state.iteration, settings.warmup)


def transition_of(method: NUTS | HMC) -> Transition:
    """The transition kernel `(rng, position, step_size, metric) → (position, info)` of a method.

    >>> callable(transition_of(NUTS()))
    True
    """
    if isinstance(method, NUTS):
        depth, threshold = method.max_treedepth, method.max_energy_error
        return lambda rng, position, eps, metric: nuts_step(rng, position, eps, metric, depth, threshold)
    length = method.trajectory_length or math.pi / 2
    return lambda rng, position, eps, metric: hmc_step(
        rng,
        position,
        eps,
        metric,
        method.num_steps,
        length,
        method.jitter,
        method.max_steps,
        method.max_energy_error,
    )


def begin(settings: Settings, streams: ChainStreams, chain: int, q: Array) -> Coroutine[ChainState]:
    """The state before the first transition at q [D] (as a coroutine): first metric, first step size.

    Raises `PplError` if the log density or gradient at q is not finite.
    """
    logp, grad = yield q
    bad = int((~np.isfinite(grad)).sum())
    if bad or not math.isfinite(logp):
        raise PplError(
            f"chain {chain} can't start at its initial point",
            expected="a finite log density and gradient",
            found=f"log density {logp}, {bad} of {grad.size} gradient elements not finite",
            edit="choose the points with find_initial_points(...)",
        )
    position = Position(q, logp, grad)
    method = settings.method
    first = first_metric(method.metric, grad)
    step_size, evaluations = method.step_size, 0
    if step_size is None:
        step_size, evaluations = yield from find_step_size(streams.at("first step size"), position, first)
    adaptation = start(method.metric, settings.plan, first, step_size, q.shape[0])
    return ChainState(0, position, adaptation, evaluations + 1, 0, 0.0, 0.0)


def run_chain(settings: Settings, record: Record, q: Array | None) -> Coroutine[None]:
    """All transitions missing in `record`, from `record.state` or, without one, from the point q [D]."""
    streams = ChainStreams(settings.seed, record.chain)
    clock = perf_counter()
    state = record.state
    if state is None:
        assert q is not None
        state = yield from begin(settings, streams, record.chain, q)
        record.state = state
    method, warmup = settings.method, settings.warmup
    transition = transition_of(method)
    for iteration in range(state.iteration, settings.iterations):
        adaptation = state.adaptation
        warming = iteration < warmup
        step_size = adaptation.averaging.step_size if warming else adaptation.averaging.average
        rng = streams.at("transition", iteration)
        position, info = yield from transition(rng, state.position, step_size, adaptation.metric)
        evaluations = state.gradient_evaluations + info.n_steps
        if warming:
            adaptation = adapt(
                adaptation,
                settings.plan,
                iteration,
                position.q,
                position.grad,
                info.acceptance_rate,
                method.target_accept,
                method.metric,
                method.adapt_step_size,
            )
            if method.adapt_step_size and settings.plan.restart[iteration]:
                rng = streams.at("step size", iteration)
                guess = adaptation.averaging.step_size
                found, searched = yield from find_step_size(rng, position, adaptation.metric, guess)
                adaptation = replace(adaptation, averaging=DualAveraging.start(found))
                evaluations += searched
        record.add(settings, iteration, position, info)
        now = perf_counter()
        elapsed, clock = now - clock, now
        state = ChainState(
            iteration + 1,
            position,
            adaptation,
            evaluations,
            state.divergences + (info.diverging and not warming),
            state.warmup_seconds + (elapsed if warming else 0.0),
            state.sampling_seconds + (0.0 if warming else elapsed),
        )
        record.state = state
