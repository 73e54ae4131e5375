"""The distributions that guides give to single sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ppl.distributions import constraints
from ppl.errors import DataError, MethodError, closest
from ppl.inference.vi.guides.draft import Draft, Maker
from ppl.inference.vi.guides.latents import Latent
from ppl.inference.vi.guides.text import Call, call
from ppl.language.arrays import as_tensor

DISCRETE = ("Bernoulli", "Categorical", "OneHotCategorical")
VOCABULARY = ("LogNormal", "Normal", "Pushforward", *DISCRETE)


def normal(draft: Draft, latent: Latent, loc: torch.Tensor, scale: float) -> Maker:
    """A normal for every coordinate, taken onto the support."""
    at = draft.param(f"{latent.name}.loc", loc)
    width = draft.param(f"{latent.name}.scale", torch.full_like(loc, scale), '"positive"')
    support = draft.support(latent)
    return lambda index: normal_on(latent, at + index, width + index, support(index))


def normal_on(latent: Latent, loc: str, scale: str, support: str | Call) -> Call:
    """N(loc, scale²) taken onto a site's support."""
    if latent.support.name == "real":
        return call("Normal", loc, scale)
    if latent.support.name in ("positive", "nonnegative"):
        return call("LogNormal", loc, scale)
    return call("Pushforward", call("Normal", loc, scale), support)


def discrete(draft: Draft, latent: Latent) -> Maker:
    """A probability for every value: equal ones to begin with."""
    family, classes = _finite(latent)
    logits = draft.param(f"{latent.name}.logits", torch.zeros(latent.sizes + latent.shape + classes))
    return lambda index: call(family, logits=logits + index)


def _finite(latent: Latent) -> tuple[str, tuple[int, ...]]:
    """The family over a finite support, and the axis of its logits that values lack."""
    support: Any = latent.support.constraint
    if latent.support.name == "boolean":
        return "Bernoulli", ()
    if isinstance(support, type(constraints.one_hot)):
        return "OneHotCategorical", ()
    if not latent.effect.node.dtype.is_floating_point and getattr(support, "lower_bound", None) == 0:
        high = getattr(support, "upper_bound", None)
        if isinstance(high, int | float):
            return "Categorical", (int(high) + 1,)
    raise MethodError(
        f"no automatic guide covers the discrete site '{latent.name}'",
        site=latent.name,
        where=latent.effect.node.mark,
        expected="Bernoulli, Categorical or OneHotCategorical, or continuous sites",
        found=latent.effect.site.spec.cls.__name__,
        edit="sum it out by hand (torch.logsumexp over its values in a ppl.factor), or write the guide by hand",
    )


def independent(draft: Draft, latent: Latent, starts: Mapping[str, torch.Tensor], scale: float) -> Maker:
    if latent.support.discrete:
        return discrete(draft, latent)
    return normal(draft, latent, starts[latent.name], scale)


def starts(latents: Sequence[Latent], init: Mapping[str, Any] | None) -> dict[str, torch.Tensor]:
    """Where the coordinates of the continuous sites start: at the values in `init`, else at zero.

    Raises:
        DataError: `init` names no continuous latent site, or a value doesn't fit.
    """
    given = dict(init or {})
    found = {}
    for latent in latents:
        if latent.support.discrete:
            continue
        start = torch.zeros(latent.sizes + latent.coordinates, dtype=torch.float64)
        if latent.name in given:
            start = latent.unconstrained(_value(latent, given.pop(latent.name)))
        found[latent.name] = start
    if given:
        name = next(iter(given))
        near = closest(name, found)
        raise DataError(
            f"init gives a value for '{name}', which is not a continuous latent site",
            expected="some of " + ", ".join(found),
            found=name,
            edit=f"rename it to '{near[0]}'" if near else f"remove {name}",
        )
    return found


def _value(latent: Latent, given: Any) -> torch.Tensor:
    value = as_tensor(given, torch.float64)
    shape = latent.sizes + latent.shape
    inside = tuple(value.shape) == shape and bool(latent.support.constraint.check(value).all())
    if inside:
        return value
    raise DataError(
        f"init has no possible value for '{latent.name}'",
        site=latent.name,
        expected=f"shape {list(shape)}, inside the support {latent.support.name or latent.support.constraint}",
        found=f"shape {list(value.shape)}" if tuple(value.shape) != shape else "a value outside the support",
        edit=f"give a value that '{latent.name}' can take, loops first",
    )
