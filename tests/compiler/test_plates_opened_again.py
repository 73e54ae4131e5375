"""Vectors gathered over a plate, read in a loop over the same plate again: an element and the elements of the whole
vector are not to be mixed up, in any pass. Values are those of the interpreter, gradients those without passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import ppl
from ppl.distributions import Normal

N = 4
GENERATOR = torch.Generator().manual_seed(0)
W = torch.randn(N, generator=GENERATOR, dtype=torch.float64)
M = torch.randn(N, N, generator=GENERATOR, dtype=torch.float64)

# The whole vector and the loop's index → a number.
FORMS: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "differences": lambda x, i: ((x - x[i]) ** 2).sum(),
    "scaled by data": lambda x, i: (x * W[i]).sum(),
    "scaled by an element": lambda x, i: (x * x[i] * W).sum(),
    "kernel": lambda x, i: torch.exp(-((x - x[i]) ** 2)).sum(),
    "row of a matrix": lambda x, i: (M[i] * x).sum() * x[i],
    "column of a matrix": lambda x, i: (M[:, i] * x).sum(),
    "outer product": lambda x, i: (x[:, None] * x[None, :] * M).sum() * W[i],
    "logsumexp": lambda x, i: torch.logsumexp(x * W[i], 0),
    "running sum": lambda x, i: torch.cumsum(x * W[i], 0)[i],
    "largest": lambda x, i: (x * W[i]).max(),
    "larger": lambda x, i: torch.where(x > x[i], x, x[i]).sum(),
    "matrix product": lambda x, i: (M[i] @ x) * W[i] + x @ M @ x,
}


def factors(form: Callable[[Tensor, Any], Tensor], x: Tensor) -> None:
    for i in ppl.plate("N", N):
        ppl.factor("f", form(x, i))


def twice(form: Callable[[Tensor, Any], Tensor], x: Tensor) -> None:
    for i in (p := ppl.plate("N", N)):
        y = form(x, i)
    y = p.gather(y)
    for i in ppl.plate("N", N):
        ppl.factor("f", 0.1 * ((y * y[i] * x).sum() + form(y, i)))


def nested(form: Callable[[Tensor, Any], Tensor], x: Tensor) -> None:
    for j in ppl.plate("J", 3):
        for i in ppl.plate("N", N):
            z = ppl.sample("z", Normal(form(x, i), 1.0))
            ppl.factor("f", (x * z).sum() * W[j])


def recurrence(form: Callable[[Tensor, Any], Tensor], x: Tensor) -> None:
    def step(c: Tensor, t: Tensor) -> Tensor:
        for i in (p := ppl.plate("N", N)):
            y = form(x * c, i) * W[t]
        return 0.1 * (p.gather(y) * x).sum() + 0.5 * c

    ppl.factor("f", ppl.scan("time", step, torch.tensor(1.0, dtype=torch.float64), length=3))


def recurrence_of_a_factor(form: Callable[[Tensor, Any], Tensor], x: Tensor) -> None:
    """The plate's values don't depend on what is carried, and leave the scan."""

    def step(c: Tensor, t: Tensor) -> Tensor:
        for i in (p := ppl.plate("N", N)):
            y = form(x, i) * c
        return 0.1 * (p.gather(y) * x).sum() + W[t]

    ppl.factor("f", ppl.scan("time", step, torch.tensor(1.0, dtype=torch.float64), length=3))


@pytest.mark.parametrize("engine", ["torch", pytest.param("native", marks=pytest.mark.slow)])
@pytest.mark.parametrize("use", [factors, twice, nested, recurrence, recurrence_of_a_factor])
@pytest.mark.parametrize("form", FORMS)
def test_elements_stay_apart(form: str, use: Callable[..., None], engine: str) -> None:
    @ppl.model
    def program() -> None:
        for _ in (p := ppl.plate("N", N)):
            x = ppl.sample("x", Normal(0.0, 1.0))
        use(FORMS[form], p.gather(x))

    choices = ppl.simulate(program(), seed=1).latents
    compiled, plain = ppl.compile(program(), engine=engine), ppl.compile(program(), engine="torch", passes=())
    at = compiled.unconstrain(choices)
    value, gradient = compiled.value_and_grad(at)
    torch.testing.assert_close(value, ppl.log_density(program(), choices), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradient, plain.value_and_grad(at)[1], rtol=1e-9, atol=1e-9)
