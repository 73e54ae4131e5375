"""Random choices inside a scan that stays a loop: it is run once to draw, and once more on what was drawn.

The first run holds the draws and no derivative. The second is a pure scan whose inputs are the draws (or
the noise behind them): its reverse sweep sees the very values that were drawn, and gives derivatives of
pathwise choices and log densities of scored ones. Noise that knows no parameter is drawn outside, all steps at
once; a scan all of whose choices have such noise needs no first run. Scans for which this is not enough are written out
(`steps`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ppl.compiler import specs
from ppl.compiler.estimators import black_boxes
from ppl.compiler.estimators.steps import bare, has_choices
from ppl.compiler.estimators.strategy import Build, Strategy
from ppl.compiler.graph import Graph, Node, Plate, Type, rebuild, substitute, topological
from ppl.compiler.ops import (
    Scan,
    item,
    make,
    make_input,
    plate_index,
    plate_stack,
    scan,
    sliced,
    stacked,
)
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect, Site, effect
from ppl.errors import MethodError


@dataclass
class Supply:
    """A draw that the body reads: how it is drawn, and the body's input for it."""

    name: str
    inner: tuple[Plate, ...]  # plates opened inside the scan
    input: Node
    outside: Node | None = None  # where it is drawn before the scan runs


@dataclass
class InRegion(Build):
    """Strategies' view from inside a scan: draws and noise come in as inputs.

    Attributes:
        region: the scan's node.
        supplies: what its body needs, by name.
        drawing: whether this is the first run, in which draws happen.
        drawn_here: of the first run, the draws that are made.
    """

    region: Node | None = None
    supplies: dict[str, Supply] = field(default_factory=dict)
    drawing: bool = False
    drawn_here: dict[str, Node] = field(default_factory=dict)

    @property
    def plates(self) -> frozenset[Plate]:
        assert self.region is not None
        own = {self.batch} if self.batch is not None else set()
        return frozenset(self.region.plates) | own

    def drawn(self, e: Effect, **changes: Any) -> Node:
        if changes.get("kind"):
            raise MethodError(f"'{e.name}' can't be drawn so inside a scan", site=e.name)
        node = e.replaced(mask=None, scale=None, reads=(), context=self.context(e), **changes)
        return self._read(e.name, node, None)

    def noise(self, e: Effect, name: str, spec: Any, params: Sequence[Node], type_: Type) -> Node:
        site = Site(f"{e.name}.{name}", spec)
        node = effect("sample", site, list(params), type_, self.context(e), mark=e.node.mark)
        standard = all(p.op == "full" for p in params)
        return self._read(site.name, node, (site, params) if standard else None)

    def _read(self, name: str, draw: Node, standard: tuple[Site, Sequence[Node]] | None) -> Node:
        inner = tuple(p for p in draw.plates if p not in self.plates)
        if name not in self.supplies:
            shape = (*(p.size for p in inner), *draw.shape)
            entry = make_input(f"draw {name}", shape, draw.dtype, tuple(sorted(self.plates)), "supply")
            outside = self._outside(draw, standard, inner) if standard is not None else None
            self.supplies[name] = Supply(name, inner, entry, outside)
        supply = self.supplies[name]
        if self.drawing and supply.outside is None:
            self.drawn_here[name] = draw
            return draw
        return sliced(supply.input, inner)

    def _outside(self, draw: Node, standard: tuple[Site, Sequence[Node]], inner: tuple[Plate, ...]) -> Node:
        """Noise for all steps at once, drawn where the region stands."""
        assert self.region is not None
        site, params = standard
        length: int = self.region.attr("length")
        steps = Plate(1 << 19, f"steps of {self.region.attr('name')}", length)
        context = {*self.plates, *inner, steps}
        node = effect("sample", site, list(params), draw.type, tuple(sorted(context)), mark=draw.mark)
        return plate_stack(stacked(node, inner), steps)


@dataclass(frozen=True)
class Scored:
    """A choice in a scan that strategies score: its log density outside, and the values that were drawn."""

    name: str
    strategy: Strategy
    log_density: Node
    value: Node


@dataclass(frozen=True)
class Rewritten:
    """A scan without random choices. `node`'s outputs begin with the old one's carries and outputs."""

    node: Node
    kept: int
    drawn: tuple[Node, ...]
    scored: tuple[Scored, ...]


def rewritten(
    node: Node, args: Sequence[Operand], strategies: Mapping[str, Strategy | None], build: Build
) -> Rewritten:
    """The scan on these arguments, its choices taken over by their strategies."""
    region = _without_reads(rebuild(node, tuple(args)))
    inside = InRegion(
        build.batch,
        build.particles,
        states=build.states,
        fitted=build.fitted,
        tuned=build.tuned,
        region=region,
    )
    _run(region, strategies, inside)  # finds out what is supplied
    drawn: dict[str, Node] = {}
    if any(s.outside is None for s in inside.supplies.values()):
        inside.drawing = True
        drawn = _draw(region, strategies, inside)
        inside.drawing = False
    values = {name: drawn[name] if s.outside is None else s.outside for name, s in inside.supplies.items()}
    outs, logs = _run(region, strategies, inside)
    pure = _assembled(region, [*outs, *logs.values()], inside.supplies, values)
    kept = _kept(region)
    scored = []
    for k, name in enumerate(logs):
        strategy = strategies[name]
        assert strategy is not None
        scored.append(Scored(name, strategy, item(pure, kept + k), drawn[name]))
    return Rewritten(pure, kept, tuple(drawn.values()), tuple(scored))


def _without_reads(region: Node) -> Node:
    """The scan without operands that nothing but its strategies read: they are no part of the objective. (What nothing
    reads at all stays: it says over which plates the scan varies.)
    """
    s = Scan.of(region)
    body, k = bare(s.body), len(s.init)
    read = set(topological((*s.body.outputs, *s.body.effects)))
    needed = set(topological((*body.outputs, *body.effects)))
    kept = [i for i in body.inputs[k:] if i in needed or i not in read]
    xs, consts = (
        [outer for i, outer in zip(inputs, operands, strict=True) if i in kept]
        for inputs, operands in (
            (body.inputs[k : k + len(s.xs)], s.xs),
            (body.inputs[k + len(s.xs) :], s.consts),
        )
    )
    body = Graph((*body.inputs[:k], *kept), body.outputs, body.effects)
    return scan(body, s.init, xs, consts, s.length, s.reverse, s.name)


def _kept(region: Node) -> int:
    assert region.outs is not None
    return len(region.outs) - int(region.attr("carries"))


def _run(
    region: Node, strategies: Mapping[str, Strategy | None], inside: InRegion
) -> tuple[list[Node], dict[str, Node]]:
    """The body's outputs on supplied draws, and the log densities of what is scored."""
    body: Graph = region.attr("body")
    logs: dict[str, Node] = {}

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op == "switch" and has_choices(node):
            return black_boxes.in_branches(node, args, inside)
        if node.op == "black_box":
            return black_boxes.rewritten(node, args, inside)
        if node.op != "sample":
            return None
        e = Effect.of(rebuild(node, args)).bare
        strategy = strategies[e.name]
        if strategy is None:
            return inside.drawn(e)
        value = strategy.value(e, inside)
        if not strategy.pathwise and not inside.drawing:
            log = specs.log_density(e.site.spec, e.params, value)
            logs[e.name] = stacked(log, inside.supplies[e.name].inner)
        return value

    memo: dict[Node, Node] = {}
    outs = substitute((*body.outputs, *body.effects), memo, visit)
    return outs[: len(body.outputs)], logs


def _draw(region: Node, strategies: Mapping[str, Strategy | None], inside: InRegion) -> dict[str, Node]:
    """The first run: what it draws, stacked over steps and inner plates, as constants of differentiation."""
    wanted = [s for s in inside.supplies.values() if s.outside is None]
    given = {name: s for name, s in inside.supplies.items() if s.outside is not None}
    outs, _ = _run(region, strategies, inside)
    extra = [stacked(inside.drawn_here[s.name], s.inner) for s in wanted]
    values = {name: s.outside for name, s in given.items() if s.outside is not None}
    effects = tuple(inside.drawn_here.values())
    node = _assembled(region, [*outs, *extra], given, values, effects, inside.batch)
    kept = _kept(region)
    return {s.name: make("detach", item(node, kept + k)) for k, s in enumerate(wanted)}


def _assembled(
    region: Node,
    outputs: Sequence[Node],
    supplies: Mapping[str, Supply],
    values: Mapping[str, Node],
    effects: tuple[Node, ...] = (),
    batch: Plate | None = None,
) -> Node:
    """The scan with these outputs of its body: supplied draws are further inputs."""
    entries = [s.input for s in supplies.values()]
    operands = [values[name] for name in supplies]
    shared, tail = (
        ([plate_index(batch)], [make_input("batch", (), torch.int64, (batch,), "const")])
        if batch
        else ([], [])
    )
    s = Scan.of(region)
    k = len(s.init) + len(s.xs)
    inputs = (*s.body.inputs[:k], *entries, *s.body.inputs[k:], *tail)
    body = Graph(inputs, tuple(outputs), effects)
    return scan(body, s.init, [*s.xs, *operands], [*s.consts, *shared], s.length, s.reverse, s.name)
