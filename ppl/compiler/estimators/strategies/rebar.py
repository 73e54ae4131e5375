"""REBAR: the score function of a coin or a category with its own relaxation as control variate.

With b = H(z) the choice as a function of relaxed noise z, and z̃ drawn again given b (so that z and z̃ have one law),

    ∇E[f(b)] = E[(f(b) − η f(σ(z̃))) ∇log p(b) + η ∇f(σ(z)) − η ∇f(σ(z̃))]

unbiased for every η and temperature. f is evaluated at relaxed values, and must be continuous between the values.

Source: Tucker, Mnih, Maddison, Lawson & Sohl-Dickstein, "REBAR: low-variance, unbiased gradient estimates for
discrete latent variable models" (2017).
"""

from __future__ import annotations

from torch.distributions import Exponential

from ppl.compiler import specs
from ppl.compiler.estimators.credit import credit, elementwise
from ppl.compiler.estimators.strategies.relaxation import ONE_HOT, hardened, is_coin, relaxed, scores
from ppl.compiler.estimators.strategy import Build, Facts, Strategy, Terms, strategy
from ppl.compiler.graph import Node, substitute, topological
from ppl.compiler.ops import make
from ppl.compiler.ops.batching import reshape
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import add, div, log, mul, neg, sub, where
from ppl.errors import MethodError


@strategy
class Rebar(Strategy):
    """REBAR for coins and one-hot categories.

    Args:
        temperature: of the relaxation, above 0.
        eta: the weight of the control variate; 0 leaves the score function alone.

    >>> import ppl
    >>> ppl.Rebar(eta=0.8)
    Rebar(temperature=0.5, eta=0.8)
    """

    name = "rebar"
    relaxes = True

    def __init__(self, temperature: float = 0.5, eta: float = 1.0) -> None:
        if not temperature > 0:
            raise MethodError(
                "the temperature of a relaxation is positive",
                expected="a number above 0; 0.5 is usual",
                found=repr(temperature),
                edit="Rebar(temperature=0.5)",
            )
        self.temperature, self.eta = float(temperature), float(eta)

    def refusal(self, site: Facts) -> str | None:
        if site.family.name not in ("Bernoulli", *ONE_HOT):
            return f"{site.family.name} has no relaxation"
        return site.jumping or site.split or site.rough()

    def value(self, e: Effect, build: Build) -> Node:
        return hardened(e, scores(e, build))

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        reward = credit(root, {value: frozenset(value.plates)})
        if not isinstance(reward, Node):
            return []
        noise = scores(e, build), given_choice(e, value, build)
        bound, moved = control_variate(e, value, root, noise, self.temperature, self.eta)
        log_p = specs.log_density(e.site.spec, e.params, value)
        return [(log_p, sub(reward, bound)), *moved]


def control_variate(
    e: Effect, value: Node, root: Node, noise: tuple[Node, Node], temperature: Operand, eta: Operand
) -> tuple[Operand, Terms]:
    """η f(σ(z̃)), for each choice what of f it can influence; and the terms of η ∇f(σ(z)) − η ∇f(σ(z̃)).

    Differentiated, what several choices influence counts once, and not for each of them.
    """
    free, again = (relaxed(e, z, temperature) for z in noise)
    each = credit(root, {value: frozenset(value.plates)})
    own = frozenset(eta.plates if isinstance(eta, Node) else ()) & frozenset(value.plates)
    once = credit(root, {value: own})
    assert isinstance(each, Node) and isinstance(once, Node)
    if elementwise(topological([once]), {value: own})[once] != own:
        raise MethodError(
            f"the weight of the control variate of '{e.name}' differs between choices that meet in the objective",
            site=e.name,
            where=e.node.mark,
            expected="one weight for all elements of the plate, or elements that meet in sums only",
            found="an eta for each element",
            edit="one number, or one param, as eta=",
        )
    bound = mul(eta, substitute([each], {value: again})[0])
    ends = (substitute([once], {value: x})[0] for x in (free, again))
    return bound, list(zip(ends, (eta, neg(eta)), strict=True))


def given_choice(e: Effect, value: Node, build: Build) -> Node:
    """The noise z̃ given the choice."""
    logits, probs = (specs.attribute(e.site.spec, e.params, name) for name in ("logits", "probs"))
    time = build.draw(e, "again", Exponential, 1.0, type_=logits.type)
    if not is_coin(e):
        chosen = make("gt", value, 0.5)
        if not e.site.event_rank:
            index = reshape(value, (*value.shape, 1))
            chosen = make("eq", index, make("iota", size=probs.shape[-1], step=1))
        first = make("sum", where(chosen, time, 0.0), dims=(-1,), keepdim=True)
        return make("neg", log(where(chosen, time, add(div(time, probs), first))))
    # u in (0, 1) is above 1 − p for a head: u = 1 − p + p v, or (1 − p) v for a tail.
    v, rest, q = make("exp", neg(time)), make("neg", make("expm1", neg(time))), sub(1.0, probs)
    head = make("gt", value, 0.5)
    above = where(head, add(q, mul(probs, v)), mul(q, v))
    below = where(head, mul(probs, rest), add(probs, mul(q, rest)))
    return add(logits, sub(log(above), log(below)))  # type: ignore[return-value]
