"""Mixtures of any families, point masses and empirical distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints

from ..errors import ParameterError
from .base import Number, as_float
from .bijectors import biject_to
from .bounds import interval_support, of_support, tighter
from .registry import Family, family_of, register
from .tails import has_cdf, log_cdf, log_survival

__all__ = ["Delta", "Empirical", "Mixture"]


def _of_mixture(d: Any, family: Family) -> Family:
    parts = [family_of(c) for c in d.components]
    score = ("score",) if all("score" in p.strategies for p in parts) else ()
    return Family(
        family.name,
        family.cls,
        len(d.event_shape),
        parts[0].discrete,
        False,
        score,
        has_cdf=d.has_cdf,
        value_dtype=parts[0].value_dtype,
        atoms=any(p.atoms for p in parts),
        proper=all(p.proper for p in parts),
    )


@register(
    strategies=("score",),
    discrete=False,
    event_dim=0,
    has_cdf=True,
    instance=_of_mixture,
    example=lambda: [
        Mixture(torch.tensor([0.3, 0.7]), [torch.distributions.Normal(-1.0, 0.5), torch.distributions.Laplace(2.0, 1.0)]),
        Mixture(torch.tensor([0.4, 0.6]), [torch.distributions.Normal(0.0, 1.0), torch.distributions.Gamma(2.0, 1.0)]),
        Mixture(torch.tensor([0.4, 0.6]), [torch.distributions.Poisson(1.0), torch.distributions.Poisson(9.0)]),
    ],
)
class Mixture(Distribution):
    """Σ_k w_k p_k(x) with components of any families (torch's MixtureSameFamily wants one family).

    A component contributes nothing where the value is outside its own support.

    Args:
        weights: probabilities of shape (…, K), or a Categorical.
        components: K distributions of one event shape, all discrete or all continuous; batches broadcast.

    >>> d = Mixture(torch.tensor([0.5, 0.5]), [torch.distributions.Normal(0.0, 1.0), torch.distributions.Exponential(1.0)])
    >>> round(d.log_prob(torch.tensor(-1.0)).exp().item(), 4)
    0.121
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, weights: Any, components: Sequence[Distribution], validate_args: bool | None = None):
        mixing = weights if isinstance(weights, Categorical) else Categorical(probs=weights, validate_args=False)
        count, components = mixing.param_shape[-1], list(components)
        if count != len(components):
            raise ParameterError("Mixture: one weight for each component", expected=f"{len(components)}", found=f"{count}")
        events = {tuple(c.event_shape) for c in components}
        kinds = {bool(c.support.is_discrete) for c in components}
        if len(events) > 1 or len(kinds) > 1:
            raise ParameterError(
                "Mixture: the components are about different things",
                expected="one event shape, and all discrete or all continuous",
                found=", ".join(f"{type(c).__name__}{tuple(c.event_shape)}" for c in components),
            )
        shape = torch.broadcast_shapes(mixing.batch_shape, *(c.batch_shape for c in components))
        self.mixing = mixing.expand(shape)
        self.components = [c.expand(shape) if c.batch_shape != shape else c for c in components]
        self.has_cdf = all(has_cdf(c) for c in components)
        super().__init__(shape, components[0].event_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        """The smallest interval that holds every component's support (the first support where they aren't intervals)."""
        supports = [c.support for c in self.components]
        if self.event_shape or self._same_support():
            return supports[0]
        ends = [of_support(s) for s in supports]
        low, high = ends[0]
        for other_low, other_high in ends[1:]:
            low = None if low is None or other_low is None else tighter(low, other_low, False)
            high = None if high is None or other_high is None else tighter(high, other_high, True)
        return interval_support(low, high, supports[0].is_discrete)

    def _same_support(self) -> bool:
        supports = [c.support for c in self.components]
        ends = [of_support(s) for s in supports]
        static = not any(isinstance(e, Tensor) for pair in ends for e in pair)
        return static and len({type(s) for s in supports}) == 1 and all(pair == ends[0] for pair in ends)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Mixture:
        shape = torch.Size(batch_shape)
        parts = [c.expand(shape) for c in self.components]
        return Mixture(self.mixing.expand(shape), parts, validate_args=False)

    @property
    def _log_weights(self) -> Tensor:
        return torch.log_softmax(self.mixing.logits, -1)

    def _weights_over_events(self) -> Tensor:
        w = torch.exp(self._log_weights).movedim(-1, 0)
        return w.view(w.shape + (1,) * len(self.event_shape))

    @property
    def mean(self) -> Tensor:
        return (self._weights_over_events() * torch.stack([c.mean for c in self.components])).sum(0)

    @property
    def variance(self) -> Tensor:
        second = torch.stack([c.variance + c.mean**2 for c in self.components])
        return (self._weights_over_events() * second).sum(0) - self.mean**2

    def log_prob(self, value: Tensor) -> Tensor:
        shared = self._same_support()
        terms = [c.log_prob(value) if shared else _log_prob_inside(c, value) for c in self.components]
        return torch.logsumexp(torch.stack(torch.broadcast_tensors(*terms), -1) + self._log_weights, -1)

    def log_cdf(self, value: Tensor) -> Tensor:
        return self._tail(log_cdf, value, below=-torch.inf, above=0.0)

    def log_survival(self, value: Tensor) -> Tensor:
        return self._tail(log_survival, value, below=0.0, above=-torch.inf)

    def _tail(self, f: Any, value: Tensor, below: float, above: float) -> Tensor:
        terms = []
        for c in self.components:
            (low, high), x = of_support(c.support), value
            for bound, lower in ((low, True), (high, False)):
                if bound is not None:
                    x = torch.where(x < bound if lower else x > bound, bound, x)
            term = f(c, x)
            if low is not None:
                term = torch.where(value < low, below, term)
            if high is not None:
                term = torch.where(value > high, above, term)
            terms.append(term)
        return torch.logsumexp(torch.stack(torch.broadcast_tensors(*terms), -1) + self._log_weights, -1)

    def cdf(self, value: Tensor) -> Tensor:
        return torch.exp(self.log_cdf(value))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            which = self.mixing.sample(sample_shape)
            which = which.view(which.shape + (1,) * len(self.event_shape))
            draws = [c.sample(sample_shape) for c in self.components]
            out = draws[0]
            for k, draw in enumerate(draws[1:], 1):
                out = torch.where(which == k, draw, out)
            return out


def _log_prob_inside(c: Distribution, value: Tensor) -> Tensor:
    """The component's log density, minus infinity outside its support, with a finite gradient there."""
    support = c.support
    inside = support.check(value)
    x = value
    if not c.event_shape:
        if support.is_discrete:
            low, high = of_support(support)
            safe = low if low is not None else high if high is not None else 0.0
        else:
            safe = biject_to(support)(torch.zeros_like(value))
        x = torch.where(inside, value, safe)
    return torch.where(inside, c.log_prob(x), -torch.inf)


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

    Args: value; log_density (batch shape, 0 for a probability mass); event_dim: how many last axes of value make an event.

    >>> Delta(1.5).log_prob(torch.tensor([1.5, 2.0]))
    tensor([0., -inf])
    """

    arg_constraints: dict[str, Any] = {}
    has_rsample = True

    def __init__(
        self, value: Number, log_density: Number = 0.0, event_dim: int = 0, validate_args: bool | None = None
    ):
        self.value = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.get_default_dtype())
        cut = self.value.dim() - event_dim
        if cut < 0:
            raise ParameterError("Delta: event_dim is larger than the value's axes", found=f"{tuple(self.value.shape)}")
        shape = self.value.shape[:cut]
        like = self.value if self.value.is_floating_point() else torch.zeros(())
        self.log_density = as_float(log_density, like).expand(shape)
        super().__init__(shape, self.value.shape[cut:], validate_args=validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return constraints.independent(constraints.real, len(self.event_shape)) if self.event_shape else constraints.real

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

    arg_constraints: dict[str, Any] = {}
    has_enumerate_support = True

    def __init__(self, values: Tensor, log_weights: Tensor | None = None, validate_args: bool | None = None):
        if values.dim() == 0:
            raise ParameterError("Empirical: values need a first axis of points", found="shape ()")
        n = values.shape[0]
        weights = torch.zeros(n) if log_weights is None else log_weights
        if tuple(weights.shape) != (n,):
            raise ParameterError("Empirical: one weight a point", expected=f"({n},)", found=f"{tuple(weights.shape)}")
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
        return out.expand(torch.broadcast_shapes(out.shape, self.batch_shape))

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


