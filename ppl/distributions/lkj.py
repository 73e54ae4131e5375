"""The LKJ law of correlation matrices, and of their Cholesky factors."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Beta, Distribution
from torch.distributions import LKJCholesky as _TorchLKJCholesky

from ppl.distributions import constraints
from ppl.distributions.constraints import Constraint
from ppl.distributions.linear import Joint, cholesky, half_log_det, multigammaln
from ppl.distributions.registry import register
from ppl.distributions.special import constant
from ppl.errors import ParameterError

__all__ = ["LKJ", "LKJCholesky"]


def _log_lkj_constant(concentration: Tensor, dim: int) -> Tensor:
    """log ∫ |R|^{η-1} dR over correlation matrices (Lewandowski, Kurowicka, Joe 2009, section 3.3)."""
    alpha = concentration + 0.5 * (dim - 1)
    gammas = multigammaln(alpha - 0.5, dim - 1) - (dim - 1) * torch.lgamma(alpha)
    return gammas + 0.5 * (dim - 1) * math.log(math.pi)


@register(strategies=("score",), example=lambda: LKJCholesky(3, 1.5), also=(_TorchLKJCholesky,), event_dim=2)
class LKJCholesky(_TorchLKJCholesky):
    """Cholesky factors of LKJ-distributed correlation matrices: log p(L) = Σ_{i≥2} (D - i + 2η - 2) log L_ii
    - log c(η, D).

    Against the strict lower triangle of L; as torch's, but it records.

    Args:
        dim: D ≥ 2.  concentration: η > 0, a number or (…); 1 is uniform over correlation matrices.

    >>> LKJCholesky(2, 1.0).log_prob(torch.eye(2)).exp()
    tensor(0.5000)
    """

    def __init__(
        self, dim: int, concentration: float | Tensor = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ParameterError(
                "LKJCholesky needs a dimension of at least 2", expected="dim ≥ 2", found=str(dim)
            )
        self.dim = dim
        self.concentration = torch.as_tensor(
            concentration, dtype=None if isinstance(concentration, Tensor) else torch.get_default_dtype()
        )
        # Onion method: row i (from 0) has squared length Beta(i/2, η + (D - 1 - i)/2) off the diagonal.
        # torch's sampler takes i - ½ for i/2, right for i = 1 only. Row 0 needs a number and uses none.
        row = constant(torch.tensor([1, *range(1, dim)]), self.concentration)
        eta = self.concentration.unsqueeze(-1)
        self._beta = Beta(0.5 * row, eta + 0.5 * (dim - 1 - row), validate_args=False)
        Distribution.__init__(
            self, self.concentration.shape, torch.Size((dim, dim)), validate_args=validate_args
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return super().expand(batch_shape, _instance or type(self).__new__(type(self)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        power = constant(torch.arange(self.dim - 2, -1, -1), self.concentration)
        power = power + 2.0 * (self.concentration.unsqueeze(-1) - 1.0)
        density = (power * value.diagonal(dim1=-2, dim2=-1).log()[..., 1:]).sum(-1)
        return density - _log_lkj_constant(self.concentration, self.dim)


@register(strategies=("score",), example=lambda: LKJ(3, 1.5))
class LKJ(Joint):
    """Correlation matrices with density |R|^{η-1}/c(η, D) against the strict lower triangle of R.

    Each correlation is 2 Beta(a, a) - 1 with a = η - 1 + D/2. `LKJCholesky` is faster where the Cholesky
    factor will do.

    Args:
        dim: D ≥ 2.  concentration: η > 0, a number or (…).
    Source: Lewandowski, Kurowicka, Joe 2009, Generating random correlation matrices based on vines and
    extended onion method.

    >>> LKJ(2, 1.0).log_prob(torch.eye(2)).exp()
    tensor(0.5000)
    """

    parameters: ClassVar[dict[str, int]] = {"concentration": 0}
    concentration: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {"concentration": constraints.positive}
    support = constraints.corr_matrix

    def __init__(
        self, dim: int, concentration: float | Tensor = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ParameterError("LKJ needs a dimension of at least 2", expected="dim ≥ 2", found=str(dim))
        self.dim = dim
        self._set((dim, dim), validate_args, concentration=concentration)

    def _log_prob(self, value: Tensor) -> Tensor:
        log_det = 2.0 * half_log_det(cholesky(value))
        return (self.concentration - 1.0) * log_det - _log_lkj_constant(self.concentration, self.dim)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            concentration = self.concentration.expand(self.batch_shape)
            root = LKJCholesky(self.dim, concentration, validate_args=False).sample(sample_shape)
            return root @ root.mT

    @property
    def mean(self) -> Tensor:
        return self._event(torch.eye(self.dim).to(self.concentration))

    @property
    def variance(self) -> Tensor:
        off = 1.0 - torch.eye(self.dim).to(self.concentration)
        return self._event(off / (2.0 * self.concentration + self.dim - 1.0)[..., None, None])
