"""Recurrences: values computed through many look-alike steps, c' = f(c, x), become scans.

Candidates come from the deepest paths of the graph: along an unrolled recurrence the operators repeat, so a
path that repeats has one node of each step at equal distances. These are the lanes of a column, which is
followed down to the columns it is computed from. There, a column is

- *shared* if it is one node: a constant of the scan,
- *independent* if its lanes look alike down to their leaves, so none is computed from the one before:
  stacked,
- *carried* if it is another column a lane later: its first lane is where the scan starts,
- else a *step*: one operator on other columns.

Lanes at the ends that don't fit (a first step is often special) are dropped, and the column is followed
again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch

from ppl.compiler.graph import Graph, Node, substitute
from ppl.compiler.ops import body_inputs, constant, item, make, plate_stack, scan
from ppl.compiler.ops.core import Operand, remake
from ppl.compiler.passes.reroll_alike import (
    MIN,
    Lanes,
    LookAlikes,
    Ordered,
    Refused,
    arguments,
    columns,
    places,
)
from ppl.compiler.passes.reroll_columns import Rolls, read

LOOP = "loop"  # the name of a scan made here
_TRIES = 12  # times that lanes may be dropped
_PERIOD = 512  # nodes of one step along a path
_PHASES = 16  # pieces of a path that are looked at


def chains(ordered: Ordered, looks: LookAlikes) -> Ordered:
    """The graph with its recurrences as scans."""
    seeds = [s for path in _deep_paths(ordered) for s in _repetitions(path, ordered.inside, looks)]
    if not seeds:
        return ordered
    looks.number(ordered.nodes)
    finder = _Finder({n: i for i, n in enumerate(ordered.nodes)}, looks)
    found: list[Chain] = []
    taken: set[Node] = set()
    for lanes in seeds:
        chain = finder.find(lanes) if taken.isdisjoint(lanes) else None
        if chain is not None and taken.isdisjoint(chain.inside):
            found.append(chain)
            taken |= chain.inside
    if not found:
        return ordered
    read_outside = _Readers(ordered)
    rolls = Rolls(looks, ordered.free_level)
    memo: dict[Node, Node] = {}
    for chain in sorted(found, key=lambda c: finder.place[c.seeds[0]]):
        try:
            memo |= _Recurrence(chain, rolls, memo).as_scan(read_outside(chain.inside))
        except Refused:
            continue
    return ordered.with_outputs(substitute(ordered.graph.outputs, memo)) if memo else ordered


class _Readers:
    """Which nodes of a set something outside the set reads."""

    def __init__(self, ordered: Ordered) -> None:
        self.outputs = set(ordered.graph.outputs)
        self.users: dict[Node, list[Node]] = {}
        for node in ordered.nodes:
            for a in node.nodes:
                self.users.setdefault(a, []).append(node)

    def __call__(self, inside: set[Node]) -> set[Node]:
        return {n for n in inside if n in self.outputs or any(u not in inside for u in self.users.get(n, ()))}


# ---------------------------------------------------------------- candidates


def _deep_paths(ordered: Ordered) -> list[list[Node]]:
    """The graph cut into paths along the deepest arguments, results first; terms of a sum are equally deep."""
    depth: dict[Node, int] = {}
    below: dict[Node, Node] = {}
    for node in ordered.nodes:
        deepest = -1
        for a in node.args:
            if isinstance(a, Node) and depth[a] > deepest:
                deepest, below[node] = depth[a], a
        depth[node] = deepest if node in ordered.inside else deepest + 1
    if max(depth.values(), default=0) < MIN:
        return []
    paths, seen = [], set(ordered.inside)
    for node in sorted(ordered.nodes, key=lambda n: -depth[n]):
        path: list[Node] = []
        step: Node | None = node
        while step is not None and (step not in seen or (path and step in ordered.inside)):
            seen.add(step)
            path.append(step)
            step = below.get(step)
        if len(path) > MIN:
            paths.append(path)
    return paths


def _repetitions(path: list[Node], inside: set[Node], looks: LookAlikes) -> Iterator[Lanes]:
    """One node of each step of the repetitions along a path, first steps first."""
    seen: dict[object, int] = {}
    looked = np.array([seen.setdefault((n.op, n.type), len(seen)) for n in path])
    pieces = [(0, len(path))]
    for _ in range(_PHASES):
        if not pieces:
            return
        begin, end = pieces.pop()
        start, period, covered = _longest_repetition(looked[begin:end])
        if not covered:
            continue
        start += begin
        pieces += [(begin, start), (start + covered, end)]
        step = path[start : start + period + 1]
        if not inside.issuperset(step[1:]):  # a sum otherwise
            lanes = [path[start + i * period] for i in range(covered // period)]
            yield tuple(reversed(lanes + _further(lanes[-1], step, looks)))


def _longest_repetition(looked: np.ndarray) -> tuple[int, int, int]:
    """(start, period, numbers covered) of what is repeated at least `MIN` times, its period the shortest."""
    best = (0, 0, 0)
    for period in range(1, min(len(looked) // MIN, _PERIOD) + 1):
        start, length = _longest_run(looked[period:] == looked[:-period])
        covered = length + period
        if covered // period >= MIN and covered > best[2]:
            best = (start, period, covered)
            if 2 * covered > len(looked):
                break
    return best


def _further(node: Node, step: list[Node], looks: LookAlikes) -> list[Node]:
    """Earlier steps, along the arguments that lead from a step to the one before (not the deepest there)."""
    ways = [a.args.index(b) for a, b in pairwise(step)]
    found: list[Node] = []
    while True:
        for way, like in zip(ways, step[1:], strict=True):
            below = node.args[way] if way < len(node.args) else None
            if not isinstance(below, Node) or looks.local(below) != looks.local(like):
                return found
            node = below
        found.append(node)


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
    """A recurrence: what kind each column is, consumers first, and which column each carried one follows."""

    seeds: Lanes
    kinds: dict[Lanes, str] = field(default_factory=dict)
    source: dict[Lanes, Lanes] = field(default_factory=dict)

    def of(self, kind: str) -> list[Lanes]:
        return [c for c, k in self.kinds.items() if k == kind]

    @property
    def inside(self) -> set[Node]:
        """The nodes that the scan computes."""
        return {n for column in self.of("step") for n in column}


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
                for column in columns(lanes):
                    if column not in chain.kinds:
                        pushed += 1
                        heapq.heappush(queue, (-self.place[column[-1]], pushed, column))
        return None

    def _kind(self, lanes: Lanes, started: dict[Node, list[Lanes]], chain: Chain) -> str | None:
        first = lanes[0]
        if all(n is first for n in lanes):
            return "shared"
        if self.looks.one_whole(lanes):
            return "independent"
        for other in started.get(lanes[1], ()):
            if lanes[1:] == other[:-1] and first.type == other[0].type and first.outs is None:
                chain.source[lanes] = other
                return "carried"
        return "step" if self.looks.one_local(lanes) else None

    def _largest_part(self, lanes: Lanes) -> slice:
        """The longest run of lanes with one operator, if it is most of them."""
        looked = np.array([self.looks.local(n) for n in lanes])
        start, length = _longest_run(looked[1:] == looked[:-1])
        return slice(start, start + length + 1) if 2 * (length + 1) >= len(lanes) else slice(0, 0)


# ---------------------------------------------------------------- the scan


class _Recurrence:
    """A chain as a scan. `memo` maps nodes to those of the new graph."""

    def __init__(self, chain: Chain, rolls: Rolls, memo: dict[Node, Node]) -> None:
        self.chain, self.memo = chain, memo
        self.roll = rolls.of(len(chain.seeds))
        self.steps = list(reversed(chain.of("step")))  # arguments first
        self.carried = chain.of("carried")
        self.shared = [c for c in chain.of("shared") if c[0].op not in ("full", "constant")]
        self.stacked: dict[object, Node] = {c: self.roll.stack(c) for c in chain.of("independent")}
        self.stacked |= self._numbers()

    def as_scan(self, wanted: set[Node]) -> dict[Node, Node]:
        """The wanted nodes inside the chain, read from a scan. Raises `Refused`."""
        source = self.chain.source
        final = {source[c][-1]: i for i, c in enumerate(self.carried)}
        given = [c for c in self.steps if any(n in wanted for n in c if n not in final)]
        if any(c[0].outs is not None for c in given):
            raise Refused
        init, xs, consts = self._operands()
        inputs = body_inputs(init, xs, consts)
        values = self._body(inputs)
        following = [values[source[c]] for c in self.carried]
        if [n.type for n in following] != [n.type for n in init]:
            raise Refused
        body = Graph(inputs, (*following, *(values[c] for c in given)))
        node = scan(body, init, xs, consts, len(self.chain.seeds), name=LOOP)
        found = {n: item(node, i) for n, i in final.items() if n in wanted}
        for slot, lanes in enumerate(given, len(following)):
            stack = item(node, slot)
            for i, lane in enumerate(lanes):
                if lane in wanted:
                    found[lane] = make("select", stack, dim=-len(stack.shape), index=i)
        if any(new.plates != old.plates for old, new in found.items()):
            raise Refused
        return found

    def _operands(self) -> tuple[list[Node], list[Node], list[Node]]:
        init = substitute([c[0] for c in self.carried], self.memo)
        xs = substitute(list(self.stacked.values()), self.memo)
        return init, xs, substitute([c[0] for c in self.shared], self.memo)

    def _body(self, inputs: Sequence[Node]) -> dict[object, Node]:
        """What each column is in terms of the body's inputs."""
        values: dict[object, Node] = {c: c[0] for c in self.chain.of("shared")}
        values |= zip([*self.carried, *self.stacked, *self.shared], inputs, strict=True)
        for lanes in self.steps:
            first = lanes[0]
            args: list[Operand] = []
            for i, column in enumerate(arguments(lanes)):
                args.append(
                    values[column] if isinstance(column[0], Node) else values.get((lanes, i), column[0])
                )
            where = values.get((lanes, "place"))
            node = remake(first, tuple(args)) if where is None else read(first, args[0], where)
            if (node.type, node.outs) != (first.type, first.outs):
                raise Refused
            values[lanes] = node
        return values

    def _numbers(self) -> Iterator[tuple[tuple[Lanes, object], Node]]:
        """Numbers that differ from step to step, among the arguments and the places that are read."""
        for lanes in self.steps:
            for i, column in enumerate(arguments(lanes)):
                if not isinstance(column[0], Node):
                    value = self.roll.numbers(lanes[0], column)
                    if isinstance(value, Node):
                        yield (lanes, i), plate_stack(value, self.roll.plate)
            where = places(lanes)
            if where is not None:
                yield (lanes, "place"), constant(torch.tensor(where))


__all__ = ["LOOP", "chains"]
