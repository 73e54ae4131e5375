"""Variable elimination: expectations over enumerated choices, term by term.

A term depends on some of the choices; the weights of these and of the choices they depend on are multiplied
in, and one choice after another is summed out. Messages are shared between terms, as equal nodes are one node.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ppl.compiler.graph import Node, Plate
from ppl.compiler.ops import full, make, plate_sum
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import mul, neg
from ppl.errors import MethodError

LIMIT = 2**20
"""Up to so many combinations of values are visited for one term."""


class Combinations(MethodError):
    """A term depends on so many choices that their combinations are too many. `choices` are their names."""

    def __init__(self, plates: Iterable[Plate], count: int) -> None:
        self.choices = tuple(p.name.removeprefix(VALUES) for p in plates)
        shown = [f"'{c}'" for c in self.choices[:6]]
        super().__init__(
            f"a term of the objective depends on {', '.join(shown)}{' and others' if len(self.choices) > 6 else ''}"
            f" together, which have {count:.3g} combinations of values",
            site=self.choices[0],
            expected=f"at most {LIMIT:,} combinations in a term: choices that meet in sums, or a chain",
            found=f"{len(self.choices)} enumerated choices in one term",
            edit='grad="score"',
        )


VALUES = "values of "
"""The name of a plate over a choice's values is this and the choice's name."""


def expectation(root: Node, weights: Mapping[Plate, Node], limit: int = LIMIT) -> Node:
    """E[root] over the enumerated choices, as a node without the plates of their values.

    Raises:
        Combinations: a term has more than `limit` combinations of values.
    """
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
        memo[node] = _combined(node, parts, memo, weights, limit)
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
    node: Node, parts: list[Node], memo: Mapping[Node, Operand], weights: Mapping[Plate, Node], limit: int
) -> Operand:
    if not parts:
        return summed(node, weights, limit)
    new = [memo.get(a, a) if isinstance(a, Node) and a in parts else a for a in node.args]
    if node.op == "neg":
        return neg(new[0])
    if node.op == "plate_sum":
        return plate_sum(new[0], node.attr("plate"))
    return make(node.op, *new, **dict(node.attrs))


def summed(term: Node, weights: Mapping[Plate, Node], limit: int = LIMIT) -> Operand:
    """Σ over the enumerated values of (weights of the choices the term depends on) × term."""
    own = [p for p in weights if p in term.plates]
    needed: dict[Plate, None] = {}
    waiting = list(own)
    while waiting:
        plate = waiting.pop()
        if plate not in needed:
            needed[plate] = None
            waiting.extend(p for p in weights[plate].plates if p in weights)
    factors: list[Node] = [weights[p] for p in weights if p in needed]
    # Choices the term does not itself depend on go first, in program order: their messages serve other terms.
    for plate in [p for p in weights if p in needed and p not in own]:
        factors = _eliminated(factors, plate, weights, limit)
    factors.append(term)
    for plate in reversed([p for p in weights if p in own]):
        factors = _eliminated(factors, plate, weights, limit)
    result: Operand = 1.0
    for factor in factors:
        result = mul(factor, result)
    return result


def _eliminated(factors: list[Node], plate: Plate, weights: Mapping[Plate, Node], limit: int) -> list[Node]:
    touched = [f for f in factors if plate in f.plates]
    meeting = {p for f in touched for p in f.plates if p in weights}
    count = math.prod(p.size for p in meeting)
    if count > limit:
        raise Combinations(sorted(meeting), count)
    product: Operand = 1.0
    for factor in touched:
        product = mul(factor, product)
    message = plate_sum(product, plate)
    rest = [f for f in factors if plate not in f.plates]
    return [*rest, message] if isinstance(message, Node) else rest
