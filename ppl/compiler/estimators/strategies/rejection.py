"""Reparameterisation through an acceptance–rejection sampler: gamma variables and what is made of them.

Marsaglia & Tsang's sampler accepts ε and returns x = h(ε, α) = d (1 + cε)³, d = α − 1/3, c = 1 / √(9d). The accepted
ε have a density π(ε; α) = q(h(ε, α); α) ∂h/∂ε that still depends on α, but little:

    ∇E[f(x)] = E[f'(x) ∂h(ε, α)/∂α] + E[f(x) ∇log π(ε; α)]

h increases in ε, so that ε is found again from any gamma draw. The larger α, the smaller the second term; so a shape
of α + augment is drawn, and x_α = x_{α + augment} ∏ᵢ uᵢ^{1 / (α + i)}.

Sources: Naesseth, Ruiz, Linderman & Blei, "Reparameterization gradients through acceptance–rejection sampling
algorithms" (2017); Ruiz, Titsias & Blei, "The generalized reparameterization gradient" (2016); Marsaglia & Tsang,
"A simple method for generating gamma variables" (2000).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch.distributions import Exponential, Gamma

from ppl.compiler import specs
from ppl.compiler.estimators.credit import credit
from ppl.compiler.estimators.strategy import Build, Facts, Strategy, Terms, family_at, strategy
from ppl.compiler.graph import Node
from ppl.compiler.ops import make
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import add, div, exp, log, mul, neg, sub
from ppl.errors import MethodError


@dataclass(frozen=True)
class Standard:
    """A Gamma(α, 1) variable: its value, and the draw and log π that the second term needs."""

    value: Node
    draw: Node
    log_density: Node


@strategy
class Rejection(Strategy):
    """Pathwise derivatives through Marsaglia & Tsang's gamma sampler.

    Args:
        augment: by how much the shape that is drawn is larger than the site's own, 1 or more.

    >>> import ppl
    >>> ppl.Rejection(augment=4)
    Rejection(augment=4)
    """

    name = "rejection"
    pathwise = True

    def __init__(self, augment: int = 1) -> None:
        if not isinstance(augment, int) or augment < 1:
            raise MethodError(
                "the shape of a gamma draw is augmented by a whole number",
                expected="1 or more, so that the sampler holds for every shape",
                found=repr(augment),
                edit="Rejection(augment=1)",
            )
        self.augment = augment

    def refusal(self, site: Facts) -> str | None:
        if "rejection" not in site.family.strategies or site.family.name not in MADE_OF_GAMMAS:
            return f"{site.family.name} is not made of gamma variables"
        return site.jumping or site.split

    def moves_smoothly(self, e: Effect) -> bool:
        return False

    def value(self, e: Effect, build: Build) -> Node:
        shapes, value = MADE_OF_GAMMAS[family_at(e).name]
        attributes = [specs.attribute(e.site.spec, e.params, name) for name in shapes]
        gammas = [self._standard(e, i, a, build).value for i, a in enumerate(attributes)]
        return node_of(value(e, gammas))

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        pairs: Terms = []
        shapes, _ = MADE_OF_GAMMAS[family_at(e).name]
        for i, name in enumerate(shapes):
            gamma = self._standard(e, i, specs.attribute(e.site.spec, e.params, name), build)
            reward = credit(root, {gamma.draw: frozenset(gamma.draw.plates)})
            if isinstance(reward, Node):
                pairs.append((gamma.log_density, reward))
        return pairs

    def _standard(self, e: Effect, index: int, shape: Node, build: Build) -> Standard:
        larger = add(shape, float(self.augment))
        draw = build.draw(e, f"gamma{index or ''}", Gamma, node_of(larger), 1.0)
        d = sub(larger, 1.0 / 3.0)
        c = div(1.0 / 3.0, make("sqrt", d))
        fixed_d, fixed_c = make("detach", d), make("detach", c)
        root = make("pow", div(draw, fixed_d), 1.0 / 3.0)
        epsilon = make("detach", div(sub(root, 1.0), fixed_c))
        base = add(mul(c, epsilon), 1.0)
        x = mul(d, mul(base, mul(base, base)))
        log_x = add(log(node_of(d)), mul(log(node_of(base)), 3.0))
        log_q = sub(sub(mul(sub(larger, 1.0), log_x), x), make("lgamma", larger))
        log_slope = add(log(node_of(mul(d, c))), mul(log(node_of(base)), 2.0))
        for i in range(self.augment):
            time = build.draw(e, f"augment{index or ''}.{i}", Exponential, 1.0)
            x = mul(x, exp(neg(div(time, add(shape, float(i))))))
        return Standard(node_of(x), draw, node_of(add(log_q, log_slope)))


Made = Callable[[Effect, list[Node]], Operand]


def _gamma(e: Effect, gammas: list[Node]) -> Operand:
    return div(gammas[0], specs.attribute(e.site.spec, e.params, "rate"))


def _inverse_gamma(e: Effect, gammas: list[Node]) -> Operand:
    return div(specs.attribute(e.site.spec, e.params, "rate"), gammas[0])


def _beta(e: Effect, gammas: list[Node]) -> Operand:
    return div(gammas[0], add(gammas[0], gammas[1]))


def _dirichlet(e: Effect, gammas: list[Node]) -> Operand:
    return div(gammas[0], make("sum", gammas[0], dims=(-1,), keepdim=True))


MADE_OF_GAMMAS: dict[str, tuple[tuple[str, ...], Made]] = {
    "Gamma": (("concentration",), _gamma),
    "Chi2": (("concentration",), _gamma),
    "InverseGamma": (("concentration",), _inverse_gamma),
    "Beta": (("concentration1", "concentration0"), _beta),
    "Dirichlet": (("concentration",), _dirichlet),
}
"""Families by name: the shapes of their gamma variables, and the value made of these."""


def node_of(x: Operand) -> Node:
    assert isinstance(x, Node)
    return x
