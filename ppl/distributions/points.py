"""Laws that sit on listed points: a point mass and an empirical distribution."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints

from ..errors import ParameterError
from .base import Number, as_float
from .registry import Family, register
from .shapes import broadcast_shapes

__all__ = ["Delta", "Empirical"]


@register(
    strategies=("reparam",),
    discrete=False,
    event_dim=0,
    atoms=True,
    proper=False,
    instance=lambda d, family: Family(
        family.name, family.cls, len(d.event_shape), False, False, ("reparam",), atoms=True, proper=False
    ),
    example=lambda: [Delta(1.5), Delta(torch.zeros(2, 3), event_dim=1)],
)
class Delta(Distribution):
    """All mass at `value`: log density `log_density` there, minus infinity elsewhere.

    Args: value; log_density (batch shape, 0 for a probability mass); event_dim: how many last axes of value
    make an event.

    >>> Delta(1.5).log_prob(torch.tensor([1.5, 2.0]))
    tensor([0., -inf])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True

    def __init__(
        self, value: Number, log_density: Number = 0.0, event_dim: int = 0, validate_args: bool | None = None
    ):
        self.value = (
            value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.get_default_dtype())
        )
        cut = self.value.dim() - event_dim
        if cut < 0:
            raise ParameterError(
                "Delta: event_dim is larger than the value's axes", found=f"{tuple(self.value.shape)}"
            )
        shape = self.value.shape[:cut]
        like = self.value if self.value.is_floating_point() else torch.zeros(())
        self.log_density = as_float(log_density, like).expand(shape)
        super().__init__(shape, self.value.shape[cut:], validate_args=validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return (
            constraints.independent(constraints.real, len(self.event_shape))
            if self.event_shape
            else constraints.real
        )

    @property
    def mean(self) -> Tensor:
        return self.value

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.value)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Delta:
        shape = torch.Size(batch_shape)
        value = self.value.expand(shape + self.event_shape)
        return Delta(value, self.log_density.expand(shape), len(self.event_shape), validate_args=False)

    def log_prob(self, value: Any) -> Tensor:
        same = torch.as_tensor(value) == self.value
        if self.event_shape:
            same = same.flatten(-len(self.event_shape)).all(-1)
        return torch.where(same, self.log_density, -torch.inf)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self.value.expand(self._extended_shape(sample_shape))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self.rsample(sample_shape).detach()


def _of_empirical(d: Any, family: Family) -> Family:
    dtype = "float" if d.values.is_floating_point() else "int64"
    return Family(
        family.name, family.cls, len(d.event_shape), True, True, ("enum", "score"), value_dtype=dtype
    )


@register(
    strategies=("enum", "score"),
    discrete=True,
    event_dim=0,
    finite=True,
    instance=_of_empirical,
    example=lambda: Empirical(torch.tensor([1.0, 2.5, 2.5, 4.0]), torch.tensor([0.0, 0.5, -1.0, 0.3])),
)
class Empirical(Distribution):
    """The weighted points `values`: P(x) = Σ_i w_i 1[values_i = x].

    Args: values of shape (n, *event); log_weights of shape (n,), normalised here, equal if left out.

    >>> round(Empirical(torch.tensor([1.0, 2.0, 2.0])).log_prob(torch.tensor(2.0)).exp().item(), 4)
    0.6667
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_enumerate_support = True

    def __init__(self, values: Tensor, log_weights: Tensor | None = None, validate_args: bool | None = None):
        if values.dim() == 0:
            raise ParameterError("Empirical: values need a first axis of points", found="shape ()")
        n = values.shape[0]
        weights = torch.zeros(n) if log_weights is None else log_weights
        if tuple(weights.shape) != (n,):
            raise ParameterError(
                "Empirical: one weight a point", expected=f"({n},)", found=f"{tuple(weights.shape)}"
            )
        self.values = values
        self.log_weights = torch.log_softmax(weights, 0)
        super().__init__(torch.Size(), values.shape[1:], validate_args=validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return _Points(self.values)

    @property
    def mean(self) -> Tensor:
        return self._average(self.values).expand(self.batch_shape + self.event_shape)

    @property
    def variance(self) -> Tensor:
        return self._average((self.values - self.mean.reshape(-1, *self.event_shape)[0]) ** 2)

    def _average(self, x: Tensor) -> Tensor:
        return torch.tensordot(torch.exp(self.log_weights), x.to(self.log_weights.dtype), 1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Empirical:
        new = Empirical(self.values, self.log_weights, validate_args=False)
        new._batch_shape = torch.Size(batch_shape)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        same = torch.as_tensor(value).unsqueeze(-1 - len(self.event_shape)) == self.values
        if self.event_shape:
            same = same.flatten(-len(self.event_shape)).all(-1)
        out = torch.logsumexp(torch.where(same, self.log_weights, -torch.inf), -1)
        return out.expand(broadcast_shapes(out.shape, self.batch_shape))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = torch.Size(sample_shape) + self.batch_shape
        return self.values[Categorical(logits=self.log_weights, validate_args=False).sample(shape)]

    def enumerate_support(self, expand: bool = True) -> Tensor:
        points = torch.unique(self.values, dim=0)
        points = points.view((-1,) + (1,) * len(self.batch_shape) + self.event_shape)
        return points.expand((-1,) + self.batch_shape + self.event_shape) if expand else points


class _Points(constraints.Constraint):
    """The listed points."""

    is_discrete = True

    def __init__(self, values: Tensor):
        self.values = values
        self.event_dim = values.dim() - 1
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        same = value.unsqueeze(-1 - self.event_dim) == self.values
        return (same.flatten(-self.event_dim).all(-1) if self.event_dim else same).any(-1)
