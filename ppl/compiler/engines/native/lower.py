"""A graph without plates as loops in source text: find the statements, plan the loops, write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ppl.compiler.engines.native import columns
from ppl.compiler.engines.native.decompose import decompose
from ppl.compiler.engines.native.frame import Assumptions, Frame, Reader
from ppl.compiler.engines.native.index import Index, linear
from ppl.compiler.engines.native.loops import LoopWriter
from ppl.compiler.engines.native.pointwise import cast, kind_of
from ppl.compiler.engines.native.probe import is_costly, probe
from ppl.compiler.engines.native.schedule import (
    TILE,
    Block,
    Items,
    Loop,
    Paths,
    is_local,
    members_of,
    paths,
    schedule,
    tile_of,
)
from ppl.compiler.engines.native.statements import STATEMENTS, Statement, output, stored
from ppl.compiler.engines.native.writer import Value, Writer
from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import Constant, Scan

BLOCKS: dict[str, Callable[[Lowering, Node], None]] = {}
"""Operators that are run by code of their own; operator → what writes it. Filled by `blocks` and `regions`."""


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
        by_columns: inputs of the graph that are stored by columns.
    """

    def __init__(
        self,
        shared: Shared,
        graph: Graph,
        readers: dict[Node, Reader],
        data: dict[Node, Node],
        by_columns: frozenset[Node] = frozenset(),
    ) -> None:
        self.shared = shared
        self.writer = shared.writer
        self.graph = decompose(graph)
        self.frame = Frame(shared.writer, dict(readers), shared.assume, data, shared.held)
        self.inputs = set(readers)
        self.by_columns = by_columns
        self._roots: dict[Node, None] = {}
        self.home: dict[Node, int] = {}  # root → level from which on its value stands
        self.arrays: dict[Node, str] = {}  # root → its buffer
        self.tiles: dict[
            Node, tuple[Loop, int]
        ] = {}  # root → its buffer holds a tile of this loop, along an axis
        self.first: dict[Loop, Index] = {}  # tiled loop → the first point of the present tile
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
        LoopWriter(self).write(items)

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
            if columns.is_product(node, self.by_columns):
                columns.prepare(statement, roots)
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
        readers: dict[Node, list[Statement | Block]] = {}
        for one in work:
            for node in one.needs if isinstance(one, Block) else [n for n, _ in one.reads]:
                readers.setdefault(node, []).append(one)
        for node in dict.fromkeys((*readers, *makers)):
            looking = readers.get(node, [])
            for maker in makers.get(node, ()):
                kept = maker.place is not None or not all(is_local(one, maker, around) for one in looking)
                if kept and node not in self.arrays:
                    self.arrays[node] = self.shared.buffer(self._room(maker, looking, around))
        for node in makers:
            self.frame.readers[node] = self._reader(node)

    def _room(self, maker: Statement, readers: Sequence[Statement | Block], around: Paths) -> int:
        """Numbers in the buffer of a root: one tile if it is made and read in a tiled loop, else whole tiles."""
        tile = tile_of(maker, around)
        if tile is None:
            return maker.room
        loop, axis = tile
        size = maker.node.shape[axis]
        if all(loop in dict(around[one]) for one in readers):
            self.tiles[maker.node] = tile
            return maker.room // size * TILE
        return maker.room // size * -(-size // TILE) * TILE

    def _reader(self, node: Node) -> Reader:
        def read(idx: Sequence[Index]) -> Value:
            array = self.arrays.get(node)
            assert array is not None, f"{node} is read where it is not at hand"
            return self.load(array, self.position(node, idx), kind_of(node.dtype), self.home.get(node, 0))

        return read

    def position(self, node: Node, idx: Sequence[Index]) -> Index:
        """Where in its buffer an element of a root stands."""
        own, shape = list(idx), list(node.shape)
        if node in self.tiles:
            loop, axis = self.tiles[node]
            own[axis], shape[axis] = own[axis].plus(self.first[loop].scaled(-1)), TILE
        return linear(own, shape)

    def load(self, array: str, at: Index, kind: str, level: int) -> Value:
        """An element of a buffer; its contents stand from `level` on."""
        level = max(level, self.writer.index_level(at))
        value = Value(f"{array}[{self.writer.index_text(at)}]", "f", level)
        return self.writer.let(cast(value, kind), kind, level)

    def store(self, array: str, at: Index, value: Value) -> None:
        self.writer.line(f"{array}[{self.writer.index_text(at)}] = {cast(value, 'f')}")

    def run_block(self, node: Node) -> None:
        """Write what computes a region or a factorisation."""
        BLOCKS[node.op](self, node)
