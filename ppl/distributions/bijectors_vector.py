"""Bijectors onto vectors: ordered, simplex, sum-to-zero and unit vectors. Registered with
`bijectors.biject_to`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import constraints as _torch
from torch.distributions.transforms import IndependentTransform

from ppl.distributions import constraints
from ppl.distributions.bijectors_base import Bijection, Shape, register_bijector, tiny
from ppl.distributions.special import constant
from ppl.errors import PplError

__all__ = [
    "IsometricLogRatioTransform",
    "OrderedTransform",
    "PositiveOrderedTransform",
    "SimplexTransform",
    "StereographicTransform",
    "SumToZeroTransform",
    "UnitVectorTransform",
]


class _VectorBijection(Bijection):
    """From vectors of length D - `lost` to vectors of length D."""

    domain = constraints.real_vector
    lost = 0

    def forward_shape(self, shape: Shape) -> torch.Size:
        return torch.Size(shape[:-1]) + (shape[-1] + self.lost,)

    def inverse_shape(self, shape: Shape) -> torch.Size:
        if len(shape) < 1 or shape[-1] < max(self.lost, 1):
            raise PplError(
                f"{self.codomain} needs a vector of at least {max(self.lost, 1)} elements",
                expected="a shape (…, D)",
                found=str(tuple(shape)),
            )
        return torch.Size(shape[:-1]) + (shape[-1] - self.lost,)


class OrderedTransform(_VectorBijection):
    """x_1 = u_1, x_k = x_{k-1} + exp(u_k), onto increasing vectors; log|dx/du| = Σ_{k>1} u_k."""

    codomain = constraints.ordered

    def _call(self, u: Tensor) -> Tensor:
        return torch.cat([u[..., :1], u[..., 1:].exp()], -1).cumsum(-1)

    def _inverse(self, x: Tensor) -> Tensor:
        steps = (x[..., 1:] - x[..., :-1]).clamp(min=tiny(x))
        return torch.cat([x[..., :1], steps.log()], -1)

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        return u[..., 1:].sum(-1)


class PositiveOrderedTransform(_VectorBijection):
    """x_k = Σ_{j≤k} exp(u_j), onto increasing positive vectors; log|dx/du| = Σ u_k."""

    codomain = constraints.positive_ordered

    def _call(self, u: Tensor) -> Tensor:
        return u.exp().cumsum(-1)

    def _inverse(self, x: Tensor) -> Tensor:
        steps = torch.cat([x[..., :1], x[..., 1:] - x[..., :-1]], -1)
        return steps.clamp(min=tiny(x)).log()

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        return u.sum(-1)


def _sticks(u: Tensor) -> tuple[Tensor, Tensor]:
    """How many sticks remain at each break, and the logits of the breaks (u = 0 is the centre of the
    simplex).
    """
    remaining = constant(torch.arange(u.shape[-1], 0, -1, dtype=u.dtype), u)
    return remaining, u - remaining.log()


class SimplexTransform(_VectorBijection):
    """Stick-breaking: z_k = sigmoid(u_k - log(K - k)), x_k = z_k · Π_{j<k} (1 - z_j), from R^{K-1} onto the
    simplex in R^K.

    log|d(x_1 … x_{K-1})/du| = Σ_k [log z_k + (K - k) log(1 - z_k)], since the k-th break scales the K - 1 - k
    later ones. Computed with log sigmoid, so that neither tail cancels; u = 0 gives the centre of the
    simplex.
    Source: Carpenter et al. 2017, Stan: a probabilistic programming language (reference manual, simplex
    transform).

    >>> SimplexTransform()(torch.zeros(2))
    tensor([0.3333, 0.3333, 0.3333])
    """

    codomain = constraints.simplex
    lost = 1

    def _call(self, u: Tensor) -> Tensor:
        _, v = _sticks(u)
        log_rest = F.logsigmoid(-v)
        total = log_rest.cumsum(-1)
        head = F.logsigmoid(v) + total - log_rest
        return torch.cat([head, log_rest.sum(-1, keepdim=True)], -1).exp()

    def _inverse(self, x: Tensor) -> Tensor:
        # The tail is summed from the far end: 1 - cumsum would lose the small remainders.
        tail = x[..., 1:].flip(-1).cumsum(-1).flip(-1)
        head = x[..., :-1].clamp(min=tiny(x))
        v = head.log() - tail.clamp(min=tiny(x)).log()
        return v + constant(torch.arange(v.shape[-1], 0, -1, dtype=x.dtype), x).log()

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        remaining, v = _sticks(u)
        return (F.logsigmoid(v) + remaining * F.logsigmoid(-v)).sum(-1)


def _helmert_weights(n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """k and 1/√(k(k + 1)) for k = 1 … n: the entries of Helmert's orthonormal basis of the sum-to-zero
    plane.
    """
    k = torch.arange(1, n + 1, dtype=like.dtype)
    return constant(k, like), constant((k * (k + 1)).rsqrt(), like)


def _to_plane(u: Tensor) -> Tensor:
    """The isometry R^{D-1} → {x ∈ R^D: Σ x = 0}, in O(D)."""
    k, norm = _helmert_weights(u.shape[-1], u)
    w = u * norm
    return F.pad(w.flip(-1).cumsum(-1).flip(-1), (0, 1)) - F.pad(k * w, (1, 0))


def _from_plane(x: Tensor) -> Tensor:
    """The inverse of `_to_plane`; vectors off the plane are projected onto it."""
    k, norm = _helmert_weights(x.shape[-1] - 1, x)
    return (x[..., :-1].cumsum(-1) - k * x[..., 1:]) * norm


class SumToZeroTransform(_VectorBijection):
    """An orthonormal basis of the plane Σ x_i = 0 (Helmert's), from R^{D-1} to R^D: lengths are kept, so
    log|dx/du| = 0.

    The reference measure is the surface measure of the plane.
    """

    codomain = constraints.sum_to_zero
    lost = 1

    def _call(self, u: Tensor) -> Tensor:
        return _to_plane(u)

    def _inverse(self, x: Tensor) -> Tensor:
        return _from_plane(x)

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(u).sum(-1)


class IsometricLogRatioTransform(_VectorBijection):
    """x = softmax(V u) with V an orthonormal basis of the sum-to-zero plane: a simplex map that treats all
    elements alike.

    log|d(x_1 … x_{K-1})/du| = Σ_i log x_i + ½ log K. An alternative to `SimplexTransform`.
    Source: Egozcue et al. 2003, Isometric logratio transformations for compositional data analysis.
    """

    codomain = constraints.simplex
    lost = 1

    def _call(self, u: Tensor) -> Tensor:
        return torch.softmax(_to_plane(u), -1)

    def _inverse(self, x: Tensor) -> Tensor:
        return _from_plane(x.clamp(min=tiny(x)).log())

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        return torch.log_softmax(_to_plane(u), -1).sum(-1) + 0.5 * math.log(u.shape[-1] + 1)


class UnitVectorTransform(_VectorBijection):
    """x = u / |u|, from R^D onto the sphere; the radius |u| is an auxiliary variable with the chi law of D
    dimensions.

    No smooth bijection R^{D-1} → sphere exists, and one with a hole (see `StereographicTransform`) gives the
    uniform law Cauchy tails, which samplers handle badly. Here every direction is alike and u is standard
    normal for the uniform law. `log_abs_det_jacobian` is -|u|²/2 - log(2^{D/2-1} Γ(D/2)): with p a density
    against the surface measure, exp(log p(x(u)) + that) is a normalised density on R^D under which x has
    density p. `inv` picks the radius 1, so inv(x(u)) ≠ u in general, hence `bijective` is False.
    Source: Marsaglia 1972, Choosing a point from the surface of a sphere.

    >>> UnitVectorTransform()(torch.tensor([3.0, 4.0]))
    tensor([0.6000, 0.8000])
    """

    codomain = constraints.unit_vector
    bijective = False

    def _call(self, u: Tensor) -> Tensor:
        return u * (u.square().sum(-1, keepdim=True) + tiny(u)).rsqrt()

    def _inverse(self, x: Tensor) -> Tensor:
        return x

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        half = 0.5 * u.shape[-1]
        return -0.5 * u.square().sum(-1) - ((half - 1.0) * math.log(2.0) + math.lgamma(half))


class StereographicTransform(_VectorBijection):
    """x = (2u, |u|² - 1) / (|u|² + 1), from R^{D-1} onto the sphere without its north pole.

    log|dx/du| = (D - 1) log(2 / (1 + |u|²)) against the surface measure. A true bijection; `biject_to`
    prefers `UnitVectorTransform`, which has no hole.
    """

    codomain = constraints.unit_vector
    lost = 1

    def _call(self, u: Tensor) -> Tensor:
        r2 = u.square().sum(-1, keepdim=True)
        return torch.cat([2.0 * u, r2 - 1.0], -1) / (r2 + 1.0)

    def _inverse(self, x: Tensor) -> Tensor:
        return x[..., :-1] / (1.0 - x[..., -1:])

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        return u.shape[-1] * (math.log(2.0) - torch.log1p(u.square().sum(-1)))


register_bijector(constraints.ordered, lambda _: OrderedTransform())
register_bijector(constraints.positive_ordered, lambda _: PositiveOrderedTransform())
register_bijector(constraints.simplex, lambda _: SimplexTransform())
register_bijector(_torch.simplex, lambda _: SimplexTransform())
register_bijector(constraints.row_stochastic, lambda _: IndependentTransform(SimplexTransform(), 1))
register_bijector(constraints.sum_to_zero, lambda _: SumToZeroTransform())
register_bijector(constraints.unit_vector, lambda _: UnitVectorTransform())
