"""Mixtures of any families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from ..errors import ParameterError
from .bijectors import biject_to
from .bounds import interval_support, is_discrete, of_support, tighter
from .registry import Family, family_of, register
from .shapes import broadcast_shapes
from .tails import has_cdf, log_cdf, log_survival

__all__ = ["Mixture", "MixtureSameFamily"]


def _one_covers(supports: Sequence[Any]) -> bool:
    """Whether one of the supports holds the others and stays where it is. Else a draw would have to jump over a
    gap when a weight changes, and would have no derivative.
    """
    ends = [of_support(s) for s in supports]
    if any(isinstance(e, Tensor) for pair in ends for e in pair):
        return False
    lows, highs = ([e[i] for e in ends] for i in (0, 1))
    widest = (
        None if None in lows else min(lows),  # type: ignore[type-var]
        None if None in highs else max(highs),  # type: ignore[type-var]
    )
    return widest in ends


def _through_the_cdf(parts: Sequence[Family], known: bool) -> tuple[str, ...]:
    """Draws of a mixture move with −(∂F/∂θ) / p. Behind "score": between far modes p is tiny, and the variance large."""
    smooth = all(not p.discrete and not p.atoms and p.proper for p in parts)
    return ("implicit",) if known and smooth else ()


def _of_mixture(d: Any, family: Family) -> Family:
    parts = [family_of(c) for c in d.components]
    score = ("score",) if all("score" in p.strategies for p in parts) else ()
    covered = not d.event_shape and _one_covers([c.support for c in d.components])
    implicit = _through_the_cdf(parts, d.has_cdf and covered)
    return Family(
        family.name,
        family.cls,
        len(d.event_shape),
        parts[0].discrete,
        False,
        score + implicit,
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
        Mixture(
            torch.tensor([0.3, 0.7]),
            [torch.distributions.Normal(-1.0, 0.5), torch.distributions.Laplace(2.0, 1.0)],
        ),
        Mixture(
            torch.tensor([0.4, 0.6]),
            [torch.distributions.Normal(0.0, 1.0), torch.distributions.Gamma(2.0, 1.0)],
        ),
        Mixture(
            torch.tensor([0.4, 0.6]), [torch.distributions.Poisson(1.0), torch.distributions.Poisson(9.0)]
        ),
    ],
)
class Mixture(Distribution):
    """Σ_k w_k p_k(x) with components of any families (torch's MixtureSameFamily wants one family).

    A component contributes nothing where the value is outside its own support.

    Args:
        weights: probabilities of shape (…, K), or a Categorical.
        components: K distributions of one event shape, all discrete or all continuous; batches broadcast.

    >>> parts = [torch.distributions.Normal(0.0, 1.0), torch.distributions.Exponential(1.0)]
    >>> d = Mixture(torch.tensor([0.5, 0.5]), parts)
    >>> round(d.log_prob(torch.tensor(-1.0)).exp().item(), 4)
    0.121
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, weights: Any, components: Sequence[Distribution], validate_args: bool | None = None):
        mixing = (
            weights if isinstance(weights, Categorical) else Categorical(probs=weights, validate_args=False)
        )
        count, components = mixing.param_shape[-1], list(components)
        if count != len(components):
            raise ParameterError(
                "Mixture: one weight for each component", expected=f"{len(components)}", found=f"{count}"
            )
        events = {tuple(c.event_shape) for c in components}
        kinds = {is_discrete(c) for c in components}
        if len(events) > 1 or len(kinds) > 1:
            raise ParameterError(
                "Mixture: the components are about different things",
                expected="one event shape, and all discrete or all continuous",
                found=", ".join(f"{type(c).__name__}{tuple(c.event_shape)}" for c in components),
            )
        shape = broadcast_shapes(mixing.batch_shape, *(c.batch_shape for c in components))
        self.mixing = mixing.expand(shape)
        self.components = [c.expand(shape) if c.batch_shape != shape else c for c in components]
        self.has_cdf = all(has_cdf(c) for c in components)
        super().__init__(shape, components[0].event_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        """The smallest interval that holds every component's support (the first support where they aren't
        intervals).
        """
        supports: list[Any] = [c.support for c in self.components]
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


def _of_same_family(d: Any, family: Family) -> Family:
    part = family_of(d.component_distribution)
    score = ("score",) if "score" in part.strategies else ()
    implicit = _through_the_cdf([part], has_cdf(d) and _one_covers([d.component_distribution.support]))
    return Family(
        family.name,
        family.cls,
        event_dim=len(d.event_shape),
        discrete=part.discrete,
        finite=False,
        strategies=score + implicit,
        has_cdf=has_cdf(d),
        value_dtype=part.value_dtype,
        atoms=part.atoms,
        proper=part.proper,
    )


@register(
    strategies=("score",),
    discrete=False,
    event_dim=0,
    has_cdf=True,
    also=(torch.distributions.MixtureSameFamily,),
    instance=_of_same_family,
    example=lambda: [
        MixtureSameFamily(
            Categorical(torch.tensor([0.3, 0.7])),
            torch.distributions.Normal(torch.tensor([-1.0, 2.0]), torch.tensor([0.5, 1.0])),
        ),
        MixtureSameFamily(
            Categorical(torch.tensor([0.3, 0.7])), torch.distributions.Gamma(torch.tensor([1.5, 9.0]), 2.0)
        ),
    ],
)
class MixtureSameFamily(torch.distributions.MixtureSameFamily):
    """Mixture along the last batch axis of one family: as torch's, with a support that bijectors know.

    >>> MixtureSameFamily(Categorical(torch.ones(2)), torch.distributions.Normal(torch.zeros(2), 1.0)).support
    Real()
    """

    @property
    def support(self) -> Any:  # type: ignore[override]
        support: Any = self.component_distribution.support
        low, high = of_support(support)
        if self.event_shape or not any(isinstance(b, Tensor) for b in (low, high)):
            return support
        low = low.amin(-1) if isinstance(low, Tensor) else low
        high = high.amax(-1) if isinstance(high, Tensor) else high
        return interval_support(low, high, support.is_discrete)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MixtureSameFamily:
        shape = torch.Size(batch_shape)
        parts = self.component_distribution.expand(shape + (self._num_component,))
        return MixtureSameFamily(self.mixture_distribution.expand(shape), parts, validate_args=False)


def _log_prob_inside(c: Distribution, value: Tensor) -> Tensor:
    """The component's log density, minus infinity outside its support, with a finite gradient there."""
    support: Any = c.support
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
