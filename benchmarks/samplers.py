"""One run of NUTS by one system, in a process of its own: what `nuts_cpu.py` starts.

    python benchmarks/samplers.py SYSTEM MODEL OUT --chains C --draws N --warmup W --seed S --started T

Writes the draws to OUT.npz, arrays [chain, draw, …] by name, and the times and counts to OUT.json. Nothing
but the system itself and its libraries is imported.

Times in seconds, of the wall clock:
    import      importing the system
    total       from the start of the process (T, seconds since the epoch) to the draws as numpy arrays
    sampling    warm-up and draws, with everything compiled; see each function for how it is told apart
    compile     building the model and compiling it; see there too
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from harness import Clock
from models import MODELS

Draws = dict[str, np.ndarray[Any, np.dtype[np.float64]]]


@dataclass(frozen=True)
class Settings:
    chains: int
    draws: int
    warmup: int
    seed: int
    started: float


@dataclass(frozen=True)
class Result:
    """Times in seconds. `gradients`: of all chains, warm-up included; None where the system doesn't tell."""

    import_seconds: float
    compile_seconds: float
    sampling_seconds: float
    total_seconds: float
    gradients: int | None
    divergences: int
    version: str


def run_ppl(name: str, settings: Settings, clock: Clock) -> tuple[Result, Draws]:
    """Sampling is `attrs["run_seconds"]`; where there is none, the same run a second time less its
    compilation.

    Compilation is what the first run took beyond that, so that it holds the search for a first point.
    """

    def load() -> Any:
        import torch

        import ppl

        torch.set_num_threads(1)
        return ppl

    import_seconds, ppl = clock.seconds(load)
    model = MODELS[name]
    data = model.data()
    counts = {"chains": settings.chains, "draws": settings.draws, "warmup": settings.warmup}

    def infer() -> Any:
        return ppl.infer(model.module.ppl_model(data), seed=settings.seed, progress=False, **counts)

    first, posterior = clock.seconds(infer)
    draws = {q: np.asarray(posterior.draws[q]) for q in model.module.QUANTITIES}
    total = clock.total()
    sampling = posterior.attrs.get("run_seconds")
    if sampling is None:
        second, again = clock.seconds(infer)
        sampling = second - again.attrs["compile_seconds"]
    result = Result(
        import_seconds,
        max(0.0, first - sampling),
        sampling,
        total,
        int(posterior.attrs["gradient_evaluations"]),
        int(np.sum(posterior.sample_stats["diverging"])),
        f"{ppl.__version__}, {posterior.attrs['engine']}",
    )
    return result, draws


def covered(intervals: list[tuple[float, float]]) -> float:
    """The length of the union of intervals: one event may lie within another."""
    total, reached = 0.0, -np.inf
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def run_numpyro(name: str, settings: Settings, clock: Clock) -> tuple[Result, Draws]:
    """A chain for each virtual device, float64. What JAX reports as tracing and compiling is not sampling.

    (A second run would compile again, and can't tell.) NumPyro counts the leapfrog steps of warm-up only
    where warm-up is asked for by itself: a second run, of the same warm-up, not timed.
    """

    def load() -> Any:
        import jax
        import numpyro
        from numpyro.infer import MCMC, NUTS

        numpyro.set_host_device_count(settings.chains)
        numpyro.enable_x64()
        return jax, numpyro, MCMC, NUTS

    import_seconds, (jax, numpyro, MCMC, NUTS) = clock.seconds(load)
    model = MODELS[name]
    data = model.data()
    key = jax.random.PRNGKey(settings.seed)
    compiling: list[tuple[float, float]] = []

    def listen(event: str, seconds: float, **_: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            now = time.perf_counter()
            compiling.append((now - seconds, now))

    jax.monitoring.register_event_duration_secs_listener(listen)

    def sampler() -> Any:
        counts = {"num_warmup": settings.warmup, "num_samples": settings.draws, "num_chains": settings.chains}
        kernel = NUTS(model.module.numpyro_model(data))
        return MCMC(kernel, chain_method="parallel", progress_bar=False, **counts)

    mcmc = sampler()

    def run() -> Any:
        mcmc.run(key, extra_fields=("num_steps", "diverging"))
        return jax.block_until_ready(mcmc.get_samples(group_by_chain=True))

    running, samples = clock.seconds(run)
    sampling = running - covered(compiling)
    draws = {q: np.asarray(samples[q]) for q in model.module.QUANTITIES}
    total = clock.total()
    fields = mcmc.get_extra_fields()
    warming = sampler()
    warming.warmup(key, collect_warmup=True, extra_fields=("num_steps",))
    steps = int(fields["num_steps"].sum()) + int(warming.get_extra_fields()["num_steps"].sum())
    result = Result(
        import_seconds,
        running - sampling,
        sampling,
        total,
        steps,
        int(fields["diverging"].sum()),
        f"{numpyro.__version__}, jax {jax.__version__}",
    )
    return result, draws


def run_nutpie(name: str, settings: Settings, clock: Clock) -> tuple[Result, Draws]:
    """PyMC's model, numba's density, nutpie's sampler; compilation is a call of its own."""

    def load() -> Any:
        import nutpie
        import pymc

        return nutpie, pymc

    import_seconds, (nutpie, pymc) = clock.seconds(load)
    model = MODELS[name]
    data = model.data()
    compiling, compiled = clock.seconds(lambda: nutpie.compile_pymc_model(model.module.pymc_model(data)))
    counts = {"chains": settings.chains, "draws": settings.draws, "tune": settings.warmup}
    sampling, trace = clock.seconds(
        lambda: nutpie.sample(compiled, seed=settings.seed, progress_bar=False, save_warmup=True, **counts)
    )
    draws = {q: np.asarray(trace.posterior[q]) for q in model.module.QUANTITIES}
    total = clock.total()
    steps = int(trace.sample_stats["n_steps"].sum()) + int(trace.warmup_sample_stats["n_steps"].sum())
    result = Result(
        import_seconds,
        compiling,
        sampling,
        total,
        steps,
        int(trace.sample_stats["diverging"].sum()),
        f"{nutpie.__version__}, pymc {pymc.__version__}",
    )
    return result, draws


def run_pystan(name: str, settings: Settings, clock: Clock) -> tuple[Result, Draws]:
    """`stan.build` compiles; the sampling includes handing the draws over, which PyStan does as text."""

    def load() -> Any:
        import stan

        return stan

    import_seconds, stan = clock.seconds(load)
    model = MODELS[name]
    given = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in _stan_data(model).items()}
    compiling, program = clock.seconds(
        lambda: stan.build(model.module.STAN_CODE, data=given, random_seed=settings.seed)
    )
    counts = {"num_chains": settings.chains, "num_samples": settings.draws, "num_warmup": settings.warmup}
    sampling, fit = clock.seconds(lambda: program.sample(save_warmup=True, **counts))

    def chains(parameter: str) -> Any:
        """[chain, warm-up and draws, …]: PyStan has the chains last, of a last axis that holds both."""
        flat = np.asarray(fit[parameter])
        shape = (
            flat.shape[:-1]
            if parameter in fit.param_names and fit.dims[fit.param_names.index(parameter)]
            else ()
        )
        both = flat.reshape(*shape, settings.warmup + settings.draws, settings.chains)
        return np.moveaxis(both, (-1, -2), (0, 1))

    draws = {q: chains(q)[:, settings.warmup :] for q in model.module.QUANTITIES}
    total = clock.total()
    result = Result(
        import_seconds,
        compiling,
        sampling,
        total,
        int(chains("n_leapfrog__").sum()),
        int(chains("divergent__")[:, settings.warmup :].sum()),
        stan.__version__,
    )
    return result, draws


def _stan_data(model: Any) -> dict[str, Any]:
    """The data that the Stan program declares, and no others."""
    declared = model.module.STAN_CODE.partition("}")[0]
    found: dict[str, Any] = model.module.stan_data(model.data())
    return {k: v for k, v in found.items() if f" {k};" in declared}


SYSTEMS = {"ppl": run_ppl, "numpyro": run_numpyro, "nutpie": run_nutpie, "pystan": run_pystan}
IMPORTS = {"ppl": "ppl", "numpyro": "numpyro", "nutpie": "nutpie, pymc", "pystan": "stan"}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("out")
    for count in ("chains", "draws", "warmup", "seed"):
        parser.add_argument(f"--{count}", type=int, required=True)
    parser.add_argument("--started", type=float, required=True)
    told = parser.parse_args(arguments)
    settings = Settings(told.chains, told.draws, told.warmup, told.seed, told.started)
    result, draws = SYSTEMS[told.system](told.model, settings, Clock(told.started))
    arrays: dict[str, Any] = dict(draws)
    np.savez(f"{told.out}.npz", **arrays)
    with open(f"{told.out}.json", "w") as file:
        json.dump(asdict(result), file)


if __name__ == "__main__":
    main(sys.argv[1:])
