"""Families of matrices: Wishart, inverse Wishart, normal-inverse-Wishart, matrix normal."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions import Wishart as _TorchWishart

from ppl.distributions import constraints
from ppl.distributions.constraints import Constraint
from ppl.distributions.linear import LOG_2PI, Joint, cholesky, half_log_det, lower_solve, multigammaln
from ppl.distributions.multivariate import scale_tril_of
from ppl.distributions.registry import register
from ppl.distributions.shapes import broadcast_shapes
from ppl.errors import ParameterError

__all__ = ["InverseWishart", "MatrixNormal", "NormalInverseWishart", "Wishart"]

LOG_2 = math.log(2.0)
MATRIX = constraints.independent(constraints.real, 2)


def _solve(factor: Tensor, matrix: Tensor) -> Tensor:
    """L⁻¹ M, batch dimensions broadcast."""
    return torch.linalg.solve_triangular(factor, matrix, upper=False)


def bartlett(df: Tensor, dim: int, shape: torch.Size) -> Tensor:
    """Lower-triangular A with A Aᵀ ~ Wishart(df, I): N(0, 1) below the diagonal, A_ii² ~ χ²_{df - i} (i from
    0).

    Differentiable in `df`. Source: Bartlett 1933, On the theory of statistical regression.
    """
    half = 0.5 * (df.unsqueeze(-1) - torch.arange(dim, dtype=df.dtype, device=df.device))
    squares = 2.0 * torch._standard_gamma(half.expand(shape + (dim,)))
    diagonal = squares.clamp(min=torch.finfo(df.dtype).tiny).sqrt()
    noise = torch.randn(shape + (dim, dim), dtype=df.dtype, device=df.device)
    return noise.tril(-1) + torch.diag_embed(diagonal)


@register(
    strategies=("implicit", "reparam", "score"),
    example=lambda: Wishart(4.0, scale_tril=torch.tensor([[1.0, 0.0], [0.3, 0.8]])),
    also=(_TorchWishart,),
    event_dim=2,
)
class Wishart(_TorchWishart):
    """Wishart law of positive definite D × D matrices with mean ν V; as torch's, but it records.

    log p(X) = (ν - D - 1)/2 log|X| - ½ tr(V⁻¹X) - νD/2 log 2 - ν/2 log|V| - log Γ_D(ν/2), against X's lower
    triangle.

    Args:
        df: ν > D - 1, a number or (…).  covariance_matrix (V), precision_matrix, scale_tril: exactly one, (…,
            D, D).

    >>> Wishart(3.0, torch.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    support = constraints.cov

    def __init__(
        self,
        df: float | Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        factor = scale_tril_of("Wishart", covariance_matrix, precision_matrix, scale_tril)
        df = df if isinstance(df, Tensor) else torch.tensor(df, dtype=factor.dtype)
        batch = broadcast_shapes(factor.shape[:-2], df.shape)
        self.df = df.expand(batch)
        self.scale_tril = factor.expand(batch + factor.shape[-2:])
        self._unbroadcasted_scale_tril = factor
        Distribution.__init__(self, batch, factor.shape[-2:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        factor = self._unbroadcasted_scale_tril
        new = type(self)(self.df.expand(shape), scale_tril=factor, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        df, dim, factor = self.df, self.event_shape[-1], self._unbroadcasted_scale_tril
        root = cholesky(value)
        trace = _solve(factor, root).square().sum((-1, -2))
        density = (df - dim - 1) * half_log_det(root) - 0.5 * trace
        return density - df * (0.5 * dim * LOG_2 + half_log_det(factor)) - multigammaln(0.5 * df, dim)

    def rsample(self, sample_shape: Any = torch.Size(), max_try_correction: int | None = None) -> Tensor:
        shape = torch.Size(sample_shape) + self.batch_shape
        root = self._unbroadcasted_scale_tril @ bartlett(self.df, self.event_shape[-1], shape)
        return root @ root.mT

    @property
    def mode(self) -> Tensor:
        factor = self.df - self.event_shape[-1] - 1
        return torch.where(factor > 0, factor, torch.nan)[..., None, None] * self.covariance_matrix


def _scale_of(family: str, scale: Tensor | None, scale_tril: Tensor | None) -> Tensor:
    if (scale is None) == (scale_tril is None):
        raise ParameterError(
            f"{family} takes exactly one of scale and scale_tril",
            found="both" if scale is not None else "none",
            edit=f"{family}(…, scale=torch.eye(2))",
        )
    matrix = scale_tril if scale is None else scale
    if matrix is None or matrix.dim() < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ParameterError(
            f"the scale of {family} is not a square matrix",
            expected="shape (…, D, D)",
            found=str(tuple(matrix.shape)) if matrix is not None else "None",
        )
    return matrix if scale is None else cholesky(matrix)


@register(
    strategies=("implicit", "reparam", "score"),
    example=lambda: InverseWishart(6.0, torch.tensor([[2.0, 0.4], [0.4, 1.0]])),
)
class InverseWishart(Joint):
    """Law of Σ when Σ⁻¹ ~ Wishart(ν, Ψ⁻¹); mean Ψ/(ν - D - 1).

    log p(Σ) = ν/2 log|Ψ| - (ν + D + 1)/2 log|Σ| - ½ tr(Ψ Σ⁻¹) - νD/2 log 2 - log Γ_D(ν/2), against Σ's lower
    triangle.

    Args:
        df: ν > D - 1, a number or (…).  scale: Ψ, (…, D, D), or scale_tril, its lower Cholesky factor.
    Source: Gelman et al. 2013, Bayesian data analysis, appendix A.

    >>> InverseWishart(5.0, torch.eye(2)).mean
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    """

    parameters: ClassVar[dict[str, int]] = {"df": 0, "scale_tril": 2}
    df: Tensor
    scale_tril: Tensor
    support = constraints.cov
    has_rsample = True

    def __init__(
        self,
        df: float | Tensor,
        scale: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        factor = _scale_of("InverseWishart", scale, scale_tril)
        self._dim = factor.shape[-1]
        self._set(factor.shape[-2:], validate_args, scale_tril=factor, df=df)

    @property
    def arg_constraints(self) -> dict[str, Constraint]:  # type: ignore[override]
        return {"df": constraints.greater_than(self._dim - 1), "scale_tril": constraints.lower_cholesky}

    def _log_prob(self, value: Tensor) -> Tensor:
        df, dim = self.df, self._dim
        root = cholesky(value)
        trace = _solve(root, self.scale_tril.expand(broadcast_shapes(root.shape, self.scale_tril.shape)))
        density = df * half_log_det(self.scale_tril) - (df + dim + 1) * half_log_det(root)
        density = density - 0.5 * trace.square().sum((-1, -2))
        return density - 0.5 * dim * LOG_2 * df - multigammaln(0.5 * df, dim)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = torch.Size(sample_shape) + self.batch_shape
        # Σ⁻¹ = L⁻ᵀ A Aᵀ L⁻¹, so Σ = B Bᵀ with B = L A⁻ᵀ.
        inverse = _solve(bartlett(self.df, self._dim, shape), torch.eye(self._dim).to(self.scale_tril))
        root = self.scale_tril @ inverse.mT
        return root @ root.mT

    @property
    def mean(self) -> Tensor:
        excess = self.df - self._dim - 1
        factor = torch.where(excess > 0, excess, torch.nan)[..., None, None]
        return self._event(self.scale_tril @ self.scale_tril.mT / factor)

    @property
    def variance(self) -> Tensor:
        scale = self.scale_tril @ self.scale_tril.mT
        diagonal = scale.diagonal(dim1=-2, dim2=-1)
        m = (self.df - self._dim)[..., None, None]
        top = (m + 1) * scale.square() + (m - 1) * diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self._event(torch.where(m > 3, top / (m * (m - 1).square() * (m - 3)), torch.nan))


@register(
    strategies=("implicit", "reparam", "score"),
    example=lambda: NormalInverseWishart(torch.tensor([0.5, -1.0]), 2.0, 6.0, torch.eye(2)),
)
class NormalInverseWishart(Joint):
    """A mean and a covariance: Σ ~ InverseWishart(ν, Ψ), μ | Σ ~ N(loc, Σ/κ); the conjugate prior of a
    normal.

    One event is a matrix of D + 1 rows: row 0 is μ, rows 1 … D are Σ; `split` takes it apart.

    Args:
        loc: (…, D).  concentration: κ > 0, (…).  df: ν > D - 1, (…).  scale: Ψ, (…, D, D), or scale_tril.

    >>> d = NormalInverseWishart(torch.zeros(2), 1.0, 5.0, torch.eye(2))
    >>> [tuple(x.shape) for x in d.split(d.sample())]
    [(2,), (2, 2)]
    """

    parameters: ClassVar[dict[str, int]] = {"loc": 1, "concentration": 0, "df": 0, "scale_tril": 2}
    loc: Tensor
    concentration: Tensor
    df: Tensor
    scale_tril: Tensor
    support = constraints.mean_and_cov
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        concentration: float | Tensor,
        df: float | Tensor,
        scale: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        factor = _scale_of("NormalInverseWishart", scale, scale_tril)
        dim = self._dim = factor.shape[-1]
        self._set(
            (dim + 1, dim), validate_args, loc=loc, scale_tril=factor, concentration=concentration, df=df
        )
        self._need("loc", self.loc.shape[-1:], (dim,))

    @property
    def arg_constraints(self) -> dict[str, Constraint]:  # type: ignore[override]
        return {
            "loc": constraints.real_vector,
            "concentration": constraints.positive,
            "df": constraints.greater_than(self._dim - 1),
            "scale_tril": constraints.lower_cholesky,
        }

    @staticmethod
    def split(value: Tensor) -> tuple[Tensor, Tensor]:
        """(μ, Σ) of an event."""
        return value[..., 0, :], value[..., 1:, :]

    def _cov(self) -> InverseWishart:
        return InverseWishart(self.df, scale_tril=self.scale_tril, validate_args=False)

    def _log_prob(self, value: Tensor) -> Tensor:
        mean, cov = self.split(value)
        root, kappa, dim = cholesky(cov), self.concentration, self._dim
        distance = lower_solve(root, mean - self.loc).square().sum(-1)
        normal = 0.5 * dim * (kappa.log() - LOG_2PI) - half_log_det(root) - 0.5 * kappa * distance
        return normal + self._cov()._log_prob(cov)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        cov = self._cov().expand(self.batch_shape).rsample(sample_shape)
        noise = torch.randn(cov.shape[:-1], dtype=cov.dtype, device=cov.device)
        step = (cholesky(cov) @ noise.unsqueeze(-1)).squeeze(-1)
        mean = self.loc + step / self.concentration.sqrt().unsqueeze(-1)
        return torch.cat([mean.unsqueeze(-2), cov], -2)

    @property
    def mean(self) -> Tensor:
        loc = self.loc.expand(self.batch_shape + self.loc.shape[-1:])
        return torch.cat([loc.unsqueeze(-2), self._cov().expand(self.batch_shape).mean], -2)

    @property
    def variance(self) -> Tensor:
        cov = self._cov().expand(self.batch_shape)
        of_mean = cov.mean.diagonal(dim1=-2, dim2=-1) / self.concentration.unsqueeze(-1)
        return torch.cat([of_mean.unsqueeze(-2), cov.variance], -2)


@register(
    strategies=("reparam", "score"),
    example=lambda: MatrixNormal(
        torch.tensor([[0.5, -1.0], [0.0, 2.0]]), torch.eye(2), torch.tensor([[1.0, 0.0], [0.3, 0.8]])
    ),
)
class MatrixNormal(Joint):
    """X = M + A Z Bᵀ with Z standard normal: rows have covariance A Aᵀ, columns B Bᵀ.

    log p = -½ |A⁻¹(X - M)B⁻ᵀ|² - P log|A| - N log|B| - NP/2 log 2π.

    Args:
        loc: M, (…, N, P).  row_cholesky: A, (…, N, N).  col_cholesky: B, (…, P, P); lower triangular,
            positive diagonals.
    Source: Dawid 1981, Some matrix-variate distribution theory.

    >>> MatrixNormal(torch.zeros(2, 3), torch.eye(2), torch.eye(3)).sample().shape
    torch.Size([2, 3])
    """

    parameters: ClassVar[dict[str, int]] = {"loc": 2, "row_cholesky": 2, "col_cholesky": 2}
    loc: Tensor
    row_cholesky: Tensor
    col_cholesky: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "loc": MATRIX,
        "row_cholesky": constraints.lower_cholesky,
        "col_cholesky": constraints.lower_cholesky,
    }
    support = MATRIX
    has_rsample = True

    def __init__(
        self, loc: Tensor, row_cholesky: Tensor, col_cholesky: Tensor, validate_args: bool | None = None
    ) -> None:
        self._set(
            loc.shape[-2:], validate_args, loc=loc, row_cholesky=row_cholesky, col_cholesky=col_cholesky
        )
        rows, columns = self.event_shape
        self._need("row_cholesky", self.row_cholesky.shape[-2:], (rows, rows))
        self._need("col_cholesky", self.col_cholesky.shape[-2:], (columns, columns))

    def _log_prob(self, value: Tensor) -> Tensor:
        rows, columns = self.event_shape
        z = _solve(self.row_cholesky, value - self.loc)
        z = _solve(self.col_cholesky, z.mT)
        log_det = columns * half_log_det(self.row_cholesky) + rows * half_log_det(self.col_cholesky)
        return -0.5 * z.square().sum((-1, -2)) - log_det - 0.5 * rows * columns * LOG_2PI

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self.loc + self.row_cholesky @ self._noise(sample_shape, self.loc) @ self.col_cholesky.mT

    @property
    def mean(self) -> Tensor:
        return self._event(self.loc)

    @property
    def variance(self) -> Tensor:
        rows, columns = self.row_cholesky.square().sum(-1), self.col_cholesky.square().sum(-1)
        return self._event(rows.unsqueeze(-1) * columns.unsqueeze(-2))
