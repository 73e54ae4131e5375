"""Ordered categories: a latent score cut at increasing points."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from .base import Number, broadcast
from .registry import register
from .shapes import broadcast_shapes
from .special import log1mexp, log_diff_exp

__all__ = ["OrderedLogistic", "OrderedProbit"]


class _Ordinal(Distribution):
    """P(y = k) = F(c_{k+1} − η) − F(c_k − η) with c_0 = −∞, c_K = ∞; subclasses give log F."""

    arg_constraints: ClassVar[dict[str, Any]] = {
        "predictor": constraints.real,
        "cutpoints": constraints.real_vector,
    }
    has_enumerate_support = True

    def __init__(self, predictor: Number, cutpoints: Tensor, validate_args: bool | None = None):
        predictor = (
            predictor if isinstance(predictor, Tensor) else torch.tensor(predictor, dtype=cutpoints.dtype)
        )
        shape = broadcast_shapes(predictor.shape, cutpoints.shape[:-1])
        self.predictor = broadcast(predictor)[0].expand(shape)
        self.cutpoints = broadcast(cutpoints)[0].expand(shape + cutpoints.shape[-1:])
        super().__init__(shape, validate_args=validate_args)

    @staticmethod
    def _log_cdf(z: Tensor) -> Tensor:
        raise NotImplementedError

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.cutpoints.shape[-1])

    @property
    def logits(self) -> Tensor:
        """log P(y = k) for k = 0 … K − 1 along the last axis."""
        z = self.cutpoints - self.predictor.unsqueeze(-1)
        below, above = self._log_cdf(z), self._log_cdf(-z)
        # The difference of two cdfs, taken in the tail where both are small.
        right = z[..., :-1] > 0
        larger = torch.where(right, above[..., :-1], below[..., 1:])
        smaller = torch.where(right, above[..., 1:], below[..., :-1])
        return torch.cat([below[..., :1], self._between(z, larger, smaller), above[..., -1:]], -1)

    def _between(self, z: Tensor, larger: Tensor, smaller: Tensor) -> Tensor:
        return log_diff_exp(larger, smaller)

    @property
    def probs(self) -> Tensor:
        return torch.exp(self.logits)

    @property
    def mean(self) -> Tensor:
        return (self.probs * torch.arange(self.cutpoints.shape[-1] + 1, device=self.cutpoints.device)).sum(-1)

    @property
    def variance(self) -> Tensor:
        k = torch.arange(self.cutpoints.shape[-1] + 1, device=self.cutpoints.device)
        return (self.probs * k**2).sum(-1) - self.mean**2

    def log_prob(self, value: Number) -> Tensor:
        logits = self.logits
        index = torch.as_tensor(value)
        shape = broadcast_shapes(index.shape, logits.shape[:-1])
        chosen = index.expand(shape).to(torch.int64).unsqueeze(-1)
        count = logits.shape[-1]
        inside = (index >= 0) & (index < count)
        log_p = torch.gather(logits.expand(shape + (count,)), -1, chosen.clamp(0, count - 1)).squeeze(-1)
        return torch.where(inside, log_p, -torch.inf)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        cutpoints = self.cutpoints.expand(shape + self.cutpoints.shape[-1:])
        return type(self)(self.predictor.expand(shape), cutpoints, validate_args=False)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return torch.distributions.Categorical(logits=self.logits, validate_args=False).sample(sample_shape)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = torch.arange(self.cutpoints.shape[-1] + 1, device=self.cutpoints.device)
        values = values.view((-1,) + (1,) * len(self.batch_shape))
        return values.expand((-1,) + self.batch_shape) if expand else values


def _example(cls: type) -> list[Distribution]:
    return [
        cls(0.3, torch.tensor([-1.0, 0.5, 2.0])),
        cls(torch.tensor([0.0, 3.0]), torch.tensor([-0.5, 0.5])),
    ]


@register(strategies=("enum", "score", "mvd"), value_dtype="int64", example=lambda: _example(OrderedLogistic))
class OrderedLogistic(_Ordinal):
    """Ordered logistic (proportional odds): P(y ≤ k) = logit⁻¹(c_{k+1} − η).

    Args: predictor η (batch shape), cutpoints c of shape (…, K − 1), increasing. Values are 0 … K − 1
    (int64).
    Source: McCullagh (1980), J. R. Stat. Soc. B 42.

    >>> d = OrderedLogistic(0.0, torch.tensor([0.0]))
    >>> d.probs
    tensor([0.5000, 0.5000])
    """

    @staticmethod
    def _log_cdf(z: Tensor) -> Tensor:
        return torch.nn.functional.logsigmoid(z)

    def _between(self, z: Tensor, larger: Tensor, smaller: Tensor) -> Tensor:
        # σ(b) − σ(a) = σ(b) σ(−a) (1 − e^(a−b)): no cancellation, wherever the interval lies.
        ls = torch.nn.functional.logsigmoid
        gap = (z[..., 1:] - z[..., :-1]).clamp_min(0.0)
        return ls(z[..., 1:]) + ls(-z[..., :-1]) + log1mexp(gap)


@register(strategies=("enum", "score", "mvd"), value_dtype="int64", example=lambda: _example(OrderedProbit))
class OrderedProbit(_Ordinal):
    """Ordered probit: P(y ≤ k) = Φ(c_{k+1} − η); arguments as in `OrderedLogistic`.

    Source: Aitchison and Silvey (1957), Biometrika 44.

    >>> OrderedProbit(0.0, torch.tensor([0.0])).probs
    tensor([0.5000, 0.5000])
    """

    @staticmethod
    def _log_cdf(z: Tensor) -> Tensor:
        return torch.special.log_ndtr(z)
