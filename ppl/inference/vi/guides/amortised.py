"""The guide of large plates: an encoder computes each element's latent sites from the element's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ppl.errors import DataError, MethodError, placed
from ppl.inference.vi.guides.draft import _INDENT, Draft, Maker
from ppl.inference.vi.guides.latents import Latent, latents
from ppl.inference.vi.guides.sites import VOCABULARY, independent, normal_on, starts
from ppl.inference.vi.guides.text import call, quoted
from ppl.language.arrays import as_tensor
from ppl.language.program import Bound, as_bound
from ppl.language.record import Recorded, record
from ppl.language.structure import structure


@placed
def amortised(
    bound: Bound,
    encoder: torch.nn.Module,
    plate: str | None = None,
    data: Any = None,
    init: Mapping[str, Any] | None = None,
    scale: float = 0.1,
) -> Bound:
    """q(z_i | y_i) = N(loc_i, scale_i²) in unconstrained coordinates with (loc_i, log scale_i) = encoder(y_i), for the sites
    z_i of a plate's elements; the other sites, and discrete ones, are as in `mean_field`.

    The number of params does not grow with the plate, and a new element needs no optimisation.

    Args:
        encoder: from what is known of an element, [F], to 2 D numbers: the locations of its D coordinates, sites in
            program order, then the logarithms of their scales.
        plate: its name; left out, the outermost plate of the latent sites, if there is one such.
        data: what is known of each element, [elements, F]; left out, the plate's observed sites, flattened and one
            after the other.
        init, scale: of the other sites, as in `mean_field`.

    Raises:
        MethodError: a site that no automatic guide covers, no such plate, an encoder of another size.

    Source: Kingma & Welling, "Auto-encoding variational Bayes" (2014).

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     for _ in ppl.plate("i", 50):
    ...         z = ppl.sample("z", Normal(0.0, 1.0))
    ...         ppl.sample("y", Normal(z, 1.0))
    >>> encoder = torch.nn.Linear(1, 2)
    >>> print(ppl.guides.source(amortised(m().condition(y=torch.zeros(50)), encoder)))
    import ppl
    from ppl.distributions import Normal
    <BLANKLINE>
    <BLANKLINE>
    @ppl.guide
    def amortised(encoder, data):
        \"\"\"Each element of plate 'i' of m by an encoder of its data.\"\"\"
        encode = ppl.module("encoder", encoder)
    <BLANKLINE>
        for i in ppl.plate("i", 50):
            loc, log_scale = encode(data[i]).chunk(2)
            ppl.sample("z", Normal(loc[0], log_scale[0].exp()))
    <BLANKLINE>
    """
    bound = as_bound(bound, "a bound model")
    recorded = record(bound)
    sites = latents(bound, recorded)
    name = _plate(bound, sites, plate)
    local = [s for s in sites if s.boxes and s.boxes[0].name == name and not s.support.discrete]
    features = _features(recorded, local[0], name, data)
    _check(encoder, features, local)
    draft = _Draft(
        "amortised",
        bound,
        f"Each element of plate '{name}' of {bound.name} by an encoder of its data.",
        VOCABULARY,
    )
    draft.taken |= {"loc", "log_scale", "encode"}
    draft.plate = name
    module = draft.argument("encoder", encoder)
    draft.features = draft.argument("data", features)
    draft.write(call("encode = ppl.module", '"encoder"', module).lines(""))
    begin, at = starts([s for s in sites if s not in local], init), 0
    makers: dict[str, Maker] = {}
    for site in sites:
        if site in local:
            makers[site.name] = draft.encoded(site, at)
            at += _count(site)
        else:
            makers[site.name] = independent(draft, site, begin, scale)
    draft.sites(sites, makers)
    return draft.bound()


class _Draft(Draft):
    """A draft in which the elements of one plate are encoded where their loop begins."""

    plate = ""
    features = ""

    def encoded(self, latent: Latent, at: int) -> Maker:
        """A normal for the coordinates of one element from the `at`-th on."""
        support = self.support(latent)
        shape = tuple(b.total or b.size for b in latent.boxes[1:]) + latent.coordinates

        def piece(of: str) -> str:
            if not shape:
                return f"{of}[{at}]"
            cut = f"{of}[{at}:{at + _count(latent)}]"
            return cut if len(shape) == 1 else f"{cut}.reshape({', '.join(map(str, shape))})"

        def make(index: str) -> Any:
            inner = ", ".join(map(self.loop_name, latent.boxes[1:]))
            inside = f"[{inner}]" if inner else ""
            return normal_on(
                latent, f"{piece('loc')}{inside}", f"{piece('log_scale')}{inside}.exp()", support(index)
            )

        return make

    def _nest(self, latents: Sequence[Latent], makers: Mapping[str, Maker], depth: int) -> None:
        box = latents[0].boxes[0] if depth == 1 else None
        if box is not None and box.name == self.plate:
            encoding = f"loc, log_scale = encode({self.features}[{self.loop_name(box)}]).chunk(2)"
            self.rows.append(2 * _INDENT + encoding)
        super()._nest(latents, makers, depth)


def _count(latent: Latent) -> int:
    """The coordinates of a site in one element of its outermost plate."""
    return latent.count // latent.sizes[0]


def _plate(bound: Bound, sites: Sequence[Latent], wanted: str | None) -> str:
    found = list(
        dict.fromkeys(
            s.boxes[0].name
            for s in sites
            if s.boxes and s.boxes[0].kind == "plate" and not s.support.discrete
        )
    )
    if wanted in found or (wanted is None and len(found) == 1):
        return wanted or found[0]
    raise MethodError(
        f"'{bound.name}' has no plate '{wanted}' with continuous latent sites"
        if wanted is not None
        else f"which plate of '{bound.name}' the encoder is for is not clear",
        expected="one of " + (", ".join(found) or "none: no plate stands around a continuous latent site"),
        found="no plate=" if wanted is None else repr(wanted),
        edit=f"plate={quoted(found[0])}" if found else "ppl.guides.mean_field(…)",
    )


def _features(recorded: Recorded, latent: Latent, plate: str, given: Any) -> torch.Tensor:
    """What is known of each element, [elements, F]."""
    size = latent.sizes[0]
    if given is not None:
        data = as_tensor(given, recorded.dtype)
    else:
        known = [
            recorded.observed[s.name]
            for s in structure(recorded)
            if s.name in recorded.observed and s.boxes and s.boxes[0].name == plate
        ]
        pieces = [y.reshape(size, -1).to(recorded.dtype) for y in known if y.shape[:1] == (size,)]
        if not pieces or len(pieces) < len(known):
            raise DataError(
                f"the data of the elements of plate '{plate}' are not known",
                expected=f"observed sites in the plate with values for all {size} elements",
                found="none" if not known else f"shapes {', '.join(str(list(y.shape)) for y in known)}",
                edit="data=x, with a row for each element",
            )
        data = torch.cat(pieces, 1)
    if data.dim() < 2 or data.shape[0] != size:
        raise DataError(
            f"data has no row for each element of plate '{plate}'",
            expected=f"shape [{size}, …]",
            found=f"shape {list(data.shape)}",
            edit="data=x.reshape(-1, 1)" if data.shape == (size,) else "data=x, with a row for each element",
        )
    return data


def _check(encoder: torch.nn.Module, features: torch.Tensor, local: Sequence[Latent]) -> None:
    size = sum(map(_count, local))
    like = next(encoder.parameters(), features)
    try:
        with torch.no_grad():
            shape = list(encoder(features[0].to(like.dtype)).shape)
        found = f"shape {shape}"
    except RuntimeError as error:
        shape, found = [], str(error).partition("\n")[0][:100]
    if shape == [2 * size]:
        return
    raise MethodError(
        "the encoder doesn't fit the plate's sites",
        expected=f"from {list(features.shape[1:])} to [{2 * size}]: location and log scale of "
        + ", ".join(f"{s.name} ({_count(s)})" for s in local),
        found=found,
        edit=f"an encoder such as torch.nn.Linear({features[0].numel()}, {2 * size})",
    )


__all__ = ["amortised"]
