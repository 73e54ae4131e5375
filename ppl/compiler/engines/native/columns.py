"""Matrices of data stored by columns, in tiles of TILE rows, for their products with vectors, X b and Xᵀ g.

By rows, each element of X b is a horizontal sum. So in a tile the columns lie one after the other,

    stored[i // TILE, j, i % TILE] = X[i, j],     zero for rows after the last,

and numbers that lie side by side belong to different sums: the TILE elements of X b stay in registers while column
after column is added to them, and column j of a tile is added to LANES partial sums of (Xᵀ g)ⱼ, which come together
after the last tile. The last tile is computed like the others; there g is zero where there are no rows.

A matrix is stored so if nothing else reads it (`chosen`). Whoever binds data arranges them (`arrange`), elements are
read by `reader`, and in a tiled loop over the rows `write` takes the place of loops over rows.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ppl.compiler.engines.native.frame import VIEWS, Reader
from ppl.compiler.engines.native.index import Index
from ppl.compiler.engines.native.schedule import TILE, Loop
from ppl.compiler.engines.native.statements import LANES, Statement
from ppl.compiler.engines.native.writer import LITERAL, Value, Writer
from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import OPERATORS

if TYPE_CHECKING:
    from ppl.compiler.engines.native.loops import LoopWriter

LARGEST = 2**27
"""Numbers in a matrix that is stored a second time, 1 GiB."""

NARROW = 3
"""Matrices of so few columns are read no faster by columns."""

_LINE = 64  # bytes

ZERO = Value("0.0", "f")


# ---------------------------------------------------------------- the arrangement


def arrange(matrix: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """A matrix [n, width], given flat and by rows, as it is stored; it begins on a cache line.

    >>> stored = arrange(np.arange(6.0), 2)
    >>> stored.shape, stored[:4], stored[TILE : TILE + 4]
    ((128,), array([0., 2., 4., 0.]), array([1., 3., 5., 0.]))
    """
    rows = matrix.reshape(-1, width)
    tiles = -(-len(rows) // TILE)
    room = np.zeros(tiles * width * TILE + _LINE // 8)
    start = -room.ctypes.data % _LINE // 8
    stored = room[start : start + tiles * width * TILE]
    by_tile = stored.reshape(tiles, width, TILE)
    whole = len(rows) // TILE
    by_tile[:whole] = rows[: whole * TILE].reshape(whole, TILE, width).transpose(0, 2, 1)
    if whole < tiles:
        by_tile[whole, :, : len(rows) - whole * TILE] = rows[whole * TILE :].T
    return stored


def reader(writer: Writer, array: str, node: Node) -> Reader:
    """Reads the elements of a matrix that is stored by columns."""
    rows, width = node.shape

    def read(idx: Sequence[Index]) -> Value:
        tile, row = writer.divide(idx[0], TILE, -(-rows // TILE))
        at = tile.scaled(width * TILE).plus(idx[1].scaled(TILE)).plus(row)
        level = writer.index_level(at)
        return writer.let(f"{array}[{writer.index_text(at)}]", "f", level)

    return read


# ---------------------------------------------------------------- the choice


def eligible(x: Node) -> bool:
    """Whether data are a matrix that would gain: of many rows, not too narrow and not too large."""
    return (
        len(x.shape) == 2
        and x.dtype is torch.float64
        and x.shape[0] > LITERAL
        and x.shape[1] > NARROW
        and math.prod(x.shape) <= LARGEST
    )


def chosen(graph: Graph, matrices: Collection[Node]) -> frozenset[Node]:
    """Those of the eligible matrices that nothing reads but products that `write` can write."""
    users: dict[Node, list[Node]] = {}
    for node in graph.nodes():
        for argument in set(node.nodes):
            users.setdefault(argument, []).append(node)

    def all_products(x: Node) -> bool:
        uses = users.get(x, [])
        return x not in graph.outputs and bool(uses) and all(fits(x, user) for user in uses)

    def fits(x: Node, user: Node) -> bool:
        if user.op == "permute" and not is_transposed(x):
            return is_transposed(user) and all_products(user)
        vector = user.nodes[-1]
        if user.op != "matmul" or user.nodes[0] is not x or len(vector.shape) != 1:
            return False
        return not is_transposed(x) or _is_stored_by_rows(vector)

    return frozenset(x for x in matrices if all_products(x))


def is_transposed(node: Node) -> bool:
    """Xᵀ?"""
    return node.op == "permute" and [d % 2 for d in node.attr("dims")] == [1, 0]


def is_product(node: Node, matrices: frozenset[Node]) -> bool:
    """Whether a node is X b or Xᵀ g of one of these matrices."""
    if node.op != "matmul":
        return False
    left = node.nodes[0]
    return (left.nodes[0] if is_transposed(left) else left) in matrices


def prepare(s: Statement, roots: dict[Node, None]) -> None:
    """Mark a product; g of Xᵀ g is to be stored."""
    s.by_columns = True
    if is_transposed(s.node.nodes[0]):
        roots[s.node.nodes[1]] = None


def _is_stored_by_rows(vector: Node) -> bool:
    """Whether a vector can be had in an array of its own, filled in the loop over the rows."""
    return vector.op in VIEWS or (
        vector.op in OPERATORS and OPERATORS[vector.op].kind in ("pointwise", "cast")
    )


# ---------------------------------------------------------------- the loops


def write(loops: LoopWriter, products: Loop, first: Index, count: Value) -> None:
    """The products of a tile of rows from `first` on, of which there are `count`: one after the other."""
    for s, column in products.members:
        if column in s.reduced:
            _forward(loops, s, first)
        else:
            _backward(loops, s, first, count)


def _forward(loops: LoopWriter, s: Statement, first: Index) -> None:
    """X b: the columns are added to the tile's elements."""
    writer = loops.writer
    with writer.loop(TILE, short=True) as i:
        _clear(loops, s.node, first.plus(i))
    with _columns(writer, s) as j, writer.loop(TILE, short=True) as i:
        value = s.element(loops.frame, [first.plus(i), j])
        _add(loops, s, loops.lowering.position(s.node, [first.plus(i)]), [value])


def _backward(loops: LoopWriter, s: Statement, first: Index, count: Value) -> None:
    """Xᵀ g: what the tile's rows add to the partial sums of each column."""
    writer = loops.writer
    end = first.plus(writer.atom(count, TILE + 1))
    with writer.loop(TILE, count=f"{TILE} - {count.text}") as i:
        _clear(loops, s.node.nodes[1], end.plus(i))
    with _columns(writer, s) as j, writer.loop(LANES, short=True) as i:
        rows = [first.plus(i).plus(k) for k in range(0, TILE, LANES)]
        _add(loops, s, j.scaled(LANES).plus(i), [s.element(loops.frame, [j, row]) for row in rows])


def total(loops: LoopWriter, products: Loop) -> None:
    """Xᵀ g after the last tile: each element is the sum of its partial sums."""
    for s, column in products.members:
        if column not in s.reduced:
            with _columns(loops.writer, s) as j:
                parts = [_place(loops, s, j.scaled(LANES).plus(i)) for i in range(LANES)]
                loops.writer.line(f"{_place(loops, s, j)} = {' + '.join(parts)}")


def _columns(writer: Writer, s: Statement) -> contextlib.AbstractContextManager[Index]:
    """The loop over the columns, its length hidden from LLVM: it shall make vectors of the loop inside."""
    width = s.extents[s.order[-1]]
    return writer.loop(width, count=writer.parameter(width))


def _clear(loops: LoopWriter, vector: Node, row: Index) -> None:
    lowering = loops.lowering
    lowering.store(lowering.arrays[vector], lowering.position(vector, [row]), ZERO)


def _place(loops: LoopWriter, s: Statement, at: Index) -> str:
    return f"{loops.arrays[s.node]}[{loops.writer.index_text(at)}]"


def _add(loops: LoopWriter, s: Statement, at: Index, values: Sequence[Value]) -> None:
    place = _place(loops, s, at)
    loops.writer.line(f"{place} = {' + '.join([place, *(v.text for v in values)])}")
