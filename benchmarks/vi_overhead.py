"""A step of a variational autoencoder against the same step written by hand in torch: the price of the language.

    python benchmarks/vi_overhead.py [--batches 64 256 1024] [--rounds 60] [--json FILE]

784–200–10 networks, Bernoulli pixels, float32, one thread; a step is an estimate of the ELBO and all gradients. The two
take turns, each going first every other time, so that both meet the machine in the same moods; times are the
processor's, and the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import torch
from torch import nn

import ppl
from ppl.distributions import Bernoulli, Normal
from ppl.inference.vi.compiled import CompiledObjective

PIXELS, HIDDEN, LATENT = 784, 200, 10


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.loc, self.log_scale = (
            nn.Linear(PIXELS, HIDDEN),
            nn.Linear(HIDDEN, LATENT),
            nn.Linear(HIDDEN, LATENT),
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = torch.relu(self.hidden(x))
        return self.loc(h), torch.exp(self.log_scale(h))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.logits = nn.Linear(LATENT, HIDDEN), nn.Linear(HIDDEN, PIXELS)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.logits(torch.relu(self.hidden(z)))  # type: ignore[no-any-return]


@ppl.objective
def elbo(p: Any, q: Any) -> torch.Tensor:
    z = ppl.simulate(q)
    return ppl.log_density(p, z) - ppl.log_density(q, z)


def compiled(encoder: Encoder, decoder: Decoder, x: torch.Tensor) -> CompiledObjective:
    @ppl.model
    def p() -> None:
        z = ppl.sample("z", Normal(torch.zeros(len(x), LATENT), 1.0))
        ppl.sample("x", Bernoulli(logits=ppl.module("decoder", decoder)(z)))

    @ppl.guide
    def q(x: torch.Tensor) -> None:
        loc, scale = ppl.module("encoder", encoder)(x)
        ppl.sample("z", Normal(loc, scale))

    return CompiledObjective(elbo(p().condition(x=x), q(x)), free=True)


def by_hand(encoder: Encoder, decoder: Decoder, x: torch.Tensor) -> torch.Tensor:
    loc, scale = encoder(x)
    z = loc + scale * torch.randn_like(loc)
    fit = -nn.functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
    half = 0.5 * math.log(2 * math.pi)
    prior = (-0.5 * z * z - half).sum()
    entropy = (0.5 * ((z - loc) / scale) ** 2 + torch.log(scale) + half).sum()
    return fit + prior + entropy


def measure(batch: int, rounds: int) -> dict[str, float]:
    torch.manual_seed(0)
    encoder, decoder = Encoder(), Decoder()
    x = (torch.rand(batch, PIXELS) < 0.3).float()
    begun = perf_counter()
    ours = compiled(encoder, decoder, x)
    u = ours.coordinates.start(ours.values())
    ours.run(u)
    ready = perf_counter() - begun
    params = [*encoder.parameters(), *decoder.parameters()]
    steps: list[Callable[[int], Any]] = [
        lambda k: ours.run(u, k),
        lambda _: torch.autograd.grad(by_hand(encoder, decoder, x), params),
    ]
    times: tuple[list[float], list[float]] = ([], [])
    for k in range(rounds):
        for which in (0, 1) if k % 2 else (1, 0):
            start = process_time()
            steps[which](k)
            times[which].append(process_time() - start)
    pairs = list(zip(*times, strict=True))
    a, b = (1e3 * statistics.median(t) for t in times)
    ratio = statistics.median(mine / hand for mine, hand in pairs[2:])
    return {"batch": batch, "compile_s": ready, "ppl_ms": a, "torch_ms": b, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="*", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(batch, options.rounds) for batch in options.batches]
    print(f"{'batch':>6} {'ppl, ms':>9} {'torch, ms':>10} {'ratio':>6} {'compile, s':>11}")
    for r in rows:
        print(
            f"{r['batch']:6.0f} {r['ppl_ms']:9.2f} {r['torch_ms']:10.2f} {r['ratio']:6.2f} {r['compile_s']:11.2f}"
        )
    if options.json:
        with open(options.json, "w") as out:
            json.dump(rows, out, indent=1)


if __name__ == "__main__":
    main()
