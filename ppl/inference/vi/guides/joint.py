"""Guides whose coordinates have a joint law: one hidden site draws them all, and each of the model's sites is placed
at its own.

`_joint` is the guide's alone (names that begin with an underscore are), so the density of a draw is that of
the coordinates times the Jacobians of the maps onto the supports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ppl.errors import MethodError
from ppl.inference.vi.guides.draft import Draft, Maker
from ppl.inference.vi.guides.latents import Latent
from ppl.inference.vi.guides.sites import discrete, starts
from ppl.inference.vi.guides.text import Call, call, quoted

SITE = "_joint"


def continuous(latents: Sequence[Latent]) -> list[Latent]:
    """The sites that share the joint law.

    Raises:
        MethodError: there is none.
    """
    found = [latent for latent in latents if not latent.support.discrete]
    if found:
        return found
    raise MethodError(
        "a joint guide needs continuous sites, and all latent sites are discrete",
        expected="a continuous latent site",
        found=", ".join(latent.name for latent in latents),
        edit="ppl.guides.mean_field(…)",
    )


def start(latents: Sequence[Latent], init: Mapping[str, Any] | None) -> torch.Tensor:
    """Where the coordinates start, [D]: those of the sites in program order, each row by row."""
    found = starts(latents, init)
    return torch.cat([found[latent.name].reshape(-1) for latent in continuous(latents)])


def draw(draft: Draft, d: Call) -> str:
    """`joint = ppl.sample("_joint", d)`; the variable's name."""
    draft.blank()
    return draft.assign("joint", call("ppl.sample", quoted(SITE), d))


def place(draft: Draft, latents: Sequence[Latent], joint: str) -> None:
    """Every continuous site at its piece of the coordinates; discrete ones independent of everything."""
    makers: dict[str, Maker] = {}
    begin = 0
    for latent in latents:
        if latent.support.discrete:
            makers[latent.name] = discrete(draft, latent)
        else:
            makers[latent.name] = _placed(draft, latent, _piece(joint, begin, latent))
            begin += latent.count
    draft.sites(latents, makers)


def _piece(joint: str, begin: int, latent: Latent) -> str:
    """The coordinates of all elements of a site, in their own shape."""
    shape = latent.sizes + latent.coordinates
    if not shape:
        return f"{joint}[{begin}]"
    piece = f"{joint}[{begin}:{begin + latent.count}]"
    return piece if len(shape) == 1 else f"{piece}.reshape({', '.join(map(str, shape))})"


def _placed(draft: Draft, latent: Latent, piece: str) -> Maker:
    support = draft.support(latent)
    if not latent.sizes and len(piece) <= 24:
        return lambda index: call("Placed", piece, support(index))
    variable = draft.assign(latent.name, piece)
    return lambda index: call("Placed", variable + index, support(index))
