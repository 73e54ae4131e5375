"""The score function estimator, also called REINFORCE.

    ∇θ E[f(x)] = E[(f(x) − b) ∇θ log q(x; θ)]

for every baseline b that does not depend on x. f is restricted to the terms that x can influence (`credit`).
Between particles the baseline is the leave-one-out mean of the others. "mean" is a running mean over earlier steps,
kept as a state: with no step before it is 0.

Sources: Williams, "Simple statistical gradient-following algorithms" (1992); Mnih & Rezende, "Variational
inference for Monte Carlo objectives" (2016); Kool, van Hoof & Welling, "Buy 4 REINFORCE samples, get a
baseline for free!" (2019).
"""

from __future__ import annotations

import torch

from ppl.compiler import specs
from ppl.compiler.estimators.credit import Seeds, credit, leave_one_out, others_mean
from ppl.compiler.estimators.strategy import Build, Facts, Kept, Strategy, Terms, strategy
from ppl.compiler.graph import Node, Plate
from ppl.compiler.ops import make_input, plate_sum
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import add, div, mul, sub
from ppl.errors import MethodError

BASELINES = ("auto", "none", "leave-one-out", "mean")


@strategy
class Score(Strategy):
    """The score function estimator.

    Args:
        baseline: "leave-one-out" (between the particles of an objective), "mean" (of earlier steps), "none", or
            "auto": the first where there are particles.
        decay: the weight of the earlier steps in the running mean, between 0 and 1.
    """

    name = "score"

    def __init__(self, baseline: str = "auto", decay: float = 0.9) -> None:
        if baseline not in BASELINES:
            raise MethodError(
                f"there is no baseline '{baseline}'",
                expected=", ".join(BASELINES),
                found=repr(baseline),
                edit='Score(baseline="auto")',
            )
        if not 0.0 <= decay < 1.0:
            raise MethodError(
                "the decay of a running mean is a share",
                expected="a number from 0 up to 1",
                found=repr(decay),
                edit='Score(baseline="mean", decay=0.9)',
            )
        self.baseline, self.decay = baseline, float(decay)

    def refusal(self, site: Facts) -> str | None:
        if "score" not in site.family.strategies and not site.family.discrete:
            return f"the support of {site.family.name} moves with its parameters"
        return None

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        log_q = specs.log_density(e.site.spec, e.params, value)
        return self.weighted(e.name, log_q, value, {value: frozenset(value.plates)}, root, build)

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
        if plate in reward.plates:
            return sub(reward, others_mean(reward, plate))
        baseline = leave_one_out(reward, seeds, plate)
        return reward if baseline is None else sub(reward, baseline)
