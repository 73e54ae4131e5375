"""The Laplace approximation: the normal that has the posterior's mode and its curvature there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ppl.errors import MethodError, placed
from ppl.inference.vi.guides import joint
from ppl.inference.vi.guides.draft import Draft
from ppl.inference.vi.guides.latents import latents
from ppl.inference.vi.guides.text import call
from ppl.language.compiled import Compiled, compile
from ppl.language.program import Bound, as_bound
from ppl.language.record import record

_STEP = 1e-4  # of central differences: their error is of order step², the gradient's rounding divided by step
_STARTS = 4  # besides 0
_FEW = 200  # with more coordinates than this the search begins at 0 only
_ROUNDS = 50  # of Newton's method, which doubles the digits each time once it is near


@placed
def laplace(bound: Bound, init: Mapping[str, Any] | None = None, steps: int = 1000) -> Bound:
    """N(u*, H⁻¹) in unconstrained coordinates: u* the mode of the posterior density of u, H = −∇² log p(u*, y).

    The mode is found by L-BFGS and polished by Newton's method, the Hessian is the central difference of the
    gradient. The guide has no params; `loc` and `scale_tril` are its arguments.

    Args:
        bound: the model, its data conditioned on.
        init: values at which the search starts, as in `mean_field`.
        steps: of L-BFGS, at most.

    Raises:
        MethodError: no mode was found, or the density is not curved downwards there (a hierarchy's scale
            that can shrink to zero, a direction that data and priors leave free); discrete sites.

    Source: Tierney & Kadane, "Accurate approximations for posterior moments and marginal densities" (1986).

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     x = ppl.sample("x", Normal(0.0, 1.0))
    ...     ppl.sample("y", Normal(x, 1.0))
    >>> guide = laplace(m().condition(y=1.0))
    >>> round(float(guide.arguments["loc"][0]), 6), round(float(guide.arguments["scale_tril"][0, 0]) ** 2, 6)
    (0.5, 0.5)
    """
    bound = as_bound(bound, "a bound model")
    recorded = record(bound)
    sites = latents(bound, recorded)
    if recorded.subsamples:
        raise _no_mode(bound, f"plate '{next(iter(recorded.subsamples))}' is subsampled")
    compiled = compile(bound)
    first = joint.start(sites, init)
    starts = [first] if init is not None or len(first) > _FEW else [first, *_further(len(first))]
    mode, precision = _best(compiled, starts, steps)
    draft = Draft(
        "laplace",
        bound,
        f"The Laplace approximation of {bound.name}.",
        ("MultivariateNormal", "Placed"),
    )
    at = draft.argument("loc", mode)
    factor = draft.argument("scale_tril", torch.linalg.cholesky(torch.cholesky_inverse(precision)))
    drawn = joint.draw(draft, call("MultivariateNormal", at, scale_tril=factor))
    joint.place(draft, sites, drawn)
    return draft.bound()


def _further(size: int) -> torch.Tensor:
    """Starts around 0, so that one of them may lie under the highest mode."""
    generator = torch.Generator().manual_seed(size)
    return 4 * torch.rand(_STARTS, size, generator=generator, dtype=torch.float64) - 2


def _best(
    compiled: Compiled, starts: Iterable[torch.Tensor], steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the modes found from some starts, that with the largest approximate evidence, and its precision's factor."""
    found: list[tuple[float, torch.Tensor, torch.Tensor]] = []
    refusals = []
    for start in starts:
        try:
            mode = _mode(compiled, start, steps)
            factor, failed = torch.linalg.cholesky_ex(_curvature(compiled, mode))
            if failed:
                raise _no_mode(
                    compiled.recorded.bound, "the density is not curved downwards in every direction"
                )
        except MethodError as refusal:
            refusals.append(refusal)
            continue
        evidence = float(compiled.log_density(mode) - torch.log(torch.diagonal(factor)).sum())
        found.append((evidence, mode, factor))
    if not found:
        raise refusals[0]
    _, mode, factor = max(found, key=lambda each: each[0])
    return mode, factor


def _mode(compiled: Compiled, start: torch.Tensor, steps: int) -> torch.Tensor:
    x = start.clone()
    search = torch.optim.LBFGS(
        [x], max_iter=steps, tolerance_grad=1e-6, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        value, gradient = compiled.value_and_grad(x)
        x.grad = -gradient
        return -float(value)

    if not torch.isfinite(compiled.log_density(x)):
        raise _no_mode(compiled.recorded.bound, "the density is zero where the search starts")
    search.step(loss)
    return _polished(compiled, x.detach())


def _polished(compiled: Compiled, x: torch.Tensor) -> torch.Tensor:
    """Newton's method from near the mode, as long as its steps raise the density or are tiny."""
    value, gradient = compiled.value_and_grad(x)
    for _ in range(_ROUNDS):
        precision, failed = torch.linalg.cholesky_ex(_curvature(compiled, x))
        if failed or not torch.isfinite(gradient).all():
            break
        step = torch.cholesky_solve(gradient.unsqueeze(-1), precision).squeeze(-1)
        gain = float(step @ gradient)  # twice what a quadratic density would gain
        if gain < 1e-16:
            return x + step
        moved = compiled.value_and_grad(x + step)
        if not moved[0] >= value - 1e-9 * (1.0 + abs(float(value))):
            break
        x, (value, gradient) = x + step, moved
    raise _no_mode(compiled.recorded.bound, "the search has not come to rest")


def _curvature(compiled: Compiled, x: torch.Tensor) -> torch.Tensor:
    """−∇² log p, [D, D], symmetric."""
    width = _STEP * torch.clamp(x.abs(), min=1.0)
    points = torch.cat([x + torch.diag(width), x - torch.diag(width)])
    after, before = compiled.value_and_grad(points)[1].chunk(2)
    rows = (before - after) / (2 * width.unsqueeze(-1))
    return (rows + rows.mT) / 2


def _no_mode(bound: Bound, why: str) -> MethodError:
    return MethodError(
        f"'{bound.name}' has no Laplace approximation from this start: {why}",
        expected="a density with a mode in unconstrained coordinates",
        found="none after the search",
        edit="give init=…, or ppl.NonCentered() to sites whose scale is random, or ppl.guides.full_rank(…)",
    )
