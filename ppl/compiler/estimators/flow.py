"""How values flow to an objective: what depends on a random choice, and where a path to it jumps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppl.compiler.estimators.intervals import POSITIVE, Interval, Ranges
from ppl.compiler.estimators.supports import family_with, region
from ppl.compiler.graph import Graph, Node, bodies, topological
from ppl.compiler.ops import OPERATORS, surrogates
from ppl.compiler.ops.barriers import BARRIERS
from ppl.compiler.ops.effects import EFFECTS, Site

Passes = Callable[[Node], bool]
"""Whether a value passes through a random choice whose parameters depend on it (a pathwise one)."""


Outside = Mapping[Node, list[tuple[Node, Any]]]
"""What each input of a body is: nodes, with what the inputs there are."""


@dataclass(frozen=True)
class Jump:
    """A place where a path is not continuous."""

    node: Node
    what: str


def dependents(order: Iterable[Node], seeds: Iterable[Node], passes: Passes) -> set[Node]:
    """The nodes (arguments first in `order`) through which a derivative with respect to `seeds` can reach."""
    found = set(seeds)
    for node in order:
        if node in found or node.op == "detach":
            continue
        if any(a in found for a in node.nodes) and (node.op not in EFFECTS or passes(node)):
            found.add(node)
    return found


def jumps(
    roots: Sequence[Node],
    seeds: Iterable[Node],
    passes: Passes,
    ranges: Ranges | None = None,
    outside: Outside | None = None,
) -> list[Jump]:
    """Where the roots are not continuous functions of the seeds.

    Args:
        ranges: what is known of the values of nodes.
        outside: in a body of a region, what its inputs are.
    """
    ranges = Ranges() if ranges is None else ranges
    order = topological(roots)
    depends = dependents(order, seeds, passes)
    shown = visible(roots)
    found: list[Jump] = []
    for node in order:
        if node in shown and node in depends and node not in set(seeds):
            found.extend(_at(node, depends, passes, ranges, outside or {}))
    return found


def detached(roots: Sequence[Node], seeds: Iterable[Node], passes: Passes) -> bool:
    """Whether a value that depends on the seeds is held fixed on the way to the roots, in bodies of regions too."""
    order = topological(roots)
    depends = dependents(order, seeds, passes)
    for node in order:
        if node.op == "detach" and node.nodes[0] in depends:
            return True
        for body, inputs in bodies_of(node) if node.op in ("scan", "switch") and node in depends else ():
            reached = reached_inside(node, body, [i for i, outer in inputs if outer in depends], passes)
            if detached(body.outputs, [i for i in body.inputs if i in reached], passes):
                return True
    return False


def visible(roots: Sequence[Node]) -> set[Node]:
    """What is reached from the roots without looking behind a barrier."""
    seen: set[Node] = set()
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        waiting.extend(_operands(node))
    return seen


def _operands(node: Node) -> tuple[Node, ...]:
    if node.op == "surrogate":
        return surrogates.visible(node)
    return node.nodes[1:] if node.op in BARRIERS else node.nodes


def _at(node: Node, depends: set[Node], passes: Passes, ranges: Ranges, outside: Outside) -> list[Jump]:
    if node.op == "density":
        return _in_density(node, depends, ranges, outside)
    if node.op in ("continuous", "surrogate", *EFFECTS):
        return []
    if node.op == "black_box":
        name, step = node.attr("name"), node.attr("step")
        return [] if step is not None else [Jump(node, f"the black box '{name}', for all that is known,")]
    if node.op in ("scan", "switch"):
        return _in_region(node, depends, passes, ranges, outside)
    operator = OPERATORS[node.op]
    if node.op == "where" and node.nodes[0] not in depends and node.is_float:
        return []  # the same branch for all its values
    if operator.smooth == "jump" or (node.outs is None and not node.is_float):
        return [Jump(node, f"`{_WORDS.get(node.op, node.op)}` of it")]
    return _at_pole(node, depends, ranges)


_POLES = {"div": 1, "reciprocal": 0, "rsqrt": 0, "log": 0, "log2": 0, "log10": 0, "xlogy": 1}
"""Operators that are not continuous where an operand is zero, and which operand."""

_WHOLE = {"lgamma", "digamma", "polygamma"}
"""Operators with poles at zero and the negative whole numbers."""


def _at_pole(node: Node, depends: set[Node], ranges: Ranges) -> list[Jump]:
    """Operators that are smooth but for poles, at values that are not kept away from these."""
    what = _WORDS.get(node.op, node.op)
    if node.op in _POLES:
        x = node.args[_POLES[node.op]]
        if x in depends and 0.0 in ranges.operand(x):
            return [Jump(node, f"`{what}` of it, where that can be 0,")]
    elif node.op == "pow" and node.args[0] in depends:
        base, exponent = map(ranges.operand, node.args)
        if exponent.low < 0 and 0.0 in base:
            return [Jump(node, "a negative power of it, where that can be 0,")]
    elif node.op == "log1p" and -1.0 in ranges[node.nodes[0]]:
        return [Jump(node, "`log1p` of it, where that can be -1,")]
    elif node.op in _WHOLE and not ranges[node.nodes[0]].within(POSITIVE):
        return [Jump(node, f"`{what}` of it, where that can be 0 or less,")]
    elif node.op == "tan" and not ranges[node.nodes[0]].within(_BRANCH):
        return [Jump(node, "`tan` of it")]
    return []


_BRANCH = Interval(-math.pi / 2, math.pi / 2, True, True)


_WORDS = {
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "eq": "==",
    "ne": "!=",
    "to": "a whole number made",
    "div": "/",
}


def _in_density(node: Node, depends: set[Node], ranges: Ranges, outside: Outside) -> list[Jump]:
    site: Site = node.attr("site")
    value, params = node.nodes[1], node.nodes[2:]
    family = family_with(site.spec, params)
    support = region(site.spec, params)
    if family.discrete:
        moves = False
    elif family.atoms:  # wrappers: only the parameters that are ends of the support move it
        moves = support is not None and bool({support.low, support.high} & depends)
    else:
        moves = "score" not in family.strategies and any(p in depends for p in params)
    if moves:
        return [Jump(node, f"the density of '{site.name}', whose support {family.name} moves with it")]
    if value in depends and not _is_choice(value, outside) and support is not None:
        ends = [b for b in (support.low, support.high) if isinstance(b, Node)]
        inside = not ends and ranges[value].within(Interval(support.low, support.high))  # type: ignore[arg-type]
        if not inside:
            return [
                Jump(
                    node, f"the density of '{site.name}' ({family.name}), which ends where {support.words} do"
                )
            ]
    return []


_PIECES = {
    "plate_slice",
    "plate_stack",
    "take",
    "select",
    "slice",
    "reshape",
    "permute",
    "expand",
    "flip",
    "detach",
}


def _is_choice(value: Node, outside: Outside) -> bool:
    """A random choice itself, or a piece of one: its support was compared with the model's. In a branch that is not
    taken it may be a constant.
    """
    waiting, seen = [(value, outside)], set()
    while waiting:
        node, at = waiting.pop()
        if node in seen or node.op in ("sample", "full", "constant"):
            continue
        seen.add(node)
        if node.op == "item" and node.nodes[0].op in ("scan", "switch"):
            waiting.extend(_results(node.nodes[0], node.attr("index"), at))
        elif node.op in _PIECES or node.op == "cat":
            waiting.extend((n, at) for n in node.nodes[: None if node.op == "cat" else 1])
        elif node.op == "input":
            waiting.extend(at.get(node, []))
        else:
            return False
    return True


def _results(node: Node, index: int, outside: Outside) -> list[tuple[Node, Outside]]:
    """What an output of a region is, in each of its bodies."""
    k = node.attr("carries") if node.op == "scan" else 0
    found = []
    for body, _ in bodies_of(node):
        inner = inputs_of(node, body, outside)
        last = len(body.outputs)
        found.append((body.outputs[index] if index < last else body.inputs[index - last], inner))
    return found + [(n, outside) for n in node.nodes[index : index + 1] if index < k]


def inputs_of(node: Node, body: Graph, outside: Outside | None = None) -> Outside:
    """What the inputs of a region's body are: operands, and the carries of the step before."""
    inner: dict[Node, list[tuple[Node, Outside]]] = {}
    for i, o in zip(body.inputs, node.nodes if node.op == "scan" else node.nodes[1:], strict=True):
        inner[i] = [(o, outside or {})]
    if node.op == "scan":
        for c, out in zip(body.inputs, body.outputs[: node.attr("carries")], strict=False):
            inner[c].append((out, inner))
    return inner


def _in_region(
    node: Node, depends: set[Node], passes: Passes, ranges: Ranges, outside: Outside
) -> list[Jump]:
    """Jumps inside the bodies."""
    found: list[Jump] = []
    if node.op == "switch" and node.nodes[0] in depends:
        found.append(Jump(node, "the branch taken by it"))
    for (body, inputs), inner in zip(bodies_of(node), ranges.inside(node), strict=True):
        seeds = [i for i, outer in inputs if outer in depends]
        reached = reached_inside(node, body, seeds, passes)
        entered = [*seeds, *(i for i in body.inputs if i in reached)]
        found.extend(jumps(body.outputs, entered, passes, inner, inputs_of(node, body, outside)))
    return found


def reached_inside(region: Node, body: Graph, seeds: Iterable[Node], passes: Passes) -> set[Node]:
    """What depends on the seeds inside a body, a carry that depends on them once depending always."""
    order = topological((*body.outputs, *body.effects))
    carries = region.attr("carries") if region.op == "scan" else 0
    entered = set(seeds)
    while True:
        reached = dependents(order, entered, passes)
        more = {
            i for i, o in zip(body.inputs[:carries], body.outputs, strict=False) if o in reached
        } - entered
        if not more:
            return reached
        entered |= more


def bodies_of(region: Node) -> list[tuple[Graph, list[tuple[Node, Node]]]]:
    """Each body with its inputs beside what they are outside."""
    outer = region.nodes if region.op == "scan" else region.nodes[1:]
    return [(b, list(zip(b.inputs, outer, strict=True))) for b in bodies(region)]
