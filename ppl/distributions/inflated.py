"""Extra zeros: zero-inflated and hurdle versions of any univariate family."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ..errors import ParameterError
from .base import as_float
from .bounds import is_discrete, of_support, reference
from .registry import Family, family_of, register
from .shapes import broadcast_shapes
from .special import log1mexp
from .tails import has_cdf
from .wrappers import Truncated

__all__ = ["Hurdle", "ZeroInflated"]


class _ExtraZeros(Distribution):
    """`d` and a gate: the probability of a zero that does not come from `d`, by value or by log-odds."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 (set for the instance: which parameter it has)

    def __init__(
        self, d: Distribution, gate: Any = None, gate_logits: Any = None, validate_args: bool | None = None
    ):
        if (gate is None) == (gate_logits is None):
            raise ParameterError(
                f"{type(self).__name__} takes either gate or gate_logits", edit="ZeroInflated(d, gate=0.2)"
            )
        if len(d.event_shape):
            raise ParameterError(
                f"{type(self).__name__} takes a univariate family",
                found=f"event shape {tuple(d.event_shape)}",
            )
        param = as_float(gate if gate is not None else gate_logits, reference(d))
        shape = broadcast_shapes(d.batch_shape, param.shape)
        self.base_dist = d.expand(shape) if d.batch_shape != shape else d
        self.discrete = is_discrete(d)
        if gate is not None:
            self.gate = param.expand(shape)
            self.arg_constraints = {"gate": constraints.unit_interval}
        else:
            self.gate_logits = param.expand(shape)
            self.arg_constraints = {"gate_logits": constraints.real}
        super().__init__(shape, validate_args=validate_args)

    def _log_gate(self) -> tuple[Tensor, Tensor]:
        """log gate and log(1 − gate)."""
        if "gate" in self.__dict__:
            return torch.log(self.gate), torch.log1p(-self.gate)
        ls = torch.nn.functional.logsigmoid
        return ls(self.gate_logits), ls(-self.gate_logits)

    @property
    def gate_probs(self) -> Tensor:
        return torch.exp(self._log_gate()[0])

    @property
    def support(self) -> Any:  # type: ignore[override]
        support = self.base_dist.support
        low, _ = of_support(support)
        at_zero = isinstance(low, float | int) and low == 0
        return constraints.nonnegative if at_zero and not self.discrete else support

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        name = "gate" if "gate" in self.__dict__ else "gate_logits"
        param = {name: getattr(self, name).expand(shape)}
        new = type(self)(self.base_dist.expand(shape), **param, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _zeros(self, sample_shape: Any) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return torch.rand(shape, dtype=self.gate_probs.dtype, device=self.gate_probs.device) < self.gate_probs

    def _nonzero(self, value: Any) -> tuple[Tensor, Tensor]:
        """Whether the value is zero, and a value of `d` that is not."""
        x = as_float(value, reference(self.base_dist))
        zero = x == 0
        return zero, torch.where(zero, 1.0, x)


def _of_extra_zeros(d: Any, family: Family) -> Family:
    base = family_of(d.base_dist)
    score = ("score",) if "score" in base.strategies else ()
    return Family(
        family.name,
        family.cls,
        0,
        d.discrete,
        False,
        score,
        value_dtype=base.value_dtype,
        atoms=not d.discrete,
    )


@register(
    strategies=("score",),
    discrete=True,
    event_dim=0,
    instance=_of_extra_zeros,
    example=lambda: [
        ZeroInflated(torch.distributions.Poisson(3.0), 0.3),
        ZeroInflated(
            torch.distributions.Poisson(torch.tensor([1.0, 9.0])), gate_logits=torch.tensor([-1.0, 2.0])
        ),
    ],
)
class ZeroInflated(_ExtraZeros):
    """Zero with probability `gate`, else a draw of `d`: p(x) = gate·1[x = 0] + (1 − gate) p_d(x).

    Args: d univariate (for a continuous one zero is an atom); gate in [0, 1] or gate_logits; they broadcast.
    Source: Lambert (1992), Technometrics 34.

    >>> ZeroInflated(torch.distributions.Poisson(1.0), gate=1.0).log_prob(torch.tensor(0.0)).item()
    0.0
    """

    @property
    def mean(self) -> Tensor:
        return (1 - self.gate_probs) * self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        g, m = self.gate_probs, self.base_dist.mean
        return (1 - g) * (self.base_dist.variance + g * m * m)

    def log_prob(self, value: Any) -> Tensor:
        zero, x = self._nonzero(value)
        log_gate, log_rest = self._log_gate()
        elsewhere = log_rest + self.base_dist.log_prob(x)
        if not self.discrete:
            return torch.where(zero, log_gate, elsewhere)
        # Where the gate is shut for certain (−∞), logaddexp would have a nan gradient.
        at_zero = torch.logaddexp(log_gate, log_rest + self.base_dist.log_prob(torch.zeros_like(x)))
        return torch.where(zero, at_zero, elsewhere)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return torch.where(self._zeros(sample_shape), 0.0, self.base_dist.sample(sample_shape))


@register(
    strategies=("score",),
    discrete=True,
    event_dim=0,
    instance=_of_extra_zeros,
    example=lambda: [
        Hurdle(torch.distributions.Poisson(3.0), 0.3),
        Hurdle(torch.distributions.NegativeBinomial(2.0, torch.tensor([0.1, 0.6])), gate_logits=0.5),
    ],
)
class Hurdle(_ExtraZeros):
    """Zero with probability `gate`, else `d` given that it is not zero: p(x) = (1 − gate) p_d(x) / (1 −
    p_d(0)), x ≠ 0.

    Args: as `ZeroInflated`. Source: Mullahy (1986), J. Econometrics 33.

    >>> round(Hurdle(torch.distributions.Poisson(1.0), gate=0.25).log_prob(torch.tensor(0.0)).exp().item(), 6)
    0.25
    """

    def _log_nonzero(self) -> Tensor:
        if not self.discrete:
            return torch.zeros(())
        return log1mexp(-self.base_dist.log_prob(torch.zeros_like(reference(self.base_dist))))

    @property
    def mean(self) -> Tensor:
        return (1 - self.gate_probs) * self.base_dist.mean / torch.exp(self._log_nonzero())

    @property
    def variance(self) -> Tensor:
        second = (self.base_dist.variance + self.base_dist.mean**2) / torch.exp(self._log_nonzero())
        return (1 - self.gate_probs) * second - self.mean**2

    def log_prob(self, value: Any) -> Tensor:
        zero, x = self._nonzero(value)
        log_gate, log_rest = self._log_gate()
        return torch.where(zero, log_gate, log_rest + self.base_dist.log_prob(x) - self._log_nonzero())

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return torch.where(self._zeros(sample_shape), 0.0, self._positive_part(sample_shape))

    def _positive_part(self, sample_shape: Any) -> Tensor:
        d = self.base_dist
        low, _ = of_support(d.support)
        if self.discrete and isinstance(low, float | int) and low == 0 and has_cdf(d):
            return Truncated(d, low=1, validate_args=False).sample(sample_shape)
        x = d.sample(sample_shape)
        while self.discrete and bool((x == 0).any()):
            x = torch.where(x == 0, d.sample(sample_shape), x)
        return x
