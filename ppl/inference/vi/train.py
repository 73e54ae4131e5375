"""The optimisation of an objective: in machine code where its estimator is a pure function of standard noise,
with torch otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ppl.compiler.engines.torch_engine import key
from ppl.compiler.graph import Graph
from ppl.compiler.passes.contract import contract
from ppl.compiler.passes.fold import fold
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.tracer import working_dtype
from ppl.errors import MethodError
from ppl.inference.mcmc.checkpoint import Flat, check_same
from ppl.inference.vi.checkpoint import state_of
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.divergence import not_finite
from ppl.inference.vi.groups import Groups
from ppl.inference.vi.method import VI
from ppl.inference.vi.moments import Moments
from ppl.inference.vi.schedule import DECAY, Plan, Planned
from ppl.inference.vi.stages import Stages, contrasts
from ppl.inference.vi.streamed import Streamed
from ppl.inference.vi.watch import WINDOW, Watch

Tensors = dict[str, torch.Tensor]

RATE, FLOW_RATE = 0.02, 0.002
"""Learning rates where none is given: of most guides, and of flows."""


@dataclass
class Fitted:
    """What training leaves.

    Attributes:
        u: the params' unconstrained coordinates, averaged if asked for.
        values: the objective's estimate at each step.
        norms: the norms of their gradients, before clipping.
        engine: what ran the steps, and why.
        signal_to_noise: of the last gradients.
        ended: why the run was over before its last step, if it was.
        state: to go on from.
    """

    u: Tensors
    values: np.ndarray
    norms: np.ndarray
    engine: str
    why: str
    interrupted: bool = False
    signal_to_noise: float = float("nan")
    ended: str | None = None
    state: Flat = field(default_factory=dict)


def learning_rate(how: VI, params: Iterable[str]) -> float:
    """The learning rate that was asked for, or that suits these params."""
    if how.learning_rate is not None:
        return how.learning_rate
    return FLOW_RATE if any(name.startswith("flow.") for name in params) else RATE


def train(
    compiled: CompiledObjective | Groups,
    how: VI,
    seed: int,
    engine: str,
    resume: Flat | None,
    watch: Watch,
) -> Fitted:
    """Move the params from their start, or from where a checkpoint left them."""
    how = replace(how, learning_rate=learning_rate(how, compiled.params))
    plan: Plan = Planned(how)
    if how.stop is not None:
        plan = Stages(how.stop, compiled.coordinates.dim, contrasts(compiled, seed))
    reason = _not_native(compiled, how, engine)
    if reason is None and isinstance(compiled, CompiledObjective):
        made = _native_objective(compiled)
        if not isinstance(made, str):
            return _by_machine_code(compiled, made, how, seed, _kept_by("native", resume, plan), watch, plan)
        reason = made
    reason = reason or "torch runs it"
    if engine == "native":
        raise MethodError(
            f"the optimisation of {compiled.bound.name} can't run in machine code: {reason}",
            expected="estimators that are functions of standard noise, and one of our optimisers",
            found=reason,
            edit='engine="torch"',
        )
    return _by_torch(compiled, how, seed, _kept_by("torch", resume, plan), watch, plan, reason)


def _kept_by(engine: str, resume: Flat | None, plan: Plan) -> Flat | None:
    """What a loop goes on from; the plan is restored."""
    if resume is None:
        return None
    check_same(resume, {"settings.engine": engine})
    state = state_of(resume)
    plan.restore(state)
    return state


# ---------------------------------------------------------------- in machine code

_LARGE = 20_000
"""More params than this are left to torch, whose matrix products are faster."""


def _not_native(compiled: CompiledObjective | Groups, how: VI, engine: str) -> str | None:
    if engine == "torch":
        return 'engine="torch" was asked for'
    if isinstance(compiled, Streamed):
        return "the batches come from a loader"
    if callable(how.optimizer):
        return getattr(how.optimizer, "reason", "the optimiser is a Python function")
    if compiled.objective.states or compiled.device != "cpu" or compiled.dtype != torch.float64:
        return "states, other devices and float32 are torch's"
    if engine == "auto" and compiled.coordinates.dim > _LARGE:
        return f"{compiled.coordinates.dim} params are many: matrix products weigh more than calls"
    return None


def _native_objective(compiled: CompiledObjective) -> Any:
    """The estimator in machine code, with its noise; or why not."""
    from ppl.compiler.engines.native import NativeProgram, Unsupported
    from ppl.inference.vi.native import Objective
    from ppl.inference.vi.native.counted import counted

    found = counted(compiled.flat, compiled.objective.recorded.subsamples)
    if isinstance(found, str):
        return found
    graph, segments = found
    data = compiled.objective.recorded.data
    with working_dtype(compiled.dtype):
        graph = contract(simplify(graph))
        physical = fold(Graph(graph.inputs, graph.outputs), data).vectorised()
    try:
        program = NativeProgram(physical.graph)
        held = list(physical.data(data).values())
        return Objective.of_program(program, held, segments)
    except Unsupported as error:
        return str(error)


def _by_machine_code(
    compiled: CompiledObjective | Groups,
    objective: Any,
    how: VI,
    seed: int,
    resume: Flat | None,
    watch: Watch,
    plan: Plan,
) -> Fitted:
    from ppl.inference.vi.native import OptimisationProgress, State, optimise

    places = compiled.coordinates
    start = State.start(places.flat(places.start(compiled.values())))
    state = start if resume is None else State.of_arrays(resume)
    values: list[np.ndarray] = []
    norms: list[np.ndarray] = []

    def after(p: OptimisationProgress) -> bool:
        changed = plan.asked_every > 0 and p.step % plan.asked_every == 0 and plan.ask(p.step, p.u, p.average)
        watch(
            "native",
            p.step,
            p.values,
            np.sqrt(p.norms[-WINDOW:]),
            lambda: p.state().signal_to_noise,
            lambda: {**p.state().arrays(), **plan.state()},
        )
        return changed

    while True:
        steps = 0 if plan.ended else how.steps - state.step
        options = _options(how, seed, plan, state.step)
        run = optimise(objective, state, steps, options, after, every=plan.asked_every)
        values.append(run.values)
        norms.append(run.norms)
        state = run.state
        if run.failure is not None or run.interrupted or plan.ended or state.step >= how.steps:
            break
    if run.failure is not None:
        good = places.values(places.parted(state.last_finite, compiled.dtype))
        names = [c.name for c in places.parts if any(c.start <= i < c.stop for i in run.failure.places)]
        raise not_finite(compiled, run.failure.step, run.failure.value, names, good, seed)
    return Fitted(
        places.parted(plan.result(state.u, state.average), compiled.dtype),
        np.concatenate(values),
        np.sqrt(np.concatenate(norms)),
        "native",
        "the estimator is a function of standard noise",
        run.interrupted,
        state.signal_to_noise,
        plan.ended,
        {**state.arrays(), **plan.state()},
    )


def _options(how: VI, seed: int, plan: Plan, step: int) -> Any:
    """The options of the machine-code loop from a step on."""
    from ppl.inference.vi.native import SGD, Adam, Optimisation, Schedule

    if not isinstance(plan, Planned):
        schedule = Schedule("table", factors=(plan.factor(step),))
    elif how.schedule == "constant":
        schedule = Schedule()
    else:
        schedule = Schedule(how.schedule, how.steps, DECAY if how.schedule == "exponential" else 0.0)
    decay = 0.01 if how.optimizer == "adamw" else 0.0
    rate = learning_rate(how, ())
    return Optimisation(
        SGD(rate) if how.optimizer == "sgd" else Adam(rate, decay=decay),
        schedule,
        seed,
        maximise=True,
        particles=how.particles,
        clip=how.clip,
        average_from=plan.average_from,
    )


# ---------------------------------------------------------------- with torch


def optimizer_of(how: VI, tensors: list[Any]) -> Any:
    """A torch optimiser, or one like it."""
    if callable(how.optimizer):
        return how.optimizer(tensors)
    known = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    return known[str(how.optimizer)](tensors, lr=learning_rate(how, ()))


def _by_torch(
    compiled: CompiledObjective | Groups,
    how: VI,
    seed: int,
    resume: Flat | None,
    watch: Watch,
    plan: Plan,
    why: str,
) -> Fitted:
    places = compiled.coordinates
    u = {n: v.clone() for n, v in places.start(compiled.values()).items()}
    tensors = [torch.nn.Parameter(v) for v in u.values()]
    rule = optimizer_of(how, tensors)
    rates = [group["lr"] for group in rule.param_groups]
    states: Tensors = {}
    begin, average, moments = 0, [torch.zeros_like(t) for t in tensors], Moments()
    if resume is not None:
        begin = _restore(resume, tensors, rule, states, average, moments)
    values, norms = np.full(how.steps - begin, np.nan), np.full(how.steps - begin, np.nan)
    interrupted = False

    def flat(values: Sequence[torch.Tensor]) -> np.ndarray:
        return places.flat(dict(zip(u, values, strict=True)))

    def state() -> Flat:
        return _kept(step, tensors, rule, states, average, moments) | plan.state()

    step = begin
    try:
        while step < how.steps and not plan.ended:
            now = dict(zip(u, (t.data for t in tensors), strict=True))
            value, grads, states = _estimates(compiled, now, how.particles, seed, step, states)
            gradient = torch.cat([g.reshape(-1) for g in grads.values()])
            norm = float(torch.linalg.vector_norm(gradient))
            if not (math.isfinite(value) and math.isfinite(norm)):
                bad = [n for n, g in grads.items() if not bool(torch.isfinite(g).all())]
                raise not_finite(compiled, step, value, bad, places.values(now), seed)
            moments.learn(gradient, step)
            for t, name in zip(tensors, u, strict=True):
                t.grad = -grads[name] if name in grads else None
            if how.clip is not None:
                torch.nn.utils.clip_grad_norm_(tensors, how.clip)
            for group, rate in zip(rule.param_groups, rates, strict=True):
                group["lr"] = rate * plan.factor(step)
            rule.step()
            values[step - begin], norms[step - begin] = value, norm
            if plan.average_from is not None and step >= plan.average_from:
                for mean, t in zip(average, tensors, strict=True):
                    mean += (t.data - mean) / (step - plan.average_from + 1)
            step += 1
            if plan.asked_every and step % plan.asked_every == 0:
                plan.ask(step, flat(tensors), flat(average))
            last = slice(max(0, step - begin - WINDOW), step - begin)
            watch("torch", step, values[last], norms[last], moments.signal_to_noise, state)
    except KeyboardInterrupt:
        interrupted = True
    averaged = plan.average_from is not None and step > plan.average_from
    found = plan.result(flat(tensors), flat(average if averaged else tensors))
    return Fitted(
        places.parted(found, compiled.dtype),
        values[: step - begin],
        norms[: step - begin],
        "torch",
        why,
        interrupted,
        moments.signal_to_noise(),
        plan.ended,
        state(),
    )


_TOGETHER = 1_000_000
"""Estimates are made at once where their gradients have fewer numbers than this."""


def _estimates(
    compiled: CompiledObjective | Groups, u: Tensors, particles: int, seed: int, step: int, states: Tensors
) -> tuple[float, Tensors, Tensors]:
    """The mean of some estimates at a step."""
    together = isinstance(compiled, CompiledObjective) and not compiled.states
    if particles > 1 and together and particles * compiled.coordinates.dim < _TOGETHER:
        assert isinstance(compiled, CompiledObjective)
        values, found, _ = compiled.run(u, key(seed, "step", step), particles)
        return float(values.mean()), {n: g.mean(0) for n, g in found.items()}, {}
    total = 0.0
    sums: Tensors = {}
    for k in range(particles):
        value, grads, states = compiled.run(u, key(seed, "step", step, k), states=states)
        total += float(value) / particles
        for name, g in grads.items():
            sums[name] = sums[name] + g / particles if k else g / particles
    return total, sums, states


def _kept(
    step: int,
    tensors: Sequence[torch.Tensor],
    rule: Any,
    states: Tensors,
    average: Sequence[torch.Tensor],
    moments: Moments,
) -> Flat:
    kept: Flat = {"step": step, **moments.arrays()}
    for i, (t, mean) in enumerate(zip(tensors, average, strict=True)):
        kept[f"u.{i}"], kept[f"average.{i}"] = t.detach().numpy(), mean.numpy()
        for k, v in rule.state.get(t, {}).items():
            if v is not None:
                kept[f"rule.{i}.{k}"] = v.numpy() if isinstance(v, torch.Tensor) else np.array(v)
    return kept | {f"state.{name}": v.numpy() for name, v in states.items()}


def _restore(
    kept: Mapping[str, Any],
    tensors: Sequence[torch.Tensor],
    rule: Any,
    states: Tensors,
    average: Sequence[torch.Tensor],
    moments: Moments,
) -> int:
    moments.restore(kept)
    for i, t in enumerate(tensors):
        t.data.copy_(torch.as_tensor(kept[f"u.{i}"]))
        average[i].copy_(torch.as_tensor(kept[f"average.{i}"]))
        found = {n.split(".", 2)[2]: v for n, v in kept.items() if n.startswith(f"rule.{i}.")}
        rule.state[t] = {k: torch.as_tensor(np.array(v)) for k, v in found.items()}
    states |= {n[6:]: torch.as_tensor(np.array(v)) for n, v in kept.items() if n.startswith("state.")}
    return int(kept["step"])
