"""A graph without plates as loops in source text: find the statements, plan the loops, write them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

from ppl.compiler.engines.native.decompose import decompose
from ppl.compiler.engines.native.frame import Assumptions, Frame, Reader
from ppl.compiler.engines.native.index import Index, linear
from ppl.compiler.engines.native.pointwise import cast, kind_of
from ppl.compiler.engines.native.probe import is_costly, probe
from ppl.compiler.engines.native.schedule import (
    SHORT,
    Block,
    Items,
    Loop,
    Straight,
    is_local,
    members_of,
    paths,
    schedule,
)
from ppl.compiler.engines.native.statements import COMBINE, STATEMENTS, Statement, output, stored
from ppl.compiler.engines.native.writer import Value, Writer
from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import Constant, Scan

BLOCKS: dict[str, Callable[[Lowering, Node], None]] = {}
"""Operators that are run by code of their own; operator → what writes it. Filled by `blocks` and `regions`."""


TILE = 64
"""Points of a tiled loop that are taken together: their rows should fit into the fastest cache."""


@dataclass
class Shared:
    """What all frames of one function share: its text, its buffers, what is assumed of its data."""

    writer: Writer = field(default_factory=Writer)
    buffers: dict[str, int] = field(default_factory=dict)
    assume: Assumptions | None = field(default_factory=dict)
    constants: dict[Constant, tuple[Node, str]] = field(default_factory=dict)

    def held(self, node: Node, idx: Sequence[Index]) -> Value:
        """An element of a tensor that the graph itself holds."""
        tensor: Constant = node.attr("value")
        _, name = self.constants.setdefault(tensor, (node, f"h{len(self.constants)}"))
        return array_reader(self.writer, name, stored_kind(node), node)(idx)

    def buffer(self, size: int) -> str:
        """The name of a new array of `size` numbers, zero-filled by no one."""
        name = f"w{len(self.buffers)}"
        self.buffers[name] = size
        return name


def stored_kind(node: Node) -> str:
    """How data are passed: "f" for float64, "i" for whole numbers and truth values."""
    return "f" if kind_of(node.dtype) == "f" else "i"


def array_reader(writer: Writer, array: str, stored: str, node: Node, offset: int = 0) -> Reader:
    """Reads the elements of a node from an array parameter."""
    kind = kind_of(node.dtype)

    def read(idx: Sequence[Index]) -> Value:
        at = linear(idx, node.shape).plus(offset)
        level = writer.index_level(at)
        element = Value(f"{array}[{writer.index_text(at)}]", stored, level)
        return writer.let(cast(element, kind), kind, level)

    return read


class Lowering:
    """One graph being written into a function.

    Args:
        shared: the function.
        graph: no node varies over a plate.
        readers: how to read the graph's inputs.
        data: inputs of the graph that are data, or parts of them → those data.
    """

    def __init__(
        self, shared: Shared, graph: Graph, readers: dict[Node, Reader], data: dict[Node, Node]
    ) -> None:
        self.shared = shared
        self.writer = shared.writer
        self.graph = decompose(graph)
        self.frame = Frame(shared.writer, dict(readers), shared.assume, data, shared.held)
        self.inputs = set(readers)
        self._roots: dict[Node, None] = {}
        self.home: dict[Node, int] = {}  # root → level from which on its value stands
        self.arrays: dict[Node, str] = {}  # root → its buffer
        self.sums: dict[
            Statement, dict[tuple[int, ...], Value]
        ] = {}  # reductions under way, in local variables

    # ------------------------------------------------------------ planning

    def run(self, sinks: Sequence[tuple[Node, str, Index]], wanted: Sequence[Node] = ()) -> None:
        """Write all statements: outputs go to `sinks` (node, array, offset); `wanted` nodes become readable."""
        outputs = [s for node, array, offset in sinks for s in output(node, array, offset)]
        work = self._work(outputs, wanted)
        items = schedule(work)
        work, items = self._store_costly(work, items, outputs, wanted)
        self._place(work, items)
        self._write(items)

    def _work(self, outputs: list[Statement], wanted: Sequence[Node]) -> list[Statement | Block]:
        """All statements and blocks, each after what it needs."""
        roots = self._roots
        for node in wanted:
            found: dict[Node, None] = {}
            self._behind(node, found)
            roots.update(found)
        while True:
            before = len(roots)
            made: dict[Node, list[Statement | Block]] = {}
            for statement in outputs:
                probe(statement, self._is_leaf, roots, BLOCKS)
            pending = list(roots)
            while pending:
                node = pending.pop()
                if node in made:
                    continue
                known = len(roots)
                made[node] = self._make(node, roots)
                pending += list(roots)[known:]
            if len(roots) == before:
                break
        order = {node: i for i, node in enumerate(self.graph.nodes())}
        ready = sorted(made, key=lambda n: order.get(n, -1))
        ends: dict[Node, None] = {}
        for node in wanted:
            self._behind(node, ends)
        last = [Block(None, tuple(ends))] if ends else []
        return [one for node in ready for one in made[node]] + list(outputs) + last

    def _make(self, node: Node, roots: dict[Node, None]) -> list[Statement | Block]:
        if node.op in BLOCKS:
            needs: dict[Node, None] = {}
            if node.op == "scan":  # what is dear is computed for all steps at once, which vectorises
                dear = [x for x in Scan.of(node).xs if is_costly(x, roots, self._is_leaf)]
                roots.update(dict.fromkeys(dear))
            for argument in node.nodes:
                self._behind(argument, needs)
            roots.update(needs)
            return [Block(node, tuple(needs))]
        statements = STATEMENTS[node.op](node) if node.op in STATEMENTS else [stored(node)]
        for statement in statements:
            probe(statement, self._is_leaf, roots, BLOCKS)
        return list(statements)

    def _is_leaf(self, node: Node) -> bool:
        return node in self.inputs or node.op == "constant"

    def _behind(self, node: Node, found: dict[Node, None]) -> None:
        """The roots that a node is computed from without passing another root."""
        stack, seen = [node], set()
        while stack:
            n = stack.pop()
            if n in seen or n in self.inputs:
                continue
            seen.add(n)
            if n.op == "item":
                found[n.nodes[0]] = None
            elif n.op in STATEMENTS or n.op in BLOCKS or n in self._roots:
                found[n] = None
            else:
                stack += n.nodes

    def _store_costly(
        self, work: list[Statement | Block], items: Items, outputs: list[Statement], wanted: Sequence[Node]
    ) -> tuple[list[Statement | Block], Items]:
        """Store what more than one loop would compute at some cost."""
        for _ in range(4):
            loops: dict[Node, set[int]] = {}
            for at, item in enumerate(items):
                for s in members_of(item):
                    for node in s.costly if isinstance(s, Statement) else ():
                        loops.setdefault(node, set()).add(at)
            again = [node for node, where in loops.items() if len(where) > 1]
            if not again:
                break
            self._roots.update(dict.fromkeys(again))
            work = self._work(outputs, wanted)
            items = schedule(work)
        return work, items

    def _place(self, work: list[Statement | Block], items: Items) -> None:
        """Give a buffer to each root that is read where its value is no longer at hand."""
        around = paths(items)
        makers: dict[Node, list[Statement]] = {}
        for one in work:
            if isinstance(one, Statement) and one.outside is None:
                makers.setdefault(one.node, []).append(one)
        readers = [
            (one, node)
            for one in work
            for node in (one.needs if isinstance(one, Block) else [n for n, _ in one.reads])
        ]
        for one, node in readers:
            for maker in makers.get(node, ()):
                if node not in self.arrays and not is_local(one, maker, around):
                    self.arrays[node] = self.shared.buffer(math.prod(node.shape))
        for node in makers:
            self.frame.readers[node] = self._reader(node)
            if makers[node][0].place is not None and node not in self.arrays:
                self.arrays[node] = self.shared.buffer(math.prod(node.shape))

    def _reader(self, node: Node) -> Reader:
        def read(idx: Sequence[Index]) -> Value:
            array = self.arrays.get(node)
            assert array is not None, f"{node} is read where it is not at hand"
            return self.load(array, linear(idx, node.shape), kind_of(node.dtype), self.home.get(node, 0))

        return read

    def load(self, array: str, at: Index, kind: str, level: int) -> Value:
        """An element of a buffer; its contents stand from `level` on."""
        level = max(level, self.writer.index_level(at))
        value = Value(f"{array}[{self.writer.index_text(at)}]", "f", level)
        return self.writer.let(cast(value, kind), kind, level)

    def store(self, array: str, at: Index, value: Value) -> None:
        self.writer.line(f"{array}[{self.writer.index_text(at)}] = {cast(value, 'f')}")

    # ------------------------------------------------------------ writing

    def _write(self, items: Items, bound: dict[Statement, dict[int, Index]] | None = None) -> None:
        bound = {} if bound is None else bound
        for item in items:
            if isinstance(item, Straight):
                for member in item.members:
                    if isinstance(member, Block):
                        if member.node is not None:
                            BLOCKS[member.node.op](self, member.node)
                    else:
                        self._point(member, bound.get(member, {}))
            elif item.size == 0:
                self._begin(item, bound)
                self._end(item, bound)
            elif item.unrolled:
                self._begin(item, bound)
                for point in range(item.size):
                    self._write(item.items, self._bind(item, bound, Index.of(point)))
                self._end(item, bound)
            elif item.tiled:
                self._begin(item, bound)
                self._tiles(item, bound)
                self._end(item, bound)
            else:
                self._begin(item, bound)
                with self.writer.loop(item.size, count=self._unknown_length(item)) as i:
                    self._write(item.items, self._bind(item, bound, i))
                self._end(item, bound)

    def _unknown_length(self, loop: Loop) -> str | None:
        """An inner loop of some length hides it from LLVM, which would unroll it whole and then vectorise the
        loop around it, reading rows with strides.
        """
        return self.writer.parameter(loop.size) if self.writer.level and loop.size > SHORT else None

    def _tiles(self, loop: Loop, bound: dict[Statement, dict[int, Index]]) -> None:
        """The loop in pieces of TILE points, and in each piece one item after the other."""
        writer = self.writer
        tiles = -(-loop.size // TILE)
        with writer.loop(tiles, count=writer.parameter(tiles)) as tile:
            first = tile.scaled(TILE)
            left = f"{writer.number(loop.size)} - {writer.index_text(first)}"
            count = writer.let(f"min({TILE}, {left})", "i", writer.level)
            for item in loop.items:
                with writer.loop(TILE, count=count.text) as i:
                    self._write([item], self._bind(loop, bound, first.plus(i)))
                for one in members_of(item):
                    if one.node is not None:
                        self.home[one.node] = writer.level

    def _bind(
        self, loop: Loop, bound: dict[Statement, dict[int, Index]], i: Index
    ) -> dict[Statement, dict[int, Index]]:
        inner = {s: dict(bound.get(s, {})) for s, _ in loop.members}
        for s, axis in loop.members:
            inner[s][axis] = i
        return inner

    def _begin(self, loop: Loop, bound: dict[Statement, dict[int, Index]]) -> None:
        """Before a loop: start the reductions whose first reduced axis runs in it."""
        for s, axis in loop.members:
            if axis in s.reduced and not s.reduced & set(bound.get(s, {})):
                self._start(s, bound.get(s, {}))

    def _start(self, s: Statement, bound: dict[int, Index]) -> None:
        kind = kind_of(s.node.dtype)
        zero = COMBINE[s.combine].start[kind]
        later = [d for d in s.order if d not in bound and s.free[d] is not None]
        if s.place is None and all(d in s.unrolled for d in later):
            points = product(*(range(s.extents[d]) for d in later))
            self.sums[s] = {}
            for point in points:
                name = self.writer.fresh("s")
                self.writer.line(f"{name} = {zero}")
                at = bound | {d: Index.of(i) for d, i in zip(later, point, strict=True)}
                self.sums[s][_written_out(s, at)] = Value(name, kind, self.writer.level)
            return
        array = self.arrays.setdefault(s.node, "")
        if not array:
            array = self.arrays[s.node] = self.shared.buffer(math.prod(s.node.shape))
        if s.place is not None:
            with self.writer.loop(math.prod(s.node.shape)) as i:
                self.writer.line(f"{array}[{self.writer.index_text(i)}] = {float_text(zero, kind)}")
            return
        self._clear(s, array, float_text(zero, kind), dict(bound), later)

    def _clear(self, s: Statement, array: str, zero: str, bound: dict[int, Index], later: list[int]) -> None:
        if not later:
            idx = [bound.get(d, Index()) for d in range(len(s.extents))]
            at = linear(s.target(self.frame, idx), s.node.shape)
            self.writer.line(f"{array}[{self.writer.index_text(at)}] = {zero}")
            return
        with self.writer.loop(s.extents[later[0]]) as i:
            self._clear(s, array, zero, {**bound, later[0]: i}, later[1:])

    def _end(self, loop: Loop, bound: dict[Statement, dict[int, Index]]) -> None:
        """After a loop: reductions that began with it are complete; what was made in it stands from here."""
        for s, axis in loop.members:
            if axis in s.reduced and not s.reduced & set(bound.get(s, {})):
                for point, total in self.sums.pop(s, {}).items():
                    at = bound.get(s, {}) | {
                        d: Index.of(i) for d, i in zip(_axes_written_out(s), point, strict=True)
                    }
                    idx = [at.get(d, Index()) for d in range(len(s.extents))]
                    self._made(s, s.target(self.frame, idx), total)
            self.home[s.node] = self.writer.level

    def _point(self, s: Statement, bound: dict[int, Index]) -> None:
        """The statement at one point of its domain."""
        idx = [bound.get(d, Index()) for d in range(len(s.extents))]
        kind = kind_of(s.node.dtype)
        if math.prod(s.extents) == 0:
            return
        value = s.element(self.frame, idx)
        if not s.reduced & set(bound) and s.place is None:
            self._made(s, s.target(self.frame, idx), value)
            return
        if s in self.sums:
            total = self.sums[s][_written_out(s, bound)]
            self.writer.line(f"{total.text} = {COMBINE[s.combine].text.format(total.text, value.text)}")
            return
        if s.combine != "store" and not bound:  # a scatter of one element
            self._start(s, bound)
        at = linear(s.target(self.frame, idx), s.node.shape)
        place = f"{self.arrays[s.node]}[{self.writer.index_text(at)}]"
        if s.combine == "store":
            self.writer.line(f"{place} = {cast(value, 'f')}")
            self.home[s.node] = self.writer.level
            return
        old = Value(place, "f", self.writer.level)
        new = COMBINE[s.combine].text.format(cast(old, kind), value.text)
        self.writer.line(f"{place} = {cast(Value(f'({new})', kind), 'f')}")
        self.home[s.node] = self.writer.level

    def _made(self, s: Statement, idx: Sequence[Index], value: Value) -> None:
        """An element is complete: remember it, and store it where others look for it."""
        if s.outside is not None:
            array, offset = s.outside
            self.store(array, offset.plus(linear(idx, s.node.shape)), value)
            return
        self.home[s.node] = self.writer.level
        self.writer.remember((self.frame, s.node, tuple(idx)), value)
        if s.node in self.arrays:
            self.store(self.arrays[s.node], linear(idx, s.node.shape), value)


def _axes_written_out(s: Statement) -> list[int]:
    return [d for d in sorted(s.unrolled) if s.free[d] is not None]


def _written_out(s: Statement, bound: dict[int, Index]) -> tuple[int, ...]:
    """Which of the elements written out a point belongs to."""
    return tuple(bound[d].const for d in _axes_written_out(s))


def float_text(zero: str, kind: str) -> str:
    """A start value as the float64 that a buffer holds."""
    return {"True": "1.0", "False": "0.0"}.get(zero, zero if kind == "f" else f"float({zero})")
