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
from ppl.compiler.estimators.credit import credit
from ppl.compiler.estimators.flow import jumps
from ppl.compiler.estimators.intervals import UNIT, Ranges
from ppl.compiler.estimators.strategies.relaxation import ONE_HOT, hardened, relaxed, scores
from ppl.compiler.estimators.strategy import Build, Facts, Strategy, Terms, strategy
from ppl.compiler.graph import Node, substitute, topological
from ppl.compiler.ops import make
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
        return site.jumping

    def value(self, e: Effect, build: Build) -> Node:
        return hardened(e, scores(e, build))

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        reward = credit(root, {value: frozenset(value.plates)})
        if not isinstance(reward, Node):
            return []
        free, bound = (
            self._relaxed(e, z, value, reward, build) for z in (scores(e, build), _given(e, value, build))
        )
        centred = sub(reward, mul(bound, self.eta))
        log_p = specs.log_density(e.site.spec, e.params, value)
        return [(log_p, centred), (free, self.eta), (bound, -self.eta)]

    def _relaxed(self, e: Effect, z: Node, value: Node, reward: Node, build: Build) -> Node:
        """The reward at a relaxed value, known to be differentiable in it."""
        soft = relaxed(e, z, self.temperature)
        result = substitute([reward], {value: soft})[0]
        ranges = Ranges({**build.known, soft: UNIT})
        found = [j.what for j in jumps([result], [soft], lambda _: True, ranges)]
        found += [f"'{n.attr('site').name}' drawn after it" for n in _draws_behind(result, soft)]
        if found:
            raise MethodError(
                f"grad=\"rebar\" is not sound for '{e.name}': {found[0]} is not differentiable between its values",
                site=e.name,
                where=e.node.mark,
                expected="an objective that is smooth between the values",
                found=found[0],
                edit='grad="score"',
            )
        return result


def _draws_behind(root: Node, seed: Node) -> list[Node]:
    behind = {seed}
    found = []
    for node in topological([root]):
        if any(a in behind for a in node.nodes):
            behind.add(node)
            found += [node] if node.op == "sample" else []
    return found


def _given(e: Effect, value: Node, build: Build) -> Node:
    """The noise z̃ given the choice."""
    logits, probs = (specs.attribute(e.site.spec, e.params, name) for name in ("logits", "probs"))
    time = build.draw(e, "again", Exponential, 1.0)
    if e.site.event_rank:
        first = make("sum", mul(value, time), dims=(-1,), keepdim=True)
        return make("neg", log(where(make("gt", value, 0.5), time, add(div(time, probs), first))))  # type: ignore[arg-type]
    # u in (0, 1) is above 1 − p for a head: u = 1 − p + p v, or (1 − p) v for a tail.
    v, rest, q = make("exp", neg(time)), make("neg", make("expm1", neg(time))), sub(1.0, probs)
    head = make("gt", value, 0.5)
    above = where(head, add(q, mul(probs, v)), mul(q, v))
    below = where(head, mul(probs, rest), add(probs, mul(q, rest)))
    return add(logits, sub(log(above), log(below)))  # type: ignore[return-value]
