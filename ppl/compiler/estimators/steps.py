"""Scans with random choices, written out: each step's choice is a choice of its own.

So every strategy is as sound in a scan as outside; enumeration of a chain, by variable elimination, is the forward
algorithm, O(steps · values²); and a step's score multiplies only what the steps from it on can change (`credit`). What reads
the values of all steps (the density of another program, also a scan) is written out with them.

A scan stays a loop where all its choices are pathwise, and a long one where they are scored: `regions`. Scans inside
scans and branches are always written out, and the choices of branches stand before them (`branches`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ppl.compiler.estimators.branches import IN_BRANCH, before_branches
from ppl.compiler.estimators.stacks import Stacks, total
from ppl.compiler.graph import Graph, Node, bodies, rebuild, substitute
from ppl.compiler.ops import Scan
from ppl.compiler.ops.barriers import with_bodies
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.surrogates import renamed
from ppl.errors import MethodError

STEPS, NODES = 256, 20_000
"""Up to so many steps, and nodes in all, a scan is written out if it must be."""

FEW, SMALL = 64, 5_000
"""Up to so many where it need not be."""

Wanted = Callable[[Node], bool]
"""Whether a scan whose choices stand in its own body is to be written out."""


def has_choices(node: Node) -> bool:
    """Whether a node is a scan or switch with random choices inside, or black boxes whose derivatives need noise."""
    return node.op in ("scan", "switch") and any(
        b.effects or any(n.op == "black_box" or has_choices(n) for n in b.nodes()) for b in bodies(node)
    )


def choices_in(node: Node) -> list[Node]:
    """The random choices that stand in a scan's own body; none in other nodes."""
    if node.op != "scan":
        return []
    return [e for body in bodies(node) for e in body.effects if e.op == "sample"]


def bare(graph: Graph) -> Graph:
    """The graph without what strategies read: a baseline is no path to the objective."""

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op in ("scan", "switch") and has_choices(node):
            return rebuild(with_bodies(node, tuple(map(bare, bodies(node)))), args)
        if node.op != "sample" or not node.attr("site").reads:
            return None
        return Effect.of(rebuild(node, args)).bare.node

    memo: dict[Node, Node] = {n: n for n in graph.inputs}
    outputs = substitute(graph.outputs, memo, visit)
    effects = substitute(graph.effects, memo, visit)
    return Graph(graph.inputs, tuple(outputs), tuple(effects), graph.names)


def fits(scan: Node, steps: int = STEPS, nodes: int = NODES) -> bool:
    """Whether a scan is short and small enough to be written out."""
    length: int = scan.attr("length")
    return length <= steps and length * len(scan.attr("body")) <= nodes


def written_out(graph: Graph, wanted: Wanted = lambda _: False) -> Graph:
    """The graph with the scans that are wanted written out, no choices in branches, and no choices in scans inside
    other regions.

    Raises:
        MethodError: a scan that has to be written out is too long.
    """
    return _Writing(wanted).graph(graph)


@dataclass
class _Writing:
    wanted: Wanted
    stacks: Stacks = field(default_factory=Stacks)
    results: dict[Node, list[Node]] = field(default_factory=dict)  # of a scan: its outputs
    drawn: dict[Node, list[Node]] = field(default_factory=dict)  # of a region: its choices outside
    spread: set[Node] = field(default_factory=set)  # what depends on choices that were written out
    names: set[str] = field(default_factory=set)
    inside: bool = False

    def graph(self, graph: Graph) -> Graph:
        memo: dict[Node, Node] = {n: n for n in graph.inputs}
        effects = substitute(graph.effects, memo, self._visit)
        outputs = substitute(graph.outputs, memo, self._visit)
        flat = [e for old, new in zip(graph.effects, effects, strict=True) for e in self._of(old, new)]
        return Graph(graph.inputs, tuple(outputs), tuple(flat), graph.names)

    def _of(self, old: Node, new: Node) -> list[Node]:
        return self.drawn.get(old, [new])

    def _body(self, body: Graph) -> Graph:
        """A body as a region may have it."""
        return replace(self, inside=True, results={}, drawn={}, spread=set(), names=set()).graph(body)

    def _visit(self, node: Node, args: tuple[Operand, ...]) -> Node | None:
        new = self._rewritten(node, args)
        if new is None:
            new = self.stacks.apart(node, args) or rebuild(node, args)
        if any(a in self.spread for a in args if isinstance(a, Node)):
            self.spread.add(new)
        return new

    def _rewritten(self, node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op == "sample":
            self.names.add(Effect.of(node).name)
        if node.op == "item" and args[0] in self.results:
            return self.results[args[0]][node.attr("index")]  # type: ignore[index]
        if node.op not in ("scan", "switch"):
            return None
        new = rebuild(node, args)
        if has_choices(new):
            new = with_bodies(new, tuple(self._body(b) for b in bodies(new)))
            if node.op == "switch":
                new, self.drawn[node] = before_branches(new, self.names)
                return new
            if self.inside or self.wanted(new):
                self._write_out(node, new)
                return new
        spread = any(a in self.spread for a in new.nodes)
        if spread and node.op == "scan" and not choices_in(new) and fits(new):
            self._write_out(node, new)
        return new

    def _write_out(self, old: Node, new: Node) -> None:
        if not fits(new):
            raise _too_long(new)
        outputs, drawn = self._steps(new)
        self.results[new] = outputs
        self.drawn[old] = drawn
        self.spread.update([new, *outputs])

    def _steps(self, node: Node) -> tuple[list[Node], list[Node]]:
        """A scan's outputs, and its choices."""
        s = Scan.of(node)
        k = len(s.init)
        totals = _totals(s)
        added: dict[int, list[Operand]] = {i: [] for i in totals}
        carry = list(s.init)
        times = range(s.length - 1, -1, -1) if s.reverse else range(s.length)
        outs: dict[int, list[Node]] = {}
        entered: dict[int, list[Node]] = {}
        drawn: list[Node] = []
        for t in times:
            entered[t] = carry
            values = [*carry, *(self.stacks.step(x, t) for x in s.xs), *s.consts]
            memo = dict(zip(s.body.inputs, values, strict=True))
            visit = _Step(t, self)
            drawn += substitute(s.body.effects, memo, visit)
            outs[t] = substitute(s.body.outputs, memo, visit)
            for i, more in totals.items():
                added[i].append(memo[more] if isinstance(more, Node) else more)
            carry = outs[t][:k]
        finals = [total([s.init[i], *added[i]]) if i in totals else carry[i] for i in range(k)]
        ys = [self.stacks.of([outs[t][i] for t in range(s.length)]) for i in range(k, len(s.body.outputs))]
        before = [self.stacks.of([entered[t][i] for t in range(s.length)]) for i in range(k)]
        return [*finals, *ys, *before], drawn


@dataclass
class _Step:
    """The nodes of one step."""

    time: int
    writing: _Writing

    def __call__(self, node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op == "sample":
            e = Effect.of(rebuild(node, args))
            return e.replaced(site=replace(e.site, name=numbered(e.name, self.time)))
        if node.op == "black_box":
            return renamed(rebuild(node, args), numbered(node.attr("name"), self.time))
        if node.op == "item" and args[0] in self.writing.results:
            return self.writing.results[args[0]][node.attr("index")]  # type: ignore[index]
        if node.op == "scan" and any(a in self.writing.stacks for a in args):
            new = rebuild(node, args)
            if fits(new):
                self.writing._write_out(new, new)
                return new
        return self.writing.stacks.apart(node, args)


def base_name(name: str) -> str:
    """The name of the site that a step's choice belongs to."""
    return name.partition("[")[0]


def site_name(name: str) -> str:
    """The name that the program gives a choice which was moved out of loops and branches."""
    return base_name(name).partition(IN_BRANCH)[0]


def numbered(name: str, time: int) -> str:
    """The name of a step's choice: `x[3]`; of a step of a loop inside, `x[3][0]`."""
    base, bracket, rest = name.partition("[")
    return f"{base}[{time}]{bracket}{rest}"


def _totals(s: Scan) -> dict[int, Operand]:
    """The carries that are running totals, and what a step adds to each."""
    found: dict[int, Operand] = {}
    for i, (c, out) in enumerate(zip(s.body.inputs, s.body.outputs[: len(s.init)], strict=False)):
        if out.op == "add" and c in out.args and c.type == out.type:
            more = [a for a in out.args if a is not c]
            if len(more) == 1 and not (isinstance(more[0], Node) and more[0].shape != out.shape):
                found[i] = more[0]
    return found


def _too_long(scan: Node) -> MethodError:
    boxes = [n for n in scan.attr("body").nodes() if n.op == "black_box"]
    names = {Effect.of(n).name: n for n in choices_in(scan)} | {n.attr("name"): n for n in boxes}
    site, first = next(iter(names.items()))
    needing = ", ".join(f"'{name}'" for name in names)
    return MethodError(
        f"the scan '{scan.attr('name')}' is too long to be written out, which {needing} would need",
        site=site,
        where=first.mark,
        expected=f"at most {STEPS} steps, and {NODES} operations in all",
        found=f"{scan.attr('length')} steps of {len(scan.attr('body'))} operations",
        edit='grad="reparam" or grad="score" for all choices of the scan, and no scan inside another',
    )
