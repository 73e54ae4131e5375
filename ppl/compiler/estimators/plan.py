"""Which strategy each random choice gets, and why: what the user asked for if it is sound, else a refusal;
for "auto" the best sound one. And with it, which scans are written out (`steps`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppl.compiler.estimators import strategies  # noqa: F401 (fills the registry)
from ppl.compiler.estimators.credit import elementwise, terms
from ppl.compiler.estimators.flow import (
    Passes,
    bodies_of,
    dependents,
    detached,
    inputs_of,
    jumps,
    reached_inside,
)
from ppl.compiler.estimators.gathers import flat_sums
from ppl.compiler.estimators.intervals import UNIT, Known, Ranges
from ppl.compiler.estimators.steps import (
    FEW,
    SMALL,
    bare,
    base_name,
    choices_in,
    fits,
    has_choices,
    site_name,
    written_out,
)
from ppl.compiler.estimators.strategy import REGISTRY, Facts, Strategy, support_size
from ppl.compiler.graph import Graph, Node, bodies, rebuild, substitute, topological
from ppl.compiler.ops.barriers import strip, with_bodies
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.errors import MethodError, closest

ENUMERABLE = 64
"""Up to so many values "auto" sums over all of them."""


@dataclass(frozen=True)
class Decision:
    """The strategy of one choice. `strategy` is None where no derivative with respect to it is needed."""

    name: str
    strategy: Strategy | None
    why: str
    facts: Facts
    automatic: bool = False

    @property
    def biased(self) -> bool:
        return self.strategy is not None and self.strategy.biased

    @property
    def by_itself(self) -> bool:
        """Whether it is enumerated though nobody asked for it."""
        return self.automatic and isinstance(self.strategy, REGISTRY["enum"])  # type: ignore[arg-type]

    @property
    def stays(self) -> bool:
        """Whether a scan with this choice stays a loop."""
        return self.strategy is None or self.strategy.stays

    @property
    def needs_steps(self) -> bool:
        """Whether a scan with this choice can't stay a loop."""
        return self.strategy is not None and not self.strategy.can_stay


Asked = Mapping[str, Any]
"""Strategies for choices by name, in place of those they ask for: all steps of a scan have the name of their site."""


def plan(
    graph: Graph,
    wrt: Sequence[Node],
    spared: frozenset[str] = frozenset(),
    known: Known | None = None,
    asked: Asked | None = None,
) -> tuple[Graph, dict[str, Decision]]:
    """The graph in the form that its strategies need, and a decision for every random choice, by name, in program
    order. A choice in a scan that is written out has one for each step: `x[0]`, `x[1]` and so on.

    Args:
        graph: a recorded objective.
        wrt: the inputs with respect to which gradients are taken.
        spared: choices that "auto" does not enumerate.
        known: between which numbers inputs lie, where that is known.
        asked: strategies in place of those that the choices ask for.

    Raises:
        MethodError: what the user asked for is not sound, or nothing is.
    """
    graph = written_out(flat_sums(graph))
    found = decide(graph, wrt, spared, known, asked)

    def wanted(scan: Node) -> bool:
        made = [d for n in choices_in(scan) if (d := found[Effect.of(n).name]).strategy is not None]
        if any(d.needs_steps for d in made):
            return True
        return fits(scan, FEW, SMALL) and not all(d.stays for d in made)

    if not any(n.op == "scan" and has_choices(n) and wanted(n) for n in graph.effects):
        return graph, found
    graph = flat_sums(written_out(graph, wanted))
    return graph, decide(graph, wrt, spared, known, asked)


def decide(
    graph: Graph,
    wrt: Sequence[Node],
    spared: frozenset[str] = frozenset(),
    known: Known | None = None,
    asked: Asked | None = None,
) -> dict[str, Decision]:
    """A decision for every random choice of a graph, those in scans as if these were written out (where they are not
    too long).

    Raises:
        MethodError: what the user asked for is not sound, or nothing is.
    """
    graph = bare(graph)
    root, ranges = graph.outputs[0], Ranges(known)
    deciding = _Deciding(spared, asked or {})
    order = topological((root, *graph.effects))
    choices = [n for n in order if n.op == "sample" or choices_in(n)]
    # The last choices first: whether a path goes on behind one depends on its own strategy.
    active = dependents(order, wrt, lambda n: n.op == "sample")
    found: dict[Node, Decision] = {}

    def passes(node: Node) -> bool:
        decision = found.get(node)
        return decision is not None and decision.strategy is not None and decision.strategy.pathwise

    for node in reversed(choices):
        if node.op != "sample":
            _decide_inside(node, active, order, root, passes, found, deciding, ranges)
            continue
        e = Effect.of(node)
        if not any(p in active for p in e.params):
            found[node] = Decision(e.name, None, "no parameter reaches it", Facts(e, (), True))
            continue
        separate = not node.plates or _apart(root, node)
        moving = tuple(p in active for p in e.params)
        rough = functools.partial(_roughness, root, node, dict(found), known)
        held = functools.partial(detached, [root], [node], lambda _: True)
        found_jumps = tuple(jumps([root], [node], passes, ranges))
        facts = Facts(e, found_jumps, separate, moving=moving, rough=rough, detached=held)
        found[node] = deciding(e, facts)
    # Forwards again: behind a choice that is not pathwise, nothing depends on the parameters through it.
    reached = dependents(order, wrt, lambda n: passes(n) or _relaxes(found.get(n)))
    result: dict[str, Decision] = {}
    for node in choices:
        if node.op != "sample":
            result |= {found[n].name: found[n] for n in choices_in(node)}
            continue
        decision = found[node]
        if decision.strategy is not None and not any(p in reached for p in Effect.of(node).params):
            decision = Decision(decision.name, None, "no derivative reaches it", decision.facts)
        result[decision.name] = decision
    return result


def _relaxes(decision: Decision | None) -> bool:
    return decision is not None and decision.strategy is not None and decision.strategy.relaxes


def _roughness(root: Node, choice: Node, later: Mapping[Node, Decision], known: Known | None) -> str | None:
    """Why the objective is not differentiable at values between the choice's own; what comes after it is drawn as its
    strategies say.
    """
    memo: dict[Node, Node] = {}
    inside = substitute([root], memo, _opened)[0]
    if choice not in memo:
        return None  # the objective does not depend on it
    seed = memo[choice]
    why = "{} is not differentiable between its values"
    draws = {d.name: d for d in later.values()}
    order = topological([inside])
    behind = dependents(order, [seed], lambda _: True)
    for node in order:
        for drawn in (node,) if node.op == "sample" else choices_in(node):
            d = draws.get(Effect.of(drawn).name) if node in behind else None
            if d is not None and (d.strategy is None or not d.strategy.moves_smoothly(d.facts.effect)):
                return why.format(f"'{d.name}' drawn after it")
    found = jumps([inside], [seed], lambda _: True, Ranges({**(known or {}), seed: UNIT}))
    return why.format(found[0].what) if found else None


def _opened(node: Node, args: tuple[Operand, ...]) -> Node | None:
    """Densities with their inside to be seen."""
    if node.op == "density" and isinstance(args[0], Node):
        return args[0]
    if node.op in ("scan", "switch"):
        return rebuild(with_bodies(node, tuple(strip(b, ("density",)) for b in bodies(node))), args)
    return None


def _apart(root: Node, choice: Node) -> bool:
    """Whether elements of a choice meet in sums only."""
    seeds = {choice: frozenset(choice.plates)}
    status = elementwise(topological([root]), seeds)
    return all(status.get(t, frozenset()) >= seeds[choice] for t in terms(root, seeds))


def _decide_inside(
    region: Node,
    active: set[Node],
    order: Sequence[Node],
    root: Node,
    passes: Passes,
    found: dict[Node, Decision],
    deciding: _Deciding,
    ranges: Ranges,
) -> None:
    """Decisions for the choices in the body of a scan."""
    stays = not fits(region)
    for (body, inputs), inner_ranges in zip(bodies_of(region), ranges.inside(region), strict=True):
        inner = choices_in(region)
        entered = [i for i, outer in inputs if outer in active]
        reached = reached_inside(region, body, entered, lambda n: n.op == "sample")
        for node in reversed(inner):
            e = Effect.of(node)
            if not any(p in reached for p in e.params):
                found[node] = Decision(e.name, None, "no parameter reaches it", Facts(e, (), False, stays))
                continue
            after = reached_inside(region, body, [node], passes)
            items = [
                n
                for n in order
                if n.op == "item"
                and n.nodes[0] is region
                and n.attr("index") < len(body.outputs)
                and body.outputs[n.attr("index")] in after
            ]
            seeds = [i for i in body.inputs if i in after]
            found_jumps = [
                *jumps(body.outputs, [node, *seeds], passes, inner_ranges, inputs_of(region, body)),
                *jumps([root], items, passes, ranges),
            ]
            moving = tuple(p in reached for p in e.params)
            facts = Facts(e, tuple(found_jumps), not stays, stays, moving=moving)
            long = None if fits(region, FEW, SMALL) else "its scan is long"
            found[node] = deciding(e, facts, long)


@dataclass(frozen=True)
class _Deciding:
    """How one choice's strategy is decided on."""

    spared: frozenset[str]
    asked: Asked

    def __call__(self, e: Effect, facts: Facts, long: str | None = None) -> Decision:
        grad = self.asked.get(site_name(e.name), e.site.grad)
        if isinstance(grad, str) and grad == "auto":
            many = "it meets so many other choices that all combinations are too many"
            return _automatic(e, facts, many if base_name(e.name) in self.spared else long)
        asked = named(grad, e)
        reason = asked.unsound(facts)
        if reason is not None:
            raise _refused(e, facts, asked, reason)
        return Decision(e.name, asked, "asked for" + (", biased" if asked.biased else ""), facts)


def _automatic(e: Effect, facts: Facts, dear: str | None) -> Decision:
    """The first sound strategy; enumeration only where it is not dear."""
    reasons: list[str] = []
    number = support_size(e)
    names = ["reparam", "enum", "score"]
    if number is not None and number <= ENUMERABLE:
        names = ["enum", "reparam", "score"]
    for name in names:
        candidate = REGISTRY[name]()
        reason = candidate.unsound(facts)
        if name == "enum":
            reason = reason or dear
        if reason is None:
            return Decision(e.name, candidate, _why(name, reasons, facts), facts, automatic=True)
        reasons.append(f"{name}: {reason}")
    raise MethodError(
        f"no gradient estimator is sound for '{e.name}'",
        site=e.name,
        where=e.node.mark,
        expected="a strategy that this choice and the objective admit",
        found="; ".join(reasons),
        edit=_edit(facts),
    )


def _why(name: str, reasons: Sequence[str], facts: Facts) -> str:
    good = {
        "reparam": f"{facts.family.name} has a pathwise derivative and every path is continuous",
        "enum": f"{facts.support_size} values, summed exactly",
        "score": "needs no derivative of what comes after",
    }[name]
    return good + (f" (not {'; not '.join(reasons)})" if reasons else "")


def named(grad: object, e: Effect) -> Strategy:
    """The strategy that `grad=` names."""
    if isinstance(grad, Strategy):
        return grad
    made = REGISTRY.get(grad) if isinstance(grad, str) else None
    if made is None:
        near = closest(grad, REGISTRY) if isinstance(grad, str) else []
        raise MethodError(
            f"there is no gradient strategy {grad!r}",
            site=e.name,
            where=e.node.mark,
            expected='"auto", ' + ", ".join(f'"{n}"' for n in REGISTRY),
            found=repr(grad),
            edit=f'grad="{near[0]}"' if near else 'grad="auto"',
        )
    return made()


def _refused(e: Effect, facts: Facts, asked: Strategy, reason: str) -> MethodError:
    sound = [name for name, make in REGISTRY.items() if make().unsound(facts) is None and not make().biased]
    sound.sort(key=lambda name: name != "reparam")  # the least noisy where it is sound
    place = next((j.node.mark for j in facts.jumps if asked.pathwise and j.node.mark is not None), None)
    return MethodError(
        f"grad=\"{asked.name}\" is not sound for '{e.name}': {reason}",
        site=e.name,
        where=place or e.node.mark,
        expected="a strategy that is sound here: " + (", ".join(f'"{n}"' for n in sound) or "there is none"),
        found=f'grad="{asked.name}"',
        edit=f'grad="{sound[0]}"' if sound else _edit(facts),
    )


def _edit(facts: Facts) -> str:
    if facts.jumps:
        return "ppl.assume_continuous(x) around the value, if it is continuous after all"
    return "another family, whose support does not depend on its parameters"
