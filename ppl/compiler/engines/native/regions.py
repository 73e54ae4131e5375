"""Scans and switches: loops and branches around the text of their bodies."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ppl.compiler.engines.native.frame import Reader
from ppl.compiler.engines.native.index import Index, linear
from ppl.compiler.engines.native.lower import BLOCKS, Lowering
from ppl.compiler.engines.native.pointwise import cast, kind_of, literal
from ppl.compiler.engines.native.writer import Value
from ppl.compiler.graph import Node
from ppl.compiler.ops import Scan


def _used_items(lowering: Lowering, node: Node) -> dict[int, Node]:
    """The outputs of a region that the graph reads."""
    return {n.attr("index"): n for n in lowering.graph.nodes() if n.op == "item" and n.nodes[0] is node}


def _outer(lowering: Lowering, node: Node, t: Index | None = None) -> Reader:
    """Reads a value of the graph around a region, at step `t` of its leading axis if given."""
    lead = () if t is None else (t,)
    return lambda idx: lowering.frame.read(node, (*lead, *idx))


def _data(lowering: Lowering, inner: Sequence[Node], outer: Sequence[Node]) -> dict[Node, Node]:
    """The inputs of a region's body that are data, or parts of data."""
    found = {}
    for one, other in zip(inner, outer, strict=True):
        source = lowering.frame.data_behind(other)
        if source is not None:
            found[one] = source
    return found


class _Cell:
    """A variable that a region assigns: a local scalar, or an array."""

    def __init__(self, lowering: Lowering, node_shape: Sequence[int], kind: str, prefix: str) -> None:
        self.lowering, self.shape, self.kind = lowering, tuple(node_shape), kind
        self.scalar = not self.shape
        size = math.prod(self.shape)
        self.name = lowering.writer.fresh(prefix) if self.scalar else lowering.shared.buffer(size)
        self.level = lowering.writer.level

    def begin(self) -> None:
        if self.scalar:
            self.lowering.writer.line(f"{self.name} = {literal(0, self.kind)}")

    def assign(self, value: Value) -> None:
        self.lowering.writer.line(f"{self.name} = {cast(value, self.kind)}")

    def reader(self, level: int) -> Reader:
        return lambda idx: self.read(idx, level)

    def read(self, idx: Sequence[Index], level: int) -> Value:
        if self.scalar:
            return Value(self.name, self.kind, level)
        return self.lowering.load(self.name, linear(idx, self.shape), self.kind, level)


def _scan(lowering: Lowering, node: Node) -> None:
    s, writer = Scan.of(node), lowering.writer
    used = _used_items(lowering, node)
    k = len(s.init)
    count = len(s.body.outputs) - k
    carries = [_Cell(lowering, n.shape, kind_of(n.dtype), "c") for n in s.init]
    new = [_Cell(lowering, n.shape, kind_of(n.dtype), "c") if n.shape else None for n in s.init]
    for cell, first in zip(carries, s.init, strict=True):
        if cell.scalar:
            cell.assign(lowering.frame.read(first, ()))
        else:
            _copy(lowering, cell, _outer(lowering, first))
    stacks = {i: lowering.shared.buffer(math.prod(used[i].shape)) for i in used if i >= k}
    if s.length:
        _steps(lowering, s, carries, new, stacks, count)
    level = writer.level
    for i, item in used.items():
        if i < k:
            lowering.frame.readers[item] = carries[i].reader(level)
        else:
            lowering.arrays[item] = stacks[i]
            lowering.home[item] = level
            lowering.frame.readers[item] = lowering._reader(item)


def _steps(
    lowering: Lowering,
    s: Scan,
    carries: list[_Cell],
    new: list[_Cell | None],
    stacks: dict[int, str],
    count: int,
) -> None:
    writer, k = lowering.writer, len(carries)
    with writer.loop(s.length, s.reverse, sequential=True) as t:
        level = writer.level
        readers: dict[Node, Reader] = {}
        for inner, cell in zip(s.body.inputs, carries, strict=False):
            readers[inner] = cell.reader(level)
        for inner, x in zip(s.body.inputs[k:], s.xs, strict=False):
            readers[inner] = _outer(lowering, x, t)
        for inner, constant in zip(s.body.inputs[k + len(s.xs) :], s.consts, strict=True):
            readers[inner] = _outer(lowering, constant)
        data = _data(lowering, s.body.inputs[k:], (*s.xs, *s.consts))
        for i in range(k):  # the carries that enter the step
            if k + count + i in stacks:
                _keep(lowering, stacks[k + count + i], t, carries[i], level)
        body = Lowering(lowering.shared, s.body, readers, data)
        results = body.graph.outputs
        sinks = [(results[i], new[i].name, Index()) for i in range(k) if new[i] is not None]  # type: ignore[union-attr]
        for i in range(k, k + count):
            if i in stacks:
                sinks.append((results[i], stacks[i], t.scaled(math.prod(results[i].shape))))
        scalars = [results[i] for i in range(k) if new[i] is None]
        body.run(sinks, scalars)
        values = [body.frame.read(n, ()) for n in scalars]
        safe = [writer.let(cast(v, v.kind), v.kind, writer.level) for v in values]
        for cell, value in zip([c for c in carries if c.scalar], safe, strict=True):
            cell.assign(value)
        for cell, fresh in zip(carries, new, strict=True):
            if fresh is not None:
                _copy(lowering, cell, fresh.reader(writer.level))


def _keep(lowering: Lowering, stack: str, t: Index, cell: _Cell, level: int) -> None:
    base = t.scaled(math.prod(cell.shape))
    if cell.scalar:
        lowering.store(stack, base, cell.read((), level))
        return
    with lowering.writer.loop(math.prod(cell.shape)) as i:
        value = lowering.load(cell.name, i, cell.kind, lowering.writer.level)
        lowering.store(stack, base.plus(i), value)


def _copy(lowering: Lowering, cell: _Cell, read: Reader) -> None:
    """All elements of an array cell."""

    def along(shape: Sequence[int], idx: tuple[Index, ...]) -> None:
        if not shape:
            lowering.store(cell.name, linear(idx, cell.shape), read(idx))
            return
        with lowering.writer.loop(shape[0]) as i:
            along(shape[1:], (*idx, i))

    along(cell.shape, ())


def _switch(lowering: Lowering, node: Node) -> None:
    writer = lowering.writer
    branches = node.attr("branches")
    index, operands = node.nodes[0], node.nodes[1:]
    used = _used_items(lowering, node)
    cells = {i: _Cell(lowering, item.shape, kind_of(item.dtype), "c") for i, item in used.items()}
    for cell in cells.values():
        cell.begin()
    chosen = lowering.frame.read(index, ())
    at = writer.let(f"min(max({cast(chosen, 'i')}, 0), {len(branches) - 1})", "i", writer.level)
    for number, branch in enumerate(branches):
        with writer.block(f"if {at.text} == {number}:", sequential=True):
            readers = {
                inner: _outer(lowering, operand)
                for inner, operand in zip(branch.inputs, operands, strict=True)
            }
            body = Lowering(lowering.shared, branch, readers, _data(lowering, branch.inputs, operands))
            results = body.graph.outputs
            arrays = [(results[i], cell.name, Index()) for i, cell in cells.items() if not cell.scalar]
            body.run(arrays, [results[i] for i, cell in cells.items() if cell.scalar])
            for i, cell in cells.items():
                if cell.scalar:
                    cell.assign(body.frame.read(results[i], ()))
    level = writer.level
    for i, item in used.items():
        lowering.home[item] = level
        lowering.frame.readers[item] = cells[i].reader(level)


BLOCKS["scan"] = _scan
BLOCKS["switch"] = _switch
