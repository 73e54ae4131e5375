"""The guide for posteriors with several modes: a mixture of normals in unconstrained coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ppl.errors import MethodError, closest, placed
from ppl.inference.vi.guides import joint
from ppl.inference.vi.guides.draft import Draft
from ppl.inference.vi.guides.latents import latents
from ppl.inference.vi.guides.sites import DISCRETE
from ppl.inference.vi.guides.text import call
from ppl.language.program import Bound, as_bound

BASES = ("mean_field", "full_rank")


@placed
def mixture(
    bound: Bound,
    components: int = 2,
    base: str = "mean_field",
    init: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    scale: float = 0.5,
    spread: float = 2.0,
) -> Bound:
    """q(u) = Σ_k w_k N(u; loc_k, Σ_k) over all unconstrained coordinates, and every site x_j = T_j(u_j).

    The guide draws its component k as a site `_component`, summed over exactly: the ELBO is Σ_k w_k E_k[…], one draw of
    each component (stratified sampling), and pathwise in every param. A factor `_mixture` takes the density from
    that of (k, u) to that of u alone, so that components may overlap.

    Args:
        components: K.
        base: "mean_field", Σ_k diagonal, or "full_rank".
        init: around which values components start, as in `mean_field`; a list has values for each, and they start there.
        scale: of the coordinates in each component, to begin with.
        spread: how far apart the components start, about, where `init` doesn't say it.

    A component goes to a mode near its start; a mode that none starts near is missed, and k-hat can't tell.

    Raises:
        MethodError: a site that no automatic guide covers, an unknown base, fewer than one component.

    Source: Morningstar et al., "Automatic differentiation variational inference with mixtures" (2021).

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("x", Normal(0.0, 1.0))
    >>> sorted(ppl.simulate(mixture(m(), components=3)))
    ['_component', '_joint', 'x']
    """
    bound = as_bound(bound, "a bound model")
    sites = latents(bound)
    _check(components, base, init)
    starts = (
        None if init is None or isinstance(init, Mapping) else [joint.start(sites, each) for each in init]
    )
    centre = joint.start(sites, init if isinstance(init, Mapping) else None)
    summary = f"A mixture of {components} normals over all coordinates of {bound.name}."
    draft = Draft("mixture", bound, summary, ("MultivariateNormal", "Normal", "Placed", *DISCRETE))
    size = len(centre)
    logits = draft.param("component.logits", torch.zeros(components))
    begin = f"{spread!r} * flows.spread({components}, {size})"
    if bool((centre != 0).any()):
        begin = f"{draft.value('joint.centre', centre)} + {begin}"
    loc = draft.param("joint.loc", begin if starts is None else torch.stack(starts))
    family, name, first, total = (
        "Normal",
        "joint.scale",
        f"torch.full(({components}, {size}), {scale!r})",
        ".sum(-1)",
    )
    constraint = '"positive"'
    if base == "full_rank":
        family, name, total, constraint = "MultivariateNormal", "joint.scale_tril", "", '"lower_cholesky"'
        first = f"{scale!r} * torch.eye({size}).expand({components}, {size}, {size})"
    width = draft.param(name, first, constraint)
    given = {"scale_tril": width} if base == "full_rank" else {"scale": width}

    draft.blank()
    drawn = call("ppl.sample", '"_component"', f"Categorical(logits={logits})", grad='"enum"')
    k = draft.assign("component", drawn)
    each = {name: f"{value}[{k}]" for name, value in given.items()}
    u = draft.assign("joint", call("ppl.sample", '"_joint"', call(family, f"{loc}[{k}]", **each)))
    laws = draft.assign("normals", call(family, loc, **given))
    densities = draft.assign("log_densities", f"{laws}.log_prob({u}){total}")
    masses = draft.assign("log_masses", f"torch.log_softmax({logits}, -1) + {densities}")
    draft.write(call("ppl.factor", '"_mixture"', f"torch.logsumexp({masses}, 0) - {masses}[{k}]").lines(""))
    draft.blank()
    joint.place(draft, sites, u)
    return draft.bound()


def _check(components: int, base: str, init: Any) -> None:
    if init is not None and not isinstance(init, Mapping) and len(init) != components:
        raise MethodError(
            "init has not as many starts as the mixture has components",
            expected=f"{components} dictionaries, or one for all",
            found=str(len(init)),
            edit=f"components={len(init)}",
        )
    if not isinstance(components, int) or components < 1:
        raise MethodError(
            "a mixture has at least one component",
            expected="components=1 or more",
            found=f"components={components!r}",
            edit="components=2",
        )
    if base not in BASES:
        near = closest(base, BASES) or BASES
        raise MethodError(
            f"there are no mixtures of '{base}' guides",
            expected=", ".join(f'"{b}"' for b in BASES),
            found=repr(base),
            edit=f'base="{near[0]}"',
        )
