"""`explain`: what the library understood of a program, and what it will run, as data and as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ppl.compiler.graph import Graph, Node, bodies
from ppl.compiler.ops.effects import Effect
from ppl.compiler.passes.layouts import Layout, layouts
from ppl.compiler.specs import Record, put_together
from ppl.distributions import Family, family_of
from ppl.errors import PplError
from ppl.language.compiled import Compiled
from ppl.language.dependence import location_and_scale
from ppl.language.explain_objective import ObjectiveExplanation, explain_objective
from ppl.language.formula import definition, distribution_text, formula, support_text
from ppl.language.program import Bound, as_bound
from ppl.language.record import Recorded
from ppl.language.structure import Statement, ordered, structure


@dataclass(frozen=True)
class SiteInfo:
    """One statement. `kind`: "latent", "observed", "partly observed", "fixed by do", "blocked",
    "deterministic", "factor".

    `meaning` is the distribution or formula in the program's names; `dims` are (name, size), plates and scans
    first; `coordinates` counts the unconstrained numbers that inference moves; `notes` are remarks and
    advice.
    """

    name: str
    kind: str
    meaning: str
    support: str = ""
    dims: tuple[tuple[str, int], ...] = ()
    coordinates: int = 0
    strategies: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    place: str = ""


@dataclass(frozen=True)
class LoopInfo:
    """A plate, scan or branching: `sites` counts the statements in it; `inside` names the loops around."""

    kind: str
    name: str
    size: int
    inside: tuple[str, ...] = ()
    total: int = 0
    sites: int = 0


@dataclass(frozen=True)
class Cost:
    """What will run: sizes of the density and gradient graphs in nodes (regions' bodies included), regions
    and engine. `rolled` names the unrolled loops that became loops again."""

    density_nodes: int
    gradient_nodes: int
    regions: tuple[str, ...]
    engine: str
    reason: str
    passes: tuple[str, ...]
    device: str
    dtype: str
    rolled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; printing it gives a report in plain text."""

    program: str
    kind: str
    sites: tuple[SiteInfo, ...] = ()
    loops: tuple[LoopInfo, ...] = ()
    handlers: tuple[str, ...] = ()
    params: tuple[tuple[str, tuple[int, ...], str], ...] = ()
    coordinates: int = 0
    cost: Cost | None = None
    not_compiled: str = ""

    def __str__(self) -> str:
        sizes = _count(len(self.sites), "statement"), _count(self.coordinates, "unconstrained coordinate")
        title = f"{self.kind} {self.program}: {', '.join(sizes)}"
        parts = [title]
        if self.handlers:
            parts.append("handlers: " + ", ".join(self.handlers))
        if self.sites:
            parts.append("\n".join(["sites", *_site_table(self.sites)]))
        if self.loops:
            parts.append("\n".join(["loops and branches", *_table([_loop_row(loop) for loop in self.loops])]))
        if self.params:
            rows = [[name, str(list(shape)), constraint] for name, shape, constraint in self.params]
            parts.append("\n".join(["params", *_table([["name", "shape", "constraint"], *rows])]))
        notes = [f"  {s.name}: {note}" for s in self.sites for note in s.notes]
        if notes:
            parts.append(
                "\n".join(["notes", *(textwrap.fill(n, 110, subsequent_indent="    ") for n in notes)])
            )
        if self.cost is not None:
            parts.append("\n".join(["cost", *_cost_rows(self.cost)]))
        if self.not_compiled:
            parts.append("not compiled\n" + textwrap.indent(self.not_compiled, "  "))
        return "\n\n".join(parts)

    def __getitem__(self, name: str) -> SiteInfo:
        """The site of this name."""
        return next(s for s in self.sites if s.name == name)


def explain(b: Bound | Compiled) -> Explanation | ObjectiveExplanation:
    """What the library understood of a program, and what inference will run.

    Args:
        b: a bound program (`model(x)`, with its data conditioned on), a compiled one, or an objective of programs
            (`elbo(model(x), guide())`).

    Returns:
        an `Explanation`: sites, loops, handlers, params and the cost; `print` it for a report. A program that
        can't be recorded or compiled is explained as far as possible, with the reason. Of an objective an
        `ObjectiveExplanation`: each random choice's gradient strategy, and why.

    >>> import ppl
    >>> from ppl.distributions import HalfNormal, Normal
    >>> @ppl.model
    ... def m():
    ...     s = ppl.sample("s", HalfNormal(1.0))
    ...     ppl.sample("y", Normal(0.0, s))
    >>> e = ppl.explain(m().condition(y=1.0))
    >>> e["y"].kind, e["y"].meaning, e.coordinates
    ('observed', 'Normal(0, s)', 1)
    """
    if not isinstance(b, Compiled):
        bound = as_bound(b)
        if bound.program.kind == "objective":
            return explain_objective(bound)
        try:
            b = Compiled(bound)
        except PplError as error:
            return _unrecorded(bound, error)
    recorded = b.recorded
    statements = structure(recorded)
    shapes = {
        layout.name: layout
        for layout in layouts(recorded.graph, ("sample", "observe", "deterministic", "factor"))
    }
    sites = tuple(_site(s, shapes, recorded) for s in statements)
    params = tuple(
        (name, tuple(p.init.shape), "real" if p.constraint is None else repr(p.constraint))
        for name, p in recorded.params.items()
    )
    cost, reason = _cost(b)
    return Explanation(
        b.bound.name,
        b.bound.program.kind,
        sites,
        _loops(statements),
        tuple(str(h) for h in b.bound.handlers),
        params,
        sum(s.coordinates for s in sites),
        cost,
        reason,
    )


# ---------------------------------------------------------------- sites


def _site(s: Statement, shapes: dict[str, Layout], recorded: Recorded) -> SiteInfo:
    e, site = s.effect, s.effect.site
    layout = shapes.get(s.name)
    dims: tuple[tuple[str, int], ...] = tuple((b.name, b.size) for b in s.boxes if b.kind != "branch")
    if layout is not None:
        own = len(layout.shape) - len(dims)
        dims = tuple(zip(layout.dims, layout.shape, strict=True)) if own >= 0 else dims
    place = str(e.node.mark.locate()) if e.node.mark is not None else ""
    if e.node.op in ("factor", "score_factor"):
        assert e.value is not None
        meaning = formula(e.value, s.scope) if e.node.op == "factor" else "known by its gradient only"
        return SiteInfo(
            s.name, e.node.op.replace("_", " "), meaning, dims=dims, notes=tuple(_weights(s)), place=place
        )
    if e.node.op == "deterministic":
        assert e.value is not None
        kind = "fixed by do" if site.fixed else "deterministic"
        meaning = f"set, not {distribution_text(e, s.scope)}" if site.fixed else definition(e.value, s.scope)
        return SiteInfo(s.name, kind, meaning, dims=dims, place=place)
    kind, coordinates = _kind(e, layout, recorded)
    return SiteInfo(
        s.name,
        kind,
        distribution_text(e, s.scope),
        support_text(e, s.scope),
        dims,
        coordinates,
        _family(e).strategies,
        tuple(_notes(s, kind)),
        place,
    )


def _kind(e: Effect, layout: Layout | None, recorded: Recorded) -> tuple[str, int]:
    """What a site is, and how many unconstrained coordinates it has."""
    if dict(e.site.options).get("hidden"):
        return "blocked", 0
    if e.node.op == "observe":
        return "observed", 0
    if e.name in recorded.missing:
        holes, every = recorded.missing[e.name].count, recorded.observed[e.name].numel()
        return f"partly observed {every - holes} of {every}", holes
    if layout is None or layout.discrete:
        return "latent", 0
    count = 1
    try:
        for n in layout.unconstrained:
            count *= n
    except (PplError, NotImplementedError):
        return "latent", 0
    return "latent", count


def _family(e: Effect) -> Family:
    """The facts about a site's distribution; of a wrapper, with what it wraps."""
    metas = [torch.empty(p.shape, dtype=p.dtype, device="meta") for p in e.params]
    try:
        return family_of(put_together(e.site.spec, metas))
    except (RuntimeError, NotImplementedError):  # facts that need the numbers of parameters
        return family_of(e.site.spec.cls)


def _notes(s: Statement, kind: str) -> list[str]:
    e, family = s.effect, _family(s.effect)
    notes = []
    latent = kind == "latent"
    if latent and e.name.endswith("_base"):
        notes.append(f"the base of '{e.name.removesuffix('_base')}', which is non-centred")
    elif latent and (random := _random_location_scale(s)):
        short = e.name.rpartition("/")[2]
        named = (
            f"{short}=ppl.NonCentered()"
            if short.isidentifier() and short == e.name
            else f'{{"{e.name}": ppl.NonCentered()}}'
        )
        notes.append(
            f"location or scale is random ({', '.join(random)}): "
            f"with few data, .reparam({named}) samples better"
        )
    if latent and (family.discrete or not e.node.is_float):
        notes.append("discrete: no gradient; gradient methods need it observed or summed out")
    if latent and family.atoms:
        notes.append("values of positive probability: it can be observed, but gradient methods can't move it")
    if not _all_proper(e.site.spec):
        notes.append("improper: its density doesn't integrate to 1, so it can't be drawn from")
    if not _normalised(e.site.spec):
        notes.append(
            "unnormalised: the constant of the restriction is left out, "
            "so densities compare only while its parameters are constants"
        )
    if any(b.kind == "branch" for b in s.boxes):
        notes.append(
            "inside a branch" + (f", decided by {', '.join(c.name for c in s.control)}" if s.control else "")
        )
    if e.site.grad != "auto":
        notes.append(f"gradient strategy asked for: {e.site.grad}")
    return [*notes, *_weights(s)]


def _weights(s: Statement) -> list[str]:
    notes = []
    if s.effect.mask is not None:
        notes.append("masked: some elements are left out of the density")
    if s.effect.scale is not None:
        scale = s.effect.scale
        factor = formula(scale, s.scope) if isinstance(scale, Node) else f"{scale:g}"
        notes.append(f"its log density is multiplied by {factor}")
    return notes


def _random_location_scale(s: Statement) -> list[str]:
    """The random choices behind the location and scale of a location–scale family."""
    e = s.effect
    tensors = [_Stand() for _ in e.params]
    try:
        pair = location_and_scale(put_together(e.site.spec, tensors))
    except (AttributeError, TypeError):
        return []
    nodes = [n for stand, n in zip(tensors, e.params, strict=True) if any(stand is p for p in pair)]
    return [x.name for x in ordered(s.scope.sources(nodes)) if x.kind == "site" and not x.previous]


class _Stand:
    """Stands for a tensor where only identity matters."""


def _all_proper(spec: object) -> bool:
    return not isinstance(spec, Record) or (
        family_of(spec.cls).proper and all(_all_proper(v) for _, v in spec.fields)
    )


def _normalised(spec: object) -> bool:
    """False where some `Restricted` inside leaves its constant out."""
    return not isinstance(spec, Record) or (
        dict(spec.fields).get("normalized", True) is not False and all(_normalised(v) for _, v in spec.fields)
    )


def _unrecorded(bound: Bound, error: PplError) -> Explanation:
    """A program that can't be recorded: what one run of the interpreter shows."""
    sites: tuple[SiteInfo, ...] = ()
    try:
        from ppl.language.gfi import simulate

        trace = simulate(bound, seed=0)
        sites = tuple(
            SiteInfo(
                name,
                site.kind
                if site.kind != "sample"
                else "observed"
                if all(not bool(e.random.any()) for e in site.elements.values())
                else "latent",
                "seen in one run",
                dims=tuple(site.loops),
                place=str(site.mark.locate()) if site.mark is not None else "",
            )
            for name, site in trace.sites.items()
        )
    except (
        Exception
    ):  # the user's function runs here, on values that may not suit it; the reason below is what matters
        sites = ()
    return Explanation(
        bound.name,
        bound.program.kind,
        sites,
        handlers=tuple(map(str, bound.handlers)),
        not_compiled=str(error),
    )


# ---------------------------------------------------------------- loops and cost


def _loops(statements: Sequence[Statement]) -> tuple[LoopInfo, ...]:
    found: dict[tuple[Any, ...], LoopInfo] = {}
    for s in statements:
        for depth, box in enumerate(s.boxes):
            path = tuple(b.name for b in s.boxes[:depth])
            key = (path, box.kind, box.name, box.key)
            known = found.get(key) or LoopInfo(box.kind, box.name, box.size, path, box.total)
            size = box.total if box.kind == "branch" else box.size
            found[key] = LoopInfo(known.kind, known.name, size, path, box.total, known.sites + 1)
    return tuple(found.values())


def _cost(c: Compiled) -> tuple[Cost | None, str]:
    try:
        density, gradient = c.graph, c.gradient_graph
    except PplError as error:
        return None, str(error)
    dtype = str(c.recorded.dtype).removeprefix("torch.")
    return Cost(
        len(density),
        len(gradient),
        tuple(_regions(gradient)),
        c.engine.name,
        c.engine_reason,
        c.passes,
        c.device,
        dtype,
        tuple(c.rolled),
    ), ""


def _regions(graph: Graph, indent: str = "") -> list[str]:
    rows = []
    for node in graph.nodes():
        inner = bodies(node)
        if node.op == "scan":
            back = ", backwards" if node.attr("reverse") else ""
            steps, size = _count(node.attr("length"), "step"), _count(len(inner[0]), "node")
            rows.append(f"{indent}scan {node.attr('name')}: {steps} of {size}{back}")
        elif node.op == "switch":
            rows.append(f"{indent}switch: branches of {', '.join(str(len(b)) for b in inner)} nodes")
        for body in inner:
            rows.extend(_regions(body, indent + "  "))
    return rows


# ---------------------------------------------------------------- text


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _site_table(sites: Sequence[SiteInfo]) -> list[str]:
    rows = [["name", "kind", "meaning", "support", "dims", "coords", "gradients"]]
    for s in sites:
        sign = "~ " if s.kind not in ("deterministic", "fixed by do", "factor", "score factor") else "= "
        dims = ", ".join(f"{name} {size}" for name, size in s.dims)
        rows.append(
            [
                s.name,
                s.kind,
                sign + s.meaning,
                s.support,
                dims,
                str(s.coordinates or ""),
                ", ".join(s.strategies),
            ]
        )
    return _table(rows)


def _loop_row(loop: LoopInfo) -> list[str]:
    what = {"plate": "element", "scan": "step", "branch": "branche"}[loop.kind]
    size = _count(loop.size, what) if loop.kind != "branch" else f"{loop.size} branches"
    if loop.kind == "plate" and loop.total:
        size += f", drawn from {loop.total}"
    inside = f"inside {' / '.join(loop.inside)}" if loop.inside else ""
    return [loop.kind, loop.name, size, _count(loop.sites, "statement"), inside]


def _cost_rows(c: Cost) -> list[str]:
    rows = [
        f"  density   {_count(c.density_nodes, 'node')}",
        f"  gradient  {_count(c.gradient_nodes, 'node')}",
        *(["  rolled    " + ", ".join(c.rolled)] if c.rolled else []),
        *(f"  region    {r}" for r in c.regions),
        f"  engine    {c.engine} on {c.device}, {c.dtype}: {c.reason}",
        f"  passes    {', '.join(c.passes) or 'none'}",
    ]
    return rows
