"""`explain` of an objective: its random choices, the gradient strategy of each, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from ppl.compiler import specs
from ppl.compiler.estimators.assemble import decided
from ppl.compiler.estimators.composites import Curved, curved
from ppl.compiler.estimators.gathers import flat_sums
from ppl.compiler.estimators.plan import Decision
from ppl.compiler.estimators.steps import base_name
from ppl.compiler.graph import Node, topological
from ppl.compiler.tracer import working_dtype
from ppl.language.objectives import record_objective
from ppl.language.program import Bound


@dataclass(frozen=True)
class ChoiceInfo:
    """A random choice: `strategy` is None where no gradient with respect to it is needed. `steps` counts those of a scan
    that was written out.
    """

    name: str
    family: str
    strategy: str | None
    why: str
    biased: bool = False
    steps: int = 0


@dataclass(frozen=True)
class ObjectiveExplanation:
    """What `explain` found of an objective; printing it gives a report in plain text. `vouched` counts the values that
    `ppl.assume_continuous` vouches for; `given` lists derivatives that are not the functions' own; `curved` says where it
    is a curved function of a mean over particles, whose expectation is not the function of the expectation.
    """

    objective: str
    choices: tuple[ChoiceInfo, ...]
    params: tuple[tuple[str, tuple[int, ...], str], ...]
    particles: tuple[tuple[str, int], ...]
    vouched: int = 0
    curved: tuple[Curved, ...] = ()
    given: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [f"objective {self.objective}: {len(self.choices)} random choices, {len(self.params)} params"]
        if self.particles:
            rows.append("particles  " + ", ".join(f"{name} {size}" for name, size in self.particles))
        rows += [textwrap.fill(f"bias  {c}", 110, subsequent_indent=" " * 6) for c in self.curved]
        width = max((len(c.name) for c in self.choices), default=0)
        for c in self.choices:
            biased = " (biased)" if c.biased else ""
            each = f" in each of {c.steps} steps" if c.steps else ""
            head = f"  {c.name:<{width}}  {c.family}: {c.strategy or 'drawn'}{biased}{each}"
            rows.append(textwrap.fill(f"{head}; {c.why}", 110, subsequent_indent=" " * (width + 4)))
        for name, shape, owner in self.params:
            rows.append(f"  param {name} {list(shape)} of {owner}")
        if self.vouched:
            rows.append(f"  taken as continuous on the user's word: {self.vouched}")
        rows += [f"  {what} (biased)" for what in self.given]
        return "\n".join(rows)


def _together(decisions: Iterable[Decision]) -> tuple[ChoiceInfo, ...]:
    """What was decided of each choice; steps of a scan that are alike make one."""
    found: dict[tuple[str, str | None, str], list[Decision]] = {}
    for d in decisions:
        name = None if d.strategy is None else d.strategy.name
        found.setdefault((base_name(d.name), name, d.why), []).append(d)
    return tuple(
        ChoiceInfo(
            base,
            specs.class_name(same[0].facts.effect.site.spec.cls),
            strategy,
            why,
            same[0].biased,
            len(same) if same[0].name != base else 0,
        )
        for (base, strategy, why), same in found.items()
    )


def explain_objective(bound: Bound) -> ObjectiveExplanation:
    """Record an objective and decide on its strategies, as training would.

    Raises:
        MethodError: a choice has no sound estimator.
    """
    objective = record_objective(bound)
    recorded = objective.recorded
    with working_dtype(recorded.dtype):
        wrt = [p.node for p in recorded.params.values()]
        found = decided(recorded.graph, wrt, objective.particles, objective.known)
    choices = _together(found.values())
    owners = objective.owners
    params = tuple(
        (name, tuple(p.init.shape), owner.name if (owner := owners[name]) is not None else bound.name)
        for name, p in recorded.params.items()
    )
    order = topological(recorded.graph.outputs)
    vouched = sum(n.op == "continuous" for n in order)
    given = tuple(
        _given(n) for n in order if n.op in ("surrogate", "black_box") and n.attr("step", 0.0) is not None
    )
    plates = tuple(sorted((p.name, p.size) for p in objective.particles))
    means = tuple(curved(flat_sums(recorded.graph).outputs[0], objective.particles))
    return ObjectiveExplanation(bound.name, choices, params, plates, vouched, means, given)


def _given(node: Node) -> str:
    if node.op == "surrogate":
        return f"the derivative of '{node.attr('name')}' is the user's"
    return f"black box '{node.attr('name')}': simultaneous perturbations of {node.attr('step'):g}"
