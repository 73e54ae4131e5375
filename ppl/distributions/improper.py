"""Improper priors: flat ones, and families restricted to a smaller support."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from ..errors import MethodError, ParameterError
from .base import as_float
from .bounds import Bound, expand_bound, interval_support, of_support, present, shape_of
from .constraints import constraint_from, name_of
from .registry import Family, family_of, register
from .shapes import broadcast_shapes
from .tails import has_cdf
from .wrappers import Truncated

__all__ = ["Flat", "Restricted"]

TRIES = 10_000


@register(
    strategies=(),
    discrete=False,
    event_dim=0,
    proper=False,
    example=lambda: [Flat(), Flat(lower=0.0), Flat(-1.0, torch.tensor([2.0, 3.0]))],
)
class Flat(Distribution):
    """The improper uniform: log density 0 on (lower, upper), minus infinity outside.

    Args: lower, upper: numbers or tensors; infinite by default. With `.expand([n])` a batch.

    Errors: sampling and moments raise MethodError: a flat prior is not a probability distribution.

    >>> Flat(lower=0.0).log_prob(torch.tensor([1.0, -1.0]))
    tensor([0., -inf])
    >>> Flat().support
    Real()
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, lower: Bound = -torch.inf, upper: Bound = torch.inf, validate_args: bool | None = None
    ):
        self.lower, self.upper = present(lower), present(upper)
        if (
            isinstance(self.lower, float | int)
            and isinstance(self.upper, float | int)
            and not self.lower < self.upper
        ):
            raise ParameterError(
                "Flat: empty interval", expected="lower < upper", found=f"({lower}, {upper})"
            )
        super().__init__(broadcast_shapes(shape_of(lower), shape_of(upper)), validate_args=validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return interval_support(self.lower, self.upper, discrete=False, open_ends=True)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Flat:
        shape = torch.Size(batch_shape)
        new = Flat(expand_bound(self.lower, shape), expand_bound(self.upper, shape), validate_args=False)
        new._batch_shape = shape
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Any) -> Tensor:
        x = as_float(value, torch.zeros(())) if not isinstance(value, Tensor) else value
        # 0 · x keeps the shape and marks nan values, with a zero gradient.
        zero = torch.zeros_like(x).expand(broadcast_shapes(x.shape, self.batch_shape))
        inside = x == x
        if self.lower is not None:
            inside = inside & (x > self.lower)
        if self.upper is not None:
            inside = inside & (x < self.upper)
        return torch.where(inside, zero, -torch.inf)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        raise MethodError(
            "Flat is improper: it can't be sampled",
            expected="a proper distribution, or data for this site",
            found=repr(self),
            edit="give the site a proper prior, such as Normal(0.0, 10.0)",
        )

    rsample = sample

    def __repr__(self) -> str:
        lower = -torch.inf if self.lower is None else self.lower
        return f"Flat({lower}, {torch.inf if self.upper is None else self.upper})"


def _of_restricted(d: Any, family: Family) -> Family:
    if d.truncated is not None:
        base = family_of(d.truncated)
        return Family(
            family.name,
            family.cls,
            0,
            base.discrete,
            base.finite,
            base.strategies,
            has_cdf=True,
            has_icdf=True,
        )
    base = family_of(d.base_dist)
    return Family(family.name, family.cls, len(d.event_shape), base.discrete, False, (), proper=False)


_FAMILIES = {
    "simplex": "Dirichlet(…)",
    "unit_vector": "UnitSphere(K)",
    "sum_to_zero": "SumToZeroNormal(K)",
    "corr_cholesky": "LKJCholesky(K, …)",
    "corr_matrix": "LKJ(K, …)",
    "cov": "Wishart(df, S) or InverseWishart(df, S)",
    "lower_cholesky": "D positive scales and LKJCholesky(D, …): diag(scales) @ L",
}
"""What draws on supports that rejection from other families never meets."""


@register(
    strategies=(),
    discrete=False,
    event_dim=0,
    instance=_of_restricted,
    example=lambda: [
        Restricted(torch.distributions.Normal(0.5, 2.0), "positive"),
        Restricted(torch.distributions.Normal(0.5, 2.0), (None, 1.0)),
        Restricted(torch.distributions.Normal(torch.zeros(3), 1.0), "ordered"),
    ],
)
class Restricted(Distribution):
    """`d` on a smaller support: p(x) ∝ p_d(x) where the constraint holds, 0 elsewhere.

    For an interval of a univariate family with a known cdf the constant is included (it is `Truncated` then,
    and `.normalized` is True); otherwise it is left out, `.normalized` is False, and densities compare only
    while the parameters of `d` are constants.

    Args:
        d: a distribution. If the constraint is about vectors, the last batch axis of a univariate `d` becomes
            the event.
        support: a constraint, a pair (low, high) with None for no bound, or a name such as "positive",
            "unit", "ordered", "positive_ordered".

    Draws come by rejection. Errors: ParameterError if the constraint needs more axes than `d` has;
    MethodError if 10,000 rounds of rejection don't fill a sample.

    >>> d = Restricted(torch.distributions.Normal(torch.zeros(3), 1.0), "ordered")
    >>> d.event_shape, d.normalized
    (torch.Size([3]), False)
    >>> Restricted(torch.distributions.Normal(0.0, 1.0), "positive").normalized
    True
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, d: Distribution, support: Any, validate_args: bool | None = None):
        constraint = constraint_from(support)
        missing = constraint.event_dim - len(d.event_shape)
        if missing > len(d.batch_shape):
            raise ParameterError(
                f"Restricted: {constraint} is about vectors, {type(d).__name__} is about numbers",
                expected=f"at least {constraint.event_dim} axes",
                found=f"shape {tuple(d.batch_shape + d.event_shape)}",
                edit="expand the family first: Normal(0.0, 1.0).expand([K])",
            )
        self.constraint = constraint
        self.truncated: Truncated | None = None
        low, high = of_support(constraint)
        bounded = low is not None or high is not None
        if bounded and not constraint.event_dim and not d.event_shape and has_cdf(d):
            self.truncated = Truncated(d, low, high, validate_args=False)
            d = self.truncated.base_dist
        self.base_dist = Independent(d, missing, validate_args=False) if missing > 0 else d
        self.normalized = self.truncated is not None
        super().__init__(self.base_dist.batch_shape, self.base_dist.event_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return self.truncated.support if self.truncated is not None else self.constraint

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.truncated is not None and self.truncated.has_rsample

    @property
    def has_cdf(self) -> bool:
        return self.truncated is not None

    def expand(self, batch_shape: Any, _instance: Any = None) -> Restricted:
        shape = torch.Size(batch_shape)
        if self.truncated is not None:
            wide = self.truncated.expand(shape)
            pair = (wide.low, wide.high)
            return Restricted(wide.base_dist, pair, validate_args=False)
        return Restricted(self.base_dist.expand(shape), self.constraint, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        if self.truncated is not None:
            return self.truncated.log_prob(value)
        inside = self.constraint.check(value)
        extra = inside.dim() - len(broadcast_shapes(value.shape[: value.dim() - len(self.event_shape)]))
        inside = inside.flatten(-extra).all(-1) if extra > 0 else inside
        return torch.where(inside, self.base_dist.log_prob(value), -torch.inf)

    def log_cdf(self, value: Tensor) -> Tensor:
        return self._whole().log_cdf(value)

    def log_survival(self, value: Tensor) -> Tensor:
        return self._whole().log_survival(value)

    def cdf(self, value: Tensor) -> Tensor:
        return self._whole().cdf(value)

    def icdf(self, value: Tensor) -> Tensor:
        return self._whole().icdf(value)

    def _whole(self) -> Truncated:
        if self.truncated is None:
            raise MethodError(
                f"Restricted: the cdf of {type(self.base_dist).__name__} on this support is not known"
            )
        return self.truncated

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self._whole().rsample(sample_shape)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        if self.truncated is not None:
            return self.truncated.sample(sample_shape)
        thin = str(name_of(self.constraint)) in _FAMILIES
        tries = TRIES // 100 if thin else TRIES
        with torch.no_grad():
            x = self.base_dist.sample(sample_shape)
            for _ in range(tries):
                inside = torch.isfinite(self.log_prob(x))
                if bool(inside.all()):
                    return x
                keep = inside.view(inside.shape + (1,) * len(self.event_shape))
                x = torch.where(keep, x, self.base_dist.sample(sample_shape))
        raise MethodError(
            f"{self._inner()} restricted to {name_of(self.constraint) or self.constraint} can't be drawn: "
            f"{tries} rounds of rejection gave no value there",
            expected="a family whose draws lie there",
            found=f"{self._inner()}, whose draws hardly ever do",
            edit=_FAMILIES.get(str(name_of(self.constraint)), "a family that puts more of its mass there"),
        )

    def _inner(self) -> str:
        base = self.base_dist
        return type(base.base_dist if isinstance(base, Independent) else base).__name__
