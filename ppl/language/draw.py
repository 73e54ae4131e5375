"""`graph`: a program drawn as a plate diagram, in SVG."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ppl.compiler.ops.effects import Effect
from ppl.errors import PplError
from ppl.language.compiled import Compiled
from ppl.language.formula import definition, distribution_text, formula
from ppl.language.program import Bound, as_bound
from ppl.language.record import Recorded, record
from ppl.language.structure import Box, Boxes, Source, Statement, is_unnamed, structure

VertexKey = tuple[str, str, Boxes]  # (kind of source, name, boxes)


@dataclass(frozen=True)
class Vertex:
    """One thing in the diagram. `kind`: "latent", "observed", "partly observed", "deterministic", "fixed",
    "factor", "param", "data"."""

    key: VertexKey
    name: str
    kind: str
    family: str = ""
    title: str = ""

    @property
    def boxes(self) -> Boxes:
        return self.key[2]


@dataclass(frozen=True)
class Edge:
    """`kind`: "direct", "previous" (on the step before, in a scan) or "control" (decides whether the other
    runs)."""

    source: VertexKey
    target: VertexKey
    kind: str = "direct"


@dataclass(frozen=True)
class Drawing:
    """A diagram: `vertices`, `edges` and `labels` of boxes as data, `.svg` as text. Notebooks show it."""

    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    labels: dict[Box, str] = field(default_factory=dict)
    name: str = ""

    @functools.cached_property
    def svg(self) -> str:
        from ppl.language.svg import render

        return render(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the SVG to `path`, which ends in .svg."""
        file = Path(path)
        if file.suffix.lower() != ".svg":
            raise PplError(
                "diagrams are written as SVG",
                expected="a path that ends in .svg",
                found=str(path),
                edit=f'"{file.with_suffix(".svg")}"; any browser or converter makes a picture of it',
            )
        file.write_text(self.svg, "utf-8")
        return file

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<drawing of {self.name}: {len(self.vertices)} vertices, {len(self.edges)} edges>"


def graph(b: Bound | Compiled, path: str | os.PathLike[str] | None = None, *, data: bool = True) -> Drawing:
    """Draw a program as a plate diagram.

    Ellipses are random choices, shaded where observed (half where partly); dashed rounded boxes are
    deterministics, squares params, small grey rectangles data. An arrow says that a distribution depends on a
    value directly. Boxes are plates, scans (t = 1…T;
    an arrow to itself: on the step before) and, dashed, the branches of cond and switch.

    Args:
        b: a bound program (`model(x)`, best with its data conditioned on), or a compiled one.
        path: a file for the SVG, or None.
        data: whether data that distributions depend on are shown.

    Returns:
        a `Drawing`: `.svg`, `.save(path)`; notebooks show it.

    Raises:
        RecordingError: the program can't be recorded.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     x = ppl.sample("x", Normal(0.0, 1.0))
    ...     ppl.sample("y", Normal(x, 1.0))
    >>> ppl.graph(m().condition(y=1.0)).svg[:4]
    '<svg'
    """
    recorded = b.recorded if isinstance(b, Compiled) else record(as_bound(b))
    drawing = diagram(recorded, data)
    if path is not None:
        drawing.save(path)
    return drawing


def diagram(recorded: Recorded, data: bool = True) -> Drawing:
    """Vertices and edges of a recorded program, in program order."""
    statements = structure(recorded)
    leaves: dict[VertexKey, Vertex] = {}
    homes = _homes(statements)
    for s in statements:
        for source in (*s.sources, *s.control):
            if source.kind == "param" or (
                source.kind == "data" and data and not is_unnamed(recorded, source.name)
            ):
                key = _key(source, homes)
                leaves.setdefault(
                    key, Vertex(key, source.name, source.kind, "", f"{source.kind} {source.name}")
                )
    own: dict[VertexKey, Vertex] = {}
    for s in statements:
        vertex = _vertex(s, recorded)
        own.setdefault(vertex.key, vertex)
    vertices = {**leaves, **own}
    edges: dict[tuple[VertexKey, VertexKey, str], Edge] = {}
    for s in statements:
        target: VertexKey = ("site", s.name, s.boxes)
        for source in s.sources:
            kind = "previous" if source.previous else "direct"
            _connect(edges, _key(source, homes), target, kind, vertices)
        for source in s.control:
            _connect(edges, _key(source, homes), target, "control", vertices)
    return Drawing(tuple(vertices.values()), tuple(edges.values()), _labels(statements), recorded.bound.name)


def _connect(
    edges: dict[tuple[VertexKey, VertexKey, str], Edge],
    source: VertexKey,
    target: VertexKey,
    kind: str,
    vertices: dict[VertexKey, Vertex],
) -> None:
    known = source in vertices and (source != target or kind == "previous")
    if known and not (kind == "control" and (source, target, "direct") in edges):
        edges.setdefault((source, target, kind), Edge(source, target, kind))


def _key(source: Source, homes: dict[str, Boxes]) -> VertexKey:
    if source.kind == "site":
        return "site", source.name, source.boxes
    return source.kind, source.name, homes.get(source.name, ()) if source.kind == "data" else ()


def _homes(statements: list[Statement]) -> dict[str, Boxes]:
    """The boxes of data: those along which every statement that uses them takes them apart."""
    homes: dict[str, Boxes] = {}
    for s in statements:
        for source in s.sources:
            if source.kind != "data":
                continue
            here: list[Box] = []
            for box in s.boxes:
                if box.name not in source.along:
                    break
                here.append(box)
            known = homes.get(source.name)
            common = here if known is None else _common(known, tuple(here))
            homes[source.name] = tuple(common)
    return homes


def _common(a: Boxes, b: Boxes) -> Boxes:
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return a[:count]


def _vertex(s: Statement, recorded: Recorded) -> Vertex:
    e = s.effect
    key: VertexKey = ("site", s.name, s.boxes)
    if e.node.op in ("factor", "score_factor"):
        weight = (
            formula(e.value, s.scope)
            if e.value is not None and e.node.op == "factor"
            else "known by its gradient"
        )
        return Vertex(key, s.name, "factor", "", f"{s.name}: factor {weight}")
    if e.node.op == "deterministic":
        if e.site.fixed:
            return Vertex(key, s.name, "fixed", "do", f"{s.name} is set by do()")
        assert e.value is not None
        return Vertex(key, s.name, "deterministic", "", f"{s.name} = {definition(e.value, s.scope)}")
    text = distribution_text(e, s.scope)
    return Vertex(key, s.name, _kind(e, recorded), text.partition("(")[0], f"{s.name} ~ {text}")


def _kind(e: Effect, recorded: Recorded) -> str:
    if e.node.op == "observe":
        return "observed"
    return "partly observed" if e.name in recorded.missing else "latent"


def _labels(statements: list[Statement]) -> dict[Box, str]:
    """What stands in the corner of every box."""
    labels: dict[Box, str] = {}
    for s in statements:
        scope = s.scope
        conditions: dict[Box, str] = {}
        while scope.parent is not None and scope.region is not None:
            if scope.region.op == "switch":
                box = scope.boxes[-1]
                index = scope.region.nodes[0]
                text = formula(index, scope.parent)
                if index.dtype is torch.bool and box.total == 2:
                    conditions[box] = f"if {text}" if box.size == 1 else f"if not: {text}"
                else:
                    conditions[box] = f"{text} = {box.size}"
            scope = scope.parent
        for box in s.boxes:
            labels.setdefault(box, conditions.get(box) or _label(box))
    return labels


def _label(box: Box) -> str:
    if box.kind == "scan":
        return f"{box.name}: t = 1…{box.size}"
    return f"{box.name}: {box.size} of {box.total}" if box.total else f"{box.name}: {box.size}"
