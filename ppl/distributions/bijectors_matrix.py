"""Bijectors onto matrices: Cholesky factors, covariance and correlation matrices. Registered with
`bijectors.biject_to`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import constraints as _torch

from ppl.distributions import constraints
from ppl.distributions.bijectors_base import Bijection, Shape, register_bijector, tiny
from ppl.distributions.constraints import Constraint
from ppl.distributions.linear import cholesky
from ppl.distributions.special import constant
from ppl.errors import PplError

__all__ = [
    "CorrCholeskyTransform",
    "CorrMatrixTransform",
    "CovTransform",
    "LowerCholeskyTransform",
    "MeanAndCovTransform",
]


def _dimension(n: int, strict: bool) -> int:
    """D such that a (strict) lower triangle of a D × D matrix has n elements."""
    shift = 1 if strict else -1
    dim = (math.isqrt(8 * n + 1) + shift) // 2
    if dim * (dim - shift) // 2 != n:
        raise PplError(
            f"{n} numbers don't fill the {'strict ' if strict else ''}lower triangle of a square matrix",
            expected=f"D(D {'-' if strict else '+'} 1)/2 for a whole D",
            found=str(n),
        )
    return dim


def _square(shape: Shape) -> int:
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise PplError("the matrix is not square", expected="a shape (…, D, D)", found=str(tuple(shape)))
    return shape[-1]


def _fill_strict(u: Tensor, dim: int) -> Tensor:
    """The matrix with `u` row by row under its diagonal and zeros elsewhere."""
    if dim < 2:
        return torch.zeros_like(u).sum(-1)[..., None, None]
    row = torch.arange(dim).unsqueeze(-1)
    place = row * (row - 1) // 2 + torch.arange(dim)
    return u[..., place.clamp(0, u.shape[-1] - 1)].tril(-1)


def _fill_lower(u: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """`u` row by row in a lower triangle: the part under the diagonal as a matrix, and the diagonal."""
    row = torch.arange(dim).unsqueeze(-1)
    place = row * (row + 1) // 2 + torch.arange(dim)
    diagonal = torch.arange(dim)
    under = u[..., place.clamp(0, u.shape[-1] - 1)].tril(-1)
    return under, u[..., diagonal * (diagonal + 3) // 2]


class _MatrixBijection(Bijection):
    """From vectors of the length of a (strict) lower triangle to D × D matrices."""

    domain = constraints.real_vector
    strict = False

    def forward_shape(self, shape: Shape) -> torch.Size:
        dim = _dimension(shape[-1], self.strict)
        return torch.Size(shape[:-1]) + (dim, dim)

    def inverse_shape(self, shape: Shape) -> torch.Size:
        dim = _square(shape)
        return torch.Size(shape[:-2]) + (dim * (dim + (-1 if self.strict else 1)) // 2,)


class LowerCholeskyTransform(_MatrixBijection):
    """u row by row in a lower triangle, the diagonal through exp; log|dL/du| = Σ_i log L_ii."""

    codomain = constraints.lower_cholesky

    def _call(self, u: Tensor) -> Tensor:
        under, log_diagonal = _fill_lower(u, _dimension(u.shape[-1], False))
        return under + torch.diag_embed(log_diagonal.exp())

    def _inverse(self, x: Tensor) -> Tensor:
        log_diagonal = x.diagonal(dim1=-2, dim2=-1).clamp(min=tiny(x)).log()
        matrix = x.tril(-1) + torch.diag_embed(log_diagonal)
        row, column = torch.tril_indices(x.shape[-1], x.shape[-1])
        return matrix[..., row, column]

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        _, log_diagonal = _fill_lower(u, _dimension(u.shape[-1], False))
        return log_diagonal.sum(-1)


class CovTransform(LowerCholeskyTransform):
    """Σ = L Lᵀ with L from `LowerCholeskyTransform`, onto positive definite matrices.

    log|dΣ/du| = D log 2 + Σ_i (D - i + 2) log L_ii (i from 1) against the lower triangle of Σ.

    >>> CovTransform()(torch.zeros(3))
    tensor([[1., 0.],
            [0., 1.]])
    """

    codomain = constraints.cov

    def _call(self, u: Tensor) -> Tensor:
        factor = super()._call(u)
        return factor @ factor.mT

    def _inverse(self, x: Tensor) -> Tensor:
        return super()._inverse(cholesky(x))

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        dim = _dimension(u.shape[-1], False)
        _, log_diagonal = _fill_lower(u, dim)
        power = constant(torch.arange(dim + 1, 1, -1, dtype=u.dtype), u)
        return dim * math.log(2.0) + (power * log_diagonal).sum(-1)


def _log_cosh(u: Tensor) -> Tensor:
    size = u.abs()
    return size - F.logsigmoid(2.0 * size) - math.log(2.0)


class CorrCholeskyTransform(_MatrixBijection):
    """Onto Cholesky factors of correlation matrices, a row at a time: L_ij = tanh(u_ij) Π_{k<j} sech(u_ik),
    L_ii = Π_k sech(u_ik).

    u fills the strict lower triangle row by row. With i, j from 0, log|dL/du| = -Σ_{j<i} (1 + i - j) log cosh
    u_ij against the strict lower triangle of L. Products of sech are kept as sums of log cosh, so nothing
    cancels in the tails.
    Source: Lewandowski, Kurowicka, Joe 2009, Generating random correlation matrices based on vines (partial
    correlations).

    >>> CorrCholeskyTransform()(torch.zeros(1))
    tensor([[1., 0.],
            [0., 1.]])
    """

    codomain: Constraint = constraints.corr_cholesky
    strict = True

    def _call(self, u: Tensor) -> Tensor:
        dim = _dimension(u.shape[-1], True)
        matrix = _fill_strict(u, dim)
        log_cosh = _log_cosh(matrix)
        before = log_cosh.cumsum(-1) - log_cosh
        return (matrix.tanh() + constant(torch.eye(dim, dtype=u.dtype), u)) * (-before).exp()

    def _inverse(self, x: Tensor) -> Tensor:
        # sinh(u_ij) = L_ij / sqrt(Σ_{k>j} L_ik²), the sum taken from the small end.
        squares = x.square().flip(-1).cumsum(-1).flip(-1)
        rest = F.pad(squares[..., 1:], (0, 1)).clamp(min=tiny(x))
        row, column = torch.tril_indices(x.shape[-1], x.shape[-1], -1)
        return torch.asinh(x[..., row, column] * rest[..., row, column].rsqrt())

    def _weights(self, u: Tensor) -> Tensor:
        dim = _dimension(u.shape[-1], True)
        row, column = torch.tril_indices(dim, dim, -1)
        return constant((1 + row - column).to(u.dtype), u)

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        return -(self._weights(u) * _log_cosh(u)).sum(-1)


class CorrMatrixTransform(CorrCholeskyTransform):
    """R = L Lᵀ with L from `CorrCholeskyTransform`; with j from 0, log|dR/du| = -Σ_{j<i} (D - j) log cosh
    u_ij.

    The reference measure is the strict lower triangle of R.
    """

    codomain: Constraint = constraints.corr_matrix

    def _call(self, u: Tensor) -> Tensor:
        factor = super()._call(u)
        return factor @ factor.mT

    def _inverse(self, x: Tensor) -> Tensor:
        return super()._inverse(cholesky(x))

    def _weights(self, u: Tensor) -> Tensor:
        dim = _dimension(u.shape[-1], True)
        _, column = torch.tril_indices(dim, dim, -1)
        return constant((dim - column).to(u.dtype), u)


class MeanAndCovTransform(Bijection):
    """Row 0 is the first D elements of u, rows 1 … D the covariance matrix that `CovTransform` makes of the
    others.
    """

    domain = constraints.real_vector
    codomain = constraints.mean_and_cov

    @staticmethod
    def _dim(n: int) -> int:
        # n = D + D(D + 1)/2 is one less than the triangle of a (D + 1) × (D + 1) matrix.
        return _dimension(n + 1, False) - 1

    def _call(self, u: Tensor) -> Tensor:
        dim = self._dim(u.shape[-1])
        return torch.cat([u[..., None, :dim], CovTransform()(u[..., dim:])], -2)

    def _inverse(self, x: Tensor) -> Tensor:
        return torch.cat([x[..., 0, :], CovTransform().inv(x[..., 1:, :])], -1)

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        return CovTransform().log_abs_det_jacobian(u[..., self._dim(u.shape[-1]) :], x[..., 1:, :])

    def forward_shape(self, shape: Shape) -> torch.Size:
        dim = self._dim(shape[-1])
        return torch.Size(shape[:-1]) + (dim + 1, dim)

    def inverse_shape(self, shape: Shape) -> torch.Size:
        if len(shape) < 2 or shape[-2] != shape[-1] + 1:
            raise PplError(
                "a mean over a covariance matrix has one row more than columns",
                expected="a shape (…, D + 1, D)",
                found=str(tuple(shape)),
            )
        dim = shape[-1]
        return torch.Size(shape[:-2]) + (dim + dim * (dim + 1) // 2,)


register_bijector(constraints.lower_cholesky, lambda _: LowerCholeskyTransform())
register_bijector(_torch.lower_cholesky, lambda _: LowerCholeskyTransform())
register_bijector(constraints.cov, lambda _: CovTransform())
register_bijector(_torch.positive_definite, lambda _: CovTransform())
register_bijector(constraints.corr_cholesky, lambda _: CorrCholeskyTransform())
register_bijector(_torch.corr_cholesky, lambda _: CorrCholeskyTransform())
register_bijector(constraints.corr_matrix, lambda _: CorrMatrixTransform())
register_bijector(constraints.mean_and_cov, lambda _: MeanAndCovTransform())
