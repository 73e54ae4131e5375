"""The structure of a recorded program: its statements, the boxes (plates, scans, branches) they stand in,
what depends on what.

`explain` and `graph` are two readings of this one. Dependence is *direct*: it passes through computed values
up to the nearest named thing (a site, a deterministic, a param, data), and through the carry of a scan, which
makes it one on the step before.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ppl.compiler.graph import Graph, Node, Plate, bodies, topological
from ppl.compiler.ops import Scan
from ppl.compiler.ops.effects import Effect
from ppl.language.record import Recorded


@dataclass(frozen=True)
class Box:
    """Where statements stand: `kind` is "plate", "scan" or "branch". `size` counts elements, steps, or says
    which branch; `total` is the size of a subsampled plate, or the number of branches. `key` tells regions of
    one name
    apart."""

    kind: str
    name: str
    size: int
    total: int = 0
    key: int = 0


Boxes = tuple[Box, ...]


@dataclass(frozen=True)
class Source:
    """What a value depends on: `kind` is "site", "param" or "data" ("carry" while dependence is being worked
    out).

    `previous`: on its value in the step before. `along`: the boxes along which data are taken apart.
    """

    kind: str
    name: str
    boxes: Boxes = ()
    previous: bool = False
    along: tuple[str, ...] = ()


Sources = frozenset[Source]
NOTHING: Sources = frozenset()


@dataclass(frozen=True, eq=False)
class Statement:
    """A site, factor or deterministic. `control`: what decides whether it runs at all (conditions of branches
    around it)."""

    effect: Effect
    scope: Scope
    boxes: Boxes

    @property
    def name(self) -> str:
        return self.effect.name

    @functools.cached_property
    def sources(self) -> list[Source]:
        e = self.effect
        roots = list(e.params)
        if e.value is not None and e.node.op in ("factor", "score_factor"):
            roots.append(e.value)
        found = self.scope.sources(roots)
        if e.value is not None and e.node.op in ("deterministic", "observe"):
            behind = self.scope.sources_behind(e.value)
            given = e.node.op == "observe" or e.site.fixed  # then data are the value, not what it depends on
            found |= {s for s in behind if not (given and s.kind == "data")}
        return ordered(found)

    @functools.cached_property
    def control(self) -> list[Source]:
        found: Sources = NOTHING
        scope: Scope | None = self.scope
        while scope is not None:
            if scope.region is not None and scope.region.op == "switch" and scope.parent is not None:
                found |= scope.parent.sources([scope.region.nodes[0]])
            scope = scope.parent
        return ordered(found)


def ordered(sources: Iterable[Source]) -> list[Source]:
    return sorted(set(sources), key=lambda s: (s.kind, s.name, s.previous, s.along, len(s.boxes)))


@dataclass(eq=False)
class Scope:
    """The main program or one body of a region: the names of its nodes, and what its inputs stand for
    outside."""

    graph: Graph
    boxes: Boxes
    plates: frozenset[Plate]
    recorded: Recorded
    parent: Scope | None = None
    region: Node | None = None
    names: dict[Node, Source] = field(default_factory=dict)
    inner: dict[Node, list[Scope]] = field(default_factory=dict)
    memo: dict[Node, Sources] = field(default_factory=dict)

    # ------------------------------------------------------------ regions

    def bodies_of(self, node: Node) -> list[Scope]:
        """A scope for each body of a region node of this scope."""
        if node not in self.inner:
            here = (*self.boxes, *(self._plate(p) for p in node.plates if p not in self.plates))
            plates = self.plates | frozenset(node.plates)
            graphs, key = bodies(node), len(self.inner)
            if node.op == "scan":
                boxes = [Box("scan", node.attr("name"), node.attr("length"), key=key)]
            else:
                boxes = [Box("branch", node.attr("name"), k, len(graphs), key) for k in range(len(graphs))]
            self.inner[node] = [
                Scope(g, (*here, b), plates, self.recorded, self, node)
                for g, b in zip(graphs, boxes, strict=True)
            ]
        return self.inner[node]

    def _plate(self, plate: Plate) -> Box:
        drawn, total = self.recorded.subsamples.get(plate.name, (plate.size, 0))
        return Box("plate", plate.name, drawn, total)

    def statements(self) -> Iterator[Statement]:
        """The statements in program order; names are noted on the way."""
        for node in self.graph.effects:
            if node.op in ("scan", "switch"):
                for body in self.bodies_of(node):
                    yield from body.statements()
                continue
            e = Effect.of(node)
            boxes = (*self.boxes, *(self._plate(p) for p in e.context if p not in self.plates))
            source = Source("site", e.name, boxes)
            named = node if node.op == "sample" else e.value
            if (
                node.op in ("sample", "observe", "deterministic")
                and named is not None
                and _nameable(named, node)
            ):
                self.names.setdefault(named, source)
            yield Statement(e, self, boxes)

    # ------------------------------------------------------------ inputs

    def outside(self, node: Node) -> tuple[str, Node] | None:
        """What an input of this body is outside: ("carry" | "counter" | "element" | "const", the operand)."""
        if self.region is None or node not in self.graph.inputs:
            return None
        i = self.graph.inputs.index(node)
        if self.region.op == "switch":
            return "const", self.region.nodes[i + 1]
        s = Scan.of(self.region)
        k = len(s.init)
        kind = "carry" if i < k else "counter" if i == k else "element" if i < k + len(s.xs) else "const"
        return kind, self.region.nodes[i]

    # ------------------------------------------------------------ dependence

    def sources(self, nodes: Iterable[Node]) -> Sources:
        """The nearest named things that these values of the scope are computed from."""
        found: Sources = frozenset().union(*(self._raw(n) for n in nodes))
        return self._settled(found)

    def sources_behind(self, node: Node) -> Sources:
        """The same, but of what a named value was computed from."""
        return self._settled(
            self._of(node, frozenset().union(*(self._raw(a) for a in node.nodes))) - {self.names.get(node)}
        )

    def _settled(self, found: Sources) -> Sources:
        scope: Scope | None = self
        while scope is not None:
            found = scope._without_carries(found)
            scope = scope.parent
        return found

    def _raw(self, root: Node) -> Sources:
        for node in topological([root], self.memo):
            source = self.names.get(node)
            if source is not None:
                self.memo[node] = frozenset([source])
            else:
                self.memo[node] = self._of(node, frozenset().union(*(self.memo[a] for a in node.nodes)))
        return self.memo[root]

    def _of(self, node: Node, below: Sources) -> Sources:
        if node.op == "input":
            return self._input(node)
        if node.op in ("scan", "switch"):
            return NOTHING  # its results are read by items
        if node.op == "item" and node.nodes[0].op in ("scan", "switch"):
            return self._result(node.nodes[0], node.attr("index"))
        if node.op == "plate_slice":
            return _along(below, node.attr("plate").name)
        if node.op == "take" and (step := self._step_of(node.nodes[1])) is not None:
            return _along(self.memo[node.nodes[0]], step)
        return below

    def _step_of(self, index: Node) -> str | None:
        """The scan whose step number `index` is."""
        scope: Scope | None = self
        while scope is not None and scope.parent is not None:
            found = scope.outside(index)
            if found is None:
                return None
            if found[0] == "counter":
                assert scope.region is not None
                return str(scope.region.attr("name"))
            index, scope = found[1], scope.parent
        return None

    def _input(self, node: Node) -> Sources:
        found = self.outside(node)
        if found is None:
            role, name = node.attr("role"), node.attr("name")
            return frozenset([Source(role, name)]) if role in ("data", "param") else NOTHING
        kind, operand = found
        assert self.parent is not None and self.region is not None
        if kind == "carry":
            return frozenset([Source("carry", str(self.graph.inputs.index(node)), self.boxes)])
        if kind == "counter":
            return NOTHING
        outer = self.parent._raw(operand)
        return _along(outer, self.region.attr("name")) if kind == "element" else outer

    def _without_carries(self, found: Sources) -> Sources:
        """This scope's carries replaced by what they start from and by what the step before made of them."""
        waiting = [s for s in found if s.kind == "carry" and s.boxes == self.boxes]
        if not waiting:
            return found
        result, seen = set(found) - set(waiting), set(waiting)
        assert self.parent is not None and self.region is not None
        while waiting:
            i = int(waiting.pop().name)
            result |= self.parent._raw(self.region.nodes[i])
            for s in self._raw(self.graph.outputs[i]):
                if s.kind == "carry" and s.boxes == self.boxes:
                    if s not in seen:
                        seen.add(s)
                        waiting.append(s)
                else:
                    result.add(replace(s, previous=True) if s.boxes[: len(self.boxes)] == self.boxes else s)
        return frozenset(result)

    def _result(self, region: Node, index: int) -> Sources:
        """What a region's result depends on, seen from outside."""
        found: set[Source] = set(self.memo[region.nodes[0]]) if region.op == "switch" else set()
        for body in self.bodies_of(region):
            outputs = body.graph.outputs
            if index < len(outputs):
                inside = body._without_carries(body._raw(outputs[index]))
            else:  # the carries that entered each step
                inside = body._without_carries(body._raw(body.graph.inputs[index - len(outputs)]))
            found |= {
                replace(s, previous=False) if s.boxes[: len(body.boxes)] == body.boxes else s for s in inside
            }
        return frozenset(found)


def _nameable(value: Node, effect: Node) -> bool:
    return value is effect or value.op not in ("sample", "full", "constant")


def _along(sources: Sources, name: str) -> Sources:
    return frozenset(
        replace(s, along=tuple(sorted({*s.along, name}))) if s.kind == "data" else s for s in sources
    )


def structure(recorded: Recorded) -> list[Statement]:
    """The statements of a recorded program, in program order."""
    return list(Scope(recorded.graph, (), frozenset(), recorded).statements())


def is_unnamed(recorded: Recorded, name: str) -> bool:
    """Whether data of this name were made in the program, so that the name is the recorder's."""
    return re.fullmatch(r"c\d+(\.\d+)?", name) is not None and name not in recorded.bound.arguments
