"""The statements of the language. Each asks the active runtime for its meaning."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ppl.compiler.graph import Type
from ppl.compiler.ops.surrogates import result
from ppl.errors import MethodError
from ppl.language.runtime import current, recorder, recording_objective


def sample(name: str, d: Any = None, *, dims: Sequence[str] = (), grad: str = "auto", **options: Any) -> Any:
    """A random choice named `name`, distributed as `d`.

    Args:
        name: the site's name, unique in the program; names in a bound subprogram nest under `name/`.
        d: a distribution (its value has `d.shape()`), or a bound program (its return value is returned).
        dims: names for the axes of a vector-valued site, outermost first; plates name theirs themselves.
        grad: the gradient strategy of the site in an objective; "auto" picks a sound one.

    Returns:
        The value, a tensor.

    Raises:
        StructureError: a duplicate name, or `d` is not a distribution.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     return ppl.sample("x", Normal(0.0, 1.0))
    >>> ppl.simulate(m(), seed=0)["x"].shape
    torch.Size([])
    """
    return current("sample").sample(name, d, dims=dims, grad=grad, **options)


def observe(name: str, d: Any, value: Any) -> Any:
    """Score `value` under `d`: adds log p(value) to the log density. `nan` elements stay latent."""
    return current("observe").observe(name, d, value)


def factor(name: str, log_weight: Any) -> None:
    """Add `log_weight` to the log density (inside a plate: once per element)."""
    current("factor").factor(name, log_weight)


def deterministic(name: str, value: Any, *, dims: Sequence[str] = ()) -> Any:
    """Name a computed value, so that the posterior reports it."""
    return current("deterministic").deterministic(name, value, dims)


def param(name: str, init: Any, *, constraint: Any = None) -> torch.Tensor:
    """A parameter to be optimised, starting at `init`, kept inside `constraint` (default: real)."""
    return current("param").param(name, init, constraint)


def module(name: str, nn_module: torch.nn.Module) -> Callable[..., Any]:
    """A `torch.nn.Module` whose parameters are params of the program, named `name.weight` and so on."""
    return current("module").module(name, nn_module)


def plate(name: str, size: Any, subsample: int | None = None) -> Any:
    """Independent elements: `for j in ppl.plate("school", J):` runs the body for each j.

    A value made in the body belongs to one element; after the loop, `p.gather(x)` (with `p :=
    ppl.plate(…)`) gives the
    whole vector, elements first. With `subsample=B`, B elements are drawn at random, without replacement, and log
    densities rescaled by size/B; arguments, data, masks and weights are still those of all elements. Programs of one
    objective draw the same elements of a plate.
    """
    return current("plate").plate(name, size, subsample)


def scan(name: str, step: Callable[..., Any], init: Any, xs: Any = None, *, length: int | None = None) -> Any:
    """A loop that carries values: `carry = step(carry, x)` for each x along the first axis of `xs`.

    `step` returns the carry, or `(carry, output)`; `scan` returns the last carry, or `(last carry,
    stacked outputs)`
    likewise. Sites inside get a leading time axis named `name`. Without `xs`, give `length`; `step` is
    then called with the
    step's number.
    """
    return current("scan").scan(name, step, init, xs, length)


def cond(pred: Any, f: Callable[..., Any], g: Callable[..., Any], *args: Any) -> Any:
    """`f(*args)` if `pred` else `g(*args)`; both may hold sites, which exist only in the branch taken."""
    return current("cond").switch(_as_index(pred), (g, f), args)


def _as_index(pred: Any) -> Any:
    return int(pred) if isinstance(pred, bool) else pred


def switch(index: Any, branches: Sequence[Callable[..., Any]], *args: Any) -> Any:
    """`branches[index](*args)`; an index outside is clamped to the first or last branch."""
    return current("switch").switch(index, tuple(branches), args)


def score_factor(name: str, x: torch.Tensor, score: torch.Tensor) -> None:
    """A factor known only by its gradient `score` with respect to `x`: it enters gradients and has no
    value.
    """
    current("score_factor").score_factor(name, x, score)


def state(name: str, init: Any) -> Any:
    """What an objective keeps from step to step without a gradient: `.value`, `.set(x)`."""
    return current("state").state(name, init)


def assume_continuous(x: torch.Tensor) -> torch.Tensor:
    """`x`, which the user vouches is a continuous function of the random choices it is computed from, although
    operations inside it jump: `assume_continuous(torch.cos(torch.atan2(y, x)))`.

    An objective's gradient takes derivatives along such a path instead of refusing it. If it does jump, the
    gradient is wrong.
    """
    objective = recording_objective()
    return x if objective is None else objective.assume_continuous(x)  # type: ignore[no-any-return]


def surrogate(vjp: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function with another derivative than its own: a decorator.

    Args:
        vjp: the vector–Jacobian product to use, a function of the cotangent of the value, the value, and the
            arguments; it returns for each argument a cotangent of its shape, or None for none.

    Returns:
        A decorator for functions of tensors. In an objective derivatives go through the function as `vjp` says, over
        whatever jumps inside it; the gradient is then biased, and `explain` says so. Elsewhere it changes nothing.

    >>> import torch, ppl
    >>> @ppl.surrogate(lambda g, value, x: g)  # straight through
    ... def rounded(x):
    ...     return torch.round(x)
    >>> @ppl.objective
    ... def square():
    ...     return rounded(ppl.param("x", 1.7)) ** 2
    >>> _, gradients = ppl.value_and_grad(square)()
    >>> float(gradients["x"])
    4.0
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            objective = recording_objective()
            return function(*args) if objective is None else objective.surrogate(function, vjp, args)

        return call

    return decorate


def black_box(
    function: Callable[..., Any], *args: Any, shape: Sequence[int] = (), step: float | None = None
) -> torch.Tensor:
    """`function(*args)` of a function that is not torch's: a simulator, a table, NumPy.

    Args:
        function: deterministic; it is called with tensors, for one element of the plates at a time.
        shape: of what it returns.
        step: c, of the simultaneous perturbations that estimate its derivative in an objective (Spall 1992). The
            estimate is off by O(c²), and so marked biased; its noise grows with the number of arguments. None: the
            function has no derivative, and params may reach it through scored choices only.

    >>> import math, ppl
    >>> @ppl.objective
    ... def cosine():
    ...     return ppl.black_box(lambda x: math.cos(float(x)), ppl.param("x", 0.5), step=0.01)
    >>> _, gradients = ppl.value_and_grad(cosine)()
    >>> round(float(gradients["x"]), 3)
    -0.479
    """
    if step is not None and not step > 0:
        raise MethodError(
            "the step of a perturbation is positive",
            expected="a number above 0, small beside the scale on which the function bends",
            found=repr(step),
            edit="step=0.01",
        )
    if (recording := recorder()) is not None:
        return recording.black_box(function, args, tuple(shape), step)  # type: ignore[no-any-return]
    dtype = torch.get_default_dtype()
    name = getattr(function, "__name__", type(function).__name__)
    return result(function(*map(torch.as_tensor, args)), name, Type(tuple(shape), dtype))
