"""Variational inference by one system, in a process of its own: what `vi_cpu.py` starts and asks for runs.

    python benchmarks/optimisers.py SYSTEM MODEL --rate R --particles K --seed S --seconds T --clock CLOCK

A mean-field normal guide over the unconstrained parameters, begun at 0 with scales 0.1; Adam with a constant rate.
First it makes itself ready, finds the number of steps that take T seconds, and writes a line of JSON: seconds of
`import` and of `compile`, `steps`, `version`. Then, for each line it reads, it makes a short and a long run and
writes `microseconds` a step, from their difference, and the ELBO after the long one.

Compilation is what the first run, of a single step, takes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from harness import Clock
from models import MODELS

SHORT = 10
"""A short run has a tenth of the steps of a long one."""
DRAWS = 1000
"""Draws that a peer's ELBO is estimated from."""
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
"""Processor time, of all threads, leaves out what other programs on the machine take."""


@dataclass(frozen=True)
class Settings:
    rate: float
    particles: int
    seed: int


@dataclass(frozen=True)
class Optimiser:
    """A system, ready: `run(n)` makes n steps from the start; `elbo()` is the mean, and its standard error, of
    estimates at (or just before) the end of the last run.
    """

    version: str
    run: Callable[[int], Any]
    elbo: Callable[[], tuple[float, float]]


def mean_and_error(estimates: Any) -> tuple[float, float]:
    return float(np.mean(estimates)), float(np.std(estimates) / math.sqrt(len(estimates)))


def ppl_vi(name: str, settings: Settings) -> Optimiser:
    """`ppl.infer` with `ppl.VI`, as a user calls it: each run records, compiles (or finds the machine code in its
    cache), optimises and draws.
    """
    import torch

    import ppl

    torch.set_num_threads(1)
    model = MODELS[name]
    data = model.data()
    losses: list[Any] = []

    def run(steps: int) -> None:
        how = ppl.VI(
            steps=steps,
            particles=settings.particles,
            learning_rate=settings.rate,
            schedule="constant",
            average=0.0,
        )
        bound = model.module.ppl_model(data)
        fitted = ppl.infer(bound, method=how, draws=2, seed=settings.seed, progress=False)
        assert fitted.attrs["engine"] == "native", fitted.attrs["engine_reason"]
        losses[:] = [fitted.losses]

    return Optimiser(ppl.__version__, run, lambda: mean_and_error(-losses[0][-DRAWS:]))


def numpyro_svi(name: str, settings: Settings, double: bool = True) -> Optimiser:
    """`SVI.update` in a loop of JAX, compiled ahead, once for all lengths. As in `SVI.run`, each step's estimate is
    kept (here: in a sum), so that XLA doesn't leave out what only the estimate needs.
    """
    import jax
    import numpyro
    from numpyro.infer import SVI, Trace_ELBO, init_to_uniform
    from numpyro.infer.autoguide import AutoNormal
    from numpyro.optim import Adam

    numpyro.enable_x64(double)
    model = MODELS[name]
    program = model.module.numpyro_model(model.data())
    guide = AutoNormal(program, init_scale=0.1, init_loc_fn=init_to_uniform(radius=0.0))
    svi = SVI(program, guide, Adam(settings.rate), Trace_ELBO(num_particles=settings.particles))
    start = svi.init(jax.random.PRNGKey(settings.seed))

    def step(_: Any, carry: Any) -> Any:
        state, loss = svi.update(carry[0])
        return state, carry[1] + loss

    loop = jax.jit(lambda state, n: jax.lax.fori_loop(0, n, step, (state, 0.0 * svi.evaluate(state))))
    last: list[Any] = [start]

    def run(steps: int) -> None:
        last[:] = [jax.block_until_ready(loop(start, steps))[0]]

    def elbo() -> tuple[float, float]:
        params = svi.get_params(last[0])
        one = jax.jit(lambda key: -Trace_ELBO().loss(key, params, program, guide))
        return mean_and_error([one(k) for k in jax.random.split(jax.random.PRNGKey(settings.seed), DRAWS)])

    return Optimiser(f"{numpyro.__version__}, jax {jax.__version__}", run, elbo)


def numpyro_svi_float32(name: str, settings: Settings) -> Optimiser:
    """The same in NumPyro's default precision."""
    return numpyro_svi(name, settings, double=False)


def pyro_svi(name: str, settings: Settings) -> Optimiser:
    """`SVI.step` in a loop of Python's."""
    import pyro
    import torch
    from pyro.infer.autoguide import AutoNormal, init_to_uniform

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    model = MODELS[name]
    program = model.module.pyro_model(model.data())
    losses: list[float] = []

    def run(steps: int) -> None:
        pyro.clear_param_store()
        pyro.set_rng_seed(settings.seed)
        guide = AutoNormal(program, init_scale=0.1, init_loc_fn=init_to_uniform(radius=0.0))
        objective = pyro.infer.Trace_ELBO(num_particles=settings.particles)
        svi = pyro.infer.SVI(program, guide, pyro.optim.Adam({"lr": settings.rate}), objective)
        losses[:] = [svi.step() for _ in range(steps)]

    return Optimiser(pyro.__version__, run, lambda: mean_and_error(-np.array(losses[-DRAWS:])))


SYSTEMS = {"ppl": ppl_vi, "numpyro": numpyro_svi, "numpyro32": numpyro_svi_float32, "pyro": pyro_svi}
IMPORTS = {
    "ppl": "ppl.inference.vi.run",
    "numpyro": "numpyro.infer.autoguide",
    "numpyro32": "numpyro.infer.autoguide",
    "pyro": "pyro.infer.autoguide",
}


def length(took: Callable[[int], float], seconds: float) -> int:
    """The number of steps that take about so long, a multiple of SHORT."""
    few = 10
    while (longer := took(SHORT * few) - took(few)) < seconds / 10:
        few *= 4
    return SHORT * max(1, round(seconds * few / longer))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("model", choices=MODELS)
    for name, kind in (("rate", float), ("particles", int), ("seed", int), ("seconds", float)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--clock", choices=CLOCKS, required=True)
    told = parser.parse_args(arguments)
    importing, _ = Clock.seconds(lambda: __import__(IMPORTS[told.system]))
    compiling, made = Clock.seconds(lambda: _ready(told))
    clock = CLOCKS[told.clock]

    def took(steps: int) -> float:
        begun = clock()
        made.run(steps)
        return clock() - begun

    steps = length(took, told.seconds)
    say({"import": importing, "compile": compiling, "steps": steps, "version": made.version})
    for _ in sys.stdin:
        apart = -took(steps // SHORT) + took(steps)
        elbo, error = made.elbo()
        say({"microseconds": 1e6 * apart / (steps - steps // SHORT), "elbo": elbo, "error": error})


def _ready(told: argparse.Namespace) -> Optimiser:
    made = SYSTEMS[told.system](told.model, Settings(told.rate, told.particles, told.seed))
    made.run(1)
    return made


def say(report: dict[str, Any]) -> None:
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
