"""Which tensors of an eager run depend on random choices, and the location and scale of a family."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.distributions import (
    Distribution,
    Independent,
    LogNormal,
    MultivariateNormal,
    TransformedDistribution,
)
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from ppl.distributions import family_of


class NeedsDependence(Exception):
    """The run has to start again with dependence recorded."""


class Dependence(TorchFunctionMode):
    """While active, every result of a torch function with a marked argument is marked too."""

    def __init__(self) -> None:
        super().__init__()
        # Tensors are kept alive, so that no id is used twice.
        self.marked: dict[int, torch.Tensor] = {}

    def mark(self, value: torch.Tensor) -> torch.Tensor:
        self.marked[id(value)] = value
        return value

    def on_choices(self, value: Any) -> bool:
        return id(value) in self.marked

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if any(id(v) in self.marked for v in pytree.tree_leaves((args, kwargs or {}))):
            for v in pytree.tree_leaves(result):
                if isinstance(v, torch.Tensor):
                    self.mark(v)
        return result


def location_and_scale(d: Distribution) -> tuple[torch.Tensor, ...]:
    """The parameters that a non-centred form of `d` moves out of the prior; empty for other families."""
    if isinstance(d, Independent):
        return location_and_scale(d.base_dist)
    if isinstance(d, MultivariateNormal):
        return d.loc, d._unbroadcasted_scale_tril
    if isinstance(d, LogNormal):
        return d.base_dist.loc, d.base_dist.scale
    pair = family_of(d).location_scale
    if pair is not None:
        return getattr(d, pair[0]), getattr(d, pair[1])
    if isinstance(d, TransformedDistribution):
        return location_and_scale(d.base_dist)
    return ()
