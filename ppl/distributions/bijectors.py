"""Bijectors: smooth maps from unconstrained space onto each support, with the log-determinants that change
densities.

`biject_to(support)` gives a torch `Transform` t: `t(u)` is in the support, `t.inv(x)` undoes it, and
`t.log_abs_det_jacobian(u, x)` is log |dx/du| summed over an event, so that a density p(x) becomes
log p(t(u)) + log|dx/du| on unconstrained space. `t.forward_shape` and `t.inverse_shape` map shapes.

Where a support is thinner than the space that holds it, |dx/du| is taken against the measure that the
densities of this room use: the first K - 1 coordinates of a simplex, the surface measure of the sphere and of
the sum-to-zero plane, the strict lower triangle of correlation matrices and their Cholesky factors, the lower
triangle of covariance matrices. Everything is built of torch operations, in log space where tails would
underflow. Here are the registry, the scalar maps and products; the maps onto vectors are in
`bijectors_vector`, those onto matrices in `bijectors_matrix`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions.transforms import ExpTransform, IndependentTransform, Transform, identity_transform

from ppl.distributions import constraints
from ppl.distributions.bijectors_base import Bijection, Shape, biject_to, register_bijector, tiny
from ppl.distributions.bijectors_matrix import (
    CorrCholeskyTransform,
    CorrMatrixTransform,
    CovTransform,
    LowerCholeskyTransform,
    MeanAndCovTransform,
)
from ppl.distributions.bijectors_vector import (
    IsometricLogRatioTransform,
    OrderedTransform,
    PositiveOrderedTransform,
    SimplexTransform,
    StereographicTransform,
    SumToZeroTransform,
    UnitVectorTransform,
)
from ppl.distributions.constraints import Constraint
from ppl.distributions.shapes import broadcast_shapes

__all__ = [
    "CorrCholeskyTransform",
    "CorrMatrixTransform",
    "CovTransform",
    "GreaterThanTransform",
    "IntervalTransform",
    "IsometricLogRatioTransform",
    "LessThanTransform",
    "LowerCholeskyTransform",
    "MeanAndCovTransform",
    "OrderedTransform",
    "PositiveOrderedTransform",
    "ProductTransform",
    "SimplexTransform",
    "StereographicTransform",
    "SumToZeroTransform",
    "UnitVectorTransform",
    "biject_to",
    "register_bijector",
]


def _bound_shape(bound: float | Tensor) -> torch.Size:
    return bound.shape if isinstance(bound, Tensor) else torch.Size()


class GreaterThanTransform(Bijection):
    """x = lower + exp(u), onto (lower, ∞). `lower`: a number or a tensor that broadcasts against u."""

    domain = constraints.real

    def __init__(self, lower: float | Tensor) -> None:
        super().__init__()
        self.lower = lower

    @property
    def codomain(self) -> Constraint:  # type: ignore[override]
        return constraints.greater_than(self.lower)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GreaterThanTransform) and self.lower is other.lower

    __hash__ = Bijection.__hash__

    def _call(self, u: Tensor) -> Tensor:
        return self.lower + u.exp()

    def _inverse(self, x: Tensor) -> Tensor:
        return (x - self.lower).clamp(min=tiny(x)).log()

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        return u.expand(x.shape)

    def forward_shape(self, shape: Shape) -> torch.Size:
        return broadcast_shapes(torch.Size(shape), _bound_shape(self.lower))

    inverse_shape = forward_shape


class LessThanTransform(Bijection):
    """x = upper - exp(u), onto (-∞, upper)."""

    domain = constraints.real
    sign = -1

    def __init__(self, upper: float | Tensor) -> None:
        super().__init__()
        self.upper = upper

    @property
    def codomain(self) -> Constraint:  # type: ignore[override]
        return constraints.less_than(self.upper)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LessThanTransform) and self.upper is other.upper

    __hash__ = Bijection.__hash__

    def _call(self, u: Tensor) -> Tensor:
        return self.upper - u.exp()

    def _inverse(self, x: Tensor) -> Tensor:
        return (self.upper - x).clamp(min=tiny(x)).log()

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        return u.expand(x.shape)

    def forward_shape(self, shape: Shape) -> torch.Size:
        return broadcast_shapes(torch.Size(shape), _bound_shape(self.upper))

    inverse_shape = forward_shape


class IntervalTransform(Bijection):
    """x = lower + (upper - lower) · sigmoid(u), onto (lower, upper).

    log|dx/du| = log(upper - lower) + log sigmoid(u) + log sigmoid(-u). The bounds are numbers or tensors that
    broadcast against u. The sigmoid is kept a rounding error away from 0 and 1, so that x doesn't land on a
    bound.

    >>> IntervalTransform(0.0, torch.tensor([1.0, 4.0]))(torch.zeros(2))
    tensor([0.5000, 2.0000])
    """

    domain = constraints.real

    def __init__(self, lower: float | Tensor, upper: float | Tensor) -> None:
        super().__init__()
        self.lower, self.upper = lower, upper

    @property
    def codomain(self) -> Constraint:  # type: ignore[override]
        return constraints.interval(self.lower, self.upper)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, IntervalTransform) and self.lower is other.lower and self.upper is other.upper
        )

    __hash__ = Bijection.__hash__

    def _call(self, u: Tensor) -> Tensor:
        eps = torch.finfo(u.dtype).eps
        s = u.sigmoid().clamp(min=tiny(u), max=1.0 - eps)
        return self.lower + (self.upper - self.lower) * s

    def _inverse(self, x: Tensor) -> Tensor:
        above = (x - self.lower).clamp(min=tiny(x))
        below = (self.upper - x).clamp(min=tiny(x))
        return above.log() - below.log()

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        width = self.upper - self.lower
        log_width = width.log() if isinstance(width, Tensor) else math.log(width)
        return (log_width + F.logsigmoid(u) + F.logsigmoid(-u)).expand(x.shape)

    def forward_shape(self, shape: Shape) -> torch.Size:
        return broadcast_shapes(torch.Size(shape), _bound_shape(self.lower), _bound_shape(self.upper))

    inverse_shape = forward_shape


class ProductTransform(Bijection):
    """One bijector for each part of a flat vector; see `constraints.product`."""

    domain = constraints.real_vector
    codomain: constraints.ProductSupport

    def __init__(self, codomain: constraints.ProductSupport) -> None:
        super().__init__()
        self.codomain = codomain
        self.parts = tuple(biject_to(part) for part in codomain.parts)
        pairs = zip(self.parts, codomain.event_shapes, strict=True)
        self.shapes = tuple(torch.Size(t.inverse_shape(shape)) for t, shape in pairs)
        self.sizes = tuple(math.prod(shape) for shape in self.shapes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProductTransform) and self.codomain is other.codomain

    __hash__ = Bijection.__hash__

    def _split(self, u: Tensor) -> list[Tensor]:
        pieces = zip(u.split(self.sizes, -1), self.shapes, strict=True)
        return [piece.reshape(u.shape[:-1] + shape) for piece, shape in pieces]

    def _call(self, u: Tensor) -> Tensor:
        events = [t(piece) for t, piece in zip(self.parts, self._split(u), strict=True)]
        return torch.cat([event.reshape(u.shape[:-1] + (-1,)) for event in events], -1)

    def _inverse(self, x: Tensor) -> Tensor:
        pieces = [t.inv(event) for t, event in zip(self.parts, self.codomain.split(x), strict=True)]
        return torch.cat([piece.reshape(x.shape[:-1] + (-1,)) for piece in pieces], -1)

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        rows = zip(self.parts, self._split(u), self.codomain.split(x), strict=True)
        terms = [t.log_abs_det_jacobian(a, b).reshape(u.shape[:-1] + (-1,)).sum(-1) for t, a, b in rows]
        return torch.stack(terms).sum(0)

    def forward_shape(self, shape: Shape) -> torch.Size:
        return torch.Size(shape[:-1]) + (sum(self.codomain.sizes),)

    def inverse_shape(self, shape: Shape) -> torch.Size:
        return torch.Size(shape[:-1]) + (sum(self.sizes),)


def _infinite(bound: float | Tensor) -> bool:
    return not isinstance(bound, Tensor) and math.isinf(bound)


def _to_greater_than(constraint: Any) -> Transform:
    lower = constraint.lower_bound
    if _infinite(lower):
        return identity_transform
    return ExpTransform() if not isinstance(lower, Tensor) and lower == 0 else GreaterThanTransform(lower)


def _to_less_than(constraint: Any) -> Transform:
    upper = constraint.upper_bound
    return identity_transform if _infinite(upper) else LessThanTransform(upper)


def _to_interval(constraint: Any) -> Transform:
    if _infinite(constraint.lower_bound):
        return _to_less_than(constraint)
    if _infinite(constraint.upper_bound):
        return _to_greater_than(constraint)
    return IntervalTransform(constraint.lower_bound, constraint.upper_bound)


def _to_independent(constraint: Any) -> Transform:
    return IndependentTransform(biject_to(constraint.base_constraint), constraint.reinterpreted_batch_ndims)


for _one, _factory in (
    (constraints.greater_than, _to_greater_than),
    (constraints.greater_than_eq, _to_greater_than),
    (constraints.less_than, _to_less_than),
    (constraints.interval, _to_interval),
    (constraints.half_open_interval, _to_interval),
    (constraints.independent, _to_independent),
    (constraints.product, ProductTransform),
    (torch.distributions.constraints.MixtureSameFamilyConstraint, lambda c: biject_to(c.base_constraint)),
):
    register_bijector(_one, _factory)
