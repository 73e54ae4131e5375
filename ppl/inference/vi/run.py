"""`infer(…, method="vi")`: guide, training, draws, diagnostics, posterior."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ppl.compiler.engines.torch_engine import key
from ppl.distributions import family_of
from ppl.errors import MethodError, PplError, closest
from ppl.inference.posterior import ModelPredictor, assemble, check_report, dims_of, fixed_values
from ppl.inference.run import Run
from ppl.inference.vi import guides
from ppl.inference.vi.checkpoint import Keeper, read
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.groups import Groups
from ppl.inference.vi.method import VI
from ppl.inference.vi.minibatch import left_out
from ppl.inference.vi.natural import Natural, NaturalGradient, blocks_of
from ppl.inference.vi.streamed import Stream, Streamed
from ppl.inference.vi.streamed_posterior import posterior_of
from ppl.inference.vi.train import Fitted, optimizer_of, train
from ppl.inference.vi.watch import Trend, Watch
from ppl.language.agreement import auxiliary
from ppl.language.compiled import Compiled
from ppl.language.gfi import log_density, simulate
from ppl.language.marginals import Law
from ppl.language.program import Bound, Program, as_bound
from ppl.language.record import record
from ppl.results import Posterior
from ppl.results.progress import Progress, working
from ppl.results.psis import smooth

AUTOMATIC = (
    "mean_field",
    "full_rank",
    "low_rank",
    "delta",
    "structured",
    "flow",
    "mixture",
    "laplace",
    "pathfinder",
)

GOOD_KHAT = 0.7
"""Above it, importance weights have no variance to speak of (Yao et al. 2018; Vehtari et al. 2024)."""


def run_vi(run: Run, method: VI) -> Posterior:
    """Fit a guide to a program's posterior, and draw from it."""
    started = perf_counter()
    _require_options(run, method)
    with working(f"recording and compiling {run.bound.name}", run.progress):
        guide, compiled = _prepared(run, method) if run.stream is None else _streamed(run, method)
        method = _with_natural_gradients(method, guide, compiled)
        if not compiled.params and method.guide not in ("laplace", "pathfinder"):
            raise MethodError(
                f"nothing to optimise: neither {guide.name} nor {run.bound.name} has params",
                expected="ppl.param(…) in the guide",
                found="no params",
                edit='guide="mean_field", or ppl.param("loc", 0.0) in place of a number',
            )
    compile_seconds = perf_counter() - started
    resume = None if run.resume is None else read(run.resume, compiled)
    began = perf_counter()
    keeper = Keeper(run.save_to, compiled)
    with Progress(enabled=run.progress) as show:
        watch = Watch(lambda trend: show([trend.line(compiled.bound.name, method.steps)]), keeper)
        fitted = (
            train(compiled, method, run.seed, run.engine, resume, watch)
            if compiled.params
            else Fitted({}, np.zeros(0), np.zeros(0), "none", "the guide has no params")
        )
        if len(fitted.values):
            step = int(fitted.state["step"])
            last = Trend.of(step, fitted.values, fitted.norms, fitted.signal_to_noise)
            show([last.line(compiled.bound.name, step if fitted.ended else method.steps)])
    keeper.keep(fitted.engine, fitted.state)
    facts = {
        "method": "vi",
        "model": run.bound.name,
        "guide": guide.name,
        "objective": compiled.bound.name,
        "seed": run.seed,
        "engine": fitted.engine,
        "engine_reason": fitted.why,
        "steps": len(fitted.values),
        "signal_to_noise": fitted.signal_to_noise,
        "interrupted": fitted.interrupted,
        **_ending(method, fitted),
        "compile_seconds": compile_seconds,
        "run_seconds": perf_counter() - began,
    }
    posterior = _posterior(run, guide, compiled, fitted, facts)
    _say(run, posterior)
    return posterior


def _ending(method: VI, fitted: Fitted) -> dict[str, Any]:
    """Why a run with a rule for stopping is over."""
    if method.stop is None:
        return {}
    cause = "it was interrupted" if fitted.interrupted else f"all of its {method.steps} steps were made"
    return {"converged": fitted.ended is not None, "stopped_because": fitted.ended or cause}


def _require_options(run: Run, method: VI) -> None:
    if run.stream is None and (method.total_size is not None or method.batch_names is not None):
        raise MethodError(
            "VI: total_size= and batch_names= are for batches of a loader",
            expected="a DataLoader as data",
            found="data by name",
            edit='remove them; ppl.plate("data", N, subsample=B) draws minibatches of data given by name',
        )
    for name, given in (("draws_to", run.draws_to), ("chain_ids", run.chain_ids)):
        if given is not None:
            raise MethodError(
                f"{name}= has no meaning for variational inference",
                expected="the options of ppl.VI, and draws=, seed=, save_to=, resume=",
                found=f"{name}={given!r}",
                edit=f"remove {name}=",
            )


def _require_choices(gradients: Mapping[str, Any], compiled: CompiledObjective | Groups) -> None:
    for name in gradients:
        if name not in compiled.choices:
            near = closest(name, compiled.choices)
            raise MethodError(
                f"VI: gradients= names '{name}', which is no random choice of {compiled.bound.name}",
                expected="some of " + ", ".join(sorted(compiled.choices)),
                found=name,
                edit=f"rename it to '{near[0]}'" if near else f"leave '{name}' out",
            )


def _prepared(run: Run, method: VI) -> tuple[Bound | Law, CompiledObjective | Groups]:
    guide = _guide(run.bound, method)
    return guide, _compiled(run, method, guide)


def _streamed(run: Run, method: VI) -> tuple[Bound | Law, CompiledObjective | Groups]:
    """The guide of the first batch, and the objective of all of them."""
    stream: Stream = run.stream
    if run.save_to is not None or run.resume is not None:
        stream.batches.require_resumable()
    stream.require_guide()
    _require_no_rule(method)
    model, guide = stream.programs(stream.batches.first)
    first = _guide(model, method) if guide is None else guide

    def make(batch: dict[str, torch.Tensor]) -> CompiledObjective | Groups:
        model, guide = stream.programs(batch)
        return _compiled(replace(run, bound=model), method, guide or first, list(batch))

    return first, Streamed(stream.batches, make, method.particles)


def _require_no_rule(method: VI) -> None:
    if method.stop is not None:
        raise MethodError(
            "stop= compares params by the same batches, and a loader gives each once",
            expected="steps= alone, with batches of a loader",
            found=f"stop={method.stop!r}"[:80],
            edit="remove stop=, or give all data, with ppl.plate(…, subsample=)",
        )


def _guide(model: Bound, method: VI) -> Bound | Law:
    given, init = method.guide, method.init
    if init is not None and given not in ("full_rank", "low_rank"):
        raise MethodError(
            f"VI: init={init!r} has no meaning for this guide",
            expected='guide="full_rank" or guide="low_rank"',
            found=f"guide={given if isinstance(given, str) else given.name!r}",
            edit='guide="full_rank", or the start in the guide itself: ppl.guides.mean_field(model, init={…})',
        )
    if not isinstance(given, str):
        return given if isinstance(given, Law) else as_bound(given, "a guide with its arguments")
    if given not in AUTOMATIC:
        near = closest(given, AUTOMATIC) or ["mean_field"]
        raise MethodError(
            f"there is no automatic guide '{given}'",
            expected=", ".join(f'"{g}"' for g in AUTOMATIC) + ", or a bound guide",
            found=repr(given),
            edit=f'guide="{near[0]}"',
        )
    if init is not None:
        return getattr(guides, given)(model, init=init)  # type: ignore[no-any-return]
    if given == "full_rank":
        natural = isinstance(method.optimizer, NaturalGradient)  # which needs no coordinates that suit it
        return guides.full_rank(model, around=None if natural else _laplace(model))
    return getattr(guides, given)(model)  # type: ignore[no-any-return]


def _with_natural_gradients(method: VI, guide: Bound | Law, compiled: CompiledObjective | Groups) -> VI:
    """The method with its optimiser told what the guide is made of."""
    rule = method.optimizer
    if not isinstance(rule, NaturalGradient):
        return method
    others = replace(method, optimizer=rule.others)
    blocks = blocks_of(guide, compiled.dtype)
    return replace(
        method, optimizer=Natural(rule, blocks, compiled.coordinates, partial(optimizer_of, others))
    )


def _laplace(model: Bound) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Mode and spread of the Laplace approximation, where a guide may start; None where there is none."""
    try:
        found = guides.laplace(model).arguments
    except PplError:
        return None
    return found["loc"], found["scale_tril"]


def _compiled(
    run: Run, method: VI, guide: Bound | Law, batch: Collection[str] = ()
) -> CompiledObjective | Groups:
    if not isinstance(method.objective, Mapping):
        objective = _bound(method.objective, method, run.bound, guide)
        compiled: CompiledObjective | Groups = CompiledObjective(
            objective, run.dtype, run.device, free=True, batch=batch, gradients=method.gradients
        )
    else:
        objectives = {name: _bound(o, method, run.bound, guide) for name, o in method.objective.items()}
        programs = {"model": run.bound.program, "guide": guide.program}
        compiled = Groups(objectives, programs, run.dtype, run.device, batch, method.gradients)
    _require_choices(method.gradients, compiled)
    return compiled


def _bound(objective: Any, method: VI, model: Bound, guide: Bound | Law) -> Bound:
    if objective is None:
        return Program(elbo, "objective")(model, guide)
    if not isinstance(objective, Program) or objective.kind != "objective":
        kind = f"a {objective.kind}" if isinstance(objective, Program) else f"a {type(objective).__name__}"
        name = getattr(objective, "name", getattr(objective, "__name__", repr(objective)[:40]))
        raise MethodError(
            f"VI: '{name}' is no objective",
            expected="a function decorated with @ppl.objective, of model and guide",
            found=f"{name}, {kind}",
            edit=f"write @ppl.objective above def {name}(p, q)",
        )
    known = objective.signature.parameters
    return objective(
        model,
        guide,
        **{k: v for k, v in method.arguments.items() if k in known or method.objective is objective},
    )


def elbo(p: Any, q: Any) -> Any:
    """E log p(z, y) − log q(z), the guide's density taken with its params held fixed: E ∇ log q = 0, and without
    that term the gradient has no variance where the guide is the posterior (Roeder, Wu & Duvenaud 2017).
    The estimate of a marginal's density has params of its own (its proposal's) and keeps its gradient.
    """
    z: Any = simulate(q)
    estimated = isinstance(q, Law) and q.by is not None
    return log_density(p, z) - log_density(q if estimated else q.stop_gradient(), z)


# ---------------------------------------------------------------- the posterior


def _posterior(
    run: Run, guide: Bound | Law, compiled: CompiledObjective | Groups, fitted: Fitted, facts: dict[str, Any]
) -> Posterior:
    values = compiled.coordinates.values(fitted.u)
    recorded = record(run.bound, compiled.dtype, whole=True)
    own = {n: replace(p, init=values.get(n, p.init)) for n, p in recorded.params.items()}
    model = Compiled(run.bound, "torch", device=run.device, recorded=replace(recorded, params=own))
    posterior = None
    if run.stream is not None:
        assert isinstance(guide, Bound)
        facts["epochs"] = run.stream.batches.epochs
        posterior, log_w = posterior_of(run, run.stream, guide, model, values, facts)
    else:
        draws, log_w = _drawn(run, guide, compiled, values, [lay.name for lay in model.layouts], facts)
    extra = {
        "params": {n: v.detach().numpy() for n, v in values.items()},
        "losses": -fitted.values,
        "gradient_norms": fitted.norms,
        **_weights(log_w),
    }
    if posterior is not None:
        pass
    elif any(lay.discrete for lay in model.layouts):
        named = fixed_values(model, draws, run.seed)
        kept = {n: v for n, v in named.items() if run.keep is None or n in run.keep}
        posterior = Posterior(kept, dims_of(model), run.coords, attrs=facts, predictor=ModelPredictor(model))
    else:
        check_report(run, model)
        q = model.unconstrain(draws).numpy() if model.dim else np.zeros((run.draws, 0))
        posterior = assemble(run, model, q[None], {}, facts)
    return posterior.replace(**extra)


def _drawn(
    run: Run,
    guide: Bound | Law,
    compiled: CompiledObjective | Groups,
    values: dict[str, torch.Tensor],
    names: list[str],
    facts: dict[str, Any],
) -> tuple[dict[str, torch.Tensor], np.ndarray | None]:
    """Draws of the model's sites from the guide, and the log weights log p − log q; None without densities."""

    def weighted(p: Any, q: Any) -> Any:
        z: Any = simulate(q)
        if not _is_density(z, names):
            raise MethodError(f"the density of {guide.name}'s draws is not known: it has auxiliary variables")
        return [*(z[name] for name in names), log_density(p, z) - log_density(q, z)]

    def plain(p: Any, q: Any) -> Any:
        z: Any = simulate(q)
        return [z[name] for name in names]

    def recorded(function: Any) -> CompiledObjective:
        bound = Program(function, "objective")(run.bound, guide)
        return CompiledObjective(bound, compiled.dtype, run.device, number=False, whole=True)

    elements = math.prod(size for _, size in compiled.objective.recorded.subsamples.values())
    why = left_out(run.draws, elements) if compiled.objective.recorded.subsamples else None
    if why is not None:
        facts["weights"] = why
    try:
        found = recorded(weighted if why is None else plain)
    except PplError:  # a guide that can be drawn from and has no density
        found = recorded(plain)
    given = found.values({n: v for n, v in values.items() if n in found.params})
    outs = found.sampled(given, key(run.seed, "draws"), run.draws, found.objective.recorded.graph.outputs)
    log_w = outs[len(names)].numpy() if len(outs) > len(names) else None
    return dict(zip(names, outs, strict=False)), log_w


def _is_density(z: Any, names: list[str]) -> bool:
    """Whether a guide's log density is that of the model's sites alone: it has no auxiliary variables, or every site
    is placed by them.
    """
    placed = (family_of(z.sites[name].effect.site.spec.cls).atoms for name in names)
    return not any(auxiliary(name) for name in z) or all(placed)


def _weights(log_w: np.ndarray | None) -> dict[str, Any]:
    """log evidence and k-hat (Pareto-smoothed importance sampling) of log weights."""
    if log_w is None or not np.isfinite(log_w).any() or np.ptp(log_w) == 0.0:
        return {}
    top = log_w.max()
    evidence = float(top + np.log(np.mean(np.exp(log_w - top))))
    khat = smooth(log_w)[1] if np.isfinite(log_w).all() and len(log_w) >= 100 else None
    return {"log_weights": log_w[None], "log_evidence": evidence, "khat": khat}


def _say(run: Run, posterior: Posterior) -> None:
    if run.progress and "weights" in posterior.attrs:
        print(f"notice: log weights are {posterior.attrs['weights']}", file=sys.stderr)
    if run.progress and posterior.attrs.get("converged") is False:
        print(
            f"notice: the optimisation has not converged: {posterior.attrs['stopped_because']}. "
            "More steps=, or a smaller learning_rate= where losses jump.",
            file=sys.stderr,
        )
    if run.progress and posterior.khat is not None and posterior.khat > GOOD_KHAT:
        print(
            f"notice: k-hat is {posterior.khat:.2f} (above {GOOD_KHAT}): the guide misses a part of the posterior. "
            'A richer guide (guide="full_rank", "flow"), or method="nuts".',
            file=sys.stderr,
        )
