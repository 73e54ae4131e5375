"""Relaxed and straight-through coins and categories: biased derivatives of small variance.

Gumbel-softmax draws a vector of the simplex in place of a category: x = softmax((log p + g) / τ), g Gumbel. The
objective is taken at x, so that its value is biased too, the less the smaller τ and the larger the variance.
Straight-through draws a category, and takes the derivative of its probabilities (or, `hard=True` of
Gumbel-softmax, of x) in its place; the value is unbiased.

Sources: Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax" (2017); Maddison, Mnih & Teh, "The
concrete distribution" (2017); Bengio, Léonard & Courville, "Estimating or propagating gradients through stochastic
neurons for conditional computation" (2013).
"""

from __future__ import annotations

from torch.distributions import Exponential

from ppl.compiler import specs
from ppl.compiler.estimators.strategy import Build, Facts, Strategy, family_at, strategy
from ppl.compiler.graph import Node, Type
from ppl.compiler.ops import make
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import add, div, log, sub
from ppl.errors import MethodError

ONE_HOT = ("OneHotCategorical", "OneHotCategoricalStraightThrough")


class _Relaxed(Strategy):
    pathwise = True
    rolled = True
    biased = True

    def refusal(self, site: Facts) -> str | None:
        name = site.family.name
        if name == "Categorical":
            return "its values are whole numbers, between which there is nothing; those of OneHotCategorical are vectors"
        if name not in ("Bernoulli", *ONE_HOT):
            return f"{name} has no relaxation"
        return site.jumping


@strategy
class GumbelSoftmax(_Relaxed):
    """The Gumbel-softmax relaxation of coins and one-hot categories.

    Args:
        temperature: τ > 0.
        hard: the value is the category, only its derivative is relaxed (straight-through Gumbel-softmax).

    >>> import ppl
    >>> ppl.GumbelSoftmax(temperature=0.1)
    GumbelSoftmax(temperature=0.1, hard=False)
    """

    name = "gumbel_softmax"

    def __init__(self, temperature: float = 0.5, hard: bool = False) -> None:
        if not temperature > 0:
            raise MethodError(
                "the temperature of a relaxation is positive",
                expected="a number above 0; 0.5 is usual",
                found=repr(temperature),
                edit="GumbelSoftmax(temperature=0.5)",
            )
        self.temperature, self.hard = float(temperature), hard

    def value(self, e: Effect, build: Build) -> Node:
        z = scores(e, build)
        soft = relaxed(e, z, self.temperature)
        return through(hardened(e, z), soft) if self.hard else soft


@strategy
class StraightThrough(_Relaxed):
    """A draw with the derivative of its probabilities."""

    name = "straight_through"

    def value(self, e: Effect, build: Build) -> Node:
        return through(build.drawn(e), specs.attribute(e.site.spec, e.params, "probs"))


def through(value: Node, surrogate: Node) -> Node:
    """`value`, with the derivative of `surrogate`."""
    result: Operand = add(value, sub(surrogate, make("detach", surrogate)))
    assert isinstance(result, Node)
    return result


def is_coin(e: Effect) -> bool:
    """Whether its noise is one number, and not one for each category."""
    return family_at(e).name == "Bernoulli"


def scores(e: Effect, build: Build) -> Node:
    """Logits with noise: the largest is the category drawn; for a coin, a positive one is a head."""
    logits = specs.attribute(e.site.spec, e.params, "logits")
    noise = _gumbel(e, build, "gumbel", logits.type)
    if is_coin(e):
        noise = _node(sub(noise, _gumbel(e, build, "other", logits.type)))
    return _node(add(logits, noise))


def relaxed(e: Effect, z: Node, temperature: Operand) -> Node:
    """A value between the choices."""
    scaled = div(z, temperature)
    return make("sigmoid", scaled) if is_coin(e) else make("softmax", scaled, dim=-1)


def hardened(e: Effect, z: Node) -> Node:
    """The choice itself."""
    if is_coin(e):
        return make("to", make("gt", z, 0.0), dtype=e.node.dtype)
    best = make("argmax", z, dim=-1, keepdim=bool(e.site.event_rank))
    found = make("eq", best, make("iota", size=z.shape[-1], step=1)) if e.site.event_rank else best
    return make("to", found, dtype=e.node.dtype)


def _gumbel(e: Effect, build: Build, name: str, type_: Type) -> Node:
    return make("neg", log(build.draw(e, name, Exponential, 1.0, type_=type_)))


def _node(x: Operand) -> Node:
    assert isinstance(x, Node)
    return x
