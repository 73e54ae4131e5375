"""Statements: what must run in loops and be stored. One for every reduction, scatter and stored value.

A statement has a domain (a box of whole numbers, one loop an axis). For every point of it an element is
computed and stored, or combined with what is there. An axis of the domain is *free* if it is also an axis of the
result, otherwise it is reduced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ppl.compiler.engines.native.frame import Frame, fit
from ppl.compiler.engines.native.index import Index
from ppl.compiler.engines.native.pointwise import Unsupported, cast, kind_of
from ppl.compiler.engines.native.writer import Value
from ppl.compiler.graph import Node

Element = Callable[[Frame, Sequence[Index]], Value]
Place = Callable[[Frame, Sequence[Index]], Sequence[Index]]


COPIES = 4
LONG = 100
"""See `Statement.copies`."""

LANES = 8
"""Numbers in a vector of the widest kind."""


@dataclass(eq=False)
class Statement:
    """One assignment in loops.

    Args:
        node: the root it computes (or a part of).
        extents: the domain.
        free: per axis of the domain, the axis of the result, or None where it is reduced.
        element: the value at a point of the domain.
        combine: "store", or how values of reduced points come together: a key of `COMBINE`.
        place: where in the result a point goes; None: as `free` says.
        outside: where the result is, if not in a buffer of its own: the name of an array and an offset.
        order: the axes of the domain, outermost loop first.
        unrolled: axes written out point by point.
        reads: the roots it reads, with the index of each read (`d0`, `d1`, … stand for the axes).
        costly: operators worth storing that it computes itself.
        by_columns: it is a product of a matrix that is stored by columns (`columns`).
    """

    node: Node
    extents: tuple[int, ...]
    free: tuple[int | None, ...]
    element: Element
    combine: str = "store"
    place: Place | None = None
    outside: tuple[str, Index] | None = None
    order: tuple[int, ...] = ()
    unrolled: frozenset[int] = frozenset()
    reads: list[tuple[Node, tuple[Index, ...]]] = field(default_factory=list)
    costly: set[Node] = field(default_factory=set)
    by_columns: bool = False

    @property
    def reduced(self) -> frozenset[int]:
        """The axes of the domain over which values are combined."""
        if self.combine == "store":
            return frozenset()
        return frozenset(d for d, axis in enumerate(self.free) if axis is None)

    @property
    def scatters(self) -> bool:
        """Whether it adds to computed places."""
        return self.place is not None and self.combine != "store"

    @property
    def copies(self) -> int:
        """Into how many copies of its result a scatter adds, in turn, so that one addition need not wait for the
        last to the same place: several where it is a long loop to few places.
        """
        length = max(self.extents, default=0)
        alone = self.scatters and length == math.prod(self.extents)
        return COPIES if alone and length >= LONG and COPIES * math.prod(self.node.shape) <= length else 1

    @property
    def room(self) -> int:
        """Numbers in the array that holds its result while it is made: copies, or partial sums by columns."""
        partial = self.by_columns and self.order[0] in self.reduced
        return math.prod(self.node.shape) * (LANES if partial else self.copies)

    def target(self, f: Frame, idx: Sequence[Index]) -> Sequence[Index]:
        """The index into the result of a point of the domain."""
        if self.place is not None:
            return self.place(f, idx)
        result = [Index()] * len(self.node.shape)
        for axis, at in zip(self.free, idx, strict=True):
            if axis is not None:
                result[axis] = at
        return result


@dataclass(frozen=True)
class Combine:
    """How a reduction starts and how a value is added to it; `{0}` is the old one, `{1}` the new one."""

    start: dict[str, str]
    text: str


COMBINE = {
    "sum": Combine({"f": "0.0", "i": "0"}, "{0} + {1}"),
    "prod": Combine({"f": "1.0", "i": "1"}, "{0} * {1}"),
    "amax": Combine(
        {"f": "(-inf)", "i": "(-9223372036854775807)", "b": "False"},
        "select(({1} != {1}) | ({1} > {0}), {1}, {0})",
    ),
    "amin": Combine(
        {"f": "inf", "i": "9223372036854775807", "b": "True"},
        "select(({1} != {1}) | ({1} < {0}), {1}, {0})",
    ),
    "any": Combine({"b": "False"}, "{0} | {1}"),
    "all": Combine({"b": "True"}, "{0} & {1}"),
}


def stored(node: Node, outside: tuple[str, Index] | None = None) -> Statement:
    """All elements of a node, put into its buffer (or elsewhere)."""

    def element(f: Frame, idx: Sequence[Index]) -> Value:
        return f.compute(node, idx) if outside is None else f.read(node, idx)

    return Statement(node, node.shape, tuple(range(len(node.shape))), element, outside=outside)


def _reduction(node: Node) -> list[Statement]:
    x, dims, keepdim = node.nodes[0], node.attr("dims"), node.attr("keepdim")
    rank = len(x.shape)
    reduced = {d % rank for d in dims}
    free: list[int | None] = []
    axis = 0
    for d in range(rank):
        free.append(None if d in reduced else axis)
        axis += 1 if keepdim or d not in reduced else 0
    kind = kind_of(node.dtype)

    def element(f: Frame, idx: Sequence[Index]) -> Value:
        v = f.read(x, idx)
        return v if v.kind == kind else Value(cast(v, kind), kind, v.level)

    return [Statement(node, x.shape, tuple(free), element, combine=node.op)]


def _matmul(node: Node) -> list[Statement]:
    a, b = node.nodes
    ra, rb = len(a.shape), len(b.shape)
    batch = node.shape[: len(node.shape) - (ra > 1) - (rb > 1)]
    k = len(batch)
    extents, free = list(batch), [*range(k)]
    places: list[int | None] = [*free]
    if ra > 1:
        extents.append(a.shape[-2])
        places.append(k)
    inner = len(extents)
    extents.append(a.shape[-1])
    places.append(None)
    if rb > 1:
        extents.append(b.shape[-1])
        places.append(k + (ra > 1))

    def element(f: Frame, idx: Sequence[Index]) -> Value:
        lead = list(idx[:k])
        ia = [*lead, *idx[k:inner], idx[inner]] if ra > 1 else [idx[inner]]
        ib = [*lead, idx[inner], *idx[inner + 1 :]] if rb > 1 else [idx[inner]]
        x, y = f.read(a, fit(ia, a)), f.read(b, fit(ib, b))
        kind = kind_of(node.dtype)
        return f.writer.let(f"{cast(x, kind)} * {cast(y, kind)}", kind, max(x.level, y.level))

    return [Statement(node, tuple(extents), tuple(places), element, combine="sum")]


def _index_add(node: Node) -> list[Statement]:
    source, index = node.nodes
    d, size = node.attr("dim") % len(node.shape), node.attr("size")

    def place(f: Frame, idx: Sequence[Index]) -> Sequence[Index]:
        at = list(idx)
        at[d] = f.index(index, (idx[d],), size)
        return at

    return [_scatter(node, source, place)]


def _scatter(node: Node, source: Node, place: Place) -> Statement:
    free: tuple[int | None, ...] = (None,) * len(source.shape)
    return Statement(node, source.shape, free, lambda f, idx: f.read(source, idx), combine="sum", place=place)


def _scatter_sum(node: Node) -> list[Statement]:
    if node.attr("plates"):
        raise Unsupported("a scatter over plates")
    source, index = node.nodes
    d, size = node.attr("dim") % len(node.shape), node.attr("size")

    def place(f: Frame, idx: Sequence[Index]) -> Sequence[Index]:
        at = list(idx)
        at.insert(d, f.index(index, (), size))
        return at

    return [_scatter(node, source, place)]


def _index_put_add(node: Node) -> list[Statement]:
    source, indices = node.nodes[0], node.nodes[1:]
    positions, shape = node.attr("positions"), node.attr("shape")
    rank = max(len(i.shape) for i in indices)
    front = positions[0] if positions == tuple(range(positions[0], positions[0] + len(positions))) else 0

    def place(f: Frame, idx: Sequence[Index]) -> Sequence[Index]:
        at = idx[front : front + rank]
        rest = iter([*idx[:front], *idx[front + rank :]])
        chosen = {p: f.index(i, fit(at, i), shape[p]) for p, i in zip(positions, indices, strict=True)}
        return [chosen[d] if d in chosen else next(rest) for d in range(len(shape))]

    return [_scatter(node, source, place)]


def _gather_add(node: Node) -> list[Statement]:
    source, index = node.nodes
    d = node.attr("dim") % len(node.shape)

    def place(f: Frame, idx: Sequence[Index]) -> Sequence[Index]:
        at = list(idx)
        at[d] = f.index(index, idx, node.shape[d])
        return at

    return [_scatter(node, source, place)]


def _cat(node: Node) -> list[Statement]:
    d, start, parts = node.attr("dim") % len(node.shape), 0, []
    for part in node.nodes:
        parts.append(_part(node, part, d, start))
        start += part.shape[d]
    return parts


def _part(node: Node, part: Node, d: int, start: int) -> Statement:
    """One operand of a concatenation: `free` says that its axes are those of the whole, shifted along d."""

    def place(f: Frame, idx: Sequence[Index]) -> Sequence[Index]:
        return [i.plus(start) if axis == d else i for axis, i in enumerate(idx)]

    free = tuple(None if axis == d else axis for axis in range(len(part.shape)))
    return Statement(node, part.shape, free, lambda f, idx: f.read(part, idx), place=place)


def output(node: Node, array: str, offset: Index) -> list[Statement]:
    """A graph output, its elements put into an array from `offset` on; a concatenation part by part."""
    if node.op == "cat" and len(node.shape) == 1:
        parts = []
        for part in node.nodes:
            parts += output(part, array, offset)
            offset = offset.plus(part.shape[0])
        return parts
    return [stored(node, outside=(array, offset))]


STATEMENTS: dict[str, Callable[[Node], list[Statement]]] = {
    "sum": _reduction,
    "prod": _reduction,
    "amax": _reduction,
    "amin": _reduction,
    "any": _reduction,
    "all": _reduction,
    "matmul": _matmul,
    "index_add": _index_add,
    "scatter_sum": _scatter_sum,
    "index_put_add": _index_put_add,
    "gather_add": _gather_add,
    "cat": _cat,
}
"""Operators whose values are stored, and by which statements."""
