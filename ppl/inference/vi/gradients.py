"""`value_and_grad` and `estimate`: an objective's expectation and its gradient, without training anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ppl.errors import MethodError, placed
from ppl.inference.vi.compiled import CompiledObjective
from ppl.language.program import Program


def value_and_grad(objective: Program) -> Callable[..., tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """An unbiased estimate of an objective's expectation and of its gradient in the params of its programs.

    Args:
        objective: a function decorated with `@ppl.objective`.

    Returns:
        A function of the objective's arguments, and of `seed=0`, `params={…}` (values of params, the others at
        their start) and `draws=None` (so many independent estimates at once, along a first axis). It returns
        (value, {param: gradient}), the gradient of a constrained param with respect to its own value.

    Raises:
        MethodError: a random choice has no sound estimator, or not the one asked for.

    >>> import torch, ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.guide
    ... def q():
    ...     return ppl.sample("x", Normal(ppl.param("loc", 1.0), 1.0))
    >>> @ppl.objective
    ... def second_moment(q):
    ...     return ppl.simulate(q).value ** 2
    >>> value, grad = ppl.value_and_grad(second_moment)(q(), draws=100_000)
    >>> round(float(value.mean()), 1), round(float(grad["loc"].mean()), 1)
    (2.0, 2.0)
    """
    require_objective(objective)

    @placed
    def call(
        *args: Any,
        seed: int = 0,
        params: Mapping[str, Any] | None = None,
        draws: int | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        compiled = CompiledObjective(objective(*args, **kwargs))
        value, grads, _ = compiled.run(compiled.values(params), seed, draws)
        return value, grads

    return call


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate: its value, standard error, and the number of draws."""

    value: float
    standard_error: float
    draws: int

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.standard_error:.2g}"


def estimate(objective: Program) -> Callable[..., Estimate]:
    """The expectation of an objective, by plain Monte Carlo.

    Args:
        objective: a function decorated with `@ppl.objective`.

    Returns:
        A function of the objective's arguments, and of `draws=1000`, `seed=0`, `params={…}`, that returns an
        `Estimate`: value, standard error, draws.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.guide
    ... def q():
    ...     return ppl.sample("x", Normal(1.0, 1.0))
    >>> @ppl.objective
    ... def mean(q):
    ...     return ppl.simulate(q).value
    >>> found = ppl.estimate(mean)(q(), draws=10_000)
    >>> abs(float(found) - 1.0) < 4 * found.standard_error
    True
    """
    require_objective(objective)

    @placed
    def call(
        *args: Any, draws: int = 1000, seed: int = 0, params: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Estimate:
        compiled = CompiledObjective(objective(*args, **kwargs))
        (value,) = compiled.sampled(compiled.values(params), seed, draws)
        error = float(value.std()) / draws**0.5 if draws > 1 else float("nan")
        return Estimate(float(value.mean()), error, draws)

    return call


def require_objective(objective: Any) -> None:
    """Refuse what is no objective."""
    if not isinstance(objective, Program) or objective.kind != "objective":
        what = (
            f"the {objective.kind} {objective.name}"
            if isinstance(objective, Program)
            else repr(objective)[:60]
        )
        raise MethodError(
            "this is not an objective",
            expected="a function decorated with @ppl.objective",
            found=what,
            edit="write @ppl.objective above def …(p, q)",
        )
