"""Linear algebra that the multivariate families share, and the base class of those with tensor parameters."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from ppl.distributions.shapes import broadcast_shapes
from ppl.distributions.special import constant
from ppl.errors import ParameterError

__all__ = ["Joint", "cholesky", "half_log_det", "lower_solve", "multigammaln", "precision_to_scale_tril"]

LOG_2PI = math.log(2.0 * math.pi)


def cholesky(matrix: Tensor) -> Tensor:
    """The lower Cholesky factor; nan where `matrix` isn't positive definite.

    A sampler that proposes an impossible covariance should see an impossible density, not an exception.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    return torch.where((info == 0)[..., None, None], factor, torch.nan)


def half_log_det(factor: Tensor) -> Tensor:
    """½ log|L Lᵀ|, from the diagonal of L."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def lower_solve(factor: Tensor, x: Tensor) -> Tensor:
    """L⁻¹ x for vectors x of shape (…, D) and L of shape (…, D, D); batch dimensions broadcast."""
    if factor.dim() == 2 and x.dim() > 1:
        # One solve with many right-hand sides, instead of a copy of L for each.
        flat = x.reshape(-1, x.shape[-1])
        return torch.linalg.solve_triangular(factor, flat.mT, upper=False).mT.reshape(x.shape)
    return torch.linalg.solve_triangular(factor, x.unsqueeze(-1), upper=False).squeeze(-1)


def precision_to_scale_tril(precision: Tensor) -> Tensor:
    """L lower triangular with L Lᵀ = P⁻¹: with J the reversal and J P J = F Fᵀ, L = (J F J)⁻ᵀ."""
    upper = cholesky(precision.flip(-2, -1)).flip(-2, -1)
    identity = constant(torch.eye(precision.shape[-1], dtype=precision.dtype), precision)
    return torch.linalg.solve_triangular(upper.mT, identity, upper=False)


def multigammaln(a: Tensor, dim: int) -> Tensor:
    """log Γ_D(a) = D(D - 1)/4 log π + Σ_{j<D} log Γ(a - j/2)."""
    shift = constant(0.5 * torch.arange(dim, dtype=a.dtype), a)
    return torch.lgamma(a.unsqueeze(-1) - shift).sum(-1) + 0.25 * dim * (dim - 1) * math.log(math.pi)


class Joint(Distribution):
    """A family of vectors or matrices with tensor parameters.

    `parameters` gives for each parameter how many trailing dimensions are its own; those before are batch
    dimensions. Parameters are kept as given: broadcasting is left to the operations, so that one covariance
    serves a whole batch.
    """

    parameters: ClassVar[dict[str, int]] = {}

    def _set(self, event_shape: tuple[int, ...], validate_args: bool | None, **values: Any) -> None:
        given = [v for v in values.values() if isinstance(v, Tensor) and v.is_floating_point()]
        dtype = given[0].dtype if given else torch.get_default_dtype()
        lead = torch.Size()
        for name, value in values.items():
            tensor = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=dtype)
            own = self.parameters[name]
            if tensor.dim() < own:
                raise ParameterError(
                    f"`{name}` of {type(self).__name__} has too few dimensions",
                    expected=f"at least {own}",
                    found=f"shape {tuple(tensor.shape)}",
                )
            setattr(self, name, tensor)
            try:
                lead = broadcast_shapes(lead, tensor.shape[: tensor.dim() - own])
            except RuntimeError:
                raise ParameterError(
                    f"the batch dimensions of {type(self).__name__}'s parameters don't broadcast",
                    found=", ".join(f"{k}: {tuple(getattr(v, 'shape', ()))}" for k, v in values.items()),
                ) from None
        super().__init__(lead, torch.Size(event_shape), validate_args=validate_args)

    def _need(self, name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
        """Refuses a parameter whose own dimensions don't fit the others'."""
        if tuple(found) != tuple(expected):
            raise ParameterError(
                f"`{name}` of {type(self).__name__} doesn't fit the other parameters",
                expected=f"trailing shape {tuple(expected)}",
                found=str(tuple(found)),
            )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        if broadcast_shapes(self.batch_shape, shape) != shape:
            raise ParameterError(
                f"{type(self).__name__} can't be expanded to this batch shape",
                expected=f"a shape that {tuple(self.batch_shape)} broadcasts to",
                found=str(tuple(shape)),
            )
        new = copy.copy(self)
        Distribution.__init__(new, shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        result = self._log_prob(value)
        shape = broadcast_shapes(result.shape, self.batch_shape)
        return result if result.shape == shape else result.expand(shape)

    def _event(self, value: Tensor) -> Tensor:
        """`value` widened to batch shape and event shape."""
        return value.expand(self.batch_shape + self.event_shape)

    def _noise(self, sample_shape: Any, like: Tensor, event_shape: tuple[int, ...] | None = None) -> Tensor:
        """Standard normal draws of shape sample + batch + event."""
        event = self.event_shape if event_shape is None else torch.Size(event_shape)
        shape = torch.Size(sample_shape) + self.batch_shape + event
        return torch.randn(shape, dtype=like.dtype, device=like.device)

    def _chi2(self, df: Tensor, shape: torch.Size) -> Tensor:
        """Chi-square draws, differentiable in `df`."""
        half = 0.5 * df.expand(shape)
        return 2.0 * torch._standard_gamma(half).clamp(min=torch.finfo(half.dtype).tiny)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)
