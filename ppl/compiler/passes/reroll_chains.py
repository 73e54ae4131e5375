"""Recurrences: values computed through many look-alike steps, c' = f(c, x), become scans.

Candidates come from the deepest paths of the graph: along an unrolled recurrence the operators repeat, so a path that
repeats has one node of each step at equal distances. These are the lanes of a column, which is followed down to the
columns it is computed from. There, a column is

- *shared* if it is one node: a constant of the scan,
- *independent* if its lanes look alike down to their leaves, so none is computed from the one before: stacked,
- *carried* if it is another column a lane later: its first lane is where the scan starts,
- else one operator on other columns: part of the step.

Lanes at the ends that don't fit (a first step is often special) are dropped, and the column is followed again.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ppl.compiler.graph import Graph, Node, substitute
from ppl.compiler.ops import body_inputs, item, make, plate_stack, scan
from ppl.compiler.ops.core import Operand, remake
from ppl.compiler.passes.reroll_columns import MIN, Lanes, LookAlikes, Refused, Rolls, free_level

_TRIES = 12  # times that lanes may be dropped
_PERIOD = 512  # nodes of one step along a path


def chains(graph: Graph) -> Graph:
    """The graph with its recurrences as scans; `graph` itself if it has none."""
    order = graph.nodes()
    paths = _deep_paths(order)
    if not paths:
        return graph
    looks = LookAlikes()
    seeds = [s for s in (_repeats(path, looks) for path in paths) if s]
    if not seeds:
        return graph
    looks.number(order)
    finder = _Finder({n: i for i, n in enumerate(order)}, looks)
    found: list[Chain] = []
    taken: set[Node] = set()
    for lanes in seeds:
        chain = finder.find(lanes) if taken.isdisjoint(lanes) else None
        if chain is not None and taken.isdisjoint(chain.inside):
            found.append(chain)
            taken |= chain.inside
    if not found:
        return graph
    users = _users(order)
    rolls = Rolls(looks, free_level(graph))
    memo: dict[Node, Node] = {}
    for chain in sorted(found, key=lambda c: finder.place[c.seeds[0]]):
        wanted = chain.inside_used(users, graph.outputs)
        try:
            memo |= _scanned(chain, wanted, rolls, memo)
        except Refused:
            continue
    return Graph(graph.inputs, tuple(substitute(graph.outputs, memo)), (), graph.names) if memo else graph


def _users(order: Sequence[Node]) -> dict[Node, list[Node]]:
    users: dict[Node, list[Node]] = {}
    for node in order:
        for a in node.nodes:
            users.setdefault(a, []).append(node)
    return users


# ---------------------------------------------------------------- candidates


def _deep_paths(order: Sequence[Node]) -> list[list[Node]]:
    """The graph cut into paths, each along the deepest arguments; a sum of many terms counts as one step. Results
    first.
    """
    depth: dict[Node, int] = {}
    below: dict[Node, Node] = {}
    uses: dict[Node, int] = {}
    for node in order:
        deepest = -1
        for a in node.args:
            if isinstance(a, Node):
                uses[a] = uses.get(a, 0) + 1
                if depth[a] > deepest:
                    deepest, below[node] = depth[a], a
        depth[node] = deepest + 1
    if max(depth.values(), default=0) < MIN:
        return []
    del uses
    paths, seen = [], set()
    for node in sorted(order, key=lambda n: -depth[n]):
        path: list[Node] = []
        step: Node | None = node
        while step is not None and step not in seen:
            seen.add(step)
            path.append(step)
            step = below.get(step)
        if len(path) >= MIN:
            paths.append(path)
    return paths


def _repeats(path: list[Node], looks: LookAlikes) -> Lanes | None:
    """One node of each step of the longest repetition along a path, first step first."""
    looked = np.array([looks.local(n) for n in path])
    best = (0, 0, 0)  # nodes covered, −period, start
    for period in range(1, min(len(path) // MIN, _PERIOD) + 1):
        start, length = _longest_run(looked[period:] == looked[:-period])
        covered = length + period
        if covered // period >= MIN and (covered, -period) > best[:2]:
            best = (covered, -period, start)
            if 2 * covered > len(path):
                break
    covered, period, start = best[0], -best[1], best[2]
    if not covered:
        return None
    return tuple(path[start + i * period] for i in reversed(range(covered // period)))


def _longest_run(hits: np.ndarray) -> tuple[int, int]:
    """(start, length) of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], hits, [False])).astype(np.int8)))
    if not len(edges):
        return 0, 0
    lengths = edges[1::2] - edges[::2]
    longest = int(np.argmax(lengths))
    return int(edges[2 * longest]), int(lengths[longest])


# ---------------------------------------------------------------- alignment


@dataclass
class Chain:
    """A recurrence: what kind each column is, consumers first, and from which column each carried one comes."""

    seeds: Lanes
    kinds: dict[Lanes, str] = field(default_factory=dict)
    source: dict[Lanes, Lanes] = field(default_factory=dict)

    def of(self, kind: str) -> list[Lanes]:
        return [c for c, k in self.kinds.items() if k == kind]

    @property
    def inside(self) -> set[Node]:
        """The nodes that the scan computes."""
        return {n for column in self.of("step") for n in column}

    def inside_used(self, users: dict[Node, list[Node]], outputs: Sequence[Node]) -> set[Node]:
        """Those that something outside the scan reads."""
        inside = self.inside
        return {n for n in inside if any(u not in inside for u in users.get(n, ()))} | (inside & set(outputs))


class _Finder:
    """Follows candidate lanes down. `place` is the position of nodes in an order with arguments first."""

    def __init__(self, place: dict[Node, int], looks: LookAlikes) -> None:
        self.place = place
        self.looks = looks

    def find(self, seeds: Lanes) -> Chain | None:
        for _ in range(_TRIES):
            if len(seeds) < MIN:
                return None
            chain = Chain(seeds)
            kept = self._follow(chain)
            if kept is None:
                return chain if chain.source else None
            if kept.stop - kept.start >= len(seeds):
                return None
            seeds = seeds[kept]
        return None

    def _follow(self, chain: Chain) -> slice | None:
        """Sort out all columns; the lanes to keep where some don't fit (none if it is hopeless)."""
        budget = 4 * len(self.place) // len(chain.seeds) + 1000
        started: dict[Node, list[Lanes]] = {}
        queue = [(-self.place[chain.seeds[-1]], 0, chain.seeds)]
        pushed = 0
        while queue:  # latest first: what a column is carried from is known before it
            _, _, lanes = heapq.heappop(queue)
            if lanes in chain.kinds:
                continue
            budget -= 1
            kind = self._kind(lanes, started, chain)
            if kind is None or budget < 0:
                return self._largest_part(lanes) if budget >= 0 else slice(0, 0)
            chain.kinds[lanes] = kind
            if kind != "shared":
                started.setdefault(lanes[0], []).append(lanes)
            if kind == "step":
                for column in zip(*[n.args for n in lanes], strict=True):
                    if isinstance(column[0], Node) and column not in chain.kinds:
                        pushed += 1
                        heapq.heappush(queue, (-self.place[column[-1]], pushed, column))
        return None

    def _kind(self, lanes: Lanes, started: dict[Node, list[Lanes]], chain: Chain) -> str | None:
        first = lanes[0]
        if all(n is first for n in lanes):
            return "shared"
        whole = self.looks.whole(first)
        if all(self.looks.whole(n) == whole for n in lanes):
            return "independent"
        for other in started.get(lanes[1], ()):
            if lanes[1:] == other[:-1] and first.type == other[0].type:
                chain.source[lanes] = other
                return "carried"
        local = self.looks.local(first)
        return "step" if all(self.looks.local(n) == local for n in lanes) else None

    def _largest_part(self, lanes: Lanes) -> slice:
        """The longest run of lanes with one operator, if it is most of them."""
        looked = np.array([self.looks.local(n) for n in lanes])
        start, length = _longest_run(looked[1:] == looked[:-1])
        return slice(start, start + length + 1) if 2 * (length + 1) >= len(lanes) else slice(0, 0)


# ---------------------------------------------------------------- the scan


def _scanned(chain: Chain, wanted: set[Node], rolls: Rolls, memo: dict[Node, Node]) -> dict[Node, Node]:
    """The wanted nodes inside a chain, read from a scan. Raises `Refused`."""
    length = len(chain.seeds)
    roll = rolls.of(length)
    carried = chain.of("carried")
    stacked = [(c, plate_stack(roll.value(c), roll.plate)) for c in chain.of("independent")]
    shared = [c for c in chain.of("shared") if c[0].op not in ("full", "constant")]
    numbers = _numbers(chain, rolls)
    init = substitute([c[0] for c in carried], dict(memo))
    xs = substitute([*(node for _, node in stacked), *numbers.values()], dict(memo))
    consts = substitute([c[0] for c in shared], dict(memo))
    inputs = body_inputs(init, xs, consts)
    values: dict[object, Node] = {c: c[0] for c in chain.of("shared")}
    values |= zip([*carried, *(c for c, _ in stacked), *numbers, *shared], inputs, strict=True)
    steps = chain.of("step")
    for lanes in reversed(steps):
        args: list[Operand] = []
        for i, column in enumerate(zip(*[n.args for n in lanes], strict=True)):
            args.append(values[column] if isinstance(column[0], Node) else values.get((lanes, i), column[0]))
        values[lanes] = remake(lanes[-1], tuple(args))
        if (values[lanes].type, values[lanes].outs) != (lanes[0].type, lanes[0].outs):
            raise Refused
    read = [c for c in steps if any(n in wanted for n in c)]
    if any(c[0].outs is not None for c in read):
        raise Refused
    following = [values[chain.source[c]] for c in carried]
    if [n.type for n in following] != [n.type for n in init]:
        raise Refused
    body = Graph(inputs, (*following, *(values[c] for c in read)))
    node = scan(body, init, xs, consts, length, name="loop")
    return _results(node, chain, read, wanted)


def _numbers(chain: Chain, rolls: Rolls) -> dict[object, Node]:
    """Numbers among the arguments that differ from step to step, stacked."""
    roll = rolls.of(len(chain.seeds))
    found: dict[object, Node] = {}
    for lanes in chain.of("step"):
        for i, column in enumerate(zip(*[n.args for n in lanes], strict=True)):
            if not isinstance(column[0], Node):
                value = roll.numbers(lanes[0], column)
                if isinstance(value, Node):
                    found[lanes, i] = plate_stack(value, roll.plate)
    return found


def _results(node: Node, chain: Chain, read: list[Lanes], wanted: set[Node]) -> dict[Node, Node]:
    carries = len(chain.of("carried"))
    found: dict[Node, Node] = {}
    for position, lanes in enumerate(read):
        stack = item(node, carries + position)
        for i, lane in enumerate(lanes):
            if lane in wanted and lane not in found:
                found[lane] = make("select", stack, dim=-len(stack.shape), index=i)
    for position, lanes in enumerate(chain.of("carried")):
        source = chain.source[lanes]
        last = source[-1]
        if last in wanted and last in found and not any(n in wanted for n in source[:-1]):
            found[last] = item(node, position)
    if any(new.plates != old.plates for old, new in found.items()):
        raise Refused
    return found


__all__ = ["chains"]
