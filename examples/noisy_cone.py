"""A noisy cone: how good are the bounds of five variational objectives where the posterior is a ring?

    x, y ~ Normal(0, 10)
    z    ~ Normal(r, 0.1 + r / 100)       r = x² + y², observed: z = 5

A point on the ring x² + y² = 5 explains the observation as well as any other. The evidence is log p(z) = −5.323
by quadrature; every objective bounds it from below, and their expectations say how well each guide does.

    ELBO, IWELBO     x and y are independent normals: a short arc of the ring
    HVI and so on    an angle `_angle` that the model doesn't have, and x, y near that place of the ring. The
                     guide's density is an integral over the angle. A reverse model guesses the angle from x, y

Source of the model and of the objectives' names: Becker, Lew, Wang, Ghavami, Huot, Rinard & Mansinghka,
"Probabilistic programming with programmable variational inference" (2024).

    python examples/noisy_cone.py
"""

from __future__ import annotations

import math
import time

import torch

import ppl
from ppl.distributions import Normal, Uniform, VonMises
from ppl.std import objectives


@ppl.model
def cone():
    x = ppl.sample("x", Normal(0.0, 10.0))
    y = ppl.sample("y", Normal(0.0, 10.0))
    r = x**2 + y**2
    ppl.sample("z", Normal(r, 0.1 + r / 100))


@ppl.guide
def arc():
    for name, start in (("x", 2.0), ("y", 0.5)):
        scale = ppl.param(f"{name}_scale", 0.3, constraint="positive")
        ppl.sample(name, Normal(ppl.param(f"{name}_loc", start), scale))


@ppl.guide
def ring():
    angle = ppl.sample("_angle", Uniform(-math.pi, math.pi))
    radius = ppl.param("radius", 2.0, constraint="positive")
    width = ppl.param("width", 0.5, constraint="positive")
    ppl.sample("x", Normal(radius * torch.cos(angle), width))
    ppl.sample("y", Normal(radius * torch.sin(angle), width))


@ppl.guide
def reverse(x, y):
    concentration = ppl.param("concentration", 20.0, constraint="positive")
    angle = ppl.assume_continuous(torch.atan2(y, x))  # it jumps at ±π; the density of an angle doesn't
    # By its score: implicit derivatives of an angle cost an integral each, and the gain is small here.
    ppl.sample("_angle", VonMises(angle, concentration), grad="score")


RUNS = {
    "ELBO": (objectives.elbo, arc(), {}),
    "IWELBO(5)": (objectives.iwelbo, arc(), {"K": 5}),
    "HVI": (objectives.hvi, ring(), {"r": reverse}),
    "IWHVI(5)": (objectives.iwhvi, ring(), {"r": reverse, "K": 5}),
    "DIWHVI(5, 5)": (objectives.diwhvi, ring(), {"r": reverse, "M": 5, "K": 5}),
}


def main(steps: int = 3000, particles: int = 2, draws: int = 5000, seed: int = 0) -> dict[str, ppl.Estimate]:
    found = {}
    print(f"{'objective':<14}{'reached':>18}{'seconds':>10}   params")
    for name, (objective, guide, arguments) in RUNS.items():
        began = time.perf_counter()
        how = ppl.VI(guide, objective, arguments, steps=steps, particles=particles, learning_rate=0.03)
        fit = ppl.infer(cone(), {"z": 5.0}, method=how, draws=100, seed=seed, progress=False)
        model = cone().condition(z=5.0)
        at = fit.params
        found[name] = ppl.estimate(objective)(model, guide, **arguments, params=at, draws=draws, seed=seed)
        params = ", ".join(f"{k} {float(v):.3g}" for k, v in at.items())
        print(f"{name:<14}{found[name]!s:>18}{time.perf_counter() - began:10.1f}   {params}")
    print("\nlog evidence, by quadrature: -5.323")
    return found


if __name__ == "__main__":
    main()
