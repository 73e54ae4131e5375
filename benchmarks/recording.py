"""Time from a bound program to its value-and-gradient graph: recording plus all passes, warm medians.

    python benchmarks/recording.py

Prints one row a program: recording, passes, the engine's code generation, nodes of the gradient graph.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

import ppl
from ppl.distributions import Bernoulli, HalfCauchy, Independent, Normal, Uniform
from ppl.language.program import Bound


@ppl.model
def eight_schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfCauchy(5.0))
    for j in ppl.plate("school", sigma.shape[0]):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


@ppl.model
def chain(steps):
    phi = ppl.sample("phi", Uniform(-1.0, 1.0))

    def step(z, t):
        z = ppl.sample("z", Normal(phi * z, 0.5))
        ppl.sample("y", Normal(z, 1.0))
        return z

    ppl.scan("time", step, torch.tensor(0.0), length=steps)


@ppl.model
def vae(images, decoder):
    decode = ppl.module("decoder", decoder)
    for i in ppl.plate("image", images.shape[0]):
        z = ppl.sample("z", Independent(Normal(torch.zeros(10), torch.ones(10)), 1))
        ppl.observe("x", Independent(Bernoulli(logits=decode(z)), 1), images[i])


def programs() -> dict[str, Callable[[], Bound]]:
    decoder = torch.nn.Sequential(torch.nn.Linear(10, 200), torch.nn.Tanh(), torch.nn.Linear(200, 784))
    images = (torch.rand(64, 784) > 0.5).float()
    y = torch.randn(400)
    sigma = torch.tensor([15.0, 10, 16, 11, 9, 11, 10, 18])
    return {
        "eight schools": lambda: eight_schools(sigma).condition(y=torch.arange(8.0)),
        "scan of 4 steps": lambda: chain(4).condition(y=y[:4]),
        "scan of 400 steps": lambda: chain(400).condition(y=y),
        "VAE, 64 images": lambda: vae(images, decoder),
    }


def gradient_graph(bound: Bound):
    """Record, read as a density, differentiate; with respect to params too where the program has them."""
    from ppl.compiler.graph import Graph
    from ppl.compiler.passes.differentiate import value_and_grad
    from ppl.compiler.passes.simplify import simplify
    from ppl.compiler.passes.sites import Lowering
    from ppl.language.compiled import Compiled

    started = time.perf_counter()
    compiled = Compiled(bound)
    recorded = time.perf_counter()
    if compiled.recorded.params:
        _, total = compiled._read(Lowering(compiled._policy))
        params = [p.node for p in compiled.recorded.params.values()]
        graph = simplify(
            value_and_grad(
                Graph((compiled.x, *compiled.recorded.graph.inputs), (total,)), [compiled.x, *params]
            )
        )
    else:
        graph = compiled.gradient_graph
    passes = time.perf_counter()
    if not compiled.recorded.params:
        compiled.program("gradient_graph", 4)
    return recorded - started, passes - recorded, time.perf_counter() - passes, len(graph)


def main() -> None:
    print(f"{'program':20} {'record ms':>10} {'passes ms':>10} {'engine ms':>10} {'nodes':>7}")
    for name, make in programs().items():
        rows = [gradient_graph(make()) for _ in range(7)][1:]
        record, passes, engine = (1e3 * statistics.median(r[i] for r in rows) for i in range(3))
        print(f"{name:20} {record:10.1f} {passes:10.1f} {engine:10.1f} {rows[0][3]:7d}")


if __name__ == "__main__":
    main()
