"""Credit assignment: of an objective's terms, those that a random choice can influence.

For a choice x with density q, E[∇ log q(x) · t] = 0 for every term t that does not depend on x. So its score
is multiplied by the other terms only; and where x stands in a plate and a term's element depends on that
element of x alone, by that element only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ppl.compiler.graph import Node, Plate, substitute, topological
from ppl.compiler.ops import make, plate_index, plate_sum
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import add, div, mul, sub, where
from ppl.compiler.passes.differentiate import materialise

Seeds = Mapping[Node, frozenset[Plate]]
"""Values of a choice, and the plates each element of which has a value of its own."""


def elementwise(order: Sequence[Node], seeds: Seeds) -> dict[Node, frozenset[Plate]]:
    """Of the nodes that depend on the seeds: the plates along which an element depends on its own one only."""
    status: dict[Node, frozenset[Plate]] = dict(seeds)
    for node in order:
        if node in status:
            continue
        found = [status[a] for a in node.nodes if a in status]
        if found:
            kept = frozenset.intersection(*found)
            status[node] = kept & frozenset(node.plates)
    return status


def credit(root: Node, seeds: Seeds) -> Operand:
    """The part of `root` that depends on the seeds, over the plates along which it does so element by element.

    Each element has all terms that it can influence, so what several elements influence stands in each of them: it is
    the factor of an element's score, and not to be differentiated. Seeds without plates give every term once.
    """
    order = topological([root])
    status = elementwise(order, seeds)
    if root not in status:
        return 0.0
    skeleton = _skeleton(root, status)
    parts: dict[Node, Operand] = {}
    for node in order:
        if node in skeleton:
            parts[node] = _part(node, parts, status)
    return parts[root]


def terms(root: Node, seeds: Seeds) -> list[Node]:
    """The terms that depend on the seeds and are not themselves sums."""
    status = elementwise(topological([root]), seeds)
    if root not in status:
        return []
    skeleton = _skeleton(root, status)
    return [n for n in skeleton if not any(a in skeleton for a in n.nodes)]


def _skeleton(root: Node, status: Mapping[Node, frozenset[Plate]]) -> dict[Node, None]:
    """The nodes from the root down to where it stops being linear."""
    found: dict[Node, None] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found[node] = None
        if _is_linear(node, status):
            waiting.extend(a for a in node.nodes if a in status)
    return found


def _is_linear(node: Node, status: Mapping[Node, frozenset[Plate]]) -> bool:
    inside = [i for i, a in enumerate(node.args) if isinstance(a, Node) and a in status]
    if node.op == "mul":
        return len(inside) == 1
    if node.op == "div":
        return inside == [0]
    return node.op in ("add", "sub", "neg", "sum", "plate_sum")


def _part(node: Node, parts: Mapping[Node, Operand], status: Mapping[Node, frozenset[Plate]]) -> Operand:
    if not _is_linear(node, status):
        return node
    own: list[Operand] = [(parts[a] if isinstance(a, Node) and a in status else 0.0) for a in node.args]
    if node.op == "add":
        return add(own[0], own[1])
    if node.op == "sub":
        return sub(own[0], own[1])
    if node.op == "neg":
        return mul(own[0], -1.0)
    if node.op == "mul":
        a, b = node.args
        return mul(own[0], b) if isinstance(a, Node) and a in status else mul(a, own[1])
    if node.op == "div":
        return div(own[0], node.args[1])
    arg = node.nodes[0]
    part = own[0]
    if node.op == "sum":
        return node if part is arg else make("sum", materialise(part, arg), **dict(node.attrs))
    plate: Plate = node.attr("plate")
    return part if plate in status[arg] else plate_sum(part, plate)


def leave_one_out(reward: Node, seeds: Seeds, plate: Plate) -> Node | None:
    """For each element of `plate`, `reward` with what depends on its seeds replaced: a term that is the element's own by
    the mean of the others', and where elements meet, the element's contribution by that mean.

    It does not depend on that element's seeds, so it is a baseline for them (Mnih & Rezende, "Variational inference
    for Monte Carlo objectives", 2016, where the elements are log weights). None where elements meet in a way that
    can't be told apart.
    """
    order = topological([reward])
    status = elementwise(order, seeds)
    if plate in status.get(reward, ()):
        return others_mean(reward, plate)
    own = [t for t in terms(reward, seeds) if plate in status[t]]
    meetings = [
        n
        for n in order
        if n.op in ("plate_stack", "plate_sum")
        and n.attr("plate") == plate
        and plate in status.get(n.nodes[0], ())
    ]
    # Behind a meeting the plate's elements are counted from the outside, and must not be gone through once more.
    beyond = elementwise(order, {m: frozenset() for m in meetings})
    if any(_goes_through(n, plate) for n in beyond if n not in meetings):
        return None
    memo = {t: others_mean(t, plate) for t in own} | {m: _without_own(m, plate) for m in meetings}
    new = substitute([reward], memo)[0]
    return new if plate in new.plates else None


def _goes_through(node: Node, plate: Plate) -> bool:
    """Whether a node does something with the elements of the plate, for all that is known."""
    return node.op in ("sample", "scan", "switch") or node.attr("plate") == plate


def others_mean(x: Node, plate: Plate) -> Node:
    """For each element of the plate, the mean of the others' x."""
    total = plate_sum(x, plate)
    return make("div", sub(total, x), float(plate.size - 1))  # type: ignore[arg-type]


def _without_own(meeting: Node, plate: Plate) -> Node:
    x = meeting.nodes[0]
    mean = others_mean(x, plate)
    if meeting.op == "plate_sum":
        return make("add", sub(meeting, x), mean)  # type: ignore[arg-type]
    index = make("iota", size=plate.size, step=1)
    own = make("eq", index, plate_index(plate))
    if x.shape:
        own = make("reshape", own, shape=(plate.size, *(1 for _ in x.shape)))
    return where(own, mean, meeting)
