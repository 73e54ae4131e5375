"""The optimisation of an objective: in machine code where its estimator is a pure function of standard noise,
with torch otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ppl.compiler.engines.torch_engine import key
from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import plate_stack
from ppl.compiler.passes.fold import fold
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.passes.vectorise import vectorise
from ppl.compiler.tracer import working_dtype
from ppl.errors import MethodError
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.groups import Groups
from ppl.inference.vi.method import VI
from ppl.inference.vi.streamed import Streamed

Tensors = dict[str, torch.Tensor]
Show = Callable[[int, float, float], None]
"""Called now and then with the step, the objective's estimate there, and the signal-to-noise ratio."""

DECAY = 0.01
"""What an exponential schedule ends at."""


@dataclass
class Fitted:
    """What training leaves.

    Attributes:
        u: the params' unconstrained coordinates, averaged if asked for.
        values: the objective's estimate at each step.
        engine: what ran the steps, and why.
        state: to go on from.
    """

    u: Tensors
    values: np.ndarray
    engine: str
    why: str
    interrupted: bool = False
    state: dict[str, np.ndarray] = field(default_factory=dict)


def factor(schedule: str, step: int, steps: int) -> float:
    """What the learning rate is multiplied by at a step (from 0)."""
    done = step / max(1, steps)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return DECAY**done if schedule == "exponential" else 1.0


def train(
    compiled: CompiledObjective | Groups,
    how: VI,
    seed: int,
    engine: str,
    resume: Mapping[str, Any] | None,
    show: Show,
) -> Fitted:
    """Move the params from their start, or from where a checkpoint left them."""
    reason = _not_native(compiled, how, engine)
    if reason is None and isinstance(compiled, CompiledObjective):
        made = _native_objective(compiled)
        if not isinstance(made, str):
            return _by_machine_code(compiled, made, how, seed, resume, show)
        reason = made
    reason = reason or "torch runs it"
    if engine == "native":
        raise MethodError(
            f"the optimisation of {compiled.bound.name} can't run in machine code: {reason}",
            expected="estimators that are functions of standard noise, and one of our optimisers",
            found=reason,
            edit='engine="torch"',
        )
    return _by_torch(compiled, how, seed, resume, show, reason)


# ---------------------------------------------------------------- in machine code

_LARGE = 20_000
"""More params than this are left to torch, whose matrix products are faster."""


def _not_native(compiled: CompiledObjective | Groups, how: VI, engine: str) -> str | None:
    if engine == "torch":
        return 'engine="torch" was asked for'
    if isinstance(compiled, Streamed):
        return "the batches come from a loader"
    if callable(how.optimizer):
        return "the optimiser is a Python function"
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
        graph, data = fold(simplify(graph), data)
        physical = vectorise(Graph(graph.inputs, graph.outputs))
    try:
        program = NativeProgram(physical)
        held = [data[n] for n in graph.inputs if n in data]
        return Objective.of_program(program, held, segments)
    except Unsupported as error:
        return str(error)


def _by_machine_code(
    compiled: CompiledObjective | Groups,
    objective: Any,
    how: VI,
    seed: int,
    resume: Mapping[str, Any] | None,
    show: Show,
) -> Fitted:
    from ppl.inference.vi.native import SGD, Adam, Optimisation, Schedule, State, optimise

    places = compiled.coordinates
    begin = (
        State.start(places.flat(places.start(compiled.values())))
        if resume is None
        else State.of_arrays(resume)
    )
    final = DECAY if how.schedule == "exponential" else 0.0
    schedule = (
        Schedule() if how.schedule == "constant" else Schedule(how.schedule, steps=how.steps, final=final)
    )
    rule = SGD(how.learning_rate) if how.optimizer == "sgd" else Adam(how.learning_rate)
    if how.optimizer == "adamw":
        rule = Adam(how.learning_rate, decay=0.01)
    options = Optimisation(
        rule,
        schedule,
        seed,
        maximise=True,
        particles=how.particles,
        clip=how.clip,
        average_from=how.steps - round(how.average * how.steps) if how.average else None,
    )
    run = optimise(
        objective,
        begin,
        how.steps - begin.step,
        options,
        lambda p: show(p.step, p.value, float("nan")),
    )
    state = run.state
    if run.failure is not None:
        good = places.values(places.parted(state.last_finite, compiled.dtype))
        names = [c.name for c in places.parts if any(c.start <= i < c.stop for i in run.failure.places)]
        raise not_finite(compiled, run.failure.step, run.failure.value, names, good, seed)
    u = state.average if how.average else state.u
    return Fitted(
        places.parted(u, compiled.dtype),
        run.values,
        "native",
        "the estimator is a function of standard noise",
        run.interrupted,
        dict(state.arrays()),
    )


# ---------------------------------------------------------------- with torch


def _optimizer(how: VI, tensors: list[Any]) -> torch.optim.Optimizer:
    if callable(how.optimizer):
        return how.optimizer(tensors)  # type: ignore[no-any-return]
    known = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    return known[how.optimizer](tensors, lr=how.learning_rate)


def _by_torch(
    compiled: CompiledObjective | Groups,
    how: VI,
    seed: int,
    resume: Mapping[str, Any] | None,
    show: Show,
    why: str,
) -> Fitted:
    places = compiled.coordinates
    u = {n: v.clone() for n, v in places.start(compiled.values()).items()}
    tensors = [torch.nn.Parameter(v) for v in u.values()]
    rule = _optimizer(how, tensors)
    rates = [group["lr"] for group in rule.param_groups]
    states: Tensors = {}
    begin, average = 0, [torch.zeros_like(t) for t in tensors]
    if resume is not None:
        begin = _restore(resume, tensors, rule, states, average)
    first = how.steps - round(how.average * how.steps)
    values = np.full(how.steps - begin, np.nan)
    interrupted = False
    step = begin
    try:
        for step in range(begin, how.steps):
            now = dict(zip(u, (t.data for t in tensors), strict=True))
            value, grads, states = _estimates(compiled, now, how.particles, seed, step, states)
            bad = [n for n, g in grads.items() if not bool(torch.isfinite(g).all())]
            if bad or not math.isfinite(value):
                raise not_finite(compiled, step, value, bad, places.values(now), seed)
            for t, name in zip(tensors, u, strict=True):
                t.grad = -grads[name] if name in grads else None
            if how.clip is not None:
                torch.nn.utils.clip_grad_norm_(tensors, how.clip)
            for group, rate in zip(rule.param_groups, rates, strict=True):
                group["lr"] = rate * factor(how.schedule, step, how.steps)
            rule.step()
            values[step - begin] = value
            if how.average and step >= first:
                for mean, t in zip(average, tensors, strict=True):
                    mean += (t.data - mean) / (step - first + 1)
            show(step + 1, value, float("nan"))
    except KeyboardInterrupt:
        interrupted = True
    else:
        step += 1
    done = how.average and step > first
    best = average if done else [t.data for t in tensors]
    return Fitted(
        dict(zip(u, best, strict=True)),
        values[: step - begin],
        "torch",
        why,
        interrupted,
        _kept(step, tensors, rule, states, average),
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
    step: int, tensors: Sequence[torch.Tensor], rule: Any, states: Tensors, average: Sequence[torch.Tensor]
) -> dict[str, np.ndarray]:
    kept = {"step": np.array(step)}
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
) -> int:
    for i, t in enumerate(tensors):
        t.data.copy_(torch.as_tensor(kept[f"u.{i}"]))
        average[i].copy_(torch.as_tensor(kept[f"average.{i}"]))
        found = {n.split(".", 2)[2]: v for n, v in kept.items() if n.startswith(f"rule.{i}.")}
        rule.state[t] = {k: torch.as_tensor(np.array(v)) for k, v in found.items()}
    states |= {n[6:]: torch.as_tensor(np.array(v)) for n, v in kept.items() if n.startswith("state.")}
    return int(kept["step"])


# ---------------------------------------------------------------- when numbers stop being numbers


class Diverged(MethodError):
    """An estimate was not finite. `params` holds the last params at which everything was."""

    params: Tensors


def not_finite(
    compiled: CompiledObjective | Groups, step: int, value: float, params: list[str], good: Tensors, seed: int
) -> Diverged:
    """The error for an estimate that is not finite: it names the first site whose density is not."""
    site, mark = _first_bad(compiled, good, seed)
    what = f"the objective is {value}" if not math.isfinite(value) else "the objective is finite"
    where = f"; the gradient of {', '.join(params)} is not finite" if params else ""
    error = Diverged(
        f"step {step} of the optimisation gave no number: {what}{where}",
        site=site,
        where=mark,
        expected="finite estimates at every step",
        found=f"the log density of '{site}' is not finite there"
        if site
        else "no density that is not finite: the gradient overflowed",
        edit="a smaller learning_rate=, clip=10.0, or a start nearer to the posterior (the guide's init=)",
    )
    error.params = good
    return error


def _all_elements(node: Node) -> Node:
    for plate in reversed(node.plates):
        node = plate_stack(node, plate)
    return node


def _first_bad(compiled: CompiledObjective | Groups, values: Tensors, seed: int) -> tuple[str | None, Any]:
    """The first site, in program order, whose log density at draws from here is not finite."""
    nodes = compiled.objective.densities
    if not nodes:
        return None, None
    found = compiled.sampled(values, seed, 1000, [_all_elements(n.nodes[0]) for n in nodes])
    for node, numbers in zip(nodes, found, strict=True):
        if not bool(torch.isfinite(numbers).all()):
            return node.attr("site").name, node.mark
    return None, None
