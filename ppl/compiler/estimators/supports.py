"""Where a site's values lie, as far as it can be read off its distribution."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributions import constraints as c

from ppl.compiler import specs
from ppl.compiler.graph import Node
from ppl.distributions import family_of
from ppl.distributions.constraints import name_of
from ppl.distributions.registry import Family

_INFINITY = float("inf")


@dataclass(frozen=True)
class Region:
    """Values of one number: between bounds, whole numbers or not. A bound computed in the program is its node."""

    whole: bool
    low: float | Node
    high: float | Node

    def within(self, other: Region) -> bool:
        """Whether it lies inside the other, as far as is known."""
        if self.whole != other.whole:
            return False
        return _at_least(self.low, other.low) and _at_least(other.high, self.high)

    @property
    def unbounded(self) -> bool:
        return (self.low, self.high) == (-_INFINITY, _INFINITY)

    @property
    def words(self) -> str:
        low, high = (None if isinstance(b, Node) else b for b in (self.low, self.high))
        if self.whole:
            first, last = ("" if b in (None, -_INFINITY, _INFINITY) else f"{b:g}" for b in (low, high))
            return f"whole numbers{' from ' + first if first else ''}{' to ' + last if last else ''}"
        if self.unbounded:
            return "all real numbers"
        if (low, high) == (0.0, _INFINITY):
            return "positive numbers"
        first, last = ("a value" if b is None else f"{b:g}" for b in (low, high))
        return f"numbers between {first} and {last}"


def _at_least(x: float | Node, y: float | Node) -> bool:
    if isinstance(x, Node) and isinstance(y, Node):
        return True  # not known, or the same
    if isinstance(x, Node):
        return True
    if isinstance(y, Node):
        return abs(x) != _INFINITY
    return x >= y


def family_with(spec: Any, params: Iterable[Node]) -> Family:
    """The facts about a family with such parameters."""
    try:
        return family_of(specs.put_together(spec, [stand_in(p) for p in params]))
    except Exception:  # what an object says of itself may need parameters inside their domain
        return family_of(spec.cls)


def stand_in(node: Node, unknown: float = 1.0) -> torch.Tensor:
    """A tensor of the node's type: its value where that is a constant, else `unknown` throughout."""
    value = node.attr("value") if node.op == "full" else unknown
    return torch.full(node.shape, value, dtype=node.dtype)


def region(spec: Any, params: Iterable[Node]) -> Region | None:
    """The support of a distribution's numbers; None where it is not an interval or a range of whole numbers."""
    support = _support(spec, params)
    return None if support is None else _of(support)


def kind(spec: Any, params: Iterable[Node]) -> str | None:
    """What values look like that are not numbers between bounds: "simplex", "corr_cholesky"; None for numbers."""
    support = _support(spec, params)
    if support is None or _of(support) is not None:
        return None
    return name_of(support) or type(support).__name__.strip("_")


def _support(spec: Any, params: Iterable[Node]) -> Any:
    try:
        support = specs.put_together(spec, [_named(p) for p in params]).support
    except Exception:  # a user's own family may compute its support as it likes
        return None
    while isinstance(support, c.independent):
        support = support.base_constraint
    return support


class _Named(torch.Tensor):
    """A stand-in for a parameter, which knows its node."""

    node: Node


def _named(node: Node) -> torch.Tensor:
    tensor: Any = stand_in(node).as_subclass(_Named)
    tensor.node = node
    return tensor  # type: ignore[no-any-return]


def _of(support: Any) -> Region | None:
    name = type(support).__name__.lstrip("_")
    if name == "Boolean":
        return Region(True, 0.0, 1.0)
    if name == "Real":
        return Region(False, -_INFINITY, _INFINITY)
    low, high = (_bound(getattr(support, k, None)) for k in ("lower_bound", "upper_bound"))
    if low is None and high is None:
        return None
    if _UNKNOWN in (low, high):
        return None
    whole = bool(getattr(support, "is_discrete", False))
    return Region(whole, -_INFINITY if low is None else low, _INFINITY if high is None else high)


_UNKNOWN: Any = object()


def _bound(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return None if value is None else float(value)
    node = getattr(value, "node", None)
    if node is None:
        return (
            float(value)
            if isinstance(value, torch.Tensor) and not isinstance(value, _Named) and value.dim() == 0
            else _UNKNOWN
        )
    return float(node.attr("value")) if node.op == "full" else node
