"""`sample`: run chains of NUTS or HMC, with progress, checkpoints, resuming and interruption."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ppl.errors import PplError
from ppl.inference.mcmc.adaptation import plan_for
from ppl.inference.mcmc.chain import Divergence, Record, Settings, Trace, run_chain
from ppl.inference.mcmc.checkpoint import Checkpoint, Flat, check_same, flatten, load, save, unflatten
from ppl.inference.mcmc.config import HMC, NUTS
from ppl.inference.mcmc.hamiltonian import STATS
from ppl.inference.mcmc.lanes import Target, drive
from ppl.inference.mcmc.metrics import Metric, unit
from ppl.inference.random import check_seed
from ppl.results.mapped import beside

Array = NDArray[np.float64]

PROGRESS_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ChainProgress:
    """How far one chain is.

    Args:
        iteration, iterations: transitions done, and to do in all.
        draws: draws kept.
        step_size: in use.
        divergences: after warm-up.
        phase: "warmup", "sampling" or "done".
    """

    chain: int
    iteration: int
    iterations: int
    draws: int
    step_size: float
    divergences: int
    gradient_evaluations: int
    phase: str


@dataclass(frozen=True, slots=True)
class Divergences:
    """All divergent transitions after warm-up, N of them.

    Args:
        chain: [N], row of the chain in `ChainDraws.q`.
        draw: [N], the draw.
        broke_at: [N, D], the last good point of the trajectory.
        broke_to: [N, D], the point the next leapfrog step led to.
        energy_error: [N], the error there.
    """

    chain: NDArray[np.int64]
    draw: NDArray[np.int64]
    broke_at: Array
    broke_to: Array
    energy_error: Array


@dataclass(frozen=True, slots=True)
class ChainDraws:
    """What `sample` returns, C chains of n draws in D dimensions.

    Args:
        q: [C, n, D], the draws.
        stats: name → [C, n], with ArviZ's names (`STATS`).
        warmup_q, warmup_stats: the same of warm-up, if kept.
        chain_ids: the chains' numbers.
        step_sizes: [C], the step sizes used for the draws.
        metrics: [C], the inverse mass matrices used for the draws.
        divergences: where trajectories broke.
        warmup_seconds, sampling_seconds: [C], wall time; chains that ran side by side share it.
        gradient_evaluations: [C]; like the seconds, of all that a resumed chain has run.
        interrupted: whether Ctrl-C ended the run; then n is the shortest chain's count.
    """

    q: Array
    stats: dict[str, NDArray]
    warmup_q: Array | None
    warmup_stats: dict[str, NDArray] | None
    chain_ids: tuple[int, ...]
    step_sizes: Array
    metrics: tuple[Metric, ...]
    divergences: Divergences
    warmup_seconds: Array
    sampling_seconds: Array
    gradient_evaluations: NDArray[np.int64]
    interrupted: bool


def sample(
    target: Target,
    initial_points: Array | None,
    method: NUTS | HMC,
    draws: int,
    warmup: int,
    seed: int,
    chain_ids: Sequence[int] | None = None,
    on_progress: Callable[[list[ChainProgress]], None] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    resume_from: str | os.PathLike[str] | None = None,
    keep_warmup: bool = False,
    thin: int = 1,
    out: Array | None = None,
    warmup_out: Array | None = None,
) -> ChainDraws:
    """Draw from a target by Hamiltonian Monte Carlo.

    The numbers depend on the seed, the chain's number and its initial point alone: not on the other chains,
    nor on where a run was stopped and resumed.

    Args:
        target: the log density on ℝᴰ.
        initial_points: [C, D], from `find_initial_points`; may be None when resuming.
        method: `NUTS(...)` or `HMC(...)`.
        draws: draws to keep from each chain; each is the last of `thin` transitions.
        warmup: transitions for adaptation, before the first draw.
        seed: 0 ≤ seed < 2⁶⁴.
        chain_ids: the chains' numbers, C distinct ones ≥ 0; None: 0 … C − 1.
        on_progress: called with every chain's `ChainProgress` at most every 0.1 s, and at the end.
        checkpoint: where to save the whole state (every 30 s unless a `Checkpoint` says otherwise, at the end
            and on interrupt).
        resume_from: a checkpoint to go on from; `draws` may be another number, nothing else may differ. Of a chain
            that has more, the first `draws` are returned, and `checkpoint` keeps them all.
        keep_warmup: also return the warm-up transitions.
        thin: see `draws`.
        out: where draws go, float64 [C, draws, D], C-contiguous (a `numpy.memmap`, say); None: to memory.
        warmup_out: the same for kept warm-up transitions, [C, warmup, D].

    Returns:
        the draws; Ctrl-C returns those made so far, with `interrupted=True`.

    Raises:
        PplError: settings out of range, an initial point without a finite density, or a checkpoint of another
        run.

    >>> class Normal:
    ...     dim = 2
    ...     def value_and_grad(self, q):
    ...         return -0.5 * (q * q).sum(1), -q
    >>> result = sample(Normal(), np.zeros((2, 2)), NUTS(), draws=100, warmup=100, seed=1)
    >>> result.q.shape, bool(abs(result.q.mean()) < 0.5)
    ((2, 100, 2), True)
    """
    dim = target.dim
    check_counts(draws, warmup, thin)
    points = None if initial_points is None else np.asarray(initial_points, np.float64)
    if chain_ids is None:
        chain_ids = range(chains_of(points, resume_from))
    ids = tuple(int(chain) for chain in chain_ids)
    if not ids or len(set(ids)) != len(ids) or min(ids) < 0:
        raise PplError("chain numbers must be distinct and not negative", expected="0, 1, …", found=str(ids))
    if points is not None and points.shape != (len(ids), dim):
        raise PplError(
            "the initial points don't fit the target",
            expected=f"[{len(ids)}, {dim}]",
            found=str(list(points.shape)),
        )
    settings = Settings(method, draws, warmup, check_seed(seed), thin, plan_for(method.metric, warmup))
    q = room(out, (len(ids), draws, dim))
    warm = room(warmup_out, (len(ids), warmup, dim)) if keep_warmup else None
    records = [
        Record(chain, Trace.around(q[row]), None if warm is None else Trace.around(warm[row]))
        for row, chain in enumerate(ids)
    ]
    if resume_from is not None:
        restore(load(resume_from), records, settings, dim, keep_warmup, checkpoint is not None)
    elif points is None:
        raise PplError(
            "there is nowhere to start", expected="initial_points [C, D] or resume_from", found="None"
        )
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)

    last_progress = -np.inf
    last_save = perf_counter()

    def after_round() -> None:
        nonlocal last_progress, last_save
        now = perf_counter()
        if on_progress is not None and now - last_progress >= PROGRESS_SECONDS:
            last_progress = now
            on_progress([_progress(record, settings) for record in records])
        if checkpoint is not None and now - last_save >= checkpoint.every:
            save(checkpoint.path, whole_state(records, settings, dim, keep_warmup))
            last_save = perf_counter()

    starts = [None] * len(ids) if points is None else [points[row].copy() for row in range(len(ids))]
    chains = {r.chain: run_chain(settings, r, q) for r, q in zip(records, starts, strict=True)}
    interrupted = False
    try:
        drive(target, chains, after_round if on_progress is not None or checkpoint is not None else None)
    except KeyboardInterrupt:
        interrupted = True
    if checkpoint is not None:
        save(checkpoint.path, whole_state(records, settings, dim, keep_warmup))
    if on_progress is not None:
        on_progress([_progress(record, settings) for record in records])
    return collect(records, settings, dim, interrupted, q, warm)


def check_counts(draws: int, warmup: int, thin: int) -> None:
    for name, value, least in (("draws", draws, 0), ("warmup", warmup, 0), ("thin", thin, 1)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise PplError(
                f"`{name}` must be a whole number",
                expected=f"{name} ≥ {least}",
                found=f"{name}={value!r}",
                edit=f"{name}=1000",
            )


def room(out: Array | None, shape: tuple[int, int, int]) -> Array:
    """Where draws go: `out`, if it is fit for them, or memory."""
    if out is None:
        return np.zeros(shape)
    good = out.shape == shape and out.dtype == np.float64
    if not (good and out.flags.c_contiguous and out.flags.writeable):
        raise PplError(
            "draws can't be written to `out`",
            expected=f"float64 {list(shape)}, C-contiguous and writeable",
            found=f"{out.dtype} {list(out.shape)}",
        )
    return out


def chains_of(points: Array | None, resume_from: str | os.PathLike[str] | None) -> int:
    if points is not None:
        return int(points.shape[0]) if points.ndim else 0
    return 0 if resume_from is None else len(str(load(resume_from)["settings.chain_ids"]).split(","))


def _progress(record: Record, settings: Settings) -> ChainProgress:
    state = record.state
    if state is None:
        return ChainProgress(record.chain, 0, settings.iterations, 0, np.nan, 0, 0, "warmup")
    iteration = min(state.iteration, settings.iterations)
    done = iteration == settings.iterations
    return ChainProgress(
        record.chain,
        iteration,
        settings.iterations,
        record.draws_done(settings),
        _step_size(record, settings),
        state.divergences,
        state.gradient_evaluations,
        "done" if done else "warmup" if iteration < settings.warmup else "sampling",
    )


def _step_size(record: Record, settings: Settings) -> float:
    if record.state is None:
        return float("nan")
    averaging = record.state.adaptation.averaging
    return averaging.step_size if record.state.iteration < settings.warmup else averaging.average


def whole_state(
    records: list[Record], settings: Settings, dim: int, keep_warmup: bool, sampler: str = "numpy"
) -> Flat:
    """The whole sampler as arrays and scalars. `sampler` says whose random numbers these are."""
    method = settings.method
    flat: Flat = {
        "settings.sampler": sampler,
        "settings.seed": settings.seed,
        "settings.chain_ids": ",".join(str(record.chain) for record in records),
        "settings.dim": dim,
        "settings.warmup": settings.warmup,
        "settings.thin": settings.thin,
        "settings.keep_warmup": keep_warmup,
        "settings.method": type(method).__name__,
    }
    for option in dataclasses.fields(method):
        flat[f"settings.{option.name}"] = getattr(method, option.name)
    for record in records:
        name = f"chain{record.chain}"
        flat.update(flatten(f"{name}.state", record.state))
        done = 0 if record.state is None else record.state.iteration - settings.warmup
        slots = -(-max(0, done) // settings.thin)  # with the one that is only partly thinned
        traces = [("trace", record.trace, slots)]
        if record.warmup_trace is not None:
            traces.append(("warmup", record.warmup_trace, record.warmup_done(settings)))
        for kind, trace, count in traces:
            flat[f"{name}.{kind}.q"] = trace.q[:count]
            for stat in STATS:
                flat[f"{name}.{kind}.{stat}"] = trace.stats[stat][:count]
        flat[f"{name}.broke.draw"] = np.array([d.draw for d in record.divergences], np.int64)
        flat[f"{name}.broke.at"] = np.array([d.broke_at for d in record.divergences]).reshape(-1, dim)
        flat[f"{name}.broke.to"] = np.array([d.broke_to for d in record.divergences]).reshape(-1, dim)
        flat[f"{name}.broke.error"] = np.array([d.energy_error for d in record.divergences], np.float64)
    return flat


def restore(
    flat: Flat,
    records: list[Record],
    settings: Settings,
    dim: int,
    keep_warmup: bool,
    keep_all: bool,
    sampler: str = "numpy",
) -> None:
    """Fill records from a checkpoint, which may hold more draws of a chain than there is room for: the first are taken.
    With `keep_all` the record's trace becomes another one that holds them all, to be saved again. Raises `PplError` if
    the checkpoint is of another run.
    """
    now = whole_state(records, settings, dim, keep_warmup, sampler)
    check_same(flat, {k: v for k, v in now.items() if k.startswith("settings.")})
    for record in records:
        name = f"chain{record.chain}"
        record.state = unflatten(f"{name}.state", flat)
        if record.warmup_trace is not None:
            _read(flat, f"{name}.warmup", record.warmup_trace)
        _read(flat, f"{name}.trace", record.trace)
        if keep_all and flat[f"{name}.trace.q"].shape[0] > settings.draws:
            record.trace = _whole(flat, name, record.trace)
        at, to = flat[f"{name}.broke.at"], flat[f"{name}.broke.to"]
        errors = flat[f"{name}.broke.error"].tolist()
        for i, draw in enumerate(flat[f"{name}.broke.draw"].tolist()):
            record.divergences.append(Divergence(draw, at[i], to[i], errors[i]))


def _read(flat: Flat, name: str, trace: Trace) -> None:
    """As many of a checkpoint's draws as the trace has room for."""
    q = flat[f"{name}.q"]
    count = min(q.shape[0], trace.q.shape[0])
    q.read_into(trace.q[:count])
    for stat in STATS:
        trace.stats[stat][:count] = flat[f"{name}.{stat}"][:count]


def _whole(flat: Flat, chain: str, trace: Trace) -> Trace:
    """All of a checkpoint's draws of a chain, where those of `trace` are: in memory or on the disk."""
    q = flat[f"{chain}.trace.q"]
    try:
        whole = beside(trace.q, q.shape)
    except OSError as error:
        raise PplError(
            "there is no room on the disk for all draws of the checkpoint, to save them again",
            expected=f"{q.shape[0]} × {q.shape[1]} numbers for {chain}",
            found=str(error),
            edit="draws_to=a folder on a larger disk, or no save_to=",
        ) from error
    q.read_into(whole)
    return Trace(whole, {stat: flat[f"{chain}.trace.{stat}"] for stat in STATS})


def collect(
    records: list[Record],
    settings: Settings,
    dim: int,
    interrupted: bool,
    q: Array,
    warmup_q: Array | None,
) -> ChainDraws:
    """The result of a run whose draws stand in q [C, draws, D] and warmup_q [C, warmup, D]."""
    count = min(record.draws_done(settings) for record in records)
    warmup_stats = None
    warm = [record.warmup_trace for record in records if record.warmup_trace is not None]
    if warm:
        kept = min(record.warmup_done(settings) for record in records)
        warmup_q = None if warmup_q is None else warmup_q[:, :kept]
        warmup_stats = {name: np.stack([trace.stats[name][:kept] for trace in warm]) for name in STATS}
    states = [record.state for record in records]
    broken = [(row, d) for row, record in enumerate(records) for d in record.divergences if d.draw < count]
    return ChainDraws(
        q=q[:, :count],
        stats={name: np.stack([record.trace.stats[name][:count] for record in records]) for name in STATS},
        warmup_q=warmup_q,
        warmup_stats=warmup_stats,
        chain_ids=tuple(record.chain for record in records),
        step_sizes=np.array([_step_size(record, settings) for record in records]),
        metrics=tuple(unit(dim) if state is None else state.adaptation.metric for state in states),
        divergences=Divergences(
            chain=np.array([row for row, _ in broken], np.int64),
            draw=np.array([d.draw for _, d in broken], np.int64),
            broke_at=np.array([d.broke_at for _, d in broken], np.float64).reshape(-1, dim),
            broke_to=np.array([d.broke_to for _, d in broken], np.float64).reshape(-1, dim),
            energy_error=np.array([d.energy_error for _, d in broken], np.float64),
        ),
        warmup_seconds=np.array([0.0 if state is None else state.warmup_seconds for state in states]),
        sampling_seconds=np.array([0.0 if state is None else state.sampling_seconds for state in states]),
        gradient_evaluations=np.array(
            [0 if state is None else state.gradient_evaluations for state in states], np.int64
        ),
        interrupted=interrupted,
    )
