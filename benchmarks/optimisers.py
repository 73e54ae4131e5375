"""One run of variational inference by one system, in a process of its own: what `vi_cpu.py` starts.

    python benchmarks/optimisers.py SYSTEM MODEL OUT --steps N --rate R --particles K --seed S --started T

A mean-field normal guide over the unconstrained parameters, begun at 0 with scales 0.1; Adam; float64. Writes
times, counts and the ELBO to OUT. Nothing but the system itself and its libraries is imported.

Times in seconds, of the wall clock:
    import    importing the system
    compile   building the objective and compiling it; see each function for how it is told apart
    loop      all steps, with everything compiled
    total     from the start of the process (T, seconds since the epoch) to the last step's estimate
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from models import MODELS
from samplers import Clock, covered

PYRO_STEPS = 2000
"""Pyro's steps are run by Python: after so many their rate is known."""


@dataclass(frozen=True)
class Settings:
    steps: int
    rate: float
    particles: int
    seed: int
    started: float


@dataclass(frozen=True)
class Result:
    """Times in seconds; the ELBO is the mean of the last tenth of the estimates, with its standard error."""

    import_seconds: float
    compile_seconds: float
    loop_seconds: float
    total_seconds: float
    steps: int
    elbo: float
    elbo_error: float
    version: str


def last_tenth(estimates: np.ndarray[Any, Any]) -> tuple[float, float]:
    tail = estimates[-max(2, len(estimates) // 10) :]
    return float(tail.mean()), float(tail.std() / math.sqrt(len(tail)))


def run_ppl(name: str, settings: Settings, clock: Clock) -> Result:
    """The objective's graph is put together here; the loop is the one that variational inference runs on.

    Compilation: recording, differentiating, machine code of the objective and of the loop.
    """

    def load() -> Any:
        import torch

        import ppl
        import ppl.inference.vi.native

        torch.set_num_threads(1)
        return ppl

    import_seconds, ppl = clock.seconds(load)
    native, model = ppl.inference.vi.native, MODELS[name]
    compiling, (objective, dim) = clock.seconds(
        lambda: mean_field_objective(model.module.ppl_model(model.data()))
    )
    start = np.concatenate([np.zeros(dim), np.full(dim, math.log(0.1))])
    how = native.Optimisation(
        native.Adam(settings.rate), seed=settings.seed, maximise=True, particles=settings.particles
    )
    loading, _ = clock.seconds(lambda: native.optimise(objective, start, 0, how))  # the loop's machine code
    looping, run = clock.seconds(lambda: native.optimise(objective, start, settings.steps, how))
    total = clock.total()
    elbo = last_tenth(run.values)
    return Result(import_seconds, compiling + loading, looping, total, settings.steps, *elbo, ppl.__version__)


def mean_field_objective(bound: Any) -> tuple[Any, int]:
    """The ELBO of z = m + eʷ · e, e standard normal, on a program's density over unconstrained z [D], as a
    function of u = (m, w): log p(z) + Σ w + D/2 log 2πe. Returns the objective and D.
    """
    import torch

    from ppl.compiler.engines.native import NOISE, NativeProgram
    from ppl.compiler.graph import Graph, inline
    from ppl.compiler.ops import make, make_input
    from ppl.compiler.passes.differentiate import value_and_grad
    from ppl.compiler.passes.fold import fold
    from ppl.compiler.passes.simplify import simplify
    from ppl.compiler.passes.vectorise import vectorise
    from ppl.compiler.tracer import working_dtype
    from ppl.inference.vi.native import Objective
    from ppl.language.compiled import Compiled

    compiled = Compiled(bound, "native")
    dim = compiled.dim
    with working_dtype(torch.float64):
        u = make_input("u", (2 * dim,), torch.float64, (), "flat")
        e = make_input("e", (dim,), torch.float64, (), NOISE)
        mean = make("slice", u, dim=-1, start=0, stop=dim, step=1)
        log_scale = make("slice", u, dim=-1, start=dim, stop=2 * dim, step=1)
        z = make("add", mean, make("mul", make("exp", log_scale), e))
        inputs = compiled.graph.inputs
        [log_density] = inline(compiled.graph, [z if n.attr("role") == "flat" else n for n in inputs])
        entropy = make("add", make("sum", log_scale, dims=(-1,), keepdim=False), dim * ENTROPY)
        elbo = Graph((u, e, *compiled.data), (make("add", log_density, entropy),))
        graph, data = fold(simplify(value_and_grad(elbo, [u])), compiled.data)
        program = NativeProgram(vectorise(graph))
    given = [data[n] for n in program.data_inputs if n is not e]
    return Objective.of_program(program, given, [("normal", dim)]), dim


ENTROPY = 0.5 * math.log(2 * math.pi * math.e)


def numpyro_svi(name: str, settings: Settings) -> tuple[Any, Any, Any]:
    """The keys' module, NumPyro's SVI object, and a version."""
    import jax
    import numpyro
    from numpyro.infer import SVI, Trace_ELBO, init_to_uniform
    from numpyro.infer.autoguide import AutoNormal
    from numpyro.optim import Adam

    numpyro.enable_x64()
    model = MODELS[name]
    program = model.module.numpyro_model(model.data())
    guide = AutoNormal(program, init_scale=0.1, init_loc_fn=init_to_uniform(radius=0.0))
    svi = SVI(program, guide, Adam(settings.rate), Trace_ELBO(num_particles=settings.particles))
    return jax, svi, f"{numpyro.__version__}, jax {jax.__version__}"


def run_numpyro(name: str, settings: Settings, clock: Clock) -> Result:
    """`SVI.run` without its progress bar, which is one `lax.scan`. What JAX reports as tracing and compiling is
    not the loop.
    """
    import_seconds, _ = clock.seconds(lambda: __import__("numpyro.infer.autoguide"))
    jax, svi, version = numpyro_svi(name, settings)
    compiling: list[tuple[float, float]] = []

    def listen(event: str, seconds: float, **_: Any) -> None:
        if event.startswith("/jax/core/compile/"):
            now = time.perf_counter()
            compiling.append((now - seconds, now))

    jax.monitoring.register_event_duration_secs_listener(listen)

    def run() -> Any:
        found = svi.run(jax.random.PRNGKey(settings.seed), settings.steps, progress_bar=False)
        return jax.block_until_ready(found)

    running, found = clock.seconds(run)
    total = clock.total()
    looping = running - covered(compiling)
    elbo = last_tenth(-np.asarray(found.losses))
    return Result(import_seconds, running - looping, looping, total, settings.steps, *elbo, version)


def run_numpyro_jit(name: str, settings: Settings, clock: Clock) -> Result:
    """`lax.scan` over `SVI.update`, compiled ahead: the loop is the machine code and nothing else."""
    import_seconds, _ = clock.seconds(lambda: __import__("numpyro.infer.autoguide"))
    jax, svi, version = numpyro_svi(name, settings)

    def prepare() -> Any:
        state = svi.init(jax.random.PRNGKey(settings.seed))
        loop = jax.jit(lambda s: jax.lax.scan(lambda s, _: svi.update(s), s, None, length=settings.steps))
        return loop.lower(state).compile(), state

    compiling, (loop, state) = clock.seconds(prepare)
    looping, (_, losses) = clock.seconds(lambda: jax.block_until_ready(loop(state)))
    total = clock.total()
    elbo = last_tenth(-np.asarray(losses))
    return Result(import_seconds, compiling, looping, total, settings.steps, *elbo, version)


def run_pyro(name: str, settings: Settings, clock: Clock) -> Result:
    """`SVI.step` in a Python loop, at most PYRO_STEPS times; the first step is not timed, as it sets all up."""

    def load() -> Any:
        import pyro
        import pyro.infer.autoguide
        import torch

        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        return pyro

    import_seconds, pyro = clock.seconds(load)
    model = MODELS[name]
    pyro.set_rng_seed(settings.seed)
    program = model.module.pyro_model(model.data())
    begin = pyro.infer.autoguide.init_to_uniform(radius=0.0)
    guide = pyro.infer.autoguide.AutoNormal(program, init_scale=0.1, init_loc_fn=begin)
    objective = pyro.infer.Trace_ELBO(num_particles=settings.particles)
    svi = pyro.infer.SVI(program, guide, pyro.optim.Adam({"lr": settings.rate}), objective)
    first, _ = clock.seconds(svi.step)
    steps = min(settings.steps, PYRO_STEPS)
    looping, losses = clock.seconds(lambda: [svi.step() for _ in range(steps)])
    total = clock.total()
    elbo = last_tenth(-np.array(losses))
    return Result(import_seconds, first, looping, total, steps, *elbo, pyro.__version__)


SYSTEMS = {"ppl": run_ppl, "numpyro": run_numpyro, "numpyro_jit": run_numpyro_jit, "pyro": run_pyro}
IMPORTS = {"ppl": "ppl", "numpyro": "numpyro", "numpyro_jit": "numpyro", "pyro": "pyro"}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("out")
    for count in ("steps", "particles", "seed"):
        parser.add_argument(f"--{count}", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--started", type=float, required=True)
    told = parser.parse_args(arguments)
    settings = Settings(told.steps, told.rate, told.particles, told.seed, told.started)
    result = SYSTEMS[told.system](told.model, settings, Clock(told.started))
    with open(told.out, "w") as file:
        json.dump(asdict(result), file)


if __name__ == "__main__":
    main(sys.argv[1:])
