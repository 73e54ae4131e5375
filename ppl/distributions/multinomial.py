"""A multinomial whose total may be anything."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.distributions as td
from torch import Tensor
from torch.distributions import Distribution, constraints

from .base import as_float, only
from .discrete import is_integer
from .registry import register
from .shapes import broadcast_shapes

__all__ = ["Multinomial"]


@register(
    strategies=("score",),
    also=(td.Multinomial,),
    example=lambda: [
        Multinomial(4, torch.tensor([0.2, 0.5, 0.3])),
        Multinomial(torch.tensor([2, 5]), logits=torch.zeros(2, 3)),
    ],
)
class Multinomial(Distribution):
    """Multinomial of any total: the counts in a value fix the total, P(x) = (Σ x)! / Π x_k! · Π p_k^(x_k).

    Args: total_count (integer or tensor of the batch shape; used for sampling and moments), probs or logits
    of shape (…, K). A value whose counts don't sum to `total_count` is not refused: its density is that of
    its own total.

    >>> Multinomial(3, torch.tensor([0.5, 0.5])).log_prob(torch.tensor([1.0, 1.0])).exp().item()
    0.5
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ):
        self._categorical = td.Categorical(probs=probs, logits=logits, validate_args=False)
        p = self._categorical._param
        total = as_float(total_count, p)
        shape = broadcast_shapes(total.shape, p.shape[:-1])
        self.total_count = total.expand(shape)
        self._categorical = self._categorical.expand(shape)
        super().__init__(shape, p.shape[-1:], validate_args=validate_args)

    @property
    def probs(self) -> Tensor:
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        return self._categorical.logits

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.independent(constraints.nonnegative_integer, 1)

    @property
    def mean(self) -> Tensor:
        return self.total_count.unsqueeze(-1) * self.probs

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.probs)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Multinomial:
        shape = torch.Size(batch_shape)
        logits = self.logits.expand(shape + self.event_shape)
        return type(self)(self.total_count.expand(shape), logits=logits, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        x = as_float(value, self.logits)
        # A zero count of an impossible category contributes 0, not 0 · (−∞).
        logits = torch.where((x == 0) & (self.logits < -1e30), 0.0, self.logits)
        inside = ((x >= 0) & is_integer(x)).all(-1)
        x = torch.where(inside.unsqueeze(-1), x, 0.0)
        return only(inside, torch.lgamma(x.sum(-1) + 1) - torch.lgamma(x + 1).sum(-1) + (x * logits).sum(-1))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            # One binomial a category of what remains: exact for totals that differ across the batch.
            p = self.probs.expand(shape)
            left, mass = self.total_count.expand(shape[:-1]), torch.ones_like(p[..., 0])
            counts = []
            for k in range(shape[-1] - 1):
                n = torch.binomial(left, (p[..., k] / mass).clamp(0.0, 1.0).nan_to_num(0.0))
                counts.append(n)
                left, mass = left - n, (mass - p[..., k]).clamp_min(0.0)
            return torch.stack([*counts, left], -1)
