"""Trying a statement out: which roots it reads and where, in which order its loops should run.

A probe reads the statement's element at a symbolic point and throws the text away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from itertools import product

from ppl.compiler.engines.native.frame import Frame, concatenated, undecided
from ppl.compiler.engines.native.index import Index, linear
from ppl.compiler.engines.native.pointwise import EXPENSIVE, constant, kind_of
from ppl.compiler.engines.native.statements import STATEMENTS, Statement
from ppl.compiler.engines.native.writer import LITERAL, Value, Writer
from ppl.compiler.graph import Node, Scalar
from ppl.compiler.ops import OPERATORS

UNROLL = 8
"""Axes up to this size are written out where that settles which part of a concatenation is read."""

POINTS = 9
"""So many points of short axes are written out inside a long loop, which is then one straight run to vectorise."""


class _Unroll(Exception):
    def __init__(self, axis: int) -> None:
        self.axis = axis


class Probe(Frame):
    """A frame that notes what is read.

    Args:
        leaves: the inputs of the graph.
        roots: nodes known to be roots; the probe adds those it meets.
        blocks: operators run by blocks of their own (regions, factorisations).
        statement: what is tried.
    """

    def __init__(
        self, leaves: Callable[[Node], bool], roots: dict[Node, None], blocks: object, statement: Statement
    ) -> None:
        super().__init__(Writer(), {}, {})
        self.leaves, self.roots, self.blocks, self.statement = leaves, roots, blocks, statement
        self.axes = {f"d{d}": d for d in range(len(statement.extents))}
        for name, d in self.axes.items():
            self.writer.declare(name, statement.extents[d])
        self.largest: tuple[int, Index] = (0, Index())

    def read(self, node: Node | Scalar, idx: Sequence[Index]) -> Value:
        if not isinstance(node, Node):
            return constant(node)
        if node.op == "full":
            return super().read(node, idx)
        if node.op == "cat":
            if concatenated(self, node, idx) is not None:
                return self.compute(node, idx)
            self._settle(node, idx)
        elif node.op == "slice_embed" and undecided(self, node, idx):
            self._settle(node, idx)
        if node.op == "item":
            region = node.nodes[0]
            self.roots[region] = None
            self.statement.reads.append((region, tuple(idx)))
            return self._any(node)
        if node in self.roots or node.op in STATEMENTS or node.op in self.blocks:  # type: ignore[operator]
            self.roots[node] = None
            self.statement.reads.append((node, tuple(idx)))
            self._leaf(node, idx)
            return self._any(node)
        if self.leaves(node):
            self._leaf(node, idx)
            return self._any(node)
        if self._is_apart(node):
            self.roots[node] = None  # computed in a loop of its own, which vectorises
            self.statement.reads.append((node, tuple(idx)))
            return self._any(node)
        if node.op in EXPENSIVE and math.prod(node.shape) > 1:
            times, most = self._evaluations(idx), self._evaluations(None)
            if times >= 2 * math.prod(node.shape) or LITERAL < times < most:
                self.roots[node] = None
                self.statement.reads.append((node, tuple(idx)))
                return self._any(node)
            self.statement.costly.add(node)
        return super().read(node, idx)

    def _is_apart(self, node: Node) -> bool:
        """Whether what a scatter adds is computed before it."""
        s = self.statement
        if not (s.scatters and node.is_float and OPERATORS[node.op].kind == "pointwise"):
            return False
        return s.copies > 1 or is_costly(node, self.roots, self.leaves)

    def _any(self, node: Node) -> Value:
        return Value("v", kind_of(node.dtype))

    def _settle(self, node: Node, idx: Sequence[Index]) -> None:
        """Ask for an axis to be written out if it runs along the parts of a short concatenation."""
        for name, _ in idx[node.attr("dim") % len(idx)].terms:
            d = self.axes.get(name)
            if d is not None and self.statement.extents[d] <= UNROLL and not self.statement.by_columns:
                raise _Unroll(d)

    def _leaf(self, node: Node, idx: Sequence[Index]) -> None:
        size = math.prod(node.shape)
        if size > self.largest[0]:
            self.largest = (size, linear(idx, node.shape))

    def _evaluations(self, idx: Sequence[Index] | None) -> int:
        """How often the value is computed, if what does not change in an inner loop leaves it; without an index: how
        often what does change is.
        """
        loops = [1 if d in self.statement.unrolled else n for d, n in enumerate(self.statement.extents)]
        depth = len(loops) if idx is None else 0
        for index in idx or ():
            for name, _ in index.terms:
                depth = max(depth, self.axes.get(name, len(loops) - 1) + 1)
        return math.prod(loops[:depth])


def is_costly(node: Node, roots: Container[Node], leaves: Callable[[Node], bool]) -> bool:
    """Whether a value takes an operator worth storing, short of roots."""
    stack, seen = [node], set()
    while stack:
        n = stack.pop()
        if n in seen or n in roots or n.op in STATEMENTS or n.op == "item" or leaves(n):
            continue
        if n.op in EXPENSIVE and math.prod(n.shape) > 1:
            return True
        seen.add(n)
        stack += n.nodes
    return False


def probe(
    statement: Statement, leaves: Callable[[Node], bool], roots: dict[Node, None], blocks: object
) -> None:
    """Fill in what a statement reads, the order of its loops and the axes to write out."""
    if 0 in statement.extents:
        statement.reads, statement.costly = [], set()
        statement.order = tuple(d for d, n in enumerate(statement.extents) if n != 1)
        return
    statement.unrolled |= _short(statement)
    while True:
        statement.reads, statement.costly = [], set()
        trial = Probe(leaves, roots, blocks, statement)
        try:
            _run(trial, statement)
        except _Unroll as wish:
            statement.unrolled |= {wish.axis}
            continue
        statement.order = _order(statement, trial.largest[1], trial.axes)
        return


def _short(statement: Statement) -> frozenset[int]:
    """Short axes beside a long one, the shortest first, while their points are few."""
    chosen: set[int] = set()
    if max(statement.extents, default=0) > LITERAL and not (statement.scatters or statement.by_columns):
        points = 1
        for d in sorted(range(len(statement.extents)), key=lambda d: statement.extents[d]):
            points *= statement.extents[d]
            if points > POINTS:
                break
            if statement.extents[d] > 1:
                chosen.add(d)
    return frozenset(chosen)


def _run(trial: Probe, statement: Statement) -> None:
    points = product(*(range(statement.extents[d]) for d in sorted(statement.unrolled)))
    for point in points:
        fixed = dict(zip(sorted(statement.unrolled), point, strict=True))
        idx = [
            Index.of(fixed[d]) if d in fixed else Index() if n == 1 else Index.atom(f"d{d}")
            for d, n in enumerate(statement.extents)
        ]
        statement.element(trial, idx)
        if statement.place is not None:
            statement.place(trial, idx)


def _order(statement: Statement, leaf: Index, axes: dict[str, int]) -> tuple[int, ...]:
    """Loops in the order in which the largest array lies in memory."""
    order = [d for d, n in enumerate(statement.extents) if n != 1]
    steps = {axes[name]: abs(c) for name, c in leaf.terms if name in axes}
    along = [d for d in order if d in steps]
    if len(along) > 1:
        sorted_along = iter(sorted(along, key=lambda d: -steps[d]))
        order = [next(sorted_along) if d in steps else d for d in order]
    return tuple(sorted(order, key=lambda d: d in statement.unrolled))
