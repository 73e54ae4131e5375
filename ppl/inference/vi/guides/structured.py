"""The structured guide: every site keeps the model's dependence on the sites before it, as far as that helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ppl.compiler.graph import Node
from ppl.compiler.specs import Leaf, Record
from ppl.distributions import Independent, LogNormal, family_of
from ppl.errors import placed
from ppl.inference.vi.guides.draft import Draft, Maker
from ppl.inference.vi.guides.expressions import Expressions, Unwritable
from ppl.inference.vi.guides.latents import Latent
from ppl.inference.vi.guides.latents import statements as latent_statements
from ppl.inference.vi.guides.sites import VOCABULARY, independent, starts
from ppl.inference.vi.guides.text import Call, call
from ppl.language.program import Bound, as_bound
from ppl.language.record import record
from ppl.language.structure import Boxes, Scope, Statement


def mix(prior: Any, free: torch.Tensor, trust: torch.Tensor) -> torch.Tensor:
    """trust · prior + (1 − trust) · free.

    >>> mix(2.0, torch.tensor(0.0), torch.tensor(0.5))
    tensor(1.)
    """
    return trust * prior + (1.0 - trust) * free


@placed
def structured(bound: Bound, init: Mapping[str, Any] | None = None, scale: float = 0.1) -> Bound:
    """q(x_k | x_<k) = N(λ m(x_<k) + (1 − λ) loc, κ s(x_<k) + (1 − κ) scale) for a site whose prior has location m
    and scale s (of a log-normal site: of its logarithm).

    λ and κ, one each for every element, say how far the prior is trusted; they start at ½. Sites of other families, or whose m
    and s depend on no other site or can't be written in a line, are as in `mean_field`.

    Args, returns, raises: as `mean_field`; `init` gives where `loc` starts.

    Source: Ambrogioni et al., "Automatic structured variational inference" (2021).

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     mu = ppl.sample("mu", Normal(0.0, 1.0))
    ...     ppl.sample("x", Normal(2.0 * mu, 1.0))
    >>> print(ppl.guides.source(structured(m())).splitlines()[-2].strip())
    "x", Normal(mix(mu * 2.0, x_loc, x_loc_trust), mix(1.0, x_scale, x_scale_trust))
    """
    bound = as_bound(bound, "a bound model")
    recorded = record(bound)
    found = latent_statements(bound, recorded)
    sites = [latent for _, latent in found]
    summary = f"Every latent site of {bound.name} between its prior and a normal of its own."
    draft = _Draft("structured", bound, summary, VOCABULARY)
    loc = starts(sites, init)
    priors = draft.read(found)
    makers: dict[str, Maker] = {}
    for site in sites:
        if site.name in priors:
            makers[site.name] = _mixed(draft, site, priors[site.name], loc[site.name], scale)
        else:
            makers[site.name] = independent(draft, site, loc, scale)
    draft.sites(sites, makers)
    return draft.bound()


@dataclass(frozen=True)
class _Prior:
    """Location and scale of a site's prior as text, and the family they are parameters of."""

    loc: str
    scale: str
    family: str


class _Draft(Draft):
    """A draft in which sites have variables and scans carry what the model's do."""

    def read(self, found: list[tuple[Statement, Latent]]) -> dict[str, _Prior]:
        """The priors that depend on other sites, and can be written."""
        for _, latent in found:
            for box in latent.boxes:
                self.loop_name(box)
        self.variables = {latent.name: self.variable(latent.name) for _, latent in found}
        self.expressions = Expressions(self, self.variables)
        self.regions: dict[Boxes, Node] = {}
        priors = {}
        for statement, latent in found:
            scope: Scope | None = statement.scope
            while scope is not None and scope.region is not None:
                self.regions[scope.boxes] = scope.region
                scope = scope.parent
            prior = self._prior(statement)
            if prior is not None:
                priors[latent.name] = prior
        return priors

    def _prior(self, statement: Statement) -> _Prior | None:
        parameters = _location_and_scale(statement)
        if parameters is None or not any(s.kind == "site" or s.previous for s in statement.sources):
            return None
        before = self.expressions.notes()
        try:
            loc, scale = (self.expressions.argument(p, statement.scope) for p in parameters[:2])
        except Unwritable:
            self.expressions.restore(before)
            return None
        return _Prior(loc, scale, parameters[2])

    def _site(self, latent: Latent, makers: Mapping[str, Maker]) -> tuple[str, Call]:
        before, statement = super()._site(latent, makers)
        if latent.name in self.expressions.used:
            before = f"{self.variables[latent.name]} = "
        return before, statement

    def _carry(self, boxes: Boxes) -> tuple[str, str]:
        return self.expressions.carried.get(self.regions[boxes]) or super()._carry(boxes)


def _location_and_scale(statement: Statement) -> tuple[Node, Node, str] | None:
    """(location, scale, family of the guide) of a location–scale site, or of the logarithm of a log-normal one."""
    spec = statement.effect.site.spec
    while isinstance(spec, Record) and spec.cls is Independent:
        spec = dict(spec.fields)["base_dist"]
    family = "Normal"
    if isinstance(spec, Record) and spec.cls is LogNormal:
        spec, family = dict(spec.fields)["base_dist"], "LogNormal"
    if not isinstance(spec, Record) or family_of(spec.cls).location_scale != ("loc", "scale"):
        return None
    leaves = [dict(spec.fields).get(name) for name in ("loc", "scale")]
    if not all(isinstance(leaf, Leaf) for leaf in leaves):
        return None
    loc, scale = (statement.effect.params[leaf.index] for leaf in leaves if isinstance(leaf, Leaf))
    return loc, scale, family


def _mixed(draft: Draft, latent: Latent, prior: _Prior, loc: torch.Tensor, scale: float) -> Maker:
    half = torch.full_like(loc, 0.5)
    free = draft.param(f"{latent.name}.loc", loc)
    trust = draft.param(f"{latent.name}.loc_trust", half, '"unit"')
    width = draft.param(f"{latent.name}.scale", torch.full_like(loc, scale), '"positive"')
    width_trust = draft.param(f"{latent.name}.scale_trust", half, '"unit"')
    return lambda index: call(
        prior.family,
        call("mix", prior.loc, free + index, trust + index),
        call("mix", prior.scale, width + index, width_trust + index),
    )
