"""A plan of loops as text: loops, tiles, rows taken together, reductions under way."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

from ppl.compiler.engines.native import columns
from ppl.compiler.engines.native.index import Index, linear
from ppl.compiler.engines.native.pointwise import cast, kind_of
from ppl.compiler.engines.native.schedule import SHORT, TILE, Block, Items, Loop, Straight, members_of
from ppl.compiler.engines.native.statements import COMBINE, Statement
from ppl.compiler.engines.native.writer import LITERAL, Value

if TYPE_CHECKING:
    from ppl.compiler.engines.native.lower import Lowering

ROWS = 4
"""Points of a loop around a long inner loop that go through it side by side: what the inner loop reads or adds to for
all of them is then read and written once, and sums don't wait for each other.
"""

Bound = dict[Statement, dict[int, Index]]
"""Statement → axis → where it stands."""


class LoopWriter:
    """Writes the loops of one lowering. Where several points are taken together there is a `Bound` for each of them, a
    *lane*.
    """

    def __init__(self, lowering: Lowering) -> None:
        self.lowering = lowering
        self.writer, self.frame = lowering.writer, lowering.frame
        self.home, self.arrays = lowering.home, lowering.arrays
        self.sums: dict[Statement, dict[Key, Value]] = {}  # reductions under way, in local variables

    def write(self, items: Items) -> None:
        """The whole plan."""
        self._items(items, [{}])

    def _items(self, items: Items, lanes: Sequence[Bound]) -> None:
        for item in items:
            if isinstance(item, Straight):
                for member in item.members:
                    self._member(member, lanes)
                continue
            for lane in lanes:
                self._begin(item, lane)
            if item.unrolled:
                for point in range(item.size):
                    self._items(item.items, [_bind(item, lane, Index.of(point)) for lane in lanes])
            elif item.tiled:
                for lane in lanes:
                    self._tiles(item, lane)
            elif item.scatter and any(s.copies > 1 for s, _ in item.members):
                self._scatters(item, lanes[0])
            elif len(lanes) == 1 and _side_by_side(item, item.items):
                self._rows(item, item.items, lanes[0], Index(), self.writer.number(item.size), item.size)
            elif item.size:
                with self._loop(item, len(lanes) > 1) as i:
                    self._items(item.items, [_bind(item, lane, i) for lane in lanes])
            for lane in lanes:
                self._end(item, lane)

    def _member(self, member: Statement | Block, lanes: Sequence[Bound]) -> None:
        if isinstance(member, Statement):
            for number, lane in enumerate(lanes):
                self._point(member, lane.get(member, {}), number)
        elif member.node is not None:
            self.lowering.run_block(member.node)

    def _loop(self, loop: Loop, together: bool) -> contextlib.AbstractContextManager[Index]:
        """An inner loop of some length hides it from LLVM, which would unroll it whole and then vectorise the
        loop around it, reading rows with strides. Not where rows go through it together: there LLVM is asked for
        vectors of this loop, and a length it knows leaves no remainder to be counted out.
        """
        inner = self.writer.level > 0 and loop.size > SHORT
        hidden = inner and not (together and loop.size <= LITERAL)
        count = self.writer.parameter(loop.size) if hidden else None
        return self.writer.loop(loop.size, count=count, short=together and inner)

    # ------------------------------------------------------------ some points at a time

    def _tiles(self, loop: Loop, bound: Bound) -> None:
        """The loop in pieces of TILE points, and in each piece one item after the other."""
        writer = self.writer
        tiles = -(-loop.size // TILE)
        with writer.loop(tiles, count=writer.parameter(tiles)) as tile:
            first = tile.scaled(TILE)
            left = f"{writer.number(loop.size)} - {writer.index_text(first)}"
            count = writer.let(f"min({TILE}, {left})", "i", writer.level)
            self.lowering.first[loop] = first
            for item in loop.items:
                if isinstance(item, Loop) and item.by_columns:
                    columns.write(self, item, first, count)
                elif _side_by_side(loop, [item]):
                    self._rows(loop, [item], bound, first, count.text, TILE)
                else:
                    with writer.loop(TILE, count=count.text) as i:
                        self._items([item], [_bind(loop, bound, first.plus(i))])
                for one in members_of(item):
                    if one.node is not None:
                        self.home[one.node] = writer.level
        for item in loop.items:
            if isinstance(item, Loop) and item.by_columns:
                columns.total(self, item)

    def _scatters(self, loop: Loop, bound: Bound) -> None:
        """Points one after the other, each adding to the next copy of the results."""
        self._rows(loop, loop.items, bound, Index(), self.writer.number(loop.size), loop.size)
        for s, _ in loop.members:
            count, array = math.prod(s.node.shape), self.arrays[s.node]
            if s.copies > 1:
                with self.writer.loop(count) as i:
                    places = [
                        f"{array}[{self.writer.index_text(i.plus(k * count))}]" for k in range(s.copies)
                    ]
                    self.writer.line(f"{places[0]} = {' + '.join(places)}")

    def _rows(self, loop: Loop, items: Items, bound: Bound, first: Index, count: str, size: int) -> None:
        """Points `first` to `first + count` (at most `size`), ROWS at a time, then what is left one by one."""
        writer = self.writer
        with writer.loop(size // ROWS, count=f"({count}) // {ROWS}") as i:
            start = first.plus(i.scaled(ROWS))
            self._items(items, [_bind(loop, bound, start.plus(k)) for k in range(ROWS)])
        done = writer.atom(writer.let(f"({count}) // {ROWS} * {ROWS}", "i", writer.level), size)
        with writer.loop(ROWS, count=f"({count}) % {ROWS}") as i:
            self._items(items, [_bind(loop, bound, first.plus(done).plus(i))])

    # ------------------------------------------------------------ reductions

    def _begin(self, loop: Loop, bound: Bound) -> None:
        """Before a loop: start the reductions whose first reduced axis runs in it."""
        for s, axis in loop.members:
            at = bound.get(s, {})
            if axis in s.reduced and not s.reduced & set(at):
                self._start(s, at)

    def _start(self, s: Statement, bound: dict[int, Index]) -> None:
        kind = kind_of(s.node.dtype)
        zero = COMBINE[s.combine].start[kind]
        later = [d for d in s.order if d not in bound and s.free[d] is not None]
        if s.place is None and all(d in s.unrolled for d in later):
            sums = self.sums.setdefault(s, {})
            for at in _points(s, bound):
                name = self.writer.fresh("s")
                self.writer.line(f"{name} = {zero}")
                sums[_key(s, at)] = Value(name, kind, self.writer.level)
            return
        array = self.arrays.setdefault(s.node, "")
        if not array:
            array = self.arrays[s.node] = self.lowering.shared.buffer(s.room)
        if s.place is not None or s.by_columns:
            with self.writer.loop(s.room) as i:
                self.writer.line(f"{array}[{self.writer.index_text(i)}] = {float_text(zero, kind)}")
            return
        self._clear(s, array, float_text(zero, kind), dict(bound), later)

    def _clear(self, s: Statement, array: str, zero: str, bound: dict[int, Index], later: list[int]) -> None:
        if not later:
            at = self.lowering.position(s.node, s.target(self.frame, _index(s, bound)))
            self.writer.line(f"{array}[{self.writer.index_text(at)}] = {zero}")
            return
        with self.writer.loop(s.extents[later[0]]) as i:
            self._clear(s, array, zero, {**bound, later[0]: i}, later[1:])

    def _end(self, loop: Loop, bound: Bound) -> None:
        """After a loop: reductions that began with it are complete; what was made in it stands from here."""
        for s, axis in loop.members:
            mine = bound.get(s, {})
            if s in self.sums and axis in s.reduced and not s.reduced & set(mine):
                for at in _points(s, mine):
                    total = self.sums[s].pop(_key(s, at))
                    self._made(s, s.target(self.frame, _index(s, at)), total)
            self.home[s.node] = self.writer.level

    # ------------------------------------------------------------ points

    def _point(self, s: Statement, bound: dict[int, Index], lane: int) -> None:
        """The statement at one point of its domain, which is in some lane."""
        idx = _index(s, bound)
        kind = kind_of(s.node.dtype)
        if math.prod(s.extents) == 0:
            return
        value = s.element(self.frame, idx)
        if not s.reduced & set(bound) and s.place is None:
            self._made(s, s.target(self.frame, idx), value)
            return
        total = self.sums.get(s, {}).get(_key(s, bound))
        if total is not None:
            self.writer.line(f"{total.text} = {COMBINE[s.combine].text.format(total.text, value.text)}")
            return
        if s.combine != "store" and not bound:  # a scatter of one element
            self._start(s, bound)
        at = self.lowering.position(s.node, s.target(self.frame, idx))
        at = at.plus(lane % s.copies * math.prod(s.node.shape))
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
            self.lowering.store(array, offset.plus(linear(idx, s.node.shape)), value)
            return
        self.home[s.node] = self.writer.level
        self.writer.remember((self.frame, s.node, tuple(idx)), value)
        if s.node in self.arrays:
            self.lowering.store(self.arrays[s.node], self.lowering.position(s.node, idx), value)


Key = tuple[Index, ...]
"""Which element of its result a reduction adds to."""


def _key(s: Statement, bound: dict[int, Index]) -> Key:
    return tuple(bound.get(d, Index()) for d, axis in enumerate(s.free) if axis is not None)


def _index(s: Statement, bound: dict[int, Index]) -> list[Index]:
    return [bound.get(d, Index()) for d in range(len(s.extents))]


def _points(s: Statement, bound: dict[int, Index]) -> Iterator[dict[int, Index]]:
    """Where a statement stands, for each of its elements that are still to be written out."""
    axes = [d for d in sorted(s.unrolled) if s.free[d] is not None and d not in bound]
    for point in product(*(range(s.extents[d]) for d in axes)):
        yield bound | {d: Index.of(i) for d, i in zip(axes, point, strict=True)}


def _bind(loop: Loop, bound: Bound, i: Index) -> Bound:
    inner = {s: dict(bound.get(s, {})) for s, _ in loop.members}
    for s, axis in loop.members:
        inner[s][axis] = i
    return inner


def _side_by_side(loop: Loop, items: Items) -> bool:
    """Whether several points of a loop should go through its items together: there is a long inner loop, without
    loops of its own, and in it nothing dear.
    """
    if loop.size <= LITERAL or loop.scatter:
        return False
    inner = [i for i in items if isinstance(i, Loop)]
    simple = all(isinstance(j, Straight) and not j.is_costly for i in inner for j in i.items)
    return simple and any(i.size > SHORT and not i.unrolled and not i.scatter for i in inner)


def float_text(zero: str, kind: str) -> str:
    """A start value as the float64 that a buffer holds."""
    return {"True": "1.0", "False": "0.0"}.get(zero, zero if kind == "f" else f"float({zero})")
