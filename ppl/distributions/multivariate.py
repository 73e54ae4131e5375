"""Families of vectors: multivariate normals, Student t, log normal, Dirichlet-multinomial."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Dirichlet, Distribution
from torch.distributions import LowRankMultivariateNormal as _TorchLowRank
from torch.distributions import MultivariateNormal as _TorchMultivariateNormal

from ppl.distributions import constraints
from ppl.distributions.constraints import Constraint
from ppl.distributions.linear import (
    LOG_2PI,
    Joint,
    cholesky,
    half_log_det,
    lower_solve,
    precision_to_scale_tril,
)
from ppl.distributions.registry import register
from ppl.distributions.shapes import broadcast_shapes
from ppl.distributions.special import constant
from ppl.errors import ParameterError

__all__ = [
    "DirichletMultinomial",
    "LowRankMultivariateNormal",
    "MultivariateLogNormal",
    "MultivariateNormal",
    "MultivariateStudentT",
]


def _one_of(family: str, **matrices: Tensor | None) -> tuple[str, Tensor]:
    given = [(name, value) for name, value in matrices.items() if value is not None]
    if len(given) != 1:
        raise ParameterError(
            f"{family} takes exactly one of its matrix parameters",
            expected=" or ".join(matrices),
            found=", ".join(name for name, _ in given) or "none",
        )
    name, value = given[0]
    if value.dim() < 2 or value.shape[-1] != value.shape[-2]:
        raise ParameterError(
            f"`{name}` of {family} is not a square matrix",
            expected="shape (…, D, D)",
            found=str(tuple(value.shape)),
        )
    return name, value


def scale_tril_of(
    family: str, covariance_matrix: Tensor | None, precision_matrix: Tensor | None, scale_tril: Tensor | None
) -> Tensor:
    """The Cholesky factor of the covariance, from whichever of the three matrices is given."""
    name, matrix = _one_of(
        family,
        covariance_matrix=covariance_matrix,
        precision_matrix=precision_matrix,
        scale_tril=scale_tril,
    )
    if name == "scale_tril":
        return matrix
    return cholesky(matrix) if name == "covariance_matrix" else precision_to_scale_tril(matrix)


@register(
    strategies=("reparam", "score"),
    event_dim=1,
    also=(_TorchMultivariateNormal,),
    example=lambda: [
        MultivariateNormal(torch.tensor([0.5, -1.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]])),
        MultivariateNormal(torch.zeros(2, 2), precision_matrix=torch.tensor([[2.0, 0.5], [0.5, 1.0]])),
    ],
)
class MultivariateNormal(_TorchMultivariateNormal):
    """torch's multivariate normal with a density that records: log p = -½|L⁻¹(x - loc)|² - log|L| - D/2 log
    2π.

    Args:
        loc: mean, (…, D).
        covariance_matrix, precision_matrix, scale_tril: exactly one, (…, D, D). A matrix that is not positive
            definite
            gives a density of nan.

    >>> MultivariateNormal(torch.zeros(2), scale_tril=torch.eye(2)).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        factor = scale_tril_of("MultivariateNormal", covariance_matrix, precision_matrix, scale_tril)
        if loc.dim() < 1 or factor.dim() < 2:
            raise ParameterError(
                "a parameter of MultivariateNormal has too few dimensions",
                expected="loc (…, D), a matrix (…, D, D)",
                found=f"{tuple(loc.shape)}, {tuple(factor.shape)}",
            )
        # Set first, so that torch validates the matrix the user gave and not only our factor of it.
        for name, matrix in (
            ("covariance_matrix", covariance_matrix),
            ("precision_matrix", precision_matrix),
        ):
            if matrix is not None:
                batch = broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
                self.__dict__[name] = matrix.expand(batch + (-1, -1))
        batch = broadcast_shapes(factor.shape[:-2], loc.shape[:-1])
        self.__dict__["scale_tril"] = factor.expand(batch + (-1, -1))
        self.loc = loc.expand(batch + (-1,))
        self._unbroadcasted_scale_tril = factor
        Distribution.__init__(self, batch, self.loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return super().expand(batch_shape, _instance or type(self).__new__(type(self)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        factor = self._unbroadcasted_scale_tril
        z = lower_solve(factor, value - self.loc)
        return -0.5 * z.square().sum(-1) - half_log_det(factor) - 0.5 * self.event_shape[0] * LOG_2PI


@register(
    strategies=("reparam", "score"),
    event_dim=1,
    also=(_TorchLowRank,),
    example=lambda: LowRankMultivariateNormal(
        torch.tensor([0.5, -1.0]), torch.tensor([[1.0], [0.5]]), torch.tensor([1.0, 0.5])
    ),
)
class LowRankMultivariateNormal(_TorchLowRank):
    """torch's normal with covariance W Wᵀ + diag(d), in O(D K²) by Woodbury's identity; construction records.

    Args:
        loc: (…, D).  cov_factor: W, (…, D, K).  cov_diag: d > 0, (…, D).

    >>> LowRankMultivariateNormal(torch.zeros(2), torch.zeros(2, 1), torch.ones(2)).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    def __init__(
        self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None
    ) -> None:
        if loc.dim() < 1 or cov_factor.dim() < 2 or cov_diag.dim() < 1:
            raise ParameterError(
                "a parameter of LowRankMultivariateNormal has too few dimensions",
                expected="loc (…, D), cov_factor (…, D, K), cov_diag (…, D)",
                found=f"{tuple(loc.shape)}, {tuple(cov_factor.shape)}, {tuple(cov_diag.shape)}",
            )
        size = loc.shape[-1]
        if cov_factor.shape[-2] != size or cov_diag.shape[-1] != size:
            raise ParameterError(
                "the parameters of LowRankMultivariateNormal have different sizes",
                expected=f"cov_factor (…, {size}, K), cov_diag (…, {size})",
                found=f"{tuple(cov_factor.shape)}, {tuple(cov_diag.shape)}",
            )
        batch = broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        self.loc = loc.expand(batch + (size,))
        self.cov_factor = cov_factor.expand(batch + cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(batch + (size,))
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        scaled = cov_factor / cov_diag.unsqueeze(-1)
        identity = constant(torch.eye(cov_factor.shape[-1], dtype=cov_factor.dtype), cov_factor)
        self._capacitance_tril = cholesky(cov_factor.mT @ scaled + identity)
        Distribution.__init__(self, batch, torch.Size((size,)), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return super().expand(batch_shape, _instance or type(self).__new__(type(self)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        factor, diagonal = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        difference = value - self.loc
        weighted = difference / diagonal
        projected = (weighted.unsqueeze(-2) @ factor).squeeze(-2)
        distance = (difference * weighted).sum(-1)
        distance = distance - lower_solve(self._capacitance_tril, projected).square().sum(-1)
        log_det = half_log_det(self._capacitance_tril) + 0.5 * diagonal.log().sum(-1)
        return -0.5 * distance - log_det - 0.5 * self.event_shape[0] * LOG_2PI


@register(
    strategies=("implicit", "reparam", "score"),
    example=lambda: MultivariateStudentT(
        5.0, torch.tensor([0.5, -1.0]), torch.tensor([[1.4, 0.0], [0.4, 0.9]])
    ),
)
class MultivariateStudentT(Joint):
    """Multivariate Student t: loc + L z √(df / χ²_df), z standard normal.

    log p = log Γ((ν+D)/2) - log Γ(ν/2) - D/2 log(νπ) - log|L| - (ν+D)/2 log(1 + |L⁻¹(x - loc)|²/ν).

    Args:
        df: ν > 0, shape (…).  loc: (…, D).  scale_tril: L, lower triangular, positive diagonal, (…, D, D).
    Source: Kotz and Nadarajah 2004, Multivariate t distributions, section 1.1.

    >>> MultivariateStudentT(3.0, torch.zeros(2), torch.eye(2)).sample().shape
    torch.Size([2])
    """

    parameters: ClassVar[dict[str, int]] = {"df": 0, "loc": 1, "scale_tril": 2}
    df: Tensor
    loc: Tensor
    scale_tril: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "df": constraints.positive,
        "loc": constraints.real_vector,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, df: float | Tensor, loc: Tensor, scale_tril: Tensor, validate_args: bool | None = None
    ) -> None:
        self._set(scale_tril.shape[-1:], validate_args, loc=loc, df=df, scale_tril=scale_tril)
        self._need("loc", self.loc.shape[-1:], self.event_shape)

    def _log_prob(self, value: Tensor) -> Tensor:
        df, dim = self.df, self.event_shape[0]
        distance = lower_solve(self.scale_tril, value - self.loc).square().sum(-1)
        constant_part = torch.lgamma(0.5 * (df + dim)) - torch.lgamma(0.5 * df)
        constant_part = constant_part - 0.5 * dim * (df * math.pi).log() - half_log_det(self.scale_tril)
        return constant_part - 0.5 * (df + dim) * torch.log1p(distance / df)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        noise = self._noise(sample_shape, self.loc)
        ratio = (self.df / self._chi2(self.df, noise.shape[:-1])).sqrt()
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1) * ratio.unsqueeze(-1)

    @property
    def mean(self) -> Tensor:
        return self._event(torch.where(self.df.unsqueeze(-1) > 1, self.loc, torch.nan))

    @property
    def variance(self) -> Tensor:
        factor = torch.where(self.df > 2, self.df / (self.df - 2), torch.inf)
        factor = torch.where(self.df > 1, factor, torch.nan)
        return self._event(factor.unsqueeze(-1) * self.scale_tril.square().sum(-1))


@register(
    strategies=("reparam", "score"),
    example=lambda: MultivariateLogNormal(
        torch.tensor([0.2, -0.3]), scale_tril=torch.tensor([[0.5, 0.0], [0.2, 0.4]])
    ),
)
class MultivariateLogNormal(Joint):
    """exp of a multivariate normal: log p(x) = log N(log x; loc, L Lᵀ) - Σ log x_i.

    Args:
        loc: mean of log x, (…, D).  covariance_matrix, precision_matrix, scale_tril: of log x, exactly one,
            (…, D, D).

    >>> MultivariateLogNormal(torch.zeros(2), scale_tril=torch.eye(2)).log_prob(torch.ones(2))
    tensor(-1.8379)
    """

    parameters: ClassVar[dict[str, int]] = {"loc": 1, "scale_tril": 2}
    loc: Tensor
    scale_tril: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "loc": constraints.real_vector,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.independent(constraints.positive, 1)
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        factor = scale_tril_of("MultivariateLogNormal", covariance_matrix, precision_matrix, scale_tril)
        self._set(factor.shape[-1:], validate_args, loc=loc, scale_tril=factor)
        self._need("loc", self.loc.shape[-1:], self.event_shape)

    def _log_prob(self, value: Tensor) -> Tensor:
        inside = value > 0
        logs = torch.where(inside, value, 1.0).log()
        z = lower_solve(self.scale_tril, logs - self.loc)
        density = -0.5 * z.square().sum(-1) - half_log_det(self.scale_tril) - logs.sum(-1)
        return torch.where(inside.all(-1), density - 0.5 * self.event_shape[0] * LOG_2PI, -torch.inf)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        noise = self._noise(sample_shape, self.loc)
        return (self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)).exp()

    @property
    def mean(self) -> Tensor:
        return self._event((self.loc + 0.5 * self.scale_tril.square().sum(-1)).exp())

    @property
    def variance(self) -> Tensor:
        return self.mean.square() * torch.expm1(self._event(self.scale_tril.square().sum(-1)))


@register(
    strategies=("score",),
    discrete=True,
    event_dim=1,
    example=lambda: DirichletMultinomial(4, torch.tensor([1.0, 2.0, 0.5])),
)
class DirichletMultinomial(Joint):
    """Counts of `total_count` draws from a categorical whose probabilities have a Dirichlet law.

    log p(x) = log n! + log Γ(A) - log Γ(n + A) + Σ [log Γ(x_i + α_i) - log Γ(α_i) - log x_i!], A = Σ α_i.

    Args:
        total_count: n, a whole number or a tensor of them, (…).  concentration: α > 0, (…, K).
    Source: Mosimann 1962, On the compound multinomial distribution.

    >>> DirichletMultinomial(1, torch.tensor([1.0, 3.0])).log_prob(torch.tensor([0.0, 1.0])).exp()
    tensor(0.7500)
    """

    parameters: ClassVar[dict[str, int]] = {"total_count": 0, "concentration": 1}
    total_count: Tensor
    concentration: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "total_count": constraints.nonnegative_integer,
        "concentration": constraints.independent(constraints.positive, 1),
    }

    def __init__(
        self, total_count: int | Tensor, concentration: Tensor, validate_args: bool | None = None
    ) -> None:
        self._set(
            concentration.shape[-1:], validate_args, concentration=concentration, total_count=total_count
        )

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Constraint:
        return constraints.fixed_sum_counts(self.total_count)

    def _log_prob(self, value: Tensor) -> Tensor:
        alpha = self.concentration
        total, n = alpha.sum(-1), self.total_count.to(alpha.dtype)
        inside = (value >= 0).all(-1) & (value.sum(-1) == n)
        x = torch.where(value >= 0, value, 0).to(alpha.dtype)
        terms = torch.lgamma(x + alpha) - torch.lgamma(alpha) - torch.lgamma(x + 1)
        density = torch.lgamma(n + 1) + torch.lgamma(total) - torch.lgamma(n + total) + terms.sum(-1)
        return torch.where(inside, density, -torch.inf)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(sample_shape)
            probs = Dirichlet(self.concentration.expand(shape), validate_args=False).sample()
            left = self.total_count.to(probs.dtype).expand(shape[:-1])
            counts, rest = [], torch.ones_like(left)
            for p in probs.unbind(-1)[:-1]:
                # The next count given those before is binomial; this serves a different total in each row.
                drawn = torch.binomial(left, (p / rest.clamp(min=torch.finfo(p.dtype).tiny)).clamp(0.0, 1.0))
                counts.append(drawn)
                left, rest = left - drawn, rest - p
            return torch.stack([*counts, left], -1)

    @property
    def mean(self) -> Tensor:
        share = self.concentration / self.concentration.sum(-1, keepdim=True)
        return self._event(self.total_count.unsqueeze(-1) * share)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        share, n = self.concentration / total, self.total_count.unsqueeze(-1)
        return self._event(n * share * (1 - share) * (n + total) / (1 + total))
