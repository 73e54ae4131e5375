"""Which strategy each random choice gets, and why: what the user asked for if it is sound, else a refusal;
for "auto" the best sound one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppl.compiler.estimators import strategies  # noqa: F401 (fills the registry)
from ppl.compiler.estimators.credit import elementwise, terms
from ppl.compiler.estimators.flow import Passes, bodies_of, dependents, jumps, reached_inside
from ppl.compiler.estimators.regions import choices_in, has_choices
from ppl.compiler.estimators.strategy import REGISTRY, Facts, Strategy, support_size
from ppl.compiler.graph import Graph, Node, rebuild, substitute, topological
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

    @property
    def biased(self) -> bool:
        return self.strategy is not None and self.strategy.biased


Asked = Mapping[str, Any]
"""Strategies for choices by name, in place of those they ask for."""


def decide(graph: Graph, wrt: Sequence[Node], asked: Asked | None = None) -> dict[str, Decision]:
    """A decision for every random choice of an objective's graph, by name, in program order.

    Raises:
        MethodError: what the user asked for is not sound, or nothing is.
    """
    graph = _bare(graph)
    root = graph.outputs[0]
    order = topological((root, *graph.effects))
    choices = [n for n in order if n.op == "sample" or has_choices(n)]
    # The last choices first: whether a path goes on behind one depends on its own strategy.
    active = dependents(order, wrt, lambda n: n.op == "sample")
    found: dict[Node, Decision] = {}

    def passes(node: Node) -> bool:
        decision = found.get(node)
        return decision is not None and decision.strategy is not None and decision.strategy.pathwise

    for node in reversed(choices):
        if node.op != "sample":
            _decide_inside(node, active, order, root, passes, found, asked or {})
            continue
        e = Effect.of(node)
        if not any(p in active for p in e.params):
            found[node] = Decision(e.name, None, "no parameter reaches it", Facts(e, (), True))
            continue
        seeds = {node: frozenset(node.plates)}
        separate = all(
            elementwise(topological([t]), seeds).get(t, frozenset()) >= seeds[node]
            for t in terms(root, seeds)
        )
        moving = tuple(p in active for p in e.params)
        rough = functools.partial(_roughness, root, node, dict(found))
        facts = Facts(e, tuple(jumps([root], [node], passes)), separate, moving=moving, rough=rough)
        found[node] = _decided(e, facts, asked or {})
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


def _roughness(root: Node, choice: Node, later: Mapping[Node, Decision]) -> str | None:
    """Why the objective is not differentiable at values between the choice's own; what comes after it is drawn as its
    strategies say.
    """
    memo: dict[Node, Node] = {}
    inside = substitute([root], memo, _opened)[0]
    seed = memo[choice]
    why = "{} is not differentiable between its values"
    draws = {memo.get(n, n): d for n, d in later.items()}
    order = topological([inside])
    behind = dependents(order, [seed], lambda _: True)
    for node in order:
        for drawn in choices_in(node) if has_choices(node) else [node]:
            d = draws.get(drawn) if node in behind else None
            if d is not None and (d.strategy is None or not d.strategy.moves_smoothly(d.facts.effect)):
                return why.format(f"'{d.name}' drawn after it")
    found = jumps([inside], [seed], lambda _: True)
    return why.format(found[0].what) if found else None


def _opened(node: Node, args: tuple[Operand, ...]) -> Node | None:
    """Densities with their inside to be seen."""
    return args[0] if node.op == "density" and isinstance(args[0], Node) else None


def _bare(graph: Graph) -> Graph:
    """The graph without what strategies read: a baseline is no path to the objective."""

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op != "sample" or not node.attr("site").reads:
            return None
        return Effect.of(rebuild(node, args)).bare.node

    memo: dict[Node, Node] = {n: n for n in graph.inputs}
    outputs = substitute(graph.outputs, memo, visit)
    effects = substitute(graph.effects, memo, visit)
    return Graph(graph.inputs, tuple(outputs), tuple(effects), graph.names)


def _decide_inside(
    region: Node,
    active: set[Node],
    order: Sequence[Node],
    root: Node,
    passes: Passes,
    found: dict[Node, Decision],
    instead: Asked,
) -> None:
    """Decisions for the choices in the bodies of a scan or switch."""
    choices_in(region)
    for body, inputs in bodies_of(region):
        inner = [e for e in body.effects if e.op == "sample"]
        entered = [i for i, outer in inputs if outer in active]
        reached = reached_inside(region, body, entered, lambda n: n.op == "sample")
        for node in reversed(inner):
            e = Effect.of(node)
            if not any(p in reached for p in e.params):
                found.setdefault(
                    node, Decision(e.name, None, "no parameter reaches it", Facts(e, (), False, True))
                )
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
            found_jumps = [*jumps(body.outputs, [node, *seeds], passes), *jumps([root], items, passes)]
            moving = tuple(p in reached for p in e.params)
            found[node] = _decided(e, Facts(e, tuple(found_jumps), False, True, moving=moving), instead)


def _decided(e: Effect, facts: Facts, instead: Asked) -> Decision:
    grad = instead.get(e.name, e.site.grad)
    if not (isinstance(grad, str) and grad == "auto"):
        asked = named(grad, e)
        reason = asked.unsound(facts)
        if reason is not None:
            raise _refused(e, facts, asked, reason)
        return Decision(e.name, asked, "asked for" + (", biased" if asked.biased else ""), facts)
    return _automatic(e, facts)


def _automatic(e: Effect, facts: Facts) -> Decision:
    reasons: list[str] = []
    size = support_size(e)
    names = ["reparam", "enum", "score"]
    if size is not None and size <= ENUMERABLE:
        names = ["enum", "reparam", "score"]
    for name in names:
        candidate = REGISTRY[name]()
        reason = candidate.unsound(facts)
        if reason is None:
            return Decision(e.name, candidate, _why(name, reasons, facts), facts)
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
