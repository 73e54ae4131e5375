"""The pathwise sampler of a distribution: x = g(noise; θ), differentiable in θ, as a Graph.

E[f(x)] then has the unbiased gradient E[f'(x) ∂g/∂θ]. A family with an explicit sampler is recorded from it, its
random calls made inputs (`noise.py`). One known by its cdf F is drawn from itself, and carries the derivative at a fixed
quantile, −(∂F/∂θ) / p (Figurnov, Mohamed and Mnih 2018); so nothing is asked of its sampler.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, TransformedDistribution

from ppl.compiler.estimators.noise import (
    Drawn,
    NoiseGuard,
    NoiseTracer,
    PathwiseError,
    parts_of,
)
from ppl.compiler.graph import Graph, Node, Type
from ppl.compiler.ops import make, make_input
from ppl.compiler.specs import put_together
from ppl.compiler.tracer import working_dtype
from ppl.distributions.base import open_uniform
from ppl.distributions.bijectors import biject_to
from ppl.distributions.bounds import of_support
from ppl.distributions.product import Product
from ppl.distributions.registry import family_of
from ppl.distributions.tails import has_cdf, log_cdf, log_survival
from ppl.errors import RecordingError


@dataclass(frozen=True)
class Noise:
    """A random input of a pathwise sampler.

    Args:
        name: "normal", "uniform", "gamma" … or, for a draw of the family itself, the family's name.
        spec: its distribution (`specs.take_apart`); the batch shape is the noise's.
        params: (the site's parameters…) → the tensors of that distribution.
        type: shape and dtype of one draw.
        standard: whether `params` are constants, so that it can be drawn before anything else is known.
    """

    name: str
    spec: Any
    params: Graph
    type: Type
    standard: bool


@dataclass(frozen=True)
class Pathwise:
    """Random inputs, and the graph (the site's parameters…, a draw of each noise…) → x."""

    noises: tuple[Noise, ...]
    value: Graph


@functools.lru_cache(maxsize=4096)
def pathwise(spec: Any, types: tuple[Type, ...], value: Type, inverse: bool = False) -> Pathwise:
    """The pathwise sampler of one element of a site.

    Args:
        spec: the site's distribution (`specs.take_apart`).
        types: the types of its tensors, the site's parameters.
        value: the type of a draw.
        inverse: draw through the inverse cdf, x = F⁻¹(u; θ) of uniform noise.

    Errors: PathwiseError where the family has no such sampler.

    >>> import torch
    >>> from ppl.compiler.specs import take_apart
    >>> tensors = []
    >>> spec = take_apart(torch.distributions.Gamma(torch.tensor(2.0), torch.tensor(3.0)), tensors)
    >>> one = Type((), torch.float32)
    >>> sampler = pathwise(spec, (one, one), one)
    >>> [(n.name, n.standard) for n in sampler.noises], len(sampler.value.inputs)
    ([('gamma', False)], 3)
    """
    inputs = tuple(make_input(f"p{i}", t.shape, t.dtype) for i, t in enumerate(types))
    tracer = NoiseTracer()
    with working_dtype(value.dtype), torch.no_grad(), tracer, NoiseGuard(tracer):
        d = put_together(spec, [tracer.lift(n) for n in inputs])
        x = _recorded(d, tracer, _give_inverse if inverse else _give_sampler)
    out = x if x.shape == value.shape else make("expand", x, shape=value.shape)
    out = out if out.dtype == value.dtype else make("to", out, dtype=value.dtype)
    draws = tuple(drawn.draw for drawn in tracer.drawn)
    return Pathwise(tuple(_noise(drawn, inputs) for drawn in tracer.drawn), Graph((*inputs, *draws), (out,)))


def _noise(drawn: Drawn, inputs: tuple[Node, ...]) -> Noise:
    return Noise(drawn.name, drawn.spec, Graph(inputs, drawn.params), drawn.draw.type, not drawn.depends())


_Give = Callable[[Distribution, NoiseTracer], bool]


def _recorded(d: Distribution, tracer: NoiseTracer, give: _Give) -> Node:
    name = family_of(d).name
    what = "inverse cdf" if give is _give_inverse else "sampler"
    if not give(d, tracer):
        raise PathwiseError(
            f"{name} has no pathwise {what}",
            expected="a family with 'reparam', 'implicit' or 'icdf' among its strategies",
            found=f"{name}, whose strategies are {', '.join(family_of(d).strategies) or 'none'}",
            edit='grad="score", or another strategy the family has',
        )
    try:
        return tracer.node(d.rsample())
    except (RecordingError, NotImplementedError) as error:
        raise PathwiseError(
            f"the {what} of {name} can't be recorded",
            expected="an rsample that makes the same operations whatever it draws",
            found=str(getattr(error, "headline", error)) or type(error).__name__,
            edit='grad="score", or another strategy the family has',
        ) from error


# ---------------------------------------------------------------- which sampler

_WRAPPERS = (Independent, TransformedDistribution, Product)
"""Families whose `rsample` is made of their parts' and nothing random besides."""


def _give_sampler(d: Distribution, tracer: NoiseTracer) -> bool:
    """Let `d.rsample()` be a pathwise sampler, its parts' included; False where there is none.

    `d` was put together for this recording, so its samplers are set on the objects themselves.
    """
    family = family_of(d)
    if family.discrete or not {"reparam", "implicit", "icdf"} & set(family.strategies):
        return False
    if "reparam" in family.strategies or isinstance(d, _WRAPPERS):
        for part in _parts(d):
            _give_sampler(part, tracer)
        return True
    if "implicit" in family.strategies and not d.event_shape and has_cdf(d):
        _set_sampler(d, implicit_sampler(d, tracer))
        return True
    return "icdf" in family.strategies and _give_inverse(d, tracer)


def _give_inverse(d: Distribution, tracer: NoiseTracer) -> bool:
    """Let `d.rsample()` be its inverse cdf at uniform noise, or its parts' where it is made of such."""
    family = family_of(d)
    if family.has_icdf and not family.discrete and not d.event_shape:
        _set_sampler(d, lambda shape: d.icdf(open_uniform(shape, torch.empty(()))))
        return True
    parts = list(_parts(d)) if isinstance(d, _WRAPPERS) else []
    return bool(parts) and all(_give_inverse(part, tracer) for part in parts)


def _parts(d: Distribution) -> Iterator[Distribution]:
    for held in vars(d).values():
        for part in held if isinstance(held, list | tuple) else (held,):
            if isinstance(part, Distribution):
                yield part


def _set_sampler(d: Distribution, sampler: Callable[[torch.Size], Tensor]) -> None:
    def rsample(sample_shape: Any = torch.Size()) -> Tensor:
        return sampler(d._extended_shape(sample_shape))

    vars(d)["rsample"] = rsample


# ---------------------------------------------------------------- through the cdf


def implicit_sampler(d: Distribution, tracer: NoiseTracer) -> Callable[[torch.Size], Tensor]:
    """Draws of `d` itself with dx/dθ = −(∂F/∂θ) / p, for a univariate family with a cdf.

    With log F below the median and log(1 − F) above, ∂F is relative to the smaller tail, and F ∂(log F) / p loses no
    digits where F, ∂F and p all vanish. A draw that was rounded onto an end of the support doesn't move.
    """
    spec, params = parts_of(d, tracer)

    def sampler(shape: torch.Size) -> Tensor:
        if shape != d.batch_shape:
            return implicit_sampler(d.expand(shape), tracer)(shape)
        type_ = Type(tuple(shape), torch.get_default_dtype())
        draw = tracer.lift(tracer.draw(family_of(d).name, spec, params, type_))
        support: Any = d.support
        inside = _strictly_inside(support, draw)
        x = torch.where(inside, draw, biject_to(support)(torch.zeros_like(draw)))
        below, above = log_cdf(d, x), log_survival(d, x)
        lower = below < above
        quantile = torch.where(lower, below, -above)
        slope = -torch.exp(torch.where(lower, below, above) - d.log_prob(x))
        slope = torch.where(inside, slope, 0.0)
        return tracer.lift(make("implicit", *map(tracer.node, (draw, quantile, slope))))

    return sampler


def _strictly_inside(support: Any, x: Tensor) -> Tensor:
    inside = torch.ones_like(x, dtype=torch.bool)
    for bound, lower in zip(of_support(support), (True, False), strict=True):
        if bound is not None:
            inside = inside & (x > bound if lower else x < bound)
    return inside
