"""Independent families as one: a joint law whose events are laid end to end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Dirichlet, Distribution, Gamma

from ppl.distributions import constraints
from ppl.distributions.constraints import Constraint
from ppl.distributions.registry import Family, family_of, register
from ppl.distributions.shapes import broadcast_shapes
from ppl.errors import ParameterError

__all__ = ["Product"]


def _support(d: Distribution) -> Constraint:
    support = d.support
    if support is None:
        raise ParameterError(f"{type(d).__name__} doesn't say its support, so it can't be part of a Product")
    return support


def _of_product(d: Any, family: Family) -> Family:
    """The strategies that every part admits; "implicit" where each has some derivative of its draws."""
    known = [family_of(part) for part in d.parts]
    shared = [s for s in known[0].strategies if all(s in f.strategies for f in known)]
    if "reparam" not in shared and all({"reparam", "implicit"} & set(f.strategies) for f in known):
        shared = ["implicit", *(s for s in shared if s != "implicit")]
    return Family(
        family.name,
        family.cls,
        event_dim=1,
        discrete=all(f.discrete for f in known),
        finite=False,
        strategies=tuple(s for s in shared if s in ("reparam", "implicit", "score")),
        atoms=any(f.atoms or f.discrete for f in known) and not all(f.discrete for f in known),
        proper=all(f.proper for f in known),
    )


@register(
    strategies=("reparam", "score"),
    discrete=False,
    event_dim=1,
    instance=_of_product,
    example=lambda: Product([Gamma(2.0, 1.0), Dirichlet(torch.tensor([1.5, 2.0, 3.0]))]),
)
class Product(Distribution):
    """Independent families as one: the events, flattened, one after the other; log p = Σ log p_i.

    Args:
        parts: distributions whose batch shapes broadcast. `split` gives the parts' events back.

    >>> d = Product([torch.distributions.Normal(0.0, 1.0), Dirichlet(torch.ones(3))])
    >>> [tuple(x.shape) for x in d.split(d.sample())]
    [(), (3,)]
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, parts: Sequence[Distribution], validate_args: bool | None = None) -> None:
        if not parts:
            raise ParameterError("Product needs at least one distribution", expected="Product([d1, d2])")
        batch = broadcast_shapes(*(d.batch_shape for d in parts))
        self.parts = tuple(d if d.batch_shape == batch else d.expand(batch) for d in parts)
        self.sizes = tuple(math.prod(d.event_shape) for d in self.parts)
        super().__init__(batch, torch.Size((sum(self.sizes),)), validate_args=validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return all(d.has_rsample for d in self.parts)

    @constraints.dependent_property(event_dim=1)
    def support(self) -> Constraint:
        return constraints.product([_support(d) for d in self.parts], [d.event_shape for d in self.parts])

    def expand(self, batch_shape: Any, _instance: Any = None) -> Product:
        return Product([d.expand(batch_shape) for d in self.parts], validate_args=False)

    def split(self, value: Tensor) -> list[Tensor]:
        """The parts' events in their own shapes, from a flat value (…, size)."""
        pieces = zip(value.split(self.sizes, -1), self.parts, strict=True)
        return [piece.reshape(value.shape[:-1] + d.event_shape) for piece, d in pieces]

    def _join(self, events: Sequence[Tensor]) -> Tensor:
        rows = zip(events, self.parts, strict=True)
        flat = [x.reshape(x.shape[: x.dim() - len(d.event_shape)] + (-1,)) for x, d in rows]
        return torch.cat(flat, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        terms = [d.log_prob(x) for d, x in zip(self.parts, self.split(value), strict=True)]
        return torch.stack(terms).sum(0)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self._join([d.sample(sample_shape) for d in self.parts])

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self._join([d.rsample(sample_shape) for d in self.parts])

    @property
    def mean(self) -> Tensor:
        return self._join([d.mean for d in self.parts])

    @property
    def variance(self) -> Tensor:
        return self._join([d.variance for d in self.parts])
