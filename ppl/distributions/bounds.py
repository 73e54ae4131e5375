"""Bounds that may be absent, numbers or tensors: how wrappers combine theirs with those of the family they
wrap.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

Bound = float | int | Tensor | None


def present(bound: Bound) -> Bound:
    """None for an absent or infinite bound."""
    return None if isinstance(bound, float | int) and math.isinf(bound) else bound


def of_support(support: Any) -> tuple[Bound, Bound]:
    """The ends of an interval support, None where it has none."""
    return present(getattr(support, "lower_bound", None)), present(getattr(support, "upper_bound", None))


def tighter(own: Bound, other: Bound, lower: bool) -> Bound:
    """The larger of two lower bounds or the smaller of two upper ones."""
    if own is None or other is None:
        return own if other is None else other
    if isinstance(own, Tensor) or isinstance(other, Tensor):
        like: Any = own if isinstance(own, Tensor) else other
        a, b = (v if isinstance(v, Tensor) else torch.full_like(like, v) for v in (own, other))
        return torch.maximum(a, b) if lower else torch.minimum(a, b)
    return max(own, other) if lower else min(own, other)


def strictly_inside(own: Bound, other: Bound, lower: bool) -> Bound:
    """`own` unless it is a number that cuts nothing off beyond `other`."""
    if isinstance(own, float | int) and isinstance(other, float | int):
        cuts = own > other if lower else own < other
        return own if cuts else None
    return own


def interval_support(low: Bound, high: Bound, discrete: bool, open_ends: bool = False) -> Any:
    """The constraint low ≤ x ≤ high with absent ends left out."""
    if discrete:
        if low is not None and high is not None:
            return constraints.integer_interval(low, high)
        if low is not None:
            return constraints.nonnegative_integer if _is(low, 0) else _IntegerFrom(low)
        return _IntegerFrom(-high, -1) if high is not None else _IntegerFrom(-math.inf)
    if low is not None and high is not None:
        return constraints.interval(low, high)
    if low is not None:
        if _is(low, 0):
            return constraints.positive if open_ends else constraints.nonnegative
        return constraints.greater_than(low) if open_ends else constraints.greater_than_eq(low)
    return constraints.less_than(high) if high is not None else constraints.real


def _is(bound: Bound, number: float) -> bool:
    return isinstance(bound, float | int) and bound == number


class _IntegerFrom(constraints.Constraint):
    """Integers x with sign · x ≥ lower."""

    is_discrete = True

    def __init__(self, lower: Any, sign: int = 1):
        self.lower, self.sign = lower, sign
        self.lower_bound = lower if sign > 0 else None
        self.upper_bound = None if sign > 0 else -lower
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        return (value == torch.floor(value)) & (self.sign * value >= self.lower)


def shape_of(bound: Bound) -> torch.Size:
    return bound.shape if isinstance(bound, Tensor) else torch.Size()


def expand_bound(bound: Bound, shape: torch.Size) -> Bound:
    return bound.expand(shape) if isinstance(bound, Tensor) else bound


def reference(d: Distribution) -> Tensor:
    """A floating parameter of `d`, which tells dtype and device; an empty tensor if it has none."""
    parts = [getattr(d, name, None) for name in d.arg_constraints]
    for part in parts:
        if isinstance(part, Tensor) and part.is_floating_point():
            return part
    inner = next((getattr(d, n) for n in ("base_dist", "component_distribution") if hasattr(d, n)), None)
    return reference(inner) if inner is not None else torch.zeros(())


def is_discrete(d: Distribution) -> bool:
    """Whether the values of `d` are discrete."""
    support: Any = d.support
    return bool(support.is_discrete)
