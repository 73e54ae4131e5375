"""The estimator of an objective: a graph whose outputs are its value and an unbiased estimate of the gradient
of its expectation.

The graph's random choices are rewritten one by one, in program order, each by its strategy. Enumerated choices
are summed out. The gradient is then one reverse sweep, over the objective (cotangent 1) and over whatever else
the strategies contribute, with cotangents of their own.

Source: Lew, Huot, Staton & Mansinghka, "ADEV: sound automatic differentiation of expected values of
probabilistic programs" (2023); Schulman, Heess, Weber & Abbeel, "Gradient estimation using stochastic
computation graphs" (2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ppl.compiler.estimators import black_boxes
from ppl.compiler.estimators.eliminate import LIMIT, Combinations, expectation
from ppl.compiler.estimators.intervals import Known
from ppl.compiler.estimators.plan import Asked, Decision, plan
from ppl.compiler.estimators.regions import Rewritten
from ppl.compiler.estimators.regions import rewritten as rewrite_region
from ppl.compiler.estimators.steps import base_name, choices_in, has_choices, written_out
from ppl.compiler.estimators.strategies.score import Score
from ppl.compiler.estimators.strategy import Build, Kept
from ppl.compiler.graph import Graph, Node, Plate, rebuild, substitute
from ppl.compiler.ops import item, make, make_input, plate_slice, plate_sum
from ppl.compiler.ops.barriers import strip
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import mul
from ppl.compiler.passes.differentiate import materialise, vjp

AUTOMATIC = 2**12
"""Up to so many combinations of values "auto" visits for one term."""


@dataclass(frozen=True)
class Estimator:
    """`graph` maps the objective's inputs and the strategies' states to (value, the objective's next states…, the
    strategies' next states…, one gradient per param of `wrt`). `fitted` names params that have an aim of their own, not
    the objective's: baselines, control variates.
    """

    graph: Graph
    wrt: tuple[Node, ...]
    decisions: dict[str, Decision]
    states: dict[str, Kept]
    fitted: frozenset[str]


def estimator(
    graph: Graph,
    wrt: Sequence[Node],
    particles: frozenset[Plate] = frozenset(),
    batch: Plate | None = None,
    known: Known | None = None,
    asked: Asked | None = None,
) -> Estimator:
    """The estimator of the gradient of E[first output] with respect to the inputs `wrt`.

    Args:
        graph: a recorded objective.
        wrt: inputs of the graph.
        particles: plates that the objective opens, whose elements are alike.
        batch: a plate each element of which makes an estimate of its own; the params then vary over it too, and
            each has subsamples of its own.
        known: between which numbers inputs lie, where that is known.
        asked: strategies by name, in place of those that the choices ask for.

    Raises:
        MethodError: a choice has no sound estimator.
    """
    made = _prepared(graph, wrt, particles, batch, known, asked)
    black_boxes.check(made.outputs, made.targets)
    grads = vjp(made.outputs, made.cotangents, made.targets)
    full = [materialise(g, n) for g, n in zip(grads, made.targets, strict=True)]
    full = _tuned(full, made.targets, made.build)
    kept = made.build.states.values()
    inputs = (*made.inputs, *(k.now for k in kept))
    whole = Graph(inputs, (made.outputs[0], *made.rest, *(k.then for k in kept), *full))
    # Differentiated, values that are held fixed are the same as those that are not: they are computed once.
    whole = strip(whole, ("surrogate", "detach"))
    fitted = frozenset(n.attr("name") for n in made.build.fitted)
    return Estimator(whole, tuple(wrt), made.decisions, made.build.states, fitted)


def _tuned(grads: list[Node], targets: Sequence[Node], build: Build) -> list[Node]:
    """The gradients, those of params that lower the variance replaced by the gradient of −Σ ĝ² over the objective's
    own: of one estimate, unbiased for that of −variance, since E ĝ does not depend on them.
    """
    leaf = {t: t.nodes[0] if t.op == "plate_slice" else t for t in targets}
    wrt = [t for t in targets if leaf[t] in build.tuned]
    if not wrt:
        return grads
    squares: list[Operand] = [
        make("sum", mul(g, g), dims=tuple(range(-len(g.shape), 0)), keepdim=False) if g.shape else mul(g, g)
        for g, t in zip(grads, targets, strict=True)
        if leaf[t] not in build.fitted
    ]
    ends = [s for s in squares if isinstance(s, Node)]
    found = dict(zip(wrt, vjp(ends, [-1.0] * len(ends), wrt), strict=True))
    return [materialise(found[t], t) if t in found else g for g, t in zip(grads, targets, strict=True)]


def decided(
    graph: Graph,
    wrt: Sequence[Node],
    particles: frozenset[Plate] = frozenset(),
    known: Known | None = None,
    asked: Asked | None = None,
) -> dict[str, Decision]:
    """The strategy of each random choice, as `estimator` takes them."""
    return _prepared(graph, wrt, particles, None, known, asked).decisions


@dataclass(frozen=True)
class _Prepared:
    """Nodes and the cotangents with which they are differentiated: the objective first, then the strategies' terms.
    `rest` are the objective's further outputs, `targets` what `wrt` became.
    """

    inputs: tuple[Node, ...]
    targets: list[Node]
    outputs: list[Node]
    cotangents: list[Operand]
    rest: list[Node]
    decisions: dict[str, Decision]
    build: Build


def _prepared(
    graph: Graph,
    wrt: Sequence[Node],
    particles: frozenset[Plate],
    batch: Plate | None,
    known: Known | None,
    asked: Asked | None,
) -> _Prepared:
    spared: frozenset[str] = frozenset()
    while True:
        planned, decisions = plan(graph, wrt, spared, known, asked)
        by_itself = {n for n, d in decisions.items() if d.by_itself}
        try:
            limit = AUTOMATIC if by_itself else LIMIT
            return _assembled(planned, decisions, wrt, Build(batch, particles), limit)
        except Combinations as found:
            if not by_itself & set(found.choices):
                raise
            spared |= {base_name(n) for n in by_itself & set(found.choices)}


def _assembled(
    graph: Graph,
    decisions: dict[str, Decision],
    wrt: Sequence[Node],
    build: Build,
    limit: int,
) -> _Prepared:
    batch = build.batch
    plain = strip(graph)
    own = [*wrt, *_subsamples(plain)]
    inputs, memo = (list(plain.inputs), {}) if batch is None else _of_its_own(plain.inputs, own, batch)
    targets = [memo.get(node, node) for node in wrt]
    rewritten: list[tuple[Decision, Effect, Node]] = []
    regions: dict[Node, Rewritten] = {}
    strategies = {name: d.strategy for name, d in decisions.items()}

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op == "switch" and has_choices(node):
            return black_boxes.in_branches(node, args, build)
        if has_choices(node):
            found = rewrite_region(node, args, strategies, build)
            regions[found.node] = found
            return found.node
        if node.op == "item" and args[0] in regions:
            assert node.attr("index") < regions[args[0]].kept  # type: ignore[index]
            return item(args[0], node.attr("index"))  # type: ignore[arg-type]
        if node.op == "black_box":
            return black_boxes.rewritten(node, args, build)
        if node.op != "sample":
            return None
        e = Effect.of(rebuild(node, args)).bare
        decision = decisions[e.name]
        if decision.strategy is None:
            return build.drawn(e)
        value = decision.strategy.value(e, build)
        rewritten.append((decision, e, value))
        return value

    root, *rest = substitute(plain.outputs, memo, visit)
    if build.weights:
        root, *rest = (expectation(n, build.weights, limit) for n in (root, *rest))
    outputs: list[Node] = [root]
    cotangents: list[Operand] = [1.0]
    for decision, e, value in rewritten:
        assert decision.strategy is not None
        for output, cotangent in decision.strategy.terms(e, value, root, build):
            outputs.append(output)
            cotangents.append(_summed(cotangent, output))
    for found in regions.values():
        seeds = {value: frozenset(value.plates) for value in found.drawn}
        for s in found.scored:
            assert isinstance(s.strategy, Score)
            for output, cotangent in s.strategy.weighted(s.name, s.log_density, s.value, seeds, root, build):
                outputs.append(output)
                cotangents.append(_summed(cotangent, output))
    return _Prepared(tuple(inputs), targets, outputs, cotangents, rest, decisions, build)


def _subsamples(graph: Graph) -> list[Node]:
    """The inputs that hold the numbers of drawn elements."""
    return [n for n in graph.inputs if n.attr("role") == "subsample"]


def _of_its_own(
    inputs: Sequence[Node], among: Sequence[Node], batch: Plate
) -> tuple[list[Node], dict[Node, Node]]:
    """Inputs some of which have an axis more, the first, along `batch`; and what an element has in their place."""
    memo: dict[Node, Node] = {}
    given = list(inputs)
    for node in among:
        name, shape = node.attr("name"), (batch.size, *node.shape)
        own = make_input(name, shape, node.dtype, (), node.attr("role"))
        given[given.index(node)] = own
        memo[node] = plate_slice(own, batch)
    return given, memo


def _summed(cotangent: Operand, output: Node) -> Operand:
    """A cotangent summed over the plates that its output doesn't vary over."""
    for plate in cotangent.plates if isinstance(cotangent, Node) else ():
        if plate not in output.plates:
            cotangent = plate_sum(cotangent, plate)
    return cotangent


def sampler(graph: Graph, batch: Plate) -> Graph:
    """The outputs of an objective's graph, every choice and subsample drawn afresh in each element of `batch`."""
    build = Build(batch)
    regions: dict[Node, Rewritten] = {}

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op == "scan" and has_choices(node):
            names = [Effect.of(n).name for n in choices_in(node)]
            found = rewrite_region(node, args, dict.fromkeys(names), build)
            regions[found.node] = found
            return found.node
        if node.op == "item" and args[0] in regions:
            return item(args[0], node.attr("index"))  # type: ignore[arg-type]
        return build.drawn(Effect.of(rebuild(node, args))) if node.op == "sample" else None

    plain = strip(written_out(graph))
    inputs, memo = _of_its_own(plain.inputs, _subsamples(plain), batch)
    drawn = Graph(tuple(inputs), tuple(substitute(plain.outputs, memo, visit)))
    return strip(drawn, ("surrogate",))
