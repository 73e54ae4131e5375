"""The score function estimator, also called REINFORCE.

    ∇θ E[f(x)] = E[(f(x) − b) ∇θ log q(x; θ)]

for every baseline b that does not depend on x. f is restricted to the terms that x can influence (`credit`).
Between particles the baseline is the leave-one-out mean of the others.

Sources: Williams, "Simple statistical gradient-following algorithms" (1992); Mnih & Rezende, "Variational
inference for Monte Carlo objectives" (2016); Kool, van Hoof & Welling, "Buy 4 REINFORCE samples, get a
baseline for free!" (2019).
"""

from __future__ import annotations

from ppl.compiler import specs
from ppl.compiler.estimators.credit import Seeds, credit, leave_one_out, others_mean
from ppl.compiler.estimators.strategy import Build, Facts, Strategy, Terms, strategy
from ppl.compiler.graph import Node, Plate
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import sub
from ppl.errors import MethodError

BASELINES = ("auto", "none", "leave-one-out")


@strategy
class Score(Strategy):
    """The score function estimator.

    Args:
        baseline: "leave-one-out" (between the particles of an objective), "none", or "auto": the first where
            there are particles.
    """

    name = "score"

    def __init__(self, baseline: str = "auto") -> None:
        if baseline not in BASELINES:
            raise MethodError(
                f"there is no baseline '{baseline}'",
                expected=", ".join(BASELINES),
                found=repr(baseline),
                edit='Score(baseline="auto")',
            )
        self.baseline = baseline

    def refusal(self, site: Facts) -> str | None:
        if "score" not in site.family.strategies and not site.family.discrete:
            return f"the support of {site.family.name} moves with its parameters"
        return None

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        log_q = specs.log_density(e.site.spec, e.params, value)
        return self.weighted(log_q, value, {value: frozenset(value.plates)}, root, build)

    def weighted(self, log_q: Node, value: Node, seeds: Seeds, root: Node, build: Build) -> Terms:
        """log q with what the seeds can change of the objective."""
        reward = credit(root, seeds)
        if not isinstance(reward, Node):
            return []
        return [(log_q, self._centred(reward, seeds, value, build))]

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
