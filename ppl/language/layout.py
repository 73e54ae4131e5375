"""A layered layout for diagrams with nested boxes.

Vertices get a row by the longest path to them; within a row, and within every box, items are ordered by
barycentre and moved as near to their neighbours as the gaps allow. A box is a rectangle over its own rows
that nothing foreign enters: two items of a group keep a horizontal gap whenever their rows overlap. Edges
over several rows bend at dummy vertices.

Source: Sugiyama, Tagawa & Toda, "Methods for Visual Understanding of Hierarchical System Structures" (1981).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Key = Any
GAP = 26.0
SIDE = 16.0  # from the members of a box to its left and right edges
TOP, BOTTOM = 14.0, 26.0  # to its upper and lower edges; the label stands below
ROW_GAP = 34.0


@dataclass(eq=False)
class Item:
    """A vertex, a bend of an edge (`bend`), or a box with its children. `x` is its centre; `rows` its first
    and last row."""

    key: Key
    width: float
    rows: tuple[int, int] = (0, 0)
    bend: bool = False
    children: list[Item] = field(default_factory=list)
    x: float = 0.0

    def everything(self) -> Iterator[Item]:
        """Itself and all inside it."""
        yield self
        for child in self.children:
            yield from child.everything()

    def leaves(self) -> Iterator[Item]:
        return (item for item in self.everything() if not item.children)

    def groups(self) -> Iterator[Item]:
        """The boxes in it and itself, inner ones first."""
        for child in self.children:
            if child.children:
                yield from child.groups()
        if self.children:
            yield self

    def move_to(self, x: float) -> None:
        shift = x - self.x
        if shift:
            for item in self.everything():
                item.x += shift


@dataclass(frozen=True)
class Placed:
    """Centres of vertices, rectangles (x, y, width, height) of boxes, and bends of edges by number."""

    centres: dict[Key, tuple[float, float]]
    boxes: dict[tuple[Key, ...], tuple[float, float, float, float]]
    bends: dict[int, list[tuple[float, float]]]
    size: tuple[float, float]


def rows_of(vertices: Sequence[Key], edges: Sequence[tuple[Key, Key]]) -> dict[Key, int]:
    """The row of every vertex: the longest path to it; what has no parents stands just above its first child.

    `vertices` come in an order in which every edge points forward.
    """
    rows = dict.fromkeys(vertices, 0)
    below: dict[Key, list[Key]] = {v: [] for v in vertices}
    for a, b in edges:
        below[a].append(b)
    for v in vertices:
        for w in below[v]:
            rows[w] = max(rows[w], rows[v] + 1)
    children = {b for _, b in edges}
    for v in vertices:
        if v not in children and below[v]:
            rows[v] = min(rows[w] for w in below[v]) - 1
    return rows


def layout(
    paths: Mapping[Key, tuple[Key, ...]],
    sizes: Mapping[Key, tuple[float, float]],
    edges: Sequence[tuple[Key, Key]],
    labels: Mapping[tuple[Key, ...], float],
) -> Placed:
    """Place vertices and boxes.

    Args:
        paths: for every vertex, in an order in which edges point forward, the boxes it stands in, outermost
        first.
        sizes: width and height of every vertex.
        edges: (from, to), each pointing forward.
        labels: the least width of every box, by its path.

    Returns:
        Placed, in pixels; y grows downwards.
    """
    vertices = list(paths)
    rows = rows_of(vertices, edges)
    root, boxes = _tree(paths, sizes, rows)
    leaf = {item.key: item for item in root.leaves()}
    chains = _bend(edges, leaf, rows, boxes, paths)
    links = [pair for chain in chains for pair in pairwise(chain)]
    widths = {id(item): labels.get(path, 0.0) for path, item in boxes.items()}
    _arrange(root, links, widths)
    centres_y, tops = _heights(root, boxes, sizes, leaf)
    return _collect(root, boxes, leaf, chains, centres_y, tops, sizes)


def _tree(
    paths: Mapping[Key, tuple[Key, ...]], sizes: Mapping[Key, tuple[float, float]], rows: Mapping[Key, int]
) -> tuple[Item, dict[tuple[Key, ...], Item]]:
    root = Item("root", 0.0)
    boxes: dict[tuple[Key, ...], Item] = {(): root}
    for v, path in paths.items():
        for depth in range(1, len(path) + 1):
            if path[:depth] not in boxes:
                outer = boxes[path[: depth - 1]]
                boxes[path[:depth]] = box = Item(path[:depth], 0.0)
                outer.children.append(box)
        outer = boxes[path]
        outer.children.append(Item(v, sizes[v][0], (rows[v], rows[v])))
    for group in root.groups():
        spans = [child.rows for child in group.children]
        group.rows = min(a for a, _ in spans), max(b for _, b in spans)
    return root, boxes


def _bend(
    edges: Sequence[tuple[Key, Key]],
    leaf: Mapping[Key, Item],
    rows: Mapping[Key, int],
    boxes: Mapping[tuple[Key, ...], Item],
    paths: Mapping[Key, tuple[Key, ...]],
) -> list[list[Item]]:
    """Every edge as a chain of leaves, one a row; the bends stand in the innermost box of either end that
    covers their row."""
    chains = []
    bends: dict[tuple[Key, int, Item], Item] = {}
    for a, b in edges:
        chain = [leaf[a]]
        for row in range(rows[a] + 1, rows[b]):
            homes = [boxes[p[:d]] for p in (paths[b], paths[a]) for d in range(len(p), 0, -1)]
            home = next((g for g in homes if g.rows[0] <= row <= g.rows[1]), boxes[()])
            bend = bends.get((a, row, home))  # edges from one vertex share their way
            if bend is None:
                bend = bends[a, row, home] = Item((a, row), 8.0, (row, row), True)
                home.children.append(bend)
            chain.append(bend)
        chains.append([*chain, leaf[b]])
    return chains


# ---------------------------------------------------------------- across


def _arrange(root: Item, links: Sequence[tuple[Item, Item]], widths: Mapping[int, float]) -> None:
    """Order and place everything, keeping the best of several starts; then exchange neighbours while that
    helps."""
    links = list(dict.fromkeys(links))
    groups = list(root.groups())
    pulls = {id(c): _pulls(c, links) for g in groups for c in g.children}
    best = None
    for sweep in range(8):
        _place(groups, pulls, widths)
        cost = _cost(root, links)
        if best is None or cost < best[0] - 1e-9:
            best = (cost, [list(g.children) for g in groups])
        for group in groups if sweep % 2 == 0 else reversed(groups):
            wish = {id(c): _wish(c, pulls) for c in group.children}
            group.children.sort(key=lambda c: wish[id(c)])
    assert best is not None
    cost, orders = best
    for group, order in zip(groups, orders, strict=True):
        group.children[:] = order
    if sum(1 for _ in root.leaves()) <= 60:
        _exchange(root, groups, links, pulls, widths, cost)
    _place(groups, pulls, widths, rounds=40)


def _exchange(
    root: Item,
    groups: Sequence[Item],
    links: Sequence[tuple[Item, Item]],
    pulls: Pulls,
    widths: Mapping[int, float],
    cost: float,
) -> None:
    """Move single items to other places in their group while the cost falls."""
    tries = 250
    improved = True
    while improved and tries > 0:
        improved = False
        for group in groups:
            count = len(group.children)
            moves = [(i, j) for i in range(count) for j in range(count) if i != j and i != j + 1]
            for i, j in moves[: max(tries, 0)]:
                tries -= 1
                kept = list(group.children)
                group.children.insert(i, group.children.pop(j))
                _place(groups, pulls, widths, rounds=8)
                new = _cost(root, links)
                if new < cost - 1e-6:
                    cost, improved = new, True
                else:
                    group.children[:] = kept


Pulls = Mapping[int, Sequence[tuple[Item, Item, int]]]


def _place(groups: Sequence[Item], pulls: Pulls, widths: Mapping[int, float], rounds: int = 12) -> None:
    """Positions for the present order: everything packed, then drawn towards its neighbours."""
    for group in groups:
        _spread(group, [0.0] * len(group.children), widths)
    for _ in range(rounds):
        for group in groups:
            _spread(
                group,
                [
                    _within(group, c, _wish(c, pulls)) if group is not groups[-1] else _wish(c, pulls)
                    for c in group.children
                ],
                widths,
            )


def _within(group: Item, child: Item, x: float) -> float:
    """`x` kept where the child stays in its box as it is: boxes grow by gaps only, and are drawn as a whole
    by the box around them."""
    room = max((group.width - child.width) / 2 - SIDE, 0.0)
    return min(max(x, group.x - room), group.x + room)


def _pulls(item: Item, links: Sequence[tuple[Item, Item]]) -> list[tuple[Item, Item, int]]:
    """(a leaf of the item, its neighbour outside, weight) of the edges that leave an item."""
    inside = {id(x) for x in item.leaves()}
    found = []
    for a, b in links:
        if (id(a) in inside) != (id(b) in inside):
            mine, other = (a, b) if id(a) in inside else (b, a)
            found.append(
                (mine, other, 3 if mine.bend and other.bend else 1)
            )  # long edges had better be straight
    return found


def _wish(item: Item, pulls: Pulls) -> float:
    """Where an item would like its centre: the mean of where its edges want it."""
    shift, count = 0.0, 0
    for mine, other, weight in pulls[id(item)]:
        shift += weight * (other.x - mine.x)
        count += weight
    return item.x + (shift / count if count else 0.0)


def _spread(group: Item, wishes: Sequence[float], widths: Mapping[int, float]) -> None:
    """Place the children in their order as near to the wishes as the gaps allow; the box follows them."""
    items = group.children
    apart = [
        [
            (i, (items[i].width + items[j].width) / 2 + _gap(items[i], items[j]))
            for i in range(j)
            if _share_rows(items[i], items[j])
        ]
        for j in range(len(items))
    ]
    # The mean of a placement from the left and one from the right keeps every gap that both keep.
    left: list[float] = []
    for j in range(len(items)):
        left.append(max([wishes[j], *(left[i] + d for i, d in apart[j])]))
    right = list(wishes)
    for j in reversed(range(len(items))):
        for i, d in apart[j]:
            right[i] = min(right[i], right[j] - d)
    for x, y, child in zip(left, right, items, strict=True):
        child.move_to((x + y) / 2)
    low = min(c.x - c.width / 2 for c in items)
    high = max(c.x + c.width / 2 for c in items)
    group.x = (low + high) / 2
    group.width = max(high - low + 2 * SIDE, widths.get(id(group), 0.0))


def _gap(a: Item, b: Item) -> float:
    return GAP / 2 if a.bend or b.bend else GAP


def _share_rows(a: Item, b: Item) -> bool:
    return a.rows[0] <= b.rows[1] and b.rows[0] <= a.rows[1]


def _cost(root: Item, links: Sequence[tuple[Item, Item]]) -> float:
    """Crossings count most, then the sideways length of edges, then the width of it all."""
    ends = [(a.x, b.x, a.rows[0], b.rows[0], a, b) for a, b in links]
    crossings = 0
    for i, (a0, b0, top, bottom, a, b) in enumerate(ends):
        for a1, b1, top1, bottom1, c, d in ends[:i]:
            if (top, bottom) == (top1, bottom1) and a is not c and b is not d and (a0 - a1) * (b0 - b1) < 0:
                crossings += 1
    slant = sum(abs(a - b) for a, b, *_ in ends)
    return 400.0 * crossings + slant + 0.3 * root.width


# ---------------------------------------------------------------- down


def _heights(
    root: Item,
    boxes: Mapping[tuple[Key, ...], Item],
    sizes: Mapping[Key, tuple[float, float]],
    leaf: Mapping[Key, Item],
) -> tuple[list[float], dict[int, tuple[float, float]]]:
    """The y of every row's centre; and how far every box reaches over its first and below its last row's
    vertices."""
    last = root.rows[1]
    half = [0.0] * (last + 1)
    for key, item in leaf.items():
        half[item.rows[0]] = max(half[item.rows[0]], sizes[key][1] / 2)
    reach: dict[int, tuple[float, float]] = {}
    above, below = [0.0] * (last + 1), [0.0] * (last + 1)
    for group in root.groups():
        up = TOP + max(
            [reach[id(c)][0] for c in group.children if c.children and c.rows[0] == group.rows[0]],
            default=0.0,
        )
        down = BOTTOM + max(
            [reach[id(c)][1] for c in group.children if c.children and c.rows[1] == group.rows[1]],
            default=0.0,
        )
        reach[id(group)] = (up, down)
        if group is not root:
            above[group.rows[0]] = max(above[group.rows[0]], up)
            below[group.rows[1]] = max(below[group.rows[1]], down)
    y = [above[0] + half[0]]
    for r in range(1, last + 1):
        y.append(y[-1] + half[r - 1] + below[r - 1] + ROW_GAP + above[r] + half[r])
    return y, {
        id(g): (
            y[g.rows[0]] - half[g.rows[0]] - reach[id(g)][0],
            y[g.rows[1]] + half[g.rows[1]] + reach[id(g)][1],
        )
        for g in boxes.values()
    }


def _collect(
    root: Item,
    boxes: Mapping[tuple[Key, ...], Item],
    leaf: Mapping[Key, Item],
    chains: Sequence[Sequence[Item]],
    y: Sequence[float],
    tops: Mapping[int, tuple[float, float]],
    sizes: Mapping[Key, tuple[float, float]],
) -> Placed:
    things = [
        *leaf.values(),
        *(g for p, g in boxes.items() if p),
        *(item for chain in chains for item in chain),
    ]
    shift = -min(i.x - i.width / 2 for i in things)
    width = max(i.x + i.width / 2 for i in things) + shift
    centres = {key: (item.x + shift, y[item.rows[0]]) for key, item in leaf.items()}
    rectangles = {}
    for path, group in boxes.items():
        if path:
            top, bottom = tops[id(group)]
            rectangles[path] = (group.x - group.width / 2 + shift, top, group.width, bottom - top)
    bends = {i: [(b.x + shift, y[b.rows[0]]) for b in chain[1:-1]] for i, chain in enumerate(chains)}
    height = max(
        [y[r] + sizes[k][1] / 2 for k, i in leaf.items() for r in i.rows]
        + [t + h for _, t, _, h in rectangles.values()]
    )
    return Placed(centres, rectangles, bends, (width, height))


__all__ = ["Placed", "layout", "rows_of"]
