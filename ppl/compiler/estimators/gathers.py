"""Arithmetic on gathered numbers as arithmetic on the elements: `(3 * gather(x)).sum()` is a sum over the plate of
3 x. So credit is assigned element by element.
"""

from __future__ import annotations

from ppl.compiler.graph import Graph, Node, Plate, substitute
from ppl.compiler.ops import OPERATORS, make, plate_slice, plate_stack, plate_sum
from ppl.compiler.ops.core import Operand


def flat_sums(graph: Graph) -> Graph:
    """The graph with its pointwise operators and sums inside `plate_stack` where that is possible."""
    memo: dict[Node, Node] = {n: n for n in graph.inputs}
    outputs = substitute(graph.outputs, memo, _by_element)
    effects = substitute(graph.effects, memo, _by_element)
    return Graph(graph.inputs, tuple(outputs), tuple(effects), graph.names)


def _by_element(node: Node, args: tuple[Operand, ...]) -> Node | None:
    plate = next((p for a in args if (p := _gathered(a)) is not None), None)
    if plate is None:
        return None
    if node.op == "sum" and not node.attr("keepdim"):
        return _sum(args[0].nodes[0], node.attr("dims"), plate)  # type: ignore[union-attr]
    if OPERATORS[node.op].kind not in ("pointwise", "cast") or plate in node.plates:
        return None  # in a loop over the plate again, an operand's own element is not the gathered one
    elements: list[Operand] = []
    for a in args:
        if not isinstance(a, Node) or a.shape == ():
            elements.append(a)
        elif a.shape != node.shape:
            return None
        else:
            elements.append(a.nodes[0] if _gathered(a) == plate else plate_slice(a, plate))
    return plate_stack(_again(make(node.op, *elements, mark=node.mark, **dict(node.attrs))), plate)


def _sum(x: Node, dims: tuple[int, ...], plate: Plate) -> Node | None:
    """The sum of `plate_stack(x)` over some of its axes, all negative, of which the plate's is the first."""
    first = -1 - len(x.shape)
    rest = tuple(d for d in dims if d != first)
    part = _again(make("sum", x, dims=rest, keepdim=False)) if rest else x
    total = plate_sum(part, plate) if first in dims else plate_stack(part, plate)
    return total if isinstance(total, Node) else None


def _again(node: Node) -> Node:
    """A new node may itself be about gathered numbers of an inner plate."""
    return _by_element(node, node.args) or node


def _gathered(a: Operand) -> Plate | None:
    """The plate whose elements `a` holds along its first axis."""
    if isinstance(a, Node) and a.op == "plate_stack":
        plate: Plate = a.attr("plate")
        return plate if plate in a.nodes[0].plates else None
    return None
