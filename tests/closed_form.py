"""A program's log density against a formula, at random points: by the interpreter, and compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

import ppl

Tensor = torch.Tensor
Values = dict[str, Tensor]


def real(*values: Any) -> Any:
    """Tensors of float64."""
    made = [torch.as_tensor(v, dtype=torch.float64) for v in values]
    return made[0] if len(made) == 1 else made


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@contextmanager
def float64() -> Iterator[None]:
    """Numbers in torch's constructors are of float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def agrees(bound: Any, formula: Callable[[Values], Tensor], points: int = 2) -> None:
    """log p of all sites, data and factors of `bound` is `formula(values of its sites)`.

    The compiled density has the Jacobian of the unconstrained coordinates in it, which is what doesn't double
    with `scale(2)`; its gradient is finite.
    """
    once, twice = ppl.compile(bound), ppl.compile(bound.scale(2.0), engine="torch")
    names = [part.name for part in once.parts]
    for seed in range(points):
        x = 0.5 * normal(once.dim, seed=seed)
        recorded = once.constrain(x)
        with float64():
            expected = formula(recorded)
        interpreted = ppl.log_density(bound, {name: recorded[name] for name in names})
        torch.testing.assert_close(interpreted, expected, rtol=1e-9, atol=1e-9)
        value, gradient = once.value_and_grad(x)
        torch.testing.assert_close(twice.log_density(x) - value, expected, rtol=1e-8, atol=1e-8)
        assert torch.isfinite(gradient).all()
