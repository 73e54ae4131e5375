"""`explain` of an objective: its random choices, the gradient strategy of each, and why."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from ppl.compiler import specs
from ppl.compiler.estimators.gathers import flat_sums
from ppl.compiler.estimators.plan import decide
from ppl.compiler.graph import Node, topological
from ppl.compiler.tracer import working_dtype
from ppl.language.objectives import record_objective
from ppl.language.program import Bound


@dataclass(frozen=True)
class ChoiceInfo:
    """A random choice: `strategy` is None where no gradient with respect to it is needed."""

    name: str
    family: str
    strategy: str | None
    why: str
    biased: bool = False


@dataclass(frozen=True)
class ObjectiveExplanation:
    """What `explain` found of an objective; printing it gives a report in plain text. `vouched` counts the values that
    `ppl.assume_continuous` vouches for; `given` lists derivatives that are not the functions' own.
    """

    objective: str
    choices: tuple[ChoiceInfo, ...]
    params: tuple[tuple[str, tuple[int, ...], str], ...]
    particles: tuple[tuple[str, int], ...]
    vouched: int = 0
    given: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [f"objective {self.objective}: {len(self.choices)} random choices, {len(self.params)} params"]
        if self.particles:
            rows.append("particles  " + ", ".join(f"{name} {size}" for name, size in self.particles))
        width = max((len(c.name) for c in self.choices), default=0)
        for c in self.choices:
            head = (
                f"  {c.name:<{width}}  {c.family}: {c.strategy or 'drawn'}{' (biased)' if c.biased else ''}"
            )
            rows.append(textwrap.fill(f"{head}; {c.why}", 110, subsequent_indent=" " * (width + 4)))
        for name, shape, owner in self.params:
            rows.append(f"  param {name} {list(shape)} of {owner}")
        if self.vouched:
            rows.append(f"  taken as continuous on the user's word: {self.vouched}")
        rows += [f"  {what} (biased)" for what in self.given]
        return "\n".join(rows)


def explain_objective(bound: Bound) -> ObjectiveExplanation:
    """Record an objective and decide on its strategies, as training would.

    Raises:
        MethodError: a choice has no sound estimator.
    """
    objective = record_objective(bound)
    recorded = objective.recorded
    with working_dtype(recorded.dtype):
        found = decide(flat_sums(recorded.graph), [p.node for p in recorded.params.values()])
    choices = tuple(
        ChoiceInfo(
            d.name,
            specs.class_name(d.facts.effect.site.spec.cls),
            None if d.strategy is None else d.strategy.name,
            d.why,
            d.biased,
        )
        for d in found.values()
    )
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
    return ObjectiveExplanation(bound.name, choices, params, plates, vouched, given)


def _given(node: Node) -> str:
    if node.op == "surrogate":
        return f"the derivative of '{node.attr('name')}' is the user's"
    return f"black box '{node.attr('name')}': simultaneous perturbations of {node.attr('step'):g}"
