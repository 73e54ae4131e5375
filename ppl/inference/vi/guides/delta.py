"""The guide of point estimates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppl.errors import MethodError, placed
from ppl.inference.vi.guides.draft import Draft, Maker
from ppl.inference.vi.guides.latents import Latent, latents
from ppl.inference.vi.guides.sites import starts
from ppl.inference.vi.guides.text import Call, call, quoted
from ppl.language.program import Bound, as_bound


@placed
def delta(bound: Bound, init: Mapping[str, Any] | None = None) -> Bound:
    """Every site at one point: with the ELBO as objective its params become the maximum a posteriori estimate.

    log q is 0 at the point, so the ELBO is the model's log density there, in the sites' own coordinates.

    Args, returns, raises: as `mean_field`; discrete sites are refused.

    >>> import ppl
    >>> from ppl.distributions import Beta
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("p", Beta(2.0, 2.0))
    >>> float(ppl.simulate(delta(m()))["p"])
    0.5
    """
    bound = as_bound(bound, "a bound model")
    sites = latents(bound)
    for site in sites:
        if site.support.discrete:
            raise MethodError(
                f"site '{site.name}' is discrete: a point of it can't be found by its gradient",
                site=site.name,
                where=site.effect.node.mark,
                expected="continuous latent sites",
                found=f"a latent {site.effect.site.spec.cls.__name__}",
                edit="ppl.guides.mean_field(…), which keeps a probability for each value",
            )
    draft = Draft("delta", bound, f"Every latent site of {bound.name} at one point.", ("Delta",))
    begin = starts(sites, init)
    makers = {site.name: _point(draft, site, begin) for site in sites}
    draft.sites(sites, makers)
    return draft.bound()


def _point(draft: Draft, latent: Latent, begin: Mapping[str, Any]) -> Maker:
    init = latent.constrained(begin[latent.name])
    text = draft.value(f"{latent.name}.init", init)
    support = draft.support(latent, indexed=False)("")
    arguments: dict[str, str | Call] = {} if latent.support.name == "real" else {"constraint": support}
    point = draft.assign(latent.name, call("ppl.param", quoted(latent.name), text, **arguments))
    return lambda index: call("Delta", point + index)
