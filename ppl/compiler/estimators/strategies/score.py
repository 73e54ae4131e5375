"""The score function estimator, also called REINFORCE.

    ∇θ E[f(x)] = E[(f(x) − b) ∇θ log q(x; θ)]

for every baseline b that does not depend on x. f is restricted to the terms that x can influence (`credit`).
Between particles the baseline is the leave-one-out mean of the others. "mean" is a running mean over earlier steps,
kept as a state: with no step before it is 0. A baseline that the program gives is computed before x is drawn. It learns
by least squares: params that nothing but baselines depends on get the gradient of −(f(x) − b)², all others are constants
in it.

Sources: Williams, "Simple statistical gradient-following algorithms" (1992); Mnih & Gregor, "Neural variational
inference and learning in belief networks" (2014), for learned baselines; Mnih & Rezende, "Variational
inference for Monte Carlo objectives" (2016); Kool, van Hoof & Welling, "Buy 4 REINFORCE samples, get a
baseline for free!" (2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from ppl.compiler import specs
from ppl.compiler.estimators.credit import Seeds, credit, leave_one_out
from ppl.compiler.estimators.strategy import (
    Build,
    Facts,
    Kept,
    Strategy,
    Tensors,
    Terms,
    own_leaves,
    strategy,
)
from ppl.compiler.estimators.supports import region
from ppl.compiler.graph import Node, Plate, substitute, topological
from ppl.compiler.ops import make, make_input, plate_sum
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import add, div, mul, sub
from ppl.distributions.registry import Family
from ppl.errors import MethodError

BASELINES = ("auto", "none", "leave-one-out", "mean")


@strategy
class Score(Strategy):
    """The score function estimator.

    Args:
        baseline: "leave-one-out" (between the particles of an objective), "mean" (of earlier steps), "none",
            "auto" (the first where there are particles), or a value of the program for each choice, such as
            `ppl.module("baseline", net)(x)`: its own params learn to predict the reward.
        decay: the weight of the earlier steps in the running mean, between 0 and 1.

    >>> import ppl
    >>> ppl.Score(baseline="mean")
    Score(baseline='mean', decay=0.9)
    """

    name = "score"

    def __init__(self, baseline: str | float | Tensor = "auto", decay: float = 0.9) -> None:
        given = isinstance(baseline, int | float | Tensor)
        if not given and baseline not in BASELINES:
            what = (
                f"there is no baseline '{baseline}'" if isinstance(baseline, str) else "this is no baseline"
            )
            raise MethodError(
                what,
                expected=", ".join(BASELINES) + ", or a number or tensor that the program computes",
                found=repr(baseline)[:80],
                edit="call it: Score(baseline=net(x))" if callable(baseline) else 'Score(baseline="auto")',
            )
        if not 0.0 <= decay < 1.0:
            raise MethodError(
                "the decay of a running mean is a share",
                expected="a number from 0 up to 1",
                found=repr(decay),
                edit='Score(baseline="mean", decay=0.9)',
            )
        self.baseline, self.decay = baseline, float(decay)

    def apart(self, d: Distribution, later: Callable[[Sequence[int]], Tensor]) -> tuple[Strategy, Tensors]:
        if isinstance(self.baseline, str):
            return self, ()
        given = torch.as_tensor(self.baseline)
        shape = tuple(d.batch_shape)
        if len(given.shape) > len(shape) or any(
            n not in (1, m) for n, m in zip(reversed(given.shape), reversed(shape), strict=False)
        ):
            raise MethodError(
                "the baseline has the wrong shape",
                expected="one number for each choice" + (f": shape {list(shape)}" if shape else ""),
                found=f"shape {list(given.shape)}",
                edit="baseline.squeeze(-1)"
                if given.shape[-1:] == (1,)
                else f"a baseline of shape {list(shape)}",
            )
        return _Given(self.decay), (given,)

    def refusal(self, site: Facts) -> str | None:
        family, e = site.family, site.effect
        if "score" not in family.strategies and not family.discrete:
            return f"the support of {family.name} moves with its parameters"
        if family.discrete and any(site.moving[i] for i in _behind_values(e, family)):
            return f"the values of {family.name} move with its parameters"
        return None

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        log_q = specs.log_density(e.site.spec, e.params, value)
        seeds = {value: frozenset(value.plates)}
        return self.weighted(e.name, log_q, value, seeds, root, build)

    def weighted(self, name: str, log_q: Node, value: Node, seeds: Seeds, root: Node, build: Build) -> Terms:
        """log q of the choice `name`, with what the seeds can change of the objective."""
        reward = credit(root, seeds)
        if not isinstance(reward, Node):
            return []
        if self.baseline == "mean":
            return [(log_q, sub(reward, self._running(name, reward, build)))]
        return [(log_q, self._centred(reward, seeds, value, build))]

    def _running(self, name: str, reward: Node, build: Build) -> Node:
        """The mean of the rewards of earlier steps, over the plates the reward varies over."""
        now: Node = make_input(f"baseline of {name}", (), reward.dtype, (), "state")
        mean: Operand = reward
        for plate in reward.plates:
            if plate != build.batch:
                mean = div(plate_sum(mean, plate), float(plate.size))
        then = add(mul(now, self.decay), mul(mean, 1.0 - self.decay))
        assert isinstance(then, Node)
        build.states[now.attr("name")] = Kept(torch.zeros((), dtype=reward.dtype), now, then)
        return now

    def _centred(self, reward: Node, seeds: Seeds, value: Node, build: Build) -> Operand:
        among: list[Plate] = [p for p in value.plates if p in build.particles and p.size > 1]
        if self.baseline == "none" or not among:
            if self.baseline == "leave-one-out":
                raise MethodError(
                    "a leave-one-out baseline needs other particles",
                    expected="a plate of two or more particles, opened by the objective",
                    found="one particle",
                    edit='Score(baseline="none"), or an objective with several particles',
                )
            return reward
        plate = among[-1]
        baseline = leave_one_out(reward, seeds, plate)
        return reward if baseline is None else sub(reward, baseline)


def _behind_values(e: Effect, family: Family) -> Sequence[int]:
    """The parameters of a discrete site that its values may move with, and not their probabilities alone."""
    if family.name == "Empirical":
        return specs.behind(e.site.spec, e.params, "values")
    support = region(e.site.spec, e.params)
    whole = "score" in family.strategies or (support is not None and support.whole)
    return () if whole else range(len(e.params))


class _Given(Score):
    """With a baseline that the program computes."""

    def __init__(self, decay: float) -> None:
        self.baseline, self.decay = "given", decay

    def __repr__(self) -> str:
        return "Score(baseline=…)"

    @property
    def can_stay(self) -> bool:
        return False

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        reward = credit(root, {value: frozenset(value.plates)})
        if not isinstance(reward, Node):
            return []
        (baseline,) = e.reads
        centred = sub(reward, baseline)
        terms: Terms = [(specs.log_density(e.site.spec, e.params, value), centred)]
        if own := own_leaves(baseline, root):
            build.fitted.update(own)
            terms.append((_only(baseline, own), mul(centred, 2.0)))
        return terms


def _only(read: Node, own: Sequence[Node]) -> Node:
    """The same with all other params held fixed."""
    others = [n for n in topological([read]) if n.op == "input" and n.is_float and n not in own]
    return substitute([read], {n: make("detach", n) for n in others})[0]
