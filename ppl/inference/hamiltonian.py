"""NUTS and HMC for a compiled program: target, starting points, draws, posterior."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch

from ppl.compiler.engines.torch_engine import key
from ppl.errors import MethodError, listed
from ppl.inference.mcmc import LANES, ChainDraws, sample
from ppl.inference.mcmc.initialise import LARGEST_LOGP, find_initial_points
from ppl.inference.posterior import assemble, check_report
from ppl.inference.run import Run
from ppl.inference.streaming import Stream, require_room
from ppl.language.compiled import Compiled
from ppl.language.sampling import Sampler, improper
from ppl.results.diagnostics import notices
from ppl.results.folder import Folder, Memory
from ppl.results.progress import Progress, working


class ModelTarget:
    """A compiled program as the samplers see it: `value_and_grad(q [LANES, D])` in numpy."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.dim = compiled.dim
        self._program = compiled.program("gradient_graph", LANES)
        self._dtype = compiled.recorded.dtype

    def value_and_grad(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            value, grad = self._program(torch.from_numpy(q).to(self.compiled.device, self._dtype))
        return value.cpu().numpy().astype(np.float64, copy=False), grad.cpu().numpy().astype(
            np.float64, copy=False
        )


def _torch(compiled: Compiled) -> tuple[Any, Any]:
    """The target and the sampler on it, LANES chains at a time."""
    target = ModelTarget(compiled)
    return target, partial(sample, target)


def _native(compiled: Compiled, chains: int) -> tuple[Any, Any]:
    """The target and the sampler on it, in machine code, a thread for each chain."""
    from ppl.inference.mcmc.native import DensityTarget, sample_native
    from ppl.inference.mcmc.native.runner import compiled_core

    compiled_core()
    program, data = compiled.native()
    code, first = program.environment(data)
    threads = min(chains, os.cpu_count() or 1)
    environments = [first, *(first.copy() for _ in range(threads - 1))]
    target = DensityTarget(code.address, first.words, compiled.dim)

    def run(*args: Any, **options: Any) -> ChainDraws:
        words = [e.words for e in environments]  # the environments live as long as this function
        return sample_native(code.address, words, compiled.dim, *args, **options)

    return target, run


def run_hamiltonian(run: Run, method: Any) -> Any:
    """Sample a program's posterior with NUTS or HMC."""
    started = perf_counter()
    with working(f"recording and compiling {run.bound.name}", run.progress):
        compiled = Compiled(run.bound, run.engine, device=run.device, dtype=run.dtype)
        require_latents(compiled, type(method).__name__)
        check_report(run, compiled)
        chain_ids = list(range(run.chains)) if run.chain_ids is None else list(run.chain_ids)
        place = Memory() if run.draws_to is None else Folder(run.draws_to)
        require_room(run, compiled, len(chain_ids), place)
        target, sampler = _native(compiled, len(chain_ids)) if compiled.engine.pointwise else _torch(compiled)
    compile_seconds = perf_counter() - started
    points, origins = None, ["resumed"] * len(chain_ids)
    if run.resume is None:
        points, origins = find_initial_points(
            target, _starts(compiled, run.seed, method.init), chain_ids, run.seed, explainer(compiled)
        )
    began = perf_counter()
    with Progress(enabled=run.progress) as show:
        stream = Stream(run, compiled.dim, len(chain_ids), place, show)
        try:
            draws = sampler(
                points,
                method,
                run.draws,
                run.warmup,
                run.seed,
                chain_ids,
                checkpoint=run.save_to,
                resume_from=run.resume,
                keep_warmup=run.keep_warmup,
                thin=run.thin,
                **stream.options,
            )
        except Exception:
            if not stream.drawn:
                place.discard()
            raise
    seconds = {"compile_seconds": compile_seconds, "run_seconds": perf_counter() - began}
    facts = _facts(run, method, compiled, draws, origins) | seconds
    posterior = assemble(run, compiled, draws.q, draws.stats, facts, draws, place)
    _say(run, posterior)
    return posterior


def require_latents(compiled: Compiled, method: str) -> None:
    compiled._require_no_params()
    if compiled.recorded.subsamples:
        name, (drawn, size) = next(iter(compiled.recorded.subsamples.items()))
        raise MethodError(
            f"plate '{name}' is subsampled: {method} needs the whole log density at every step",
            expected="plates without subsample=",
            found=f"subsample={drawn}",
            edit=f'ppl.plate("{name}", {size}), which uses all elements, or method=ppl.VI()',
        )
    if compiled.dim == 0:
        observed = listed(compiled.recorded.observed) or "none"
        raise MethodError(
            f"{method} has nothing to sample: '{compiled.bound.name}' has no continuous latent site",
            expected="at least one ppl.sample(…) that is neither observed nor fixed",
            found=f"latent sites: none; observed sites: {observed}",
            edit="leave the site you want to infer out of the data; to draw from the program use ppl.simulate",
        )


# ---------------------------------------------------------------- starting points


def _starts(compiled: Compiled, seed: int, init: str) -> list[Any]:
    """The ladder, with draws of Pathfinder's approximations before it where they are asked for."""
    if init == "prior":
        return rungs(compiled, seed)
    from ppl.inference.pathfinder.method import rung

    return [("pathfinder", rung(compiled, seed)), *rungs(compiled, seed)]


def rungs(compiled: Compiled, seed: int) -> list[Any]:
    """What to start from: prior median (with a little noise, so that chains differ), then prior draws. Improper sites start
    uniform(−2, 2).
    """
    free = improper(compiled.recorded)
    sampler = Sampler(compiled.recorded, compiled.batch_engine, compiled.device, free=free, observed=False)

    def unconstrained_draws(n: int, *where: object) -> np.ndarray | None:
        given = {}
        for lay in sampler.free:
            rng = np.random.default_rng(key(seed, "free", lay.name, *where))
            given[lay.name] = rng.uniform(-2, 2, (n, *lay.unconstrained))
        try:
            values = sampler(key(seed, *where), n, given)
            return compiled.unconstrain(values).cpu().numpy().astype(np.float64)
        except (RuntimeError, ValueError, NotImplementedError):
            return None

    if any(lay.optional for lay in compiled.layouts):
        return []
    many = unconstrained_draws(64, "median")
    found: list[Any] = []
    if many is not None:
        with np.errstate(all="ignore"):
            centre = np.nanmedian(many, axis=0)
            spread = np.minimum(np.nanquantile(many, 0.75, axis=0) - np.nanquantile(many, 0.25, axis=0), 2.0)
        if np.isfinite(centre).all():

            def near_median(chain: int, attempt: int) -> np.ndarray:
                noise = np.random.default_rng(key(seed, "near median", chain, attempt)).uniform(
                    -1, 1, compiled.dim
                )
                return centre + noise * np.nan_to_num(spread) * 0.5**attempt

            found.append(("prior median", near_median))

        def draw(chain: int, attempt: int) -> np.ndarray | None:
            one = unconstrained_draws(1, "prior", chain, attempt)
            return None if one is None else one[0]

        found.append(("prior draw", draw))
    return found


def explainer(compiled: Compiled) -> Any:
    """Rows (site, value, log density, cause) for the table of a failed initialisation."""

    def rows(q: np.ndarray) -> Iterable[tuple[str, str, str, str]]:
        x = torch.as_tensor(q)
        values = compiled.constrain(x)
        densities = dict(zip(compiled.sites_graph.names, compiled._call("sites_graph", x), strict=True))
        table = []
        nans = _nan_arguments(compiled)
        for name, density in densities.items():
            value = values.get(name, compiled.recorded.observed.get(name))
            table.append(
                (name, _short(value), f"{float(density.sum()):.4g}", _cause(name, density, value, nans))
            )
        return table

    return rows


def _nan_arguments(compiled: Compiled) -> str:
    """The data inputs that hold nan, in words: "x has nan at [1]"."""
    found = []
    for node, data in compiled.recorded.data.items():
        if data.is_floating_point() and bool(torch.isnan(data).any()):
            found.append(f"{node.attr('name')} has nan at {torch.isnan(data).nonzero()[0].tolist()}")
    return ", ".join(found)


def _cause(name: str, density: torch.Tensor, value: torch.Tensor | None, nans: str) -> str:
    total = float(density.sum())
    if np.isfinite(total):
        return "ok" if abs(total) < LARGEST_LOGP else "too far from zero to be told apart from its neighbours"
    bad = torch.nonzero(~torch.isfinite(density.reshape(-1)))[:3].reshape(-1).tolist()
    place = f" (elements {bad})" if density.numel() > 1 else ""
    if value is not None and not bool(torch.isfinite(value).all()):
        return "value is not finite" + place
    if not np.isnan(total):
        return "value has probability zero here" + place
    return f"density is nan: {nans or 'a parameter is nan or outside its domain'}" + place


def _short(value: torch.Tensor | None) -> str:
    if value is None:
        return ""
    if value.numel() == 1:
        return f"{float(value):.4g}"
    flat = value.reshape(-1).to(torch.float64)
    return f"{list(value.shape)} in [{float(flat.min()):.3g}, {float(flat.max()):.3g}]"


# ---------------------------------------------------------------- reporting


def _facts(
    run: Run, method: Any, compiled: Compiled, draws: ChainDraws, origins: list[str]
) -> dict[str, Any]:
    return {
        "method": type(method).__name__.lower(),
        "model": run.bound.name,
        "seed": run.seed,
        "engine": compiled.engine.name,
        "warmup": run.warmup,
        **{k: v for k, v in asdict(method).items() if v is not None},
        "init_rung": ", ".join(dict.fromkeys(origins)),
        "step_sizes": draws.step_sizes.tolist(),
        "warmup_seconds": float(draws.warmup_seconds.max(initial=0.0)),
        "sampling_seconds": float(draws.sampling_seconds.max(initial=0.0)),
        "gradient_evaluations": int(draws.gradient_evaluations.sum()),
        "interrupted": draws.interrupted,
    }


def _say(run: Run, posterior: Any) -> None:
    if run.progress:
        for line in notices(posterior):
            print(line, file=sys.stderr)
