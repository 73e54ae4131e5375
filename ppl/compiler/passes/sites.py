"""Sites → values and densities: the pass that gives a recorded program one of its readings.

Every random choice becomes, as the caller decides, an unconstrained input mapped onto its support
("unconstrained"), an input in
the support ("value"), or stays a draw ("draw"). What the sites contribute (log densities, log-Jacobians,
values) is collected, out
of regions too: a scan carries the running total, a switch returns its branch's. An input stands for all
    elements of a site:
`[*loops, *element]`, loops (plates, scans) outermost first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from ppl.compiler import specs
from ppl.compiler.graph import Graph, Node, Plate, bodies, inline, substitute
from ppl.compiler.ops import (
    Scan,
    full,
    item,
    make,
    make_input,
    plate_index,
    plate_sum,
    scan,
    sliced,
    stacked,
    switch,
)
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import add, mul, where
from ppl.compiler.passes.layouts import effects_in
from ppl.errors import StructureError


@dataclass
class Reading:
    """What lowering collected in one scope. `total` sums log densities (and log-Jacobians);
    `parts[kind, name]` holds, per
    site, all its elements: kinds "value", "log_density", "deterministic"."""

    total: Operand = 0.0
    parts: dict[tuple[str, str], Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Lowering:
    """How to read a program: `policy` names the mode of each random choice, `keep` the kinds of parts
    to collect.
    """

    policy: Callable[[Effect], str]
    keep: frozenset[str] = frozenset()
    total: bool = True
    redraw: bool = False  # observed sites become draws (for predictions)
    batch: Plate | None = None  # every draw is made once per element of this plate
    suffix: str = ""  # added to the names of draws, which tell their random numbers apart

    def run(
        self, graph: Graph, supplies: Mapping[str, Node], outer: frozenset[Plate] = frozenset()
    ) -> tuple[Reading, tuple[Node, ...], tuple[Node, ...]]:
        """(what was collected, remaining effects, outputs) of a program whose sites' elements are
        `supplies`. What is collected varies over the `outer` plates.
        """
        memo: dict[Node, Node] = {n: n for n in graph.inputs}
        reading, effects = self._scope(graph, memo, dict(supplies), outer)
        outputs = tuple(substitute(graph.outputs, memo)) if graph.outputs else ()
        return reading, tuple(effects), outputs

    # ------------------------------------------------------------ one scope

    def _scope(
        self, graph: Graph, memo: dict[Node, Node], supplies: dict[str, Node], outer: frozenset[Plate]
    ) -> tuple[Reading, list[Node]]:
        reading, effects = Reading(), []
        for node in graph.effects:
            if node.op == "scan":
                effects.extend(self._scan(node, memo, supplies, outer, reading))
            elif node.op == "switch":
                effects.extend(self._switch(node, memo, supplies, outer, reading))
            else:
                effects.extend(self._site(Effect.of(node), memo, supplies, outer, reading))
        return reading, effects

    def _site(
        self,
        e: Effect,
        memo: dict[Node, Node],
        supplies: dict[str, Node],
        outer: frozenset[Plate],
        reading: Reading,
    ) -> list[Node]:
        original = e.node
        e = Effect.of(_with_args(original, substitute(original.nodes, memo)))
        inner = tuple(p for p in e.context if p not in outer)
        kind = e.node.op
        if kind == "deterministic":
            self._keep(reading, "deterministic", e.name, e.value, inner)
            return []
        if kind == "score_factor":
            if self.total:
                raise StructureError(
                    "score_factor has a gradient but no value, so the log density is not known",
                    site=e.name,
                    where=e.node.mark,
                    edit="use an objective or method that needs only scores",
                )
            return []
        if kind == "factor":
            assert e.value is not None
            self._add(reading, e, e.value, inner)
            return []
        hidden = bool(dict(e.site.options).get("hidden"))
        if kind == "observe":
            return self._observe(e, inner, reading, hidden)
        return self._sample(e, original, memo, supplies, inner, reading, hidden)

    def _observe(self, e: Effect, inner: tuple[Plate, ...], reading: Reading, hidden: bool) -> list[Node]:
        assert e.value is not None
        if self.redraw:
            drawn = self._drawn(e, kind="sample", value=None)
            self._keep(reading, "value", e.name, drawn, inner)
            return [drawn]
        if not hidden:
            self._score(e, e.value, inner, reading)
            self._keep(reading, "observed", e.name, e.value, inner)
        return []

    def _sample(
        self,
        e: Effect,
        original: Node,
        memo: dict[Node, Node],
        supplies: dict[str, Node],
        inner: tuple[Plate, ...],
        reading: Reading,
        hidden: bool,
    ) -> list[Node]:
        mode = "draw" if hidden else self.policy(e)
        if hidden and self.total:
            raise StructureError(
                "a blocked site is random, so the log density of the rest is not known",
                site=e.name,
                where=e.node.mark,
                edit=f"fix it with .do({e.name}=…), or don't block it",
            )
        if mode == "draw":
            drawn = self._drawn(e)
            memo[original] = drawn
            if not hidden:
                self._keep(reading, "value", e.name, drawn, inner)
            return [drawn]
        x = sliced(supplies[e.name], inner)
        if mode == "unconstrained":
            support = specs.bijector(e.site.spec, tuple(p.type for p in e.params), e.node.type)
            x, jacobian = inline(support.forward, [*e.params, x])
            self._add(reading, replace_effect(e), jacobian, inner)
        memo[original] = x
        self._score(e, x, inner, reading)
        self._keep(reading, "value", e.name, x, inner)
        return []

    def _drawn(self, e: Effect, **changes: object) -> Node:
        context = e.context if self.batch is None else (self.batch, *e.context)
        site = replace(e.site, name=e.name + self.suffix)
        return e.replaced(mask=None, scale=None, context=context, site=site, **changes)

    # ------------------------------------------------------------ densities

    def _score(self, e: Effect, x: Node, inner: tuple[Plate, ...], reading: Reading) -> None:
        if not self.total and not self.keep & {"log_density", "site"}:
            return
        lp = own = self.density(e, x)
        if e.mask is not None:
            lp, own = where(e.mask, lp, 0.0), where(e.mask, lp, math.nan)
        if e.node.op == "observe":
            self._keep(reading, "log_density", e.name, own, inner)
        self._keep(reading, "site", e.name, lp, inner)
        self._add(reading, e, lp, inner, masked=True)

    def density(self, e: Effect, x: Node) -> Node:
        """log p(x) at a site."""
        return specs.log_density(e.site.spec, e.params, x, bool(dict(e.site.options).get("guarded")))

    def _add(
        self, reading: Reading, e: Effect, term: Node, inner: tuple[Plate, ...], masked: bool = False
    ) -> None:
        """Sum a term over its axes and plates into the total."""
        if not self.total:
            return
        weighed: Operand = term
        if e.mask is not None and not masked:
            weighed = where(e.mask, term, 0.0)
        if e.scale is not None:
            weighed = mul(weighed, e.scale)
        if isinstance(weighed, Node) and weighed.shape:
            weighed = make("sum", weighed, dims=tuple(range(-len(weighed.shape), 0)), keepdim=False)
        for plate in reversed(inner):
            weighed = plate_sum(weighed, plate)
        reading.total = add(reading.total, weighed)

    def _keep(
        self, reading: Reading, kind: str, name: str, value: Node | None, inner: tuple[Plate, ...]
    ) -> None:
        if kind in self.keep and value is not None:
            reading.parts[kind, name] = stacked(value, inner)

    # ------------------------------------------------------------ regions

    def _inner_supplies(
        self, node: Node, supplies: dict[str, Node], outer: frozenset[Plate]
    ) -> tuple[list[str], list[Node], tuple[Plate, ...]]:
        """The sites inside a region that are supplied, and their values as seen where the region stands."""
        plates = tuple(p for p in node.plates if p not in outer)
        names = [
            lay.name
            for body in bodies(node)
            for lay in effects_in(body, (), False, ("sample",), frozenset())
            if self.policy(lay.effect) != "draw"
        ]
        names = list(dict.fromkeys(names))
        return names, [sliced(supplies[name], plates) for name in names], plates

    def _scan(
        self,
        node: Node,
        memo: dict[Node, Node],
        supplies: dict[str, Node],
        outer: frozenset[Plate],
        reading: Reading,
    ) -> list[Node]:
        renewed = substitute(node.nodes, memo)
        s = Scan.of(
            scan(
                node.attr("body"),
                *_split(node, renewed),
                node.attr("length"),
                node.attr("reverse"),
                node.attr("name"),
            )
        )
        names, values, plates = self._inner_supplies(node, supplies, outer)
        plates = tuple(p for p in plates if p != self.batch)
        k = len(s.init)
        n_ys = len(s.body.outputs) - k
        inputs = list(s.body.inputs)
        extra = [
            make_input(f"site {n}", v.shape[1:], v.dtype, v.plates, "element")
            for n, v in zip(names, values, strict=True)
        ]
        inside: dict[Node, Node] = {n: n for n in inputs}
        inner, effects = self._scope(
            s.body, inside, dict(zip(names, extra, strict=True)), outer | set(node.plates)
        )
        outs = substitute(s.body.outputs, inside)
        running = make_input("total", (), torch.get_default_dtype(), node.plates, "carry")
        total = add(running, inner.total)
        assert isinstance(total, Node)
        keys = list(inner.parts)
        split_at = k + len(s.xs)
        body = Graph(
            (*inputs[:k], running, *inputs[k:split_at], *extra, *inputs[split_at:]),
            (*outs[:k], total, *outs[k:], *(inner.parts[key] for key in keys)),
            tuple(effects),
        )
        zero = full(0.0, (), torch.get_default_dtype())
        consts = list(s.consts)
        if self.batch is not None:
            consts.append(plate_index(self.batch))
            body = replace(
                body, inputs=(*body.inputs, make_input("batch", (), torch.int64, (self.batch,), "const"))
            )
        new = scan(body, [*s.init, zero], [*s.xs, *values], consts, s.length, s.reverse, s.name)
        new.mark = node.mark
        for i in range(len(node.outs or ())):
            shift = 0 if i < k else (1 if i < k + n_ys else 1 + len(keys))
            memo[item(node, i)] = item(new, i + shift)
        self._region_results(
            reading, item(new, k), {key: item(new, k + 1 + n_ys + j) for j, key in enumerate(keys)}, plates
        )
        return [new] if effects else []

    def _switch(
        self,
        node: Node,
        memo: dict[Node, Node],
        supplies: dict[str, Node],
        outer: frozenset[Plate],
        reading: Reading,
    ) -> list[Node]:
        index, *operands = substitute(node.nodes, memo)
        names, values, plates = self._inner_supplies(node, supplies, outer)
        plates = tuple(p for p in plates if p != self.batch)
        everything = [*operands, *values, *([plate_index(self.batch)] if self.batch is not None else [])]
        typed = switch(node.attr("branches"), index, operands).attr("branches")
        results = []
        for branch in typed:
            extra = [
                make_input(f"site {n}", v.shape, v.dtype, v.plates, "operand")
                for n, v in zip(names, values, strict=True)
            ]
            inside: dict[Node, Node] = {n: n for n in branch.inputs}
            inner, effects = self._scope(
                branch, inside, dict(zip(names, extra, strict=True)), outer | set(node.plates)
            )
            outs = substitute(branch.outputs, inside)
            present = {lay.name for lay in effects_in(branch, (), False, ("sample",), frozenset())}
            for name, u in zip(names, extra, strict=True):
                if name not in present and self._unconstrained(typed, name):
                    inner.total = add(inner.total, _standard_normal(u))
            results.append((branch, extra, inner, effects, outs))
        keys = list(dict.fromkeys(key for _, _, inner, _, _ in results for key in inner.parts))
        shapes = {key: next(i.parts[key] for _, _, i, _, _ in results if key in i.parts) for key in keys}
        graphs = []
        for branch, extra, inner, effects, outs in results:
            total = (
                inner.total
                if isinstance(inner.total, Node)
                else full(inner.total, (), torch.get_default_dtype())
            )
            parts = [inner.parts.get(key) or _absent(shapes[key]) for key in keys]
            tail = (
                [make_input("batch", (), torch.int64, (self.batch,), "operand")]
                if self.batch is not None
                else []
            )
            graphs.append(Graph((*branch.inputs, *extra, *tail), (*outs, total, *parts), tuple(effects)))
        new = switch(graphs, index, everything, node.attr("name"))
        new.mark = node.mark
        n = len(node.outs or ())
        for i in range(n):
            memo[item(node, i)] = item(new, i)
        self._region_results(
            reading, item(new, n), {key: item(new, n + 1 + j) for j, key in enumerate(keys)}, plates
        )
        return [new] if any(g.effects for g in graphs) else []

    def _unconstrained(self, branches: Sequence[Graph], name: str) -> bool:
        for branch in branches:
            for lay in effects_in(branch, (), False, ("sample",), frozenset()):
                if lay.name == name:
                    return self.policy(lay.effect) == "unconstrained"
        return False

    def _region_results(
        self, reading: Reading, total: Node, parts: dict[tuple[str, str], Node], plates: tuple[Plate, ...]
    ) -> None:
        if self.total:
            summed: Operand = total
            for plate in reversed(plates):
                summed = plate_sum(summed, plate)
            reading.total = add(reading.total, summed)
        for key, node in parts.items():
            reading.parts[key] = stacked(node, plates)


# ---------------------------------------------------------------- small helpers


def _with_args(node: Node, new: Sequence[Node]) -> Node:
    from ppl.compiler.ops import remake

    supply = iter(new)
    return remake(node, tuple(next(supply) if isinstance(a, Node) else a for a in node.args))


def replace_effect(e: Effect) -> Effect:
    """The effect without mask and scale: a log-Jacobian belongs to the coordinates, not to the site's
    weight.
    """
    return replace(e, mask=None, scale=None)


def _split(node: Node, nodes: Sequence[Node]) -> tuple[list[Node], list[Node], list[Node]]:
    k, m = node.attr("carries"), node.attr("xs")
    return list(nodes[:k]), list(nodes[k : k + m]), list(nodes[k + m :])


def _standard_normal(u: Node) -> Operand:
    """log N(u; 0, 1): what a site of a branch not taken contributes, so that the joint density stays
    proper (Carlin & Chib 1995).
    """
    count = math.prod(u.shape)
    squares: Operand = mul(u, u)
    if u.shape and isinstance(squares, Node):
        squares = make("sum", squares, dims=tuple(range(-len(u.shape), 0)), keepdim=False)
    return add(mul(squares, -0.5), -0.5 * math.log(2 * math.pi) * count)


def _absent(like: Node) -> Node:
    """The value of a site in a branch that doesn't have it."""
    return full(float("nan") if like.is_float else -1, like.shape, like.dtype)
