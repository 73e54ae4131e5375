"""Which loops there are and what runs in each: statements whose outermost loops have one length and that do not
wait for each other's results share a loop; inside it the same is done with what loops remain.

So the forward and the backward half of a density meet in one pass over the data: the adjoint of a sum is known
before the sum is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ppl.compiler.engines.native.statements import Statement
from ppl.compiler.engines.native.writer import LITERAL
from ppl.compiler.graph import Node


@dataclass(eq=False)
class Block:
    """A node that is computed by code of its own (a region, a factorisation), after all that it needs.
    Without a node: whoever reads results after the last statement.
    """

    node: Node | None
    needs: tuple[Node, ...]


@dataclass(eq=False)
class Straight:
    """Statements without loops (left), and blocks."""

    members: list[Statement | Block] = field(default_factory=list)

    @property
    def is_costly(self) -> bool:
        return any(isinstance(m, Statement) and m.costly for m in self.members)


@dataclass(eq=False)
class Loop:
    """A loop shared by statements; `members` pairs each with the axis of its domain that runs here. Scatters
    have loops of their own: their stores to computed places would keep the others from being vectorised.

    A `tiled` loop takes TILE points at a time, and runs each of its items for all of them before the next: so what is
    dear between two inner loops is vectorised, while the rows that these read are still in the cache.

    In it, one `by_columns` runs over the columns of matrices that are stored by columns.
    """

    size: int
    unrolled: bool
    scatter: bool = False
    by_columns: bool = False
    members: list[tuple[Statement, int]] = field(default_factory=list)
    items: list[Straight | Loop] = field(default_factory=list)

    @property
    def tiled(self) -> bool:
        if self.size <= LITERAL or self.unrolled or self.scatter:
            return False
        if any(isinstance(i, Loop) and i.by_columns for i in self.items):
            return True
        long = any(isinstance(i, Loop) and i.size > SHORT and not i.unrolled for i in self.items)
        return long and any(isinstance(i, Straight) and i.is_costly for i in self.items)


SHORT = 8
"""Inner loops up to this length are unrolled by LLVM, and the loop around them vectorised."""

TILE = 64
"""Points of a tiled loop that are taken together: their rows should fit into the fastest cache."""


Items = list[Straight | Loop]


def schedule(work: Sequence[Statement | Block]) -> Items:
    """A plan for statements and blocks given in an order in which each comes after what it needs."""
    dear = {s.extents[s.order[0]] for s in work if isinstance(s, Statement) and s.costly and s.order}
    return _plan([(w, w.order if isinstance(w, Statement) else ()) for w in work], dear)


def _plan(work: Sequence[tuple[Statement | Block, tuple[int, ...]]], dear: set[int]) -> Items:
    items: Items = []
    place: dict[Statement | Block, int] = {}
    makers: dict[Node, list[Statement | Block]] = {}
    axis: dict[Statement | Block, int | None] = {}
    for one, axes in work:
        mine = axes[0] if axes else None
        axis[one] = mine
        least = 0
        for node in dict.fromkeys(_needs(one)):
            for maker in makers.get(node, ()):
                there = axis[maker]
                shared = (
                    isinstance(one, Statement)
                    and isinstance(maker, Statement)
                    and mine is not None
                    and there is not None
                    and aligned(one, mine, maker, there)
                )
                least = max(least, place[maker] + (0 if shared else 1))
        at = _position(items, one, mine, least, dear)
        item = items[at]
        if isinstance(item, Loop):
            assert isinstance(one, Statement) and mine is not None
            item.members.append((one, mine))
        else:
            item.members.append(one)
        place[one] = at
        if one.node is not None:
            makers.setdefault(one.node, []).append(one)
    rest = dict(work)
    for item in items:
        if isinstance(item, Loop):
            item.items = _plan([(s, rest[s][1:]) for s, _ in item.members], dear)
    return items


def _needs(one: Statement | Block) -> list[Node]:
    return list(one.needs) if isinstance(one, Block) else [node for node, _ in one.reads]


def _position(items: Items, one: Statement | Block, axis: int | None, least: int, dear: set[int]) -> int:
    """The first item from `least` on that `one` can join; a new one at the end if there is none.

    `dear`: lengths of loops in which something is computed that should be vectorised.
    """
    if axis is None:
        for at in range(least, len(items)):
            if isinstance(items[at], Straight):
                return at
        items.append(Straight())
        return len(items) - 1
    assert isinstance(one, Statement)
    size = one.extents[axis]
    scatter = one.copies > 1 or (one.scatters and size in dear)
    kind = (size, axis in one.unrolled, scatter, one.by_columns and axis == one.order[-1])
    for at in range(least, len(items)):
        item = items[at]
        if isinstance(item, Loop) and (item.size, item.unrolled, item.scatter, item.by_columns) == kind:
            return at
    items.append(Loop(*kind))
    return len(items) - 1


def aligned(reader: Statement, axis: int, maker: Statement, there: int) -> bool:
    """Whether the reader, at each point of its axis, reads the maker's result at the same point of its own."""
    result = maker.free[there]
    if result is None or axis in reader.unrolled:
        return False
    return all(idx[result].is_atom(f"d{axis}") for node, idx in reader.reads if node is maker.node)


Paths = dict[Statement | Block, tuple[tuple[Loop, int], ...]]
"""The loops around each statement, outermost first, with the axis that runs in each."""


def paths(items: Items, above: tuple[tuple[Loop, int], ...] = ()) -> Paths:
    """The loops around each statement of a plan."""
    found: Paths = {}
    for item in items:
        if isinstance(item, Straight):
            for member in item.members:
                found[member] = tuple(
                    (loop, next(axis for s, axis in loop.members if s is member)) for loop, _ in above
                )
        else:
            found |= paths(item.items, (*above, (item, -1)))
    return found


def is_local(reader: Statement | Block, maker: Statement, around: Paths) -> bool:
    """Whether the reader runs where the maker's value is still at hand, so that it need not be stored."""
    outer = dict(around[maker])
    mine = dict(around[reader])
    if not any(maker.free[axis] is not None for axis in outer.values()) and maker.place is None:
        return True  # a scalar
    if not isinstance(reader, Statement) or maker.place is not None:
        return False
    for loop in outer:
        if loop.tiled and loop in mine and _item_of(loop, reader) != _item_of(loop, maker):
            return False
    for loop, axis in outer.items():
        if maker.free[axis] is None:
            continue
        if loop.unrolled:
            if not _at_known_points(reader, maker, axis):
                return False
        elif loop not in mine or not aligned(reader, mine[loop], maker, axis):
            return False
    return True


def tile_of(maker: Statement, around: Paths) -> tuple[Loop, int] | None:
    """The tiled loop in which the elements of a result are made, and the axis of the result that runs there."""
    for loop, axis in around[maker]:
        result = maker.free[axis]
        if result is None or maker.place is not None:
            return None
        if loop.tiled:
            return loop, result
    return None


def _at_known_points(reader: Statement, maker: Statement, axis: int) -> bool:
    """Whether the reader reads the maker's result at points written out, along an axis that is written out."""
    result = maker.free[axis]
    return result is not None and all(
        idx[result].is_const for node, idx in reader.reads if node is maker.node
    )


def _item_of(loop: Loop, one: Statement | Block) -> int:
    return next(i for i, item in enumerate(loop.items) if one in members_of(item))


def members_of(item: Straight | Loop) -> list[Statement | Block]:
    """All statements and blocks in an item."""
    return [s for s, _ in item.members] if isinstance(item, Loop) else item.members
