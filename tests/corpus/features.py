"""What the language offers, each in a program."""

from __future__ import annotations

import numpy as np
import torch

import ppl
from corpus.entry import draws, program
from ppl.distributions import (
    Beta,
    Gamma,
    HalfNormal,
    Normal,
    StudentT,
)

Y = draws(21).standard_normal(6)

# ---------------------------------------------------------------- the language


@program({"y": Y})
def deterministics_and_factors():
    mu, log_s = ppl.sample("mu", Normal(0.0, 1.0)), ppl.sample("log_s", Normal(0.0, 1.0))
    s = ppl.deterministic("s", torch.exp(log_s))
    ppl.factor("soft bound", -(torch.relu(s - 2.0) ** 2))
    for n in ppl.plate("n", 6):
        centre = ppl.deterministic("centre", mu * n)
        ppl.sample("y", Normal(centre, s))


@program(y=Y)
def observe_statement(y):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for n in ppl.plate("n", 6):
        ppl.observe("y", Normal(mu, 1.0), y[n])
    ppl.observe("total", Normal(mu, 0.5), torch.tensor(0.3))


@program(y=Y)
def cond_with_sites(y):
    x = ppl.sample("x", Normal(0.0, 1.0))
    mean = ppl.cond(
        x > 0.1,
        lambda x: ppl.sample("a", Normal(x, 1.0)),
        lambda x: torch.exp(x) - ppl.sample("b", Beta(2.0, 2.0)),
        x,
    )
    ppl.observe("y", Normal(mean, 1.0).expand([6]), y)


@program({"y": Y[:3]}, kind=torch.tensor([0, 2, 1]))
def switch_in_a_plate(kind):
    for j in ppl.plate("j", 3):
        x = ppl.sample("x", Normal(0.0, 1.0))
        cases = [lambda x: 2.0 * x, lambda x: ppl.sample("a", Normal(x, 1.0)), torch.exp]
        ppl.sample("y", Normal(ppl.switch(kind[j], cases, x), 1.0))


@program({"y": Y})
def cond_in_a_scan():
    def step(z, _):
        z = ppl.cond(z > 0, lambda z: 0.5 * z, lambda z: ppl.sample("jump", Normal(-z, 1.0)), z)
        return ppl.sample("y", Normal(z, 1.0)) * 0.3 + z

    start = ppl.sample("start", Normal(0.0, 1.0))
    ppl.scan("time", step, start, length=6)


@ppl.model
def part(scale):
    z = ppl.sample("z", Gamma(2.0, 1.0))
    return ppl.deterministic("w", z * scale)


@program({"y": Y})
def subprograms():
    total = ppl.sample("left", part(2.0)) + ppl.sample("right", part(0.5))
    for _ in ppl.plate("j", 3):
        total = total + 0.0
        ppl.sample("inner", part(total))
    ppl.sample("y", Normal(torch.log(total).expand(6), 1.0))


def _pair():
    mu, s = ppl.sample("mu", Normal(0.0, 2.0)), ppl.sample("s", HalfNormal(1.0))
    for _ in ppl.plate("n", 6):
        theta = ppl.sample("theta", Normal(mu, s))
        ppl.sample("y", Normal(theta, 1.0))


@program({"y": Y}, lambda b: b.mask(y=torch.tensor([True, False, True, True, False, True])))
def masked():
    _pair()


@program({"y": Y}, lambda b: b.scale(y=2.5, theta=0.5))
def scaled():
    _pair()


@program({"y": Y}, lambda b: b.reparam())
def non_centred_throughout():
    _pair()


@program({"y": Y}, lambda b: b.do(s=0.7))
def intervened():
    _pair()


@program({"y": Y, "mu": 0.3}, lambda b: b.reparam(theta=ppl.NonCentered()).mask(mu=False).scale(0.5))
def handlers_together():
    _pair()


@program({"y": np.where(np.arange(6) == 2, np.nan, Y)})
def a_python_loop_over_features():
    total = torch.tensor(0.0)
    for k in range(3):
        total = total + ppl.sample(f"effect_{k}", StudentT(3.0 + k, 0.0, 1.0)) / (k + 1)
    for _ in ppl.plate("n", 6):
        ppl.sample("y", Normal(total, 1.0))


@program({"y": Y})
def scan_with_outputs():
    """Every step's output is used after the scan."""
    sigma = ppl.sample("sigma", HalfNormal(1.0))

    def step(z, x):
        z = ppl.sample("z", Normal(0.9 * z, sigma))
        return z, z * x

    last, path = ppl.scan("time", step, torch.tensor(0.0), torch.linspace(1.0, 2.0, 6))
    ppl.sample("y", Normal(path + last, 1.0))
