"""`method="pathfinder"`: several paths, their draws resampled by Pareto-smoothed importance weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from ppl.compiler.engines.torch_engine import key
from ppl.errors import MethodError
from ppl.inference.hamiltonian import explainer, require_latents, rungs
from ppl.inference.mcmc.initialise import find_initial_points
from ppl.inference.options import is_whole, named_options, require
from ppl.inference.pathfinder.path import Approximation, Array, pathfinder
from ppl.inference.posterior import assemble, check_report
from ppl.inference.run import Run
from ppl.language.compiled import Compiled
from ppl.results import Posterior
from ppl.results.progress import working
from ppl.results.psis import smooth


@named_options
@dataclass(frozen=True)
class Pathfinder:
    """Pathfinder: normals along the paths of L-BFGS, the best of each path by its ELBO, and their draws resampled.

    Fast, and right about means and spreads where the posterior is near to normal in unconstrained coordinates;
    `posterior.khat` above 0.7 says that it is not.

    Args:
        paths: how many, each from a start of its own.
        history: steps of L-BFGS that the inverse Hessian is made of.
        steps: of L-BFGS, at most.
        elbo_draws: draws for the estimate of each ELBO.

    Raises:
        MethodError: an option is unknown or out of range.

    Source: Zhang, Carpenter, Gelman & Vehtari, "Pathfinder: parallel quasi-Newton variational inference" (2022).

    >>> Pathfinder(paths=4).history
    6
    """

    paths: int = 8
    history: int = 6
    steps: int = 1000
    elbo_draws: int = 10

    def __post_init__(self) -> None:
        for name, edit in (("paths", "8"), ("history", "6"), ("steps", "1000"), ("elbo_draws", "10")):
            value = getattr(self, name)
            require("Pathfinder", name, value, is_whole(value) and value >= 1, "an int ≥ 1", edit)


class Density:
    """A compiled log density on numpy arrays."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled, self.dim = compiled, compiled.dim

    def one(self, x: Array) -> tuple[float, Array]:
        value, gradient = self.compiled.value_and_grad(torch.from_numpy(np.array(x)))
        return float(value), gradient.cpu().numpy().astype(np.float64)

    def many(self, x: Array) -> Array:
        found = self.compiled.log_density(torch.from_numpy(x)).cpu().numpy().astype(np.float64)
        return np.where(np.isnan(found), -np.inf, found)

    def value_and_grad(self, x: Array) -> tuple[Array, Array]:
        """Some points at once, as samplers ask for them."""
        value, gradient = self.compiled.value_and_grad(torch.from_numpy(x.copy()))
        return value.cpu().numpy().astype(np.float64), gradient.cpu().numpy().astype(np.float64)


def paths(
    compiled: Compiled, method: Pathfinder, seed: int, numbers: Sequence[int]
) -> list[tuple[int, Approximation]]:
    """The approximation of each path of these numbers that has one: path c depends on the seed and c alone."""
    density = Density(compiled)
    starts, _ = find_initial_points(density, rungs(compiled, seed), list(numbers), seed, explainer(compiled))
    found = []
    for c, start in zip(numbers, starts, strict=True):
        rng = np.random.default_rng(key(seed, "path", c))
        made = pathfinder(
            density.one, density.many, start, rng, method.history, method.steps, method.elbo_draws
        )
        if made is not None:
            found.append((c, made))
    return found


def rung(compiled: Compiled, seed: int) -> Callable[[int, int], Array | None]:
    """Starting points for chains: the attempts of chain c are draws of path c's approximation."""
    made: dict[int, Approximation | None] = {}

    def propose(chain: int, attempt: int) -> Array | None:
        if chain not in made:
            found = paths(compiled, Pathfinder(), seed, [chain])
            made[chain] = found[0][1] if found else None
        normal = made[chain]
        return (
            None if normal is None else normal.sample(np.random.default_rng(key(seed, chain, attempt)), 1)[0]
        )

    return propose


def approximation(compiled: Compiled, seed: int = 0, method: Pathfinder | None = None) -> Approximation:
    """The normal with the largest ELBO over several paths."""
    method = method or Pathfinder()
    found = paths(compiled, method, seed, range(method.paths))
    if not found:
        raise _no_path(compiled.bound.name)
    return max((each for _, each in found), key=lambda each: each.elbo)


def run_pathfinder(run: Run, method: Pathfinder) -> Posterior:
    """Approximate a program's posterior by normals along paths, and draw from them."""
    for name, given in (("draws_to", run.draws_to), ("chain_ids", run.chain_ids), ("save_to", run.save_to)):
        if given is not None:
            raise MethodError(
                f"{name}= has no meaning for Pathfinder",
                expected="the options of ppl.Pathfinder, and draws=, seed=",
                found=f"{name}={given!r}",
                edit=f"remove {name}=",
            )
    started = perf_counter()
    with working(f"recording and compiling {run.bound.name}", run.progress):
        compiled = Compiled(run.bound, run.engine, device=run.device, dtype=run.dtype)
        require_latents(compiled, "Pathfinder")
        check_report(run, compiled)
    compile_seconds = perf_counter() - started
    began = perf_counter()
    found = paths(compiled, method, run.seed, range(method.paths))
    if not found:
        raise _no_path(run.bound.name)
    normals = [each for _, each in found]
    rng = np.random.default_rng(key(run.seed, "draws"))
    draws = np.concatenate([each.sample(rng, run.draws) for each in normals])
    log_p = np.concatenate([Density(compiled).many(part) for part in np.split(draws, len(normals))])
    log_w = log_p - _mixture(normals, draws)
    smoothed, khat = _smoothed(log_w)
    chosen = rng.choice(len(draws), run.draws, p=smoothed)
    facts = {
        "method": "pathfinder",
        "model": run.bound.name,
        "seed": run.seed,
        "engine": compiled.engine.name,
        "paths": len(normals),
        "elbo": max(each.elbo for each in normals),
        "compile_seconds": compile_seconds,
        "run_seconds": perf_counter() - began,
    }
    posterior = assemble(run, compiled, draws[chosen][None], {}, facts)
    top = log_w.max()
    evidence = float(top + np.log(np.mean(np.exp(log_w - top))))
    return posterior.replace(log_weights=log_w[chosen][None], log_evidence=evidence, khat=khat)


def _mixture(normals: Sequence[Approximation], x: Array) -> Array:
    """log of the mean of the normals' densities: with it, modes that several paths found count once."""
    each = np.stack([normal.log_density(x) for normal in normals])
    return np.asarray(np.logaddexp.reduce(each, 0) - math.log(len(normals)))


def _smoothed(log_w: Array) -> tuple[Array, float | None]:
    """Pareto-smoothed weights that sum to one, and k-hat."""
    if len(log_w) < 100 or not np.isfinite(log_w).all():
        weights, khat = np.exp(log_w - log_w.max()), None
    else:
        smoothed, khat = smooth(log_w)
        weights = np.exp(smoothed)
    return weights / weights.sum(), khat


def _no_path(name: str) -> MethodError:
    return MethodError(
        f"no path of Pathfinder gives an approximation of '{name}'",
        expected="a density that is curved downwards somewhere on the way to a mode",
        found="none on any path",
        edit='more paths=, or method="nuts"',
    )
