"""Samplers inside the Graph: torch's random calls become inputs, each with the distribution it is drawn from.

What depends on no parameter is *standard* noise. A gamma or Dirichlet draw has its parameters' distribution and is
followed by an operator that carries the implicit derivative (`ops/implicit.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributions import (
    Bernoulli,
    Cauchy,
    Dirichlet,
    Distribution,
    Exponential,
    Gamma,
    Normal,
    Uniform,
)

from ppl.compiler.graph import Node, Type, topological
from ppl.compiler.ops import full, make, make_input
from ppl.compiler.ops.core import Operand, broadcast
from ppl.compiler.ops.pointwise import add, div, mul, sub
from ppl.compiler.specs import take_apart
from ppl.compiler.tracer import GuardMode, Tracer
from ppl.errors import MethodError


class PathwiseError(MethodError):
    """A distribution has no sampler whose draws can be differentiated with respect to its parameters."""


@dataclass(frozen=True)
class Drawn:
    """One random input while a sampler is recorded: the draw and what it was drawn from."""

    name: str
    spec: Any
    params: tuple[Node, ...]
    draw: Node

    def depends(self) -> bool:
        return any(n.op == "input" for n in topological(self.params))


def described(family: Callable[..., Distribution], *params: Node) -> tuple[Any, tuple[Node, ...]]:
    """The spec and tensors of `family(*params)`."""
    tracer = Tracer()
    with torch.no_grad(), tracer:
        return parts_of(family(*map(tracer.lift, params), validate_args=False), tracer)


def parts_of(d: Distribution, tracer: Tracer) -> tuple[Any, tuple[Node, ...]]:
    """A distribution over traced tensors as spec and nodes."""
    tensors: list[torch.Tensor] = []
    spec = take_apart(d, tensors)
    return spec, tuple(map(tracer.node, tensors))


class NoiseTracer(Tracer):
    """A tracer for which a random call is not a fault but an input: `drawn` lists them in order."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[Drawn] = []
        self.originals: dict[int, torch.Tensor] = {}

    def draw(self, name: str, spec: Any, params: tuple[Node, ...], type_: Type) -> Node:
        """A new random input with this distribution."""
        node = make_input(f"noise{len(self.drawn)}", type_.shape, type_.dtype, (), "noise")
        self.drawn.append(Drawn(name, spec, params, node))
        return node

    def standard(self, family: type[Distribution], type_: Type, *params: float) -> Node:
        """Noise of `family` with these numbers as its parameters, independent from element to element."""
        spec, nodes = described(family, *(full(p, type_.shape, type_.dtype) for p in params))
        return self.draw(family.__name__.lower(), spec, nodes, type_)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.making and torch.Tag.nondeterministic_seeded in func.tags:
            return self._random(func, args, kwargs or {})
        name = func._schema.name.partition("::")[2]
        if name == "clamp_" and self.is_traced(args[0]):
            return self._clamp_in_place(*args)
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if name in ("detach", "view") and self.is_traced(out):
            self.originals[id(out)] = args[0]
        return out

    def _clamp_in_place(self, x: torch.Tensor, low: Any = None, high: Any = None) -> torch.Tensor:
        """`x.detach().clamp_(…)` and `x.view(…).clamp_(…)` change x itself: so torch's samplers keep their draws
        off the edge.
        """
        alias: torch.Tensor | None = x
        while alias is not None:
            entry = self.table[id(alias)]
            entry.node = make("clamp", entry.node, low=low, high=high)
            alias = self.originals.get(id(alias))
        return x

    def _random(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> torch.Tensor:
        name = func._schema.name.partition("::")[2]
        rule = _RANDOM.get(name)
        if rule is None:
            raise PathwiseError(
                f"torch's {name} has no pathwise derivative",
                expected="a sampler made of normal, uniform, exponential, Cauchy, gamma or Dirichlet draws",
                found=name,
            )
        node = rule(self, args, kwargs)
        if not func._schema.is_mutable:
            return self.lift(node)
        target: torch.Tensor = args[0]
        lifted = self.lift(node)
        entry = self.table.pop(id(lifted))  # `lifted` dies here, and another tensor may get its id
        entry.tensor = target
        self.table[id(target)] = entry
        return target


class NoiseGuard(GuardMode):
    """Lets the one random call inside a `torch.autograd.Function` pass: torch's Dirichlet, whose derivative
    `implicit_dirichlet` carries.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch._sample_dirichlet:
            return func(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)


# ---------------------------------------------------------------- torch's random calls

_Rule = Callable[[NoiseTracer, Sequence[Any], dict[str, Any]], Node]


def _like(args: Sequence[Any], kwargs: dict[str, Any]) -> Type:
    """The type of what a call makes: that of its first tensor, or of the size it is given."""
    first = args[0]
    tensor = isinstance(first, torch.Tensor)
    dtype = kwargs.get("dtype") or (first.dtype if tensor else torch.get_default_dtype())
    return Type(tuple(first.shape if tensor else first), dtype)


def _or(given: Sequence[Any], first: float, second: float) -> tuple[Any, Any]:
    """Two arguments, those left out at their defaults."""
    return given[0] if given else first, given[1] if len(given) > 1 else second


def _standard(family: type[Distribution], *params: float) -> _Rule:
    return lambda tracer, args, kwargs: tracer.standard(family, _like(args, kwargs), *params)


def _located(family: type[Distribution]) -> _Rule:
    """In place: loc + scale · noise."""

    def rule(tracer: NoiseTracer, args: Sequence[Any], kwargs: dict[str, Any]) -> Node:
        loc, scale = _or(args[1:], 0.0, 1.0)
        return _node(add(mul(tracer.standard(family, _like(args, kwargs), 0.0, 1.0), scale), loc))

    return rule


def _uniform(tracer: NoiseTracer, args: Sequence[Any], kwargs: dict[str, Any]) -> Node:
    low, high = _or(args[1:], 0.0, 1.0)
    noise = tracer.standard(Uniform, _like(args, kwargs), 0.0, 1.0)
    return _node(add(mul(noise, sub(high, low)), low))


def _exponential(tracer: NoiseTracer, args: Sequence[Any], kwargs: dict[str, Any]) -> Node:
    noise = tracer.standard(Exponential, _like(args, kwargs), 1.0)
    return _node(div(noise, args[1] if len(args) > 1 else 1.0))


def _normal(tracer: NoiseTracer, args: Sequence[Any], kwargs: dict[str, Any]) -> Node:
    loc, scale = map(tracer.lower, _or(args[:2], 0.0, 1.0))
    tensors = [v for v in (loc, scale) if isinstance(v, Node)]
    if not tensors:
        noise = tracer.standard(Normal, _like(args[2:], kwargs), 0.0, 1.0)
    else:
        shape = broadcast([t.shape for t in tensors])
        noise = tracer.standard(Normal, Type(shape, tensors[0].dtype), 0.0, 1.0)
    return _node(add(mul(noise, scale), loc))


def _bernoulli(tracer: NoiseTracer, args: Sequence[Any], kwargs: dict[str, Any]) -> Node:
    type_ = _like(args, kwargs)
    p = args[1] if len(args) > 1 else tracer.node(args[0])
    probs = make("expand", p, shape=type_.shape) if isinstance(p, Node) else full(p, type_.shape, type_.dtype)
    drawn = tracer.draw("bernoulli", *described(Bernoulli, probs), type_)
    if tracer.drawn[-1].depends():
        raise PathwiseError(
            "a coin whose probability depends on a parameter has no pathwise derivative",
            expected="discrete noise with a fixed distribution",
            found="torch.bernoulli(p) of a parameter p",
        )
    return drawn


def _gamma(tracer: NoiseTracer, args: Sequence[Any], kwargs: dict[str, Any]) -> Node:
    shape = tracer.node(args[0])
    spec, params = described(Gamma, shape, full(1.0, shape.shape, shape.dtype))
    return make("implicit_gamma", tracer.draw("gamma", spec, params, shape.type), shape)


def _dirichlet(tracer: NoiseTracer, args: Sequence[Any], kwargs: dict[str, Any]) -> Node:
    concentration = tracer.node(args[0])
    draw = tracer.draw("dirichlet", *described(Dirichlet, concentration), concentration.type)
    return make("implicit_dirichlet", draw, concentration)


def _node(value: Operand) -> Node:
    assert isinstance(value, Node)
    return value


_RANDOM: dict[str, _Rule] = {
    "randn": _standard(Normal, 0.0, 1.0),
    "randn_like": _standard(Normal, 0.0, 1.0),
    "rand": _standard(Uniform, 0.0, 1.0),
    "rand_like": _standard(Uniform, 0.0, 1.0),
    "normal": _normal,
    "normal_": _located(Normal),
    "cauchy_": _located(Cauchy),
    "uniform_": _uniform,
    "exponential_": _exponential,
    "bernoulli": _bernoulli,
    "bernoulli_": _bernoulli,
    "_standard_gamma": _gamma,
    "_sample_dirichlet": _dirichlet,
}
