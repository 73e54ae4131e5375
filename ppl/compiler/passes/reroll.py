"""Loops that were unrolled when a program was recorded become loops again.

A Python `for` leaves N look-alike terms in the log density, N look-alike pieces of a vector, or a value
computed through N look-alike steps. The terms become one `plate_sum` of one expression, the pieces one
`plate_stack`, the steps one `scan`, so that what follows (derivatives, loops, machine code) costs what one
step costs. The method is that of loop rerolling in compilers (Rocha et al. 2022, "Loop rolling for code size
reduction"), on expressions instead of instructions: align look-alikes lane by lane from their results down;
what differs is stacked, and a column that is another one shifted by a lane is a value carried from step to
step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from ppl.compiler.graph import Graph, Node, bodies, substitute
from ppl.compiler.ops import Scan, make, plate_sum, scan, switch
from ppl.compiler.ops.batching import move_axis, reshape
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import add, sub
from ppl.compiler.passes.reroll_alike import DEPTH, MIN, Lanes, LookAlikes, Ordered, Refused
from ppl.compiler.passes.reroll_chains import LOOP, chains
from ppl.compiler.passes.reroll_columns import Rolls

_ROUNDS = 6  # loops inside loops inside loops
_OUTLINE = 3  # levels at which a first look compares terms

Term = tuple[int, Operand]
"""A sign, and what is added."""


def reroll(graph: Graph) -> Graph:
    """The same function with its unrolled loops rolled up; `graph` itself if there are none, or effects.

    Args:
        graph: any graph, best before algebra simplifies its steps each in its own way.

    >>> import torch
    >>> from ppl.compiler.ops import make_input
    >>> x = make_input("x", (100,), torch.float64)
    >>> total = make("exp", make("select", x, dim=-1, index=0))
    >>> for i in range(1, 100):
    ...     total = make("add", total, make("exp", make("select", x, dim=-1, index=i)))
    >>> print(reroll(Graph((x,), (total,))))
    graph(%x.0: f64[100]):
      %0: f64[]@loop0:100 = plate_slice(%x.0, plate=loop0:100)
      %1: f64[]@loop0:100 = exp(%0)
      %2: f64[] = plate_sum(%1, plate=loop0:100)
      return %2
    """
    if graph.effects:
        return graph
    start = rolled = _regions(Ordered(graph))
    looks = LookAlikes()
    for _ in range(_ROUNDS):
        before = rolled
        rolled = chains(_sums_and_stacks(before, looks), looks)
        if rolled is before:
            break
    return start.graph if rolled is start or rolled.weight >= start.weight else rolled.graph


def loops(graph: Graph) -> list[str]:
    """What was rolled up in a graph, in words: "loop of 100", "recurrence of 50 steps"."""
    found: dict[str, None] = {}
    for node in graph.nodes():
        found |= {f"loop of {p.size}": None for p in node.plates if p.depth >= DEPTH}
        if node.op == "scan" and node.attr("name") == LOOP:
            found[f"recurrence of {node.attr('length')} steps"] = None
        for body in bodies(node):
            found |= dict.fromkeys(loops(body))
    return list(found)


def _regions(ordered: Ordered) -> Ordered:
    """The graph with the bodies of its regions rerolled."""
    new: dict[Node, tuple[Graph, ...]] = {}
    for node in ordered.nodes:
        if node.op not in ("scan", "switch"):
            continue
        before = bodies(node)
        after = tuple(reroll(b) for b in before)
        if any(a is not b for a, b in zip(after, before, strict=True)):
            new[node] = after
    if not new:
        return ordered

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node not in new:
            return None
        nodes = [a for a in args if isinstance(a, Node)]
        if node.op == "switch":
            return switch(new[node], nodes[0], nodes[1:], node.attr("name"))
        s = Scan.of(node)
        k, m = len(s.init), len(s.xs)
        return scan(new[node][0], nodes[:k], nodes[k : k + m], nodes[k + m :], s.length, s.reverse, s.name)

    return ordered.with_outputs(substitute(ordered.graph.outputs, {}, visit))


# ---------------------------------------------------------------- sums of terms, vectors of pieces


def _sums_and_stacks(ordered: Ordered, looks: LookAlikes) -> Ordered:
    """Sums of look-alike terms as sums over a plate, vectors of look-alike pieces as values over one."""
    sums = dict(_repetitive_sums(ordered, looks))
    stacks = [n for n in ordered.nodes if n.op == "cat" and _may_repeat(n.nodes, looks)]
    if not sums and not stacks:
        return ordered
    looks.number(ordered.nodes)
    rolls = Rolls(looks, ordered.free_level)
    memo: dict[Node, Node] = {}
    for node in (*stacks, *sums):  # inner sums first
        new = _sum(node, sums[node], rolls) if node in sums else _stack(node, rolls)
        if new is not None:
            memo[node] = substitute([new], memo)[0]
    return ordered.with_outputs(substitute(ordered.graph.outputs, memo)) if memo else ordered


def _repetitive_sums(ordered: Ordered, looks: LookAlikes) -> Iterator[tuple[Node, list[Term]]]:
    for root in ordered.additive:
        if root not in ordered.inside:
            terms = _terms(root, ordered.inside)
            if _may_repeat([t for _, t in terms if isinstance(t, Node)], looks):
                yield root, terms


def _may_repeat(nodes: Lanes | list[Node], looks: LookAlikes) -> bool:
    """Whether enough of them have one outline."""
    if len(nodes) < MIN:
        return False
    return all(_most_common([looks.outline(n, d) for n in nodes]) >= MIN for d in range(_OUTLINE + 1))


def _most_common(found: list[object]) -> int:
    return max(Counter(found).values())


# ---------------------------------------------------------------- sums


def _terms(root: Node, inside: set[Node]) -> list[Term]:
    """The terms of a tree of `add`, `sub` and `neg`, in the order they are written."""
    terms: list[Term] = []
    stack: list[Term] = [(1, root)]
    while stack:
        sign, node = stack.pop()
        if not isinstance(node, Node) or (node not in inside and node is not root):
            terms.append((sign, node))
        elif node.op == "add":
            stack += [(sign, node.args[1]), (sign, node.args[0])]
        elif node.op == "sub":
            stack += [(-sign, node.args[1]), (sign, node.args[0])]
        else:
            stack.append((-sign, node.args[0]))
    return terms


def _sum(root: Node, terms: list[Term], rolls: Rolls) -> Node | None:
    """The sum with its look-alike terms rolled up; None if it has none."""
    groups: dict[object, list[Node]] = {}
    rest: list[Term] = []
    for sign, term in terms:
        if isinstance(term, Node) and term.dtype == root.dtype:
            groups.setdefault((sign, rolls.looks.whole(term)), []).append(term)
        else:
            rest.append((sign, term))
    rolled: list[Term] = []
    for (sign, _), group in groups.items():  # type: ignore[misc]
        total = _plate_sum(tuple(group), rolls)
        if total is None:
            rest += [(sign, term) for term in group]
        else:
            rolled.append((sign, total))
    if not rolled:
        return None
    result: Operand = 0.0
    for sign, term in rest + rolled:
        result = sub(result, term) if sign < 0 else add(result, term)
    fits = isinstance(result, Node) and (result.type, result.plates) == (root.type, root.plates)
    return result if fits else None  # type: ignore[return-value]


def _plate_sum(lanes: Lanes, rolls: Rolls) -> Operand | None:
    if len(lanes) < MIN:
        return None
    try:
        roll = rolls.of(len(lanes))
        return plate_sum(roll.value(lanes), roll.plate)
    except Refused:
        return None


# ---------------------------------------------------------------- vectors of pieces


def _stack(node: Node, rolls: Rolls) -> Node | None:
    """A `cat` with its runs of look-alike pieces rolled up; None if it has none."""
    dim = node.attr("dim")
    parts: list[Node] = []
    for _, group in groupby(node.nodes, rolls.looks.whole):
        pieces = tuple(group)
        together = _together(pieces, dim, rolls)
        parts += pieces if together is None else [together]
    if len(parts) == len(node.args):
        return None
    new = make("cat", *parts, dim=dim) if len(parts) > 1 else parts[0]
    return new if (new.type, new.plates) == (node.type, node.plates) and new is not node else None


def _together(pieces: Lanes, dim: int, rolls: Rolls) -> Node | None:
    """Look-alike pieces along an axis, as one node."""
    if len(pieces) < MIN or _is_data(pieces[0]):
        return None
    shape = pieces[0].shape
    axis = len(shape) + dim
    if axis == 0 and pieces[0].op == "reshape":
        pieces = tuple(p.nodes[0] for p in pieces)
    try:
        stack = rolls.of(len(pieces)).stack(pieces)
    except Refused:
        return None
    merged = (*shape[:axis], len(pieces) * shape[axis], *shape[axis + 1 :])
    return reshape(move_axis(stack, 0, axis), merged)


def _is_data(node: Node) -> bool:
    while node.op == "reshape":
        node = node.nodes[0]
    return node.op == "input"


__all__ = ["loops", "reroll"]
