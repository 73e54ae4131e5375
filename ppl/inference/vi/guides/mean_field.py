"""The mean-field guide: every latent site independent of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppl.errors import placed
from ppl.inference.vi.guides.draft import Draft
from ppl.inference.vi.guides.latents import latents
from ppl.inference.vi.guides.sites import VOCABULARY, independent, starts
from ppl.language.program import Bound, as_bound


@placed
def mean_field(bound: Bound, init: Mapping[str, Any] | None = None, scale: float = 0.1) -> Bound:
    """q(x) = Π q(x_k): a normal for every unconstrained coordinate, taken onto the site's support.

    Args:
        bound: the model, its data conditioned on.
        init: values at which sites start (the medians of q), [*loops, *site]; others start where their
            unconstrained coordinates are 0.
        scale: of the coordinates, to begin with.

    Discrete sites with few values (Bernoulli, Categorical, OneHotCategorical) have a probability for each.

    Returns:
        A bound guide; `ppl.guides.source(guide)` is its text.

    Raises:
        MethodError: a site that no automatic guide covers.

    Source: Kucukelbir et al., "Automatic differentiation variational inference" (2017).

    >>> import ppl
    >>> from ppl.distributions import HalfNormal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("tau", HalfNormal(1.0))
    >>> print(ppl.guides.source(mean_field(m())))
    import ppl
    from ppl.distributions import LogNormal
    <BLANKLINE>
    <BLANKLINE>
    @ppl.guide
    def mean_field():
        \"\"\"Every latent site of m independent of the others.\"\"\"
        tau_loc = ppl.param("tau.loc", 0.0)
        tau_scale = ppl.param("tau.scale", 0.1, constraint="positive")
    <BLANKLINE>
        ppl.sample("tau", LogNormal(tau_loc, tau_scale))
    <BLANKLINE>
    """
    bound = as_bound(bound, "a bound model")
    sites = latents(bound)
    draft = Draft(
        "mean_field", bound, f"Every latent site of {bound.name} independent of the others.", VOCABULARY
    )
    loc = starts(sites, init)
    makers = {s.name: independent(draft, s, loc, scale) for s in sites}
    draft.sites(sites, makers)
    return draft.bound()
