"""Variable elimination: expectations over enumerated choices, term by term.

A term depends on some of the choices; the weights of these and of the choices they depend on are multiplied
in, and one choice after another is summed out. Messages are shared between terms, as equal nodes are one node.

A choice in a plate has values of its own in each element, so its sum over the values stands inside any sum over
the plate: b · Σᵢ xᵢ is Σᵢ b xᵢ, where both depend on choices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ppl.compiler.graph import Node, Plate, topological
from ppl.compiler.ops import full, make, plate_sum
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import mul, neg
from ppl.errors import MethodError

LIMIT = 2**20
"""Up to so many combinations of values are visited for one term."""


class Combinations(MethodError):
    """All combinations of choices count, and these are too many or not known apart. `choices` are their names."""

    def __init__(self, plates: Iterable[Plate], why: str, expected: str, found: str) -> None:
        self.choices = tuple(p.name.removeprefix(VALUES) for p in plates)
        names = ", ".join(f"'{c}'" for c in self.choices[:6]) + (" …" if len(self.choices) > 6 else "")
        super().__init__(
            f"{names} can't be enumerated: {why}",
            site=self.choices[0],
            expected=expected,
            found=found,
            edit='grad="score"',
        )


VALUES = "values of "
"""The name of a plate over a choice's values is this and the choice's name."""


def expectation(root: Node, weights: Mapping[Plate, Node], limit: int = LIMIT) -> Node:
    """E[root] over the enumerated choices, as a node without the plates of their values.

    Args:
        root: the objective.
        weights: for the plate of each choice's values, their probabilities, in program order.
        limit: how many combinations of values a term may have.

    Raises:
        Combinations: a term has more, or elements of a choice's plate meet in it.
    """
    result = _Elimination(weights, limit).of(root)
    return result if isinstance(result, Node) else full(result, root.shape, root.dtype)


@dataclass
class _Elimination:
    weights: Mapping[Plate, Node]
    limit: int
    found: dict[Node, Operand] = field(default_factory=dict)
    met: dict[Node, frozenset[tuple[Plate, Plate]]] = field(default_factory=dict)

    def of(self, root: Node) -> Operand:
        """The expectation of a node, from those of its parts."""
        waiting = [root]
        while waiting:
            node = waiting[-1]
            if node in self.found:
                waiting.pop()
                continue
            parts = self._parts(node)
            missing = [p for p in parts if p not in self.found]
            if missing:
                waiting.extend(missing)
                continue
            self.found[node] = self._combined(node, parts)
            waiting.pop()
        return self.found[root]

    def _parts(self, node: Node) -> list[Node]:
        """The operands whose expectations make up that of the node; none for a term."""
        if not self._open(node):
            return []
        if node.op in ("add", "sub", "neg", "sum", "plate_sum"):
            return list(node.nodes)
        if node.op in ("mul", "div"):
            varying = [a for a in node.nodes if self._open(a)]
            if len(varying) == 1 and (node.op == "mul" or node.args[0] is varying[0]):
                return varying
            spread = self._spread(node)
            return [] if spread is None else [spread]
        return []

    def _open(self, node: Node) -> bool:
        return any(p in self.weights for p in node.plates)

    def _combined(self, node: Node, parts: list[Node]) -> Operand:
        if not parts:
            return self._summed(node)
        if parts[0] not in node.nodes:  # the same node, written otherwise
            return self.found[parts[0]]
        new = [self.found.get(a, a) if isinstance(a, Node) and a in parts else a for a in node.args]
        if node.op == "neg":
            return neg(new[0])
        if node.op == "plate_sum":
            return plate_sum(new[0], node.attr("plate"))
        return make(node.op, *new, **dict(node.attrs))

    # ------------------------------------------------------------ choices in plates

    def _meetings(self, node: Node) -> frozenset[tuple[Plate, Plate]]:
        """(a choice's values, a plate it stands in): those of which elements have met in the node."""
        for n in topological([node], self.met):
            met = set().union(*(self.met[a] for a in n.nodes))
            if n.op in ("plate_sum", "plate_stack"):
                plate = n.attr("plate")
                values = [p for p in n.nodes[0].plates if p in self.weights]
                met |= {(v, plate) for v in values if plate in self.weights[v].plates}
            self.met[n] = frozenset(met)
        return self.met[node]

    def _spread(self, node: Node) -> Node | None:
        """A product with a sum over a plate, as a sum of products; None where there is none."""
        if node.op != "mul" or len(node.nodes) != 2:
            return None
        for a, b in (node.nodes, node.nodes[::-1]):
            if self._meetings(a):
                return self._times(a, b)
        return None

    def _times(self, a: Node, b: Node) -> Node | None:
        """a b, with b inside the sums of a."""
        if not self._meetings(a):
            return make("mul", a, b)
        result: Operand | None = None
        if a.op == "plate_sum" and a.attr("plate") not in b.plates:
            inner = self._times(a.nodes[0], b)
            result = None if inner is None else plate_sum(inner, a.attr("plate"))
        elif a.op in ("add", "sub"):
            both = [mul(n, b) if not isinstance(n, Node) else self._times(n, b) for n in a.args]
            result = None if None in both else make(a.op, *both)  # type: ignore[arg-type]
        elif a.op in ("neg", "mul", "div"):
            varying = [i for i, n in enumerate(a.args) if isinstance(n, Node) and self._open(n)]
            if varying == [0] or (varying == [1] and a.op == "mul"):
                inner = self._times(a.args[varying[0]], b)  # type: ignore[arg-type]
                args = [inner if i in varying else n for i, n in enumerate(a.args)]
                result = None if inner is None else make(a.op, *args)  # type: ignore[arg-type]
        return result if isinstance(result, Node) else None

    # ------------------------------------------------------------ one term

    def _summed(self, term: Node) -> Operand:
        """Σ over the enumerated values of (weights of the choices the term depends on) × term."""
        weights = self.weights
        own = [p for p in weights if p in term.plates]
        met = sorted({v for v, _ in self._meetings(term) if v in term.plates})
        if met:
            raise Combinations(
                met,
                "elements of a plate meet in a function that is not a sum, so that all combinations count",
                "sums over the plate, by themselves or times what does not depend on such sums",
                "a product or function of sums over the plate",
            )
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
            factors = self._eliminated(factors, plate)
        factors.append(term)
        for plate in reversed([p for p in weights if p in own]):
            factors = self._eliminated(factors, plate)
        result: Operand = 1.0
        for factor in factors:
            result = mul(factor, result)
        return result

    def _eliminated(self, factors: list[Node], plate: Plate) -> list[Node]:
        touched = [f for f in factors if plate in f.plates]
        meeting = {p for f in touched for p in f.plates if p in self.weights}
        count = math.prod(p.size for p in meeting)
        if count > self.limit:
            raise Combinations(
                sorted(meeting),
                "a term of the objective depends on all of them together",
                f"at most {self.limit:,} combinations of values in a term: choices that meet in sums, or a chain",
                f"{count:.3g} combinations",
            )
        product: Operand = 1.0
        for factor in touched:
            product = mul(factor, product)
        message = plate_sum(product, plate)
        rest = [f for f in factors if plate not in f.plates]
        return [*rest, message] if isinstance(message, Node) else rest
