"""The normal that Pathfinder finds, as a guide and as the start of others."""

from __future__ import annotations

import numpy as np
import torch

from ppl.errors import MethodError, placed
from ppl.inference.pathfinder import Approximation, Pathfinder
from ppl.inference.pathfinder.method import approximation
from ppl.inference.vi.guides import joint
from ppl.inference.vi.guides.draft import Draft
from ppl.inference.vi.guides.latents import latents
from ppl.inference.vi.guides.text import call
from ppl.language.compiled import compile
from ppl.language.program import Bound, as_bound
from ppl.language.record import record


@placed
def pathfinder(bound: Bound, paths: int = 8, seed: int = 0) -> Bound:
    """N(μ, Σ) in unconstrained coordinates: of Pathfinder's normals over some paths that with the largest ELBO.

    It needs no mode at which the density is curved downwards in every direction, as `laplace` does. The guide has no
    params; `loc` and `scale_tril` are its arguments.

    Args:
        bound: the model, its data conditioned on.
        paths: how many, from different starts.
        seed: of the starts and of the estimates of ELBOs.

    Raises:
        MethodError: no path gives an approximation; discrete sites; subsampled plates.

    Source: Zhang, Carpenter, Gelman & Vehtari, "Pathfinder: parallel quasi-Newton variational inference" (2022).

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     x = ppl.sample("x", Normal(0.0, 1.0))
    ...     ppl.sample("y", Normal(x, 1.0))
    >>> guide = pathfinder(m().condition(y=1.0))
    >>> round(float(guide.arguments["loc"][0]), 4), round(float(guide.arguments["scale_tril"][0, 0]) ** 2, 4)
    (0.5, 0.5)
    """
    bound = as_bound(bound, "a bound model")
    loc, scale_tril = normal(bound, paths, seed)
    draft = Draft(
        "pathfinder",
        bound,
        f"Pathfinder's normal over all coordinates of {bound.name}.",
        ("MultivariateNormal", "Placed"),
    )
    at, factor = draft.argument("loc", loc), draft.argument("scale_tril", scale_tril)
    drawn = joint.draw(draft, call("MultivariateNormal", at, scale_tril=factor))
    joint.place(draft, latents(bound), drawn)
    return draft.bound()


def normal(bound: Bound, paths: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(centre [D], scale_tril [D, D]) of the approximation."""
    found = _approximation(bound, paths, seed)
    return torch.from_numpy(found.mean), torch.linalg.cholesky(torch.from_numpy(found.covariance))


def low_rank(
    bound: Bound, rank: int, paths: int = 8, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(centre [D], W [D, rank], d [D]) with W Wᵀ + diag(d) near the approximation's covariance Σ.

    Σ = diag(√α) (I + V diag(λ) Vᵀ) diag(√α); W takes the largest positive λ, and d is what the variances lack.
    """
    found = _approximation(bound, paths, seed)
    values, vectors = np.linalg.eigh(found.tril @ found.tril.T)
    excess, directions = values - 1.0, found.q @ vectors
    root = np.sqrt(found.alpha)[:, None]
    factor = np.zeros((len(found.mean), rank))
    for column, i in enumerate(np.argsort(-excess)[:rank]):
        factor[:, column] = (root * directions)[:, i] * np.sqrt(max(excess[i], 0.0))
    variance = found.alpha * (1.0 + (directions**2 * excess).sum(1))
    rest = variance - (factor**2).sum(1)
    return (
        torch.from_numpy(found.mean),
        torch.from_numpy(factor),
        torch.from_numpy(np.maximum(rest, 1e-6 * variance)),
    )


def _approximation(bound: Bound, paths: int, seed: int) -> Approximation:
    for site in latents(bound):
        if site.support.discrete:
            raise MethodError(
                f"Pathfinder needs continuous sites, and '{site.name}' is discrete",
                site=site.name,
                where=site.effect.node.mark,
                expected="continuous latent sites",
                found=f"a latent {site.effect.site.spec.cls.__name__}",
                edit="ppl.guides.mean_field(…), which keeps a probability for each value",
            )
    subsamples = record(bound).subsamples
    if subsamples:
        name = next(iter(subsamples))
        raise MethodError(
            f"plate '{name}' is subsampled: Pathfinder needs the whole log density",
            expected="plates without subsample=",
            found=f"a subsample of plate '{name}'",
            edit="ppl.guides.mean_field(…), or leave subsample= out",
        )
    return approximation(compile(bound), seed, Pathfinder(paths=paths))
