"""How values flow to an objective: what depends on a random choice, and where a path to it jumps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ppl.compiler.estimators.supports import region
from ppl.compiler.graph import Graph, Node, bodies, topological
from ppl.compiler.ops import OPERATORS
from ppl.compiler.ops.barriers import BARRIERS
from ppl.compiler.ops.effects import EFFECTS, Site
from ppl.compiler.ops.surrogates import visible
from ppl.distributions import family_of

Passes = Callable[[Node], bool]
"""Whether a value passes through a random choice whose parameters depend on it (a pathwise one)."""


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


def jumps(roots: Sequence[Node], seeds: Iterable[Node], passes: Passes) -> list[Jump]:
    """Where the roots are not continuous functions of the seeds."""
    order = topological(roots)
    depends = dependents(order, seeds, passes)
    visible = _visible(roots)
    found: list[Jump] = []
    for node in order:
        if node in visible and node in depends and node not in set(seeds):
            found.extend(_at(node, depends, passes))
    return found


def _visible(roots: Sequence[Node]) -> set[Node]:
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
        return visible(node)
    return node.nodes[1:] if node.op in BARRIERS else node.nodes


def _at(node: Node, depends: set[Node], passes: Passes) -> list[Jump]:
    if node.op == "density":
        return _in_density(node, depends)
    if node.op in ("continuous", "surrogate", *EFFECTS):
        return []
    if node.op == "black_box":
        name, step = node.attr("name"), node.attr("step")
        return [] if step is not None else [Jump(node, f"the black box '{name}', for all that is known,")]
    if node.op in ("scan", "switch"):
        return _in_region(node, depends, passes)
    operator = OPERATORS[node.op]
    if node.op == "where" and node.nodes[0] not in depends and node.is_float:
        return []  # the same branch for all its values
    if operator.smooth == "jump" or (node.outs is None and not node.is_float):
        return [Jump(node, f"`{_WORDS.get(node.op, node.op)}` of it")]
    return []


_WORDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!=", "to": "a whole number made"}


def _in_density(node: Node, depends: set[Node]) -> list[Jump]:
    site: Site = node.attr("site")
    value, params = node.nodes[1], node.nodes[2:]
    family = family_of(site.spec.cls)
    moves = "score" not in family.strategies and not family.discrete and not family.atoms
    if moves and any(p in depends for p in params):
        return [Jump(node, f"the density of '{site.name}', whose support {family.name} moves with it")]
    if value in depends and not _is_choice(value):
        support = region(site.spec, params)
        if support is not None and not support.unbounded:
            return [
                Jump(
                    node, f"the density of '{site.name}' ({family.name}), which ends where {support.words} do"
                )
            ]
    return []


_PIECES = {"plate_slice", "plate_stack", "item", "take", "select", "slice", "reshape", "permute", "sample"}


def _is_choice(value: Node) -> bool:
    """A random choice itself, or a piece of one: its support was compared with the model's."""
    while value.op in _PIECES - {"sample"} and value.nodes:
        value = value.nodes[0]
    return value.op in ("sample", "scan", "switch", "input")


def _in_region(node: Node, depends: set[Node], passes: Passes) -> list[Jump]:
    """Jumps inside the bodies."""
    found: list[Jump] = []
    if node.op == "switch" and node.nodes[0] in depends:
        found.append(Jump(node, "the branch taken by it"))
    for body, inputs in bodies_of(node):
        seeds = [i for i, outer in inputs if outer in depends]
        reached = reached_inside(node, body, seeds, passes)
        found.extend(jumps(body.outputs, [*seeds, *(i for i in body.inputs if i in reached)], passes))
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
