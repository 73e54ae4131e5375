"""Truncated and censored versions of any univariate family whose cdf is known."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from ..errors import MethodError, ParameterError
from .base import as_float, open_uniform
from .bounds import (
    Bound,
    expand_bound,
    interval_support,
    of_support,
    present,
    reference,
    shape_of,
    strictly_inside,
    tighter,
)
from .implicit import invert, with_implicit_gradient
from .registry import Family, family_of, register
from .shapes import broadcast_shapes
from .tails import has_cdf, log_cdf, log_interval, log_survival

__all__ = ["Censored", "Truncated"]

# Rounds of plain rejection before the draws that are left go through bisection.
ROUNDS = 64


class _Bounded(Distribution):
    """A univariate `d` with bounds; None, a number or a tensor each."""

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, d: Distribution, low: Bound = None, high: Bound = None, validate_args: bool | None = None
    ):
        if len(d.event_shape):
            raise ParameterError(
                f"{type(self).__name__} takes a univariate family",
                expected="event shape ()",
                found=f"{type(d).__name__} of event shape {tuple(d.event_shape)}",
                edit='Restricted(d, "ordered") and the like restrict vectors',
            )
        low, high = present(low), present(high)
        if isinstance(low, float | int) and isinstance(high, float | int) and not low < high:
            raise ParameterError(
                f"{type(self).__name__}: empty interval", expected="low < high", found=f"({low}, {high})"
            )
        shape = broadcast_shapes(d.batch_shape, shape_of(low), shape_of(high))
        self.base_dist = d.expand(shape) if d.batch_shape != shape else d
        self.low, self.high = expand_bound(low, shape), expand_bound(high, shape)
        support: Any = d.support
        self.discrete = bool(support.is_discrete)
        own_low, own_high = of_support(support)
        self._edges = tighter(self.low, own_low, True), tighter(self.high, own_high, False)
        cuts = strictly_inside(self.low, own_low, True), strictly_inside(self.high, own_high, False)
        self._cut_low, self._cut_high = cuts
        super().__init__(shape, validate_args=validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return interval_support(*self._edges, self.discrete)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        low, high = expand_bound(self.low, shape), expand_bound(self.high, shape)
        new = type(self)(self.base_dist.expand(shape), low, high, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, low={self.low}, high={self.high})"

    def _tensor(self, bound: Bound) -> Tensor | None:
        return None if bound is None else as_float(bound, reference(self.base_dist))

    def _place(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Whether the value lies within the bounds, and one that does."""
        inside = torch.ones_like(value, dtype=torch.bool)
        for bound, below in zip(self._edges, (True, False), strict=True):
            if bound is not None:
                inside = inside & (value >= bound if below else value <= bound)
        safe = self._tensor(self._cut_low if self._cut_low is not None else self._cut_high)
        return inside, value if safe is None else torch.where(inside, value, safe)

    def _static_range(self) -> tuple[int, int] | None:
        """First and last value of a discrete family whose ends are numbers."""
        low, high = self._edges
        if not self.discrete or not isinstance(low, float | int) or not isinstance(high, float | int):
            return None
        return -int(-low // 1), int(high // 1)

    def _range(self) -> Tensor:
        span = self._static_range()
        assert span is not None
        like = reference(self.base_dist)
        values = torch.arange(span[0], span[1] + 1, dtype=like.dtype)
        return values.view((-1,) + (1,) * len(self.batch_shape))


def _need_cdf(d: Distribution, wrapper: str) -> None:
    if not has_cdf(d):
        raise MethodError(
            f"{wrapper} needs the cdf of {type(d).__name__}, which is not known",
            expected="a univariate family with a cdf",
            found=type(d).__name__,
            edit=f"Restricted({type(d).__name__}(…), (low, high)), which leaves the normalising constant out",
        )


def _of_truncated(d: Any, family: Family) -> Family:
    base, static = family_of(d.base_dist), not any(isinstance(b, Tensor) for b in (d.low, d.high))
    score = ("score",) if static and "score" in base.strategies else ()
    finite = bool(d.has_enumerate_support)
    first = (("enum",) if finite else ()) if d.discrete else ("implicit",)
    name, cls = family.name, family.cls
    return Family(
        name,
        cls,
        0,
        d.discrete,
        finite,
        first + score,
        has_cdf=True,
        has_icdf=True,
        value_dtype=base.value_dtype,
    )


@register(
    strategies=("implicit", "score"),
    discrete=False,
    event_dim=0,
    has_cdf=True,
    has_icdf=True,
    instance=_of_truncated,
    example=lambda: _truncated_examples(),
)
class Truncated(_Bounded):
    """`d` conditioned on low ≤ X ≤ high: p(x) / P(low ≤ X ≤ high) inside, 0 outside.

    The constant is taken in whichever tail the interval lies in, so truncation 40 standard deviations out is
    exact.

    Args:
        d: a univariate distribution with a known cdf (a discrete one over a range of numbers needs none).
        low, high: None, numbers or tensors that broadcast with the batch of `d`; both ends are included.

    Draws come by rejection and, where that is slow, by bisection of the cdf; their gradient is implicit.

    Errors: MethodError if the cdf is unknown; ParameterError for an empty interval or a vector-valued `d`.

    >>> d = Truncated(torch.distributions.Normal(0.0, 1.0), low=0.0)
    >>> round(d.log_prob(torch.tensor(0.0)).exp().item(), 4)
    0.7979
    """

    def __init__(
        self, d: Distribution, low: Bound = None, high: Bound = None, validate_args: bool | None = None
    ):
        super().__init__(d, low, high, validate_args)
        self._summed = self._static_range() is not None and not has_cdf(d)
        if not self._summed:
            _need_cdf(d, "Truncated")

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return not self.discrete

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self._static_range() is not None

    def _below(self, bound: Bound) -> Tensor | None:
        """The bound as the excluded left end of (left, right]."""
        t = self._tensor(bound)
        return torch.ceil(t) - 1 if self.discrete and t is not None else t

    def _log_mass(self) -> Tensor:
        if self._summed:
            return torch.logsumexp(self.base_dist.log_prob(self._range()), 0)
        if self._cut_low is None and self._cut_high is None:
            return torch.zeros(())
        return log_interval(self.base_dist, self._below(self._cut_low), self._tensor(self._cut_high))

    def log_prob(self, value: Tensor) -> Tensor:
        given = value if isinstance(value, Tensor) else self._tensor(value)
        assert given is not None
        inside, x = self._place(given)
        return torch.where(inside, self.base_dist.log_prob(x) - self._log_mass(), -torch.inf)

    def log_cdf(self, value: Tensor) -> Tensor:
        inside, x = self._place(value)
        if self._summed:
            log_p = torch.where(self._range() <= x, self.base_dist.log_prob(self._range()), -torch.inf)
            part = torch.logsumexp(log_p, 0)
        else:
            part = log_interval(self.base_dist, self._below(self._cut_low), x)
        high = self._edges[1]
        outside = (
            torch.full_like(part, -torch.inf) if high is None else torch.where(value > high, 0.0, -torch.inf)
        )
        return torch.where(inside, (part - self._log_mass()).clamp_max(0.0), outside)

    def log_survival(self, value: Tensor) -> Tensor:
        inside, x = self._place(value)
        if self._summed:
            log_p = torch.where(self._range() > x, self.base_dist.log_prob(self._range()), -torch.inf)
            part = torch.logsumexp(log_p, 0)
        else:
            part = log_interval(self.base_dist, x, self._tensor(self._cut_high))
        high = self._edges[1]
        outside = torch.zeros_like(part) if high is None else torch.where(value > high, -torch.inf, 0.0)
        return torch.where(inside, (part - self._log_mass()).clamp_max(0.0), outside)

    def cdf(self, value: Tensor) -> Tensor:
        return torch.exp(self.log_cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        with torch.no_grad():
            x = self._inverted(value.expand(broadcast_shapes(value.shape, self.batch_shape)))
        return x if self.discrete else with_implicit_gradient(x, self.cdf, self.log_prob)

    def _inverted(self, u: Tensor) -> Tensor:
        low, high = (self._tensor(b) for b in self._edges)
        start = -torch.inf if low is None else low - 0.5 if self.discrete else low
        density = None if self.discrete else self.log_prob
        x = invert(self.log_cdf, self.log_survival, u, start, torch.inf if high is None else high, density)
        return torch.floor(x) if self.discrete else x

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            count = torch.Size(sample_shape).numel()
            x = self.base_dist.sample((count,))
            done = self._place(x)[0]
            for _ in range(ROUNDS):
                if bool(done.all()):
                    break
                x = torch.where(done, x, self.base_dist.sample((count,)))
                done = self._place(x)[0]
            if not bool(done.all()):
                x = torch.where(done, x, self._fill(~done, x))
            x = x.reshape(self._extended_shape(sample_shape))
        return x if self.discrete else with_implicit_gradient(x, self.cdf, self.log_prob)

    def _fill(self, missing: Tensor, x: Tensor) -> Tensor:
        """Draws by inversion for the missing rows: as many a batch element as it misses at most."""
        rank = torch.cumsum(missing, 0) - 1
        rows = int(rank.max()) + 1
        like = x if x.is_floating_point() else reference(self.base_dist)
        fresh = self._inverted(open_uniform(torch.Size((rows,)) + self.batch_shape, like)).to(x.dtype)
        return torch.gather(fresh, 0, rank.clamp_min(0))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = self._range()
        return values.expand((-1,) + self.batch_shape) if expand else values


def _of_censored(d: Any, family: Family) -> Family:
    base, static = family_of(d.base_dist), not any(isinstance(b, Tensor) for b in (d.low, d.high))
    score = ("score",) if static and "score" in base.strategies else ()
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
    discrete=False,
    event_dim=0,
    atoms=True,
    instance=_of_censored,
    example=lambda: _censored_examples(),
)
class Censored(_Bounded):
    """clamp(X, low, high) with X from `d`: a value at a bound has the probability of everything beyond it.

    log p(low) = log P(X ≤ low), log p(high) = log P(X ≥ high), the density of `d` strictly between.

    Args: as `Truncated`. For a continuous `d` the two ends are atoms: fine to observe, refused as a latent of
    gradient-based samplers.

    >>> d = Censored(torch.distributions.Normal(0.0, 1.0), high=0.0)
    >>> round(d.log_prob(torch.tensor(0.0)).exp().item(), 4)
    0.5
    """

    def __init__(
        self, d: Distribution, low: Bound = None, high: Bound = None, validate_args: bool | None = None
    ):
        super().__init__(d, low, high, validate_args)
        _need_cdf(d, "Censored")

    def log_prob(self, value: Tensor) -> Tensor:
        x = value if isinstance(value, Tensor) else self._tensor(value)
        assert x is not None
        inside, x = self._place(x)
        d, low, high = self.base_dist, self._tensor(self._cut_low), self._tensor(self._cut_high)
        log_p = d.log_prob(x)
        # The tails are those of x, which is the bound where they are taken: a bound may be infinite, and has no tail then.
        if low is not None:
            log_p = torch.where(x <= low, log_cdf(d, x), log_p)
        if high is not None:
            log_p = torch.where(x >= high, log_survival(d, torch.ceil(x) - 1 if self.discrete else x), log_p)
        return torch.where(inside, log_p, -torch.inf)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return torch.clamp(
                self.base_dist.sample(sample_shape), self._tensor(self.low), self._tensor(self.high)
            )


def _truncated_examples() -> list[Distribution]:
    normal, gamma = (
        torch.distributions.Normal(0.5, 2.0),
        torch.distributions.Gamma(torch.tensor([0.8, 5.0]), 1.5),
    )
    return [
        Truncated(normal, -1.0, 2.0),
        Truncated(normal, low=torch.tensor([0.0, 15.0])),
        Truncated(gamma, high=2.0),
        Truncated(torch.distributions.Poisson(3.0), 1, 6),
        Truncated(torch.distributions.NegativeBinomial(3.0, torch.tensor(0.4)), low=2),
    ]


def _censored_examples() -> list[Distribution]:
    normal = torch.distributions.Normal(0.5, 2.0)
    return [Censored(normal, -1.0, 2.0), Censored(torch.distributions.Poisson(3.0), 1, 6)]
