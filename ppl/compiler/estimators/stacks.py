"""Values of all steps of a loop as a vector over time, `[step, *element]`, that is known step by step.

Arithmetic on it becomes arithmetic on the steps, and its sum a sum of the steps, the last ones innermost: so the
sum of the steps from the t-th on is one node, which the credit of all choices of earlier steps shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppl.compiler.graph import Node
from ppl.compiler.ops import OPERATORS, full, make
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import add, mul
from ppl.compiler.ops.shapes import reshape_node


class Stacks:
    """Nodes known step by step."""

    def __init__(self) -> None:
        self._steps: dict[Node, tuple[Node, ...]] = {}

    def __contains__(self, x: object) -> bool:
        return x in self._steps

    def of(self, steps: Sequence[Node]) -> Node:
        """All steps along a new first axis."""
        rank = len(steps[0].shape)
        rows = [reshape_node(s, (1, *s.shape)) for s in steps]
        node = rows[0] if len(rows) == 1 else make("cat", *rows, dim=-1 - rank)
        self._steps[node] = tuple(steps)
        return node

    def step(self, x: Node, t: int) -> Node:
        """`x[t]`."""
        if x in self._steps:
            return self._steps[x][t]
        if x.op == "full":
            return full(x.attr("value"), x.shape[1:], x.dtype)
        if x.op == "iota":
            return full(t * x.attr("step"), (), x.dtype)
        return make("select", x, dim=-len(x.shape), index=t)

    def apart(self, node: Node, args: tuple[Operand, ...]) -> Node | None:
        """`node` on these arguments, computed step by step; None where that is not known."""
        known = [a for a in args if isinstance(a, Node) and a in self._steps]
        if not known or node.outs is not None:
            return None
        rule = getattr(self, f"_{node.op}", None)
        if OPERATORS[node.op].kind in ("pointwise", "cast"):
            return self._pointwise(node, args)
        return rule(args, **dict(node.attrs)) if rule is not None else None

    # ------------------------------------------------------------ operators

    def _pointwise(self, node: Node, args: tuple[Operand, ...]) -> Node | None:
        rank = len(node.shape)
        steps = node.shape[0]
        columns = [self._column(a, rank, steps) for a in args]
        attrs = dict(node.attrs)
        return self.of([make(node.op, *row, mark=node.mark, **attrs) for row in zip(*columns, strict=True)])

    def _column(self, a: Operand, rank: int, steps: int) -> list[Operand]:
        """An operand, step by step."""
        if not isinstance(a, Node) or len(a.shape) < rank:
            return [a] * steps
        return [self.step(a, t if a.shape[0] == steps else 0) for t in range(steps)]

    def _density(self, args: tuple[Operand, ...], site: Any) -> Node | None:
        first = args[0]
        if not isinstance(first, Node) or first not in self._steps:
            return None
        return self.of([make("density", s, *args[1:], site=site) for s in self._steps[first]])

    def _continuous(self, args: tuple[Operand, ...]) -> Node:
        return self.of([make("continuous", s) for s in self._all(args)])

    def _sum(self, args: tuple[Operand, ...], dims: tuple[int, ...], keepdim: bool) -> Node | None:
        steps = self._all(args)
        first = -1 - len(steps[0].shape)
        rest = tuple(d for d in dims if d != first)
        if keepdim:
            return None
        parts = [make("sum", s, dims=rest, keepdim=False) for s in steps] if rest else list(steps)
        return total(parts) if first in dims else self.of(parts)

    def _select(self, args: tuple[Operand, ...], dim: int, index: int) -> Node:
        steps = self._all(args)
        if dim == -1 - len(steps[0].shape):
            return steps[index]
        return self.of([make("select", s, dim=dim, index=index) for s in steps])

    def _slice(self, args: tuple[Operand, ...], dim: int, start: int, stop: int, step: int) -> Node | None:
        steps = self._all(args)
        if dim != -1 - len(steps[0].shape):
            return self.of([make("slice", s, dim=dim, start=start, stop=stop, step=step) for s in steps])
        kept = steps[start:stop:step]
        return self.of(kept) if kept else None

    def _flip(self, args: tuple[Operand, ...], dims: tuple[int, ...]) -> Node | None:
        steps = self._all(args)
        return self.of(steps[::-1]) if tuple(dims) == (-1 - len(steps[0].shape),) else None

    def _cat(self, args: tuple[Operand, ...], dim: int) -> Node | None:
        nodes = [a for a in args if isinstance(a, Node)]
        if dim != -len(nodes[0].shape):
            return None
        return self.of([self.step(n, t) for n in nodes for t in range(n.shape[0])])

    def _reshape(self, args: tuple[Operand, ...], shape: tuple[int, ...]) -> Node | None:
        steps = self._all(args)
        if shape and shape[0] == len(steps) and len(steps) > 1:
            return self.of([reshape_node(s, shape[1:]) for s in steps])
        return None

    def _matmul(self, args: tuple[Operand, ...]) -> Node | None:
        """The product of two vectors over time."""
        a, b = args
        if not (isinstance(a, Node) and isinstance(b, Node)) or len(a.shape) != 1 or len(b.shape) != 1:
            return None
        products = [mul(self.step(a, t), self.step(b, t)) for t in range(a.shape[0])]
        return total(products)

    def _all(self, args: tuple[Operand, ...]) -> tuple[Node, ...]:
        node = args[0]
        assert isinstance(node, Node)
        return self._steps[node]


def total(parts: Sequence[Operand]) -> Node:
    """The sum of the parts, the last ones innermost."""
    result: Operand = 0.0
    for part in reversed(parts):
        result = add(part, result)
    assert isinstance(result, Node)
    return result


__all__ = ["Stacks", "total"]
