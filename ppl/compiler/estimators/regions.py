"""Random choices inside scans and branches: the region is run once to draw, and once more on what was drawn.

The first run holds the draws and no derivative. The second is a pure region whose inputs are the draws (or
the noise behind them): its reverse sweep sees the very values that were drawn, and gives derivatives of
pathwise choices and log densities of scored ones. Noise that knows no parameter is drawn outside, all steps at
once; a region all of whose choices have such noise needs no first run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ppl.compiler import specs
from ppl.compiler.estimators import black_boxes
from ppl.compiler.estimators.strategy import Build, Strategy
from ppl.compiler.graph import Graph, Node, Plate, Type, bodies, rebuild, substitute
from ppl.compiler.ops import (
    Scan,
    full,
    item,
    make,
    make_input,
    plate_index,
    plate_slice,
    plate_stack,
    scan,
    switch,
)
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect, Site, effect
from ppl.errors import MethodError


@dataclass
class Supply:
    """A draw that a body reads: how it is drawn, and the body's input for it."""

    name: str
    inner: tuple[Plate, ...]  # plates opened inside the region
    type: Type
    input: Node
    outside: Node | None = None  # where it is drawn before the region runs


@dataclass
class InRegion(Build):
    """Strategies' view from inside a region: draws and noise come in as inputs.

    Attributes:
        region: the region's node.
        supplies: what its bodies need, by name.
        drawing: whether this is the first run, in which draws happen.
        drawn_here: of the first run, the draws made in the present body.
    """

    region: Node | None = None
    outer: Build | None = None
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
            raise MethodError(f"'{e.name}' can't be drawn so inside a scan or branch", site=e.name)
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
            self.supplies[name] = Supply(name, inner, draw.type, entry, outside)
        supply = self.supplies[name]
        if self.drawing and supply.outside is None:
            self.drawn_here[name] = draw
            return draw
        value = supply.input
        for plate in inner:
            value = plate_slice(value, plate)
        return value

    def _outside(self, draw: Node, standard: tuple[Site, Sequence[Node]], inner: tuple[Plate, ...]) -> Node:
        """Noise for all steps at once, drawn where the region stands."""
        assert self.region is not None
        site, params = standard
        steps = _steps(self.region)
        context = {*self.plates, *inner, *(() if steps is None else (steps,))}
        node = effect("sample", site, list(params), draw.type, tuple(sorted(context)), mark=draw.mark)
        for plate in reversed(inner):
            node = plate_stack(node, plate)
        return node if steps is None else plate_stack(node, steps)


def _steps(region: Node) -> Plate | None:
    """A plate over the steps of a scan, for what is drawn for all of them at once."""
    if region.op != "scan":
        return None
    return Plate(1 << 19, f"steps of {region.attr('name')}", region.attr("length"))


@dataclass(frozen=True)
class Scored:
    """A choice in a region that strategies score: its log density outside, and the values that were drawn."""

    name: str
    strategy: Strategy
    log_density: Node
    value: Node


@dataclass(frozen=True)
class Rewritten:
    """A region without random choices. `node`'s outputs begin with the old one's carries and outputs."""

    node: Node
    kept: int
    drawn: tuple[Node, ...]
    scored: tuple[Scored, ...]


def has_choices(node: Node) -> bool:
    """Whether a region has random choices, or black boxes whose derivatives need noise."""
    return node.op in ("scan", "switch") and any(
        b.effects or any(n.op == "black_box" for n in b.nodes()) for b in bodies(node)
    )


def choices_in(node: Node) -> list[Node]:
    """The random choices of a region's bodies."""
    found: dict[Node, None] = {}
    for body in bodies(node):
        for e in body.effects:
            if e.op in ("scan", "switch"):
                raise MethodError(
                    "a scan or branch with random choices stands inside another one",
                    where=e.mark,
                    expected="random choices in scans and branches that are not nested, where an objective needs gradients",
                    found=f"a {e.op} inside the {node.op} '{node.attr('name')}'",
                    edit="a plate for the inner one, or one scan over pairs of steps",
                )
            if e.op == "sample":
                found[e] = None
    return list(found)


def names_in(node: Node) -> list[str]:
    return [Effect.of(n).name for n in choices_in(node)]


def rewritten(
    node: Node, args: Sequence[Operand], strategies: Mapping[str, Strategy | None], build: Build
) -> Rewritten:
    """The region on these arguments, its choices taken over by their strategies."""
    region = rebuild(node, tuple(args))
    inside = InRegion(
        build.batch, build.particles, {}, build.states, build.fitted, build.tuned, region, build
    )
    _run_bodies(region, strategies, inside)  # finds out what is supplied
    drawn: dict[str, Node] = {}
    if any(s.outside is None for s in inside.supplies.values()):
        inside.drawing = True
        drawn = _draw(region, strategies, inside)
        inside.drawing = False
    values = {name: drawn[name] if s.outside is None else s.outside for name, s in inside.supplies.items()}
    runs = _run_bodies(region, strategies, inside)
    scores = list(dict.fromkeys(name for _, logs in runs for name in logs))
    extra = [[logs.get(name) or _absent(name, runs) for name in scores] for _, logs in runs]
    pure = _assembled(region, [outs for outs, _ in runs], extra, inside.supplies, values)
    kept = _kept(region)
    scored = []
    for k, name in enumerate(scores):
        strategy = strategies[name]
        assert strategy is not None
        scored.append(Scored(name, strategy, item(pure, kept + k), drawn[name]))
    return Rewritten(pure, kept, tuple(drawn.values()), tuple(scored))


def _kept(region: Node) -> int:
    assert region.outs is not None
    return len(region.outs) - (region.attr("carries") if region.op == "scan" else 0)


def _run_bodies(
    region: Node, strategies: Mapping[str, Strategy | None], inside: InRegion
) -> list[tuple[list[Node], dict[str, Node]]]:
    """Of each body: its outputs on supplied draws, and the log densities of what is scored."""
    return [_run_body(body, strategies, inside) for body in bodies(region)]


def _run_body(
    body: Graph, strategies: Mapping[str, Strategy | None], inside: InRegion
) -> tuple[list[Node], dict[str, Node]]:
    logs: dict[str, Node] = {}

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
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
            inner = inside.supplies[e.name].inner
            log = specs.log_density(e.site.spec, e.params, value)
            for plate in reversed(inner):
                log = plate_stack(log, plate)
            logs[e.name] = log
        return value

    memo: dict[Node, Node] = {}
    outs = substitute((*body.outputs, *body.effects), memo, visit)
    return outs[: len(body.outputs)], logs


def _absent(name: str, runs: Iterable[tuple[list[Node], dict[str, Node]]]) -> Node:
    """The log density of a choice in a branch that doesn't have it."""
    like = next(logs[name] for _, logs in runs if name in logs)
    return full(0.0, like.shape, like.dtype)


def _draw(region: Node, strategies: Mapping[str, Strategy | None], inside: InRegion) -> dict[str, Node]:
    """The first run: what it draws, stacked over steps and inner plates, as constants of differentiation."""
    wanted = [s for s in inside.supplies.values() if s.outside is None]
    given = {name: s for name, s in inside.supplies.items() if s.outside is not None}
    outputs, effects, extra = [], [], []
    for body in bodies(region):
        inside.drawn_here = {}
        outs, _ = _run_body(body, strategies, inside)
        outputs.append(outs)
        effects.append(tuple(inside.drawn_here.values()))
        extra.append([_output(s, inside.drawn_here.get(s.name)) for s in wanted])
    values = {name: s.outside for name, s in given.items() if s.outside is not None}
    node = _assembled(region, outputs, extra, given, values, effects, inside.batch)
    kept = _kept(region)
    return {s.name: make("detach", item(node, kept + k)) for k, s in enumerate(wanted)}


def _output(supply: Supply, draw: Node | None) -> Node:
    if draw is None:  # a branch without this choice
        shape = (*(p.size for p in supply.inner), *supply.type.shape)
        return full(0, shape, supply.type.dtype)
    for plate in reversed(supply.inner):
        draw = plate_stack(draw, plate)
    return draw


def _assembled(
    region: Node,
    outputs: Sequence[Sequence[Node]],
    extra: Sequence[Sequence[Node]],
    supplies: Mapping[str, Supply],
    values: Mapping[str, Node],
    effects: Sequence[tuple[Node, ...]] = (),
    batch: Plate | None = None,
) -> Node:
    """The region with these bodies: supplied draws are further inputs, `extra` are further outputs."""
    entries = [s.input for s in supplies.values()]
    operands = [values[name] for name in supplies]
    shared, tail = (
        ([plate_index(batch)], [make_input("batch", (), torch.int64, (batch,), "const")])
        if batch
        else ([], [])
    )
    effects = effects or [()] * len(outputs)
    if region.op == "scan":
        s = Scan.of(region)
        k = len(s.init) + len(s.xs)
        inputs = (*s.body.inputs[:k], *entries, *s.body.inputs[k:], *tail)
        body = Graph(inputs, (*outputs[0], *extra[0]), effects[0])
        return scan(body, s.init, [*s.xs, *operands], [*s.consts, *shared], s.length, s.reverse, s.name)
    graphs = [
        Graph((*b.inputs, *entries, *tail), (*outs, *more), drawn)
        for b, outs, more, drawn in zip(bodies(region), outputs, extra, effects, strict=True)
    ]
    index, *old = region.nodes
    return switch(graphs, index, [*old, *operands, *shared], region.attr("name"))
