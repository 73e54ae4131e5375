"""Variable elimination: expectations over enumerated choices, term by term.

A term depends on some of the choices; the weights of these and of the choices they depend on are multiplied
in, and one choice after another is summed out. Messages are shared between terms, as equal nodes are one node.
"""

from __future__ import annotations

from collections.abc import Mapping

from ppl.compiler.graph import Node, Plate
from ppl.compiler.ops import full, make, plate_sum
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import mul, neg


def expectation(root: Node, weights: Mapping[Plate, Node]) -> Node:
    """E[root] over the enumerated choices, as a node without the plates of their values."""
    memo: dict[Node, Operand] = {}
    waiting = [root]
    while waiting:
        node = waiting[-1]
        if node in memo:
            waiting.pop()
            continue
        parts = _parts(node, weights)
        missing = [p for p in parts if p not in memo]
        if missing:
            waiting.extend(missing)
            continue
        memo[node] = _combined(node, parts, memo, weights)
        waiting.pop()
    result = memo[root]
    return result if isinstance(result, Node) else full(result, root.shape, root.dtype)


def _parts(node: Node, weights: Mapping[Plate, Node]) -> list[Node]:
    """The operands whose expectations make up that of the node; none for a term."""
    if not _open(node, weights):
        return []
    if node.op in ("add", "sub", "neg", "sum", "plate_sum"):
        return list(node.nodes)
    if node.op in ("mul", "div"):
        varying = [a for a in node.nodes if _open(a, weights)]
        if len(varying) == 1 and (node.op == "mul" or node.args[0] is varying[0]):
            return varying
    return []


def _open(node: Node, weights: Mapping[Plate, Node]) -> bool:
    return any(p in weights for p in node.plates)


def _combined(
    node: Node, parts: list[Node], memo: Mapping[Node, Operand], weights: Mapping[Plate, Node]
) -> Operand:
    if not parts:
        return summed(node, weights)
    new = [memo.get(a, a) if isinstance(a, Node) and a in parts else a for a in node.args]
    if node.op == "neg":
        return neg(new[0])
    if node.op == "plate_sum":
        return plate_sum(new[0], node.attr("plate"))
    return make(node.op, *new, **dict(node.attrs))


def summed(term: Node, weights: Mapping[Plate, Node]) -> Operand:
    """Σ over the enumerated values of (weights of the choices the term depends on) × term."""
    own = [p for p in weights if p in term.plates]
    needed: dict[Plate, None] = {}
    waiting = list(own)
    while waiting:
        plate = waiting.pop()
        if plate not in needed:
            needed[plate] = None
            waiting.extend(p for p in weights if p in weights[plate].plates)
    factors: list[Node] = [weights[p] for p in weights if p in needed]
    # Choices the term does not itself depend on go first, in program order: their messages serve other terms.
    for plate in [p for p in weights if p in needed and p not in own]:
        factors = _eliminated(factors, plate)
    factors.append(term)
    for plate in reversed([p for p in weights if p in own]):
        factors = _eliminated(factors, plate)
    result: Operand = 1.0
    for factor in factors:
        result = mul(factor, result)
    return result


def _eliminated(factors: list[Node], plate: Plate) -> list[Node]:
    touched = [f for f in factors if plate in f.plates]
    product: Operand = 1.0
    for factor in touched:
        product = mul(factor, product)
    message = plate_sum(product, plate)
    rest = [f for f in factors if plate not in f.plates]
    return [*rest, message] if isinstance(message, Node) else rest
