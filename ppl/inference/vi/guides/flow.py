"""Guides whose joint law is a standard normal sent through a normalising flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ppl.errors import MethodError, closest, placed
from ppl.inference.vi.guides import joint
from ppl.inference.vi.guides.draft import Draft
from ppl.inference.vi.guides.latents import latents
from ppl.inference.vi.guides.sites import DISCRETE
from ppl.inference.vi.guides.text import call
from ppl.language.program import Bound, as_bound

_LAYERS = {
    "planar": """
u, w, b = (
    ppl.param(f"flow.{{k}}.u", torch.zeros({size})),
    ppl.param(f"flow.{{k}}.w", flows.spread({layers}, {size})[k]),
    ppl.param(f"flow.{{k}}.b", 0.0),
)
z, more = flows.planar(z, u, w, b)
""",
    "affine": """
first, last = z[:{half}], z[{half}:]
shift, log_scale = flows.network(f"flow.{{k}}", first, {hidden}, {both}).chunk(2)
log_scale = flows.soft_clamp(log_scale)
z = torch.cat([first, shift + log_scale.exp() * last]).flip(0)
more = log_scale.sum()
""",
    "autoregressive": """
z, more = flows.autoregressive(f"flow.{{k}}", z, {hidden})
z = z.flip(0)
""",
    "maf": """
z, more = flows.masked_autoregressive(f"flow.{{k}}", z, {hidden})
z = z.flip(0)
""",
    "spline": """
first, last = z[:{half}], z[{half}:]
shape = flows.network(f"flow.{{k}}", first, {hidden}, {pieces})
last, more = flows.spline(last, shape.reshape({rest}, {numbers}))
z = torch.cat([first, last]).flip(0)
""",
}
_LAYERS["iaf"] = _LAYERS["autoregressive"]
"""One layer of each kind, as lines of the guide: from z to z, with `more` log-determinant."""


@placed
def flow(
    bound: Bound,
    kind: str = "affine",
    layers: int = 4,
    hidden: int = 32,
    bins: int = 8,
    init: Mapping[str, Any] | None = None,
    scale: float = 0.1,
) -> Bound:
    """u = loc + scale · f(z) with z standard normal, f a flow, and every site x_k = T_k(u_k).

    The guide draws z as a site `_joint` of its own and subtracts the flow's log-determinant by a factor
    `_flow`; no inverse is needed.

    Args:
        kind: "planar" (Rezende & Mohamed 2015), "affine" (couplings: Dinh et al. 2017), "autoregressive" or "iaf"
            (inverse autoregressive flow: Kingma et al. 2016), "maf" (masked autoregressive flow: Papamakarios et al. 2017;
            drawn one coordinate after the other), "spline" (couplings: Durkan et al. 2019).
        layers: of f.
        hidden: units of each layer's network.
        bins: of each spline.
        init, scale: as in `mean_field`.

    Raises:
        MethodError: a site that no automatic guide covers, an unknown kind, couplings of one coordinate.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("x", Normal(torch.zeros(3), 1.0))
    >>> ppl.simulate(flow(m(), "spline", layers=2))["x"].shape
    torch.Size([3])
    """
    bound = as_bound(bound, "a bound model")
    sites = latents(bound)
    loc = joint.start(sites, init)
    _check(kind, layers, hidden, bins, len(loc))
    summary = f"A flow of {layers} {kind} layers over all coordinates of {bound.name}."
    draft = Draft("flow", bound, summary, ("Normal", "Placed", *DISCRETE))
    for name in ("z", "k", "more", "first", "last", "u", "w", "b", "shift", "log_scale", "shape", "range"):
        draft.taken.add(name)
    at = draft.param("joint.loc", loc)
    width = draft.param("joint.scale", torch.full_like(loc, scale), '"positive"')
    drawn = joint.draw(draft, call("Normal", f"torch.zeros({len(loc)})", "1.0"))
    half = len(loc) // 2
    rest = len(loc) - half
    layer = _LAYERS[kind].format(
        size=len(loc),
        layers=layers,
        half=half,
        rest=rest,
        hidden=hidden,
        both=2 * rest,
        numbers=3 * bins - 1,
        pieces=rest * (3 * bins - 1),
    )
    lines = [f"z, log_det = {drawn}, {width}.log().sum()", f"for k in range({layers}):"]
    lines += [f"    {line}" for line in layer.strip().splitlines()]
    lines += ["    log_det = log_det + more", 'ppl.factor("_flow", -log_det)']
    draft.write(lines)
    place = draft.assign("coordinates", f"{at} + {width} * z")
    joint.place(draft, sites, place)
    return draft.bound()


def _check(kind: str, layers: int, hidden: int, bins: int, size: int) -> None:
    if kind not in _LAYERS:
        near = closest(kind, _LAYERS) or ["affine"]
        raise MethodError(
            f"no flow is called '{kind}'", expected=", ".join(_LAYERS), found=kind, edit=f'"{near[0]}"'
        )
    for name, value, least in (("layers", layers, 1), ("hidden", hidden, 1), ("bins", bins, 2)):
        if value < least:
            raise MethodError(
                f"a flow needs {name} ≥ {least}", expected=f"{name}={least} or more", found=f"{name}={value}"
            )
    if size < 2 and kind in ("affine", "spline"):
        raise MethodError(
            "couplings need two coordinates, and the model has one",
            expected="two coordinates or more",
            found="one",
            edit='"planar", or ppl.guides.full_rank(…)',
        )
