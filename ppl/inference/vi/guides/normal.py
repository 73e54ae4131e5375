"""Guides that are one multivariate normal in unconstrained coordinates: of full rank, and of low rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ppl.errors import MethodError, placed
from ppl.inference.vi.guides import joint, pathfinder
from ppl.inference.vi.guides.draft import Draft
from ppl.inference.vi.guides.latents import latents
from ppl.inference.vi.guides.sites import DISCRETE
from ppl.inference.vi.guides.text import call
from ppl.language.program import Bound, as_bound


@placed
def full_rank(
    bound: Bound,
    init: Mapping[str, Any] | str | None = None,
    scale: float = 0.1,
    around: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> Bound:
    """One normal over all unconstrained coordinates: u ~ N(loc, L Lᵀ), every site x_k = T_k(u_k).

    The guide draws u as a site `_joint` of its own; the density of a draw is N(u) Π |dT_k/du_k|⁻¹.

    Args, returns, raises: as `mean_field`; discrete sites are independent of everything. `around` is a normal
    known beforehand, (centre [D], scale_tril [D, D]), such as a Laplace approximation's: the guide starts there,
    and its params are coordinates in which that normal is standard, so that one step size suits all of them.
    `init="pathfinder"` takes Pathfinder's.

    Source: Kucukelbir et al., "Automatic differentiation variational inference" (2017).

    >>> import ppl
    >>> from ppl.distributions import HalfNormal, Normal
    >>> @ppl.model
    ... def m():
    ...     tau = ppl.sample("tau", HalfNormal(1.0))
    ...     ppl.sample("x", Normal(0.0, tau))
    >>> sorted(ppl.simulate(full_rank(m())))
    ['_joint', 'tau', 'x']
    """
    bound = as_bound(bound, "a bound model")
    sites = latents(bound)
    values, named = _init(init)
    loc = joint.start(sites, values)
    if named:
        around = pathfinder.normal(bound)
    summary = f"One normal over all coordinates of {bound.name}."
    draft = Draft("full_rank", bound, summary, ("MultivariateNormal", "Placed", *DISCRETE))
    eye = f"torch.eye({len(loc)})"
    if around is None:
        at = draft.param("joint.loc", loc)
        factor = draft.param("joint.scale_tril", f"{scale!r} * {eye}", constraint='"lower_cholesky"')
    else:
        centre, spread = draft.argument("centre", around[0]), draft.argument("spread", around[1])
        shift = draft.param("joint.loc", torch.zeros_like(loc))
        stretch = draft.param("joint.scale_tril", eye, constraint='"lower_cholesky"')
        at, factor = f"{centre} + {spread} @ {shift}", f"{spread} @ {stretch}"
    drawn = joint.draw(draft, call("MultivariateNormal", at, scale_tril=factor))
    joint.place(draft, sites, drawn)
    return draft.bound()


@placed
def low_rank(
    bound: Bound, rank: int | None = None, init: Mapping[str, Any] | str | None = None, scale: float = 0.1
) -> Bound:
    """As `full_rank`, with the covariance W Wᵀ + diag(d): O(D · rank) numbers instead of O(D²).

    Args:
        rank: the number of columns of W, at most the number D of coordinates; left out, √D.
        init, scale: as in `mean_field`; `init="pathfinder"` starts near Pathfinder's normal.

    W starts at small numbers of both signs: at zero the ELBO would have no gradient in it.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("x", Normal(torch.zeros(5), 1.0))
    >>> ppl.simulate(low_rank(m(), rank=2)).params["joint.factor"].shape
    torch.Size([5, 2])
    """
    bound = as_bound(bound, "a bound model")
    sites = latents(bound)
    values, named = _init(init)
    loc = joint.start(sites, values)
    size = len(loc)
    rank = round(size**0.5) if rank is None else rank
    if not 1 <= rank <= size:
        raise MethodError(
            "the rank of the guide doesn't fit the model",
            expected=f"a rank from 1 to {size}, the number of coordinates of {bound.name}",
            found=f"rank={rank}",
            edit=f"rank={min(max(rank, 1), size)}",
        )
    summary = f"One normal of rank {rank} over all coordinates of {bound.name}."
    draft = Draft("low_rank", bound, summary, ("LowRankMultivariateNormal", "Placed", *DISCRETE))
    small = f"{scale!r} * flows.spread({size}, {rank})"
    columns: torch.Tensor | str = small
    rest = torch.full_like(loc, float(f"{scale**2:.9g}"))
    if named:
        loc, columns, rest = pathfinder.low_rank(bound, rank)
    at = draft.param("joint.loc", loc)
    factor = draft.param("joint.factor", columns)
    diagonal = draft.param("joint.diagonal", rest, constraint='"positive"')
    drawn = joint.draw(draft, call("LowRankMultivariateNormal", at, factor, diagonal))
    joint.place(draft, sites, drawn)
    return draft.bound()


def _init(init: Mapping[str, Any] | str | None) -> tuple[Mapping[str, Any] | None, bool]:
    """Values to start at, and whether Pathfinder is to find them."""
    if not isinstance(init, str):
        return init, False
    if init != "pathfinder":
        raise MethodError(
            f"there is no start {init!r}",
            expected='"pathfinder", or a dictionary of values by site',
            found=f"init={init!r}",
            edit='init="pathfinder"',
        )
    return None, True
