"""The latent sites of a program, as a guide has to sample them: loops, shapes, supports."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ppl.compiler.ops.effects import Effect
from ppl.compiler.passes.layouts import Layout
from ppl.distributions.bijectors import biject_to
from ppl.errors import MethodError, StructureError
from ppl.inference.vi.guides.supports import Support, support_of
from ppl.language.program import Bound
from ppl.language.record import Recorded, record
from ppl.language.structure import Boxes, Statement, structure


@dataclass(frozen=True)
class Latent:
    """One latent site. `shape` is that of one element, `coordinates` its shape in unconstrained space."""

    name: str
    boxes: Boxes
    shape: tuple[int, ...]
    coordinates: tuple[int, ...]
    dims: tuple[str, ...]
    support: Support
    effect: Effect

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the loops around it; of a subsampled plate all elements."""
        return tuple(box.total or box.size for box in self.boxes)

    @property
    def count(self) -> int:
        """The number of unconstrained coordinates of all its elements."""
        return math.prod(self.sizes + self.coordinates)

    def unconstrained(self, value: torch.Tensor) -> torch.Tensor:
        """The coordinates of a value for all elements, [*sizes, *coordinates]."""
        return biject_to(self.support.constraint).inv(value).expand(self.sizes + self.coordinates)

    def constrained(self, coordinates: torch.Tensor) -> torch.Tensor:
        return biject_to(self.support.constraint)(coordinates).expand(self.sizes + self.shape)


def latents(bound: Bound, recorded: Recorded | None = None) -> list[Latent]:
    """The latent sites of a program, in program order.

    Raises:
        MethodError: a site that no automatic guide covers: in a branch, partly observed, on a support
            that moves with random values; or there is none.
    """
    return [latent for _, latent in statements(bound, recorded or record(bound))]


def statements(bound: Bound, recorded: Recorded) -> list[tuple[Statement, Latent]]:
    """The same, each with its statement in the model."""
    found = [
        (s, _latent(s, recorded))
        for s in structure(recorded)
        if s.effect.node.op == "sample" and not dict(s.effect.site.options).get("hidden")
    ]
    if not found:
        raise StructureError(
            f"'{bound.name}' has no latent site, so there is nothing to guide",
            expected="a site that is neither observed nor fixed",
            found="none",
            edit="leave the sites to be inferred out of condition(…)",
        )
    return found


def _latent(statement: Statement, recorded: Recorded) -> Latent:
    e, name = statement.effect, statement.name
    if any(box.kind == "branch" for box in statement.boxes):
        raise _not_covered(statement, "stands in a branch (cond, switch), where it may not exist", "branch")
    if name in recorded.missing:
        raise _not_covered(statement, "is observed in part; its missing elements have no guide", "site")
    layout = Layout(name, e, tuple((box.name, box.size) for box in statement.boxes))
    sizes = tuple(box.total or box.size for box in statement.boxes)
    shape = tuple(e.node.shape)
    support = support_of(statement, sizes + shape)
    coordinates = shape if support.discrete else tuple(layout.support.unconstrained)
    return Latent(name, statement.boxes, shape, coordinates, e.site.dims, support, e)


def _not_covered(statement: Statement, why: str, what: str) -> MethodError:
    return MethodError(
        f"no automatic guide covers '{statement.name}': it {why}",
        site=statement.name,
        where=statement.effect.node.mark,
        expected="latent sites that always exist and are not observed",
        found=f"a {what} of another kind" if what == "site" else f"a site in a {what}",
        edit="write the guide by hand: start from ppl.guides.source(…) of a model without this site",
    )
