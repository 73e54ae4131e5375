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
from ppl.compiler.estimators.eliminate import expectation
from ppl.compiler.estimators.gathers import flat_sums
from ppl.compiler.estimators.plan import Asked, Decision, decide
from ppl.compiler.estimators.regions import Rewritten, has_choices, names_in
from ppl.compiler.estimators.regions import rewritten as rewrite_region
from ppl.compiler.estimators.strategies.score import Score
from ppl.compiler.estimators.strategy import Build, Kept
from ppl.compiler.graph import Graph, Node, Plate, rebuild, substitute
from ppl.compiler.ops import item, make, make_input, plate_slice, plate_sum
from ppl.compiler.ops.barriers import strip
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import mul
from ppl.compiler.passes.differentiate import materialise, vjp


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
    asked: Asked | None = None,
) -> Estimator:
    """The estimator of the gradient of E[first output] with respect to the inputs `wrt`.

    Args:
        graph: a recorded objective.
        wrt: inputs of the graph.
        particles: plates that the objective opens, whose elements are alike.
        batch: a plate each element of which makes an estimate of its own; the params then vary over it too.
        asked: strategies by name, in place of those that the choices ask for.

    Raises:
        MethodError: a choice has no sound estimator.
    """
    graph = flat_sums(graph)
    decisions = decide(graph, wrt, asked)
    plain = strip(graph)
    build = Build(batch, particles)
    memo: dict[Node, Node] = {}
    inputs = list(plain.inputs)
    targets = list(wrt)
    if batch is not None:
        for i, node in enumerate(wrt):
            own = make_input(node.attr("name"), (batch.size, *node.shape), node.dtype, (), "param")
            targets[i] = memo[node] = plate_slice(own, batch)
            inputs[inputs.index(node)] = own
    rewritten: list[tuple[Decision, Effect, Node]] = []
    regions: dict[Node, Rewritten] = {}
    strategies = {name: d.strategy for name, d in decisions.items()}

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
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
        root = expectation(root, build.weights)
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
    black_boxes.check(outputs, targets)
    grads = vjp(outputs, cotangents, targets)
    full = [materialise(g, n) for g, n in zip(grads, targets, strict=True)]
    full = _tuned(full, targets, build)
    kept = build.states.values()
    whole = Graph((*inputs, *(k.now for k in kept)), (root, *rest, *(k.then for k in kept), *full))
    whole = strip(whole, ("surrogate",))
    fitted = frozenset(n.attr("name") for n in build.fitted)
    return Estimator(whole, tuple(wrt), decisions, build.states, fitted)


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


def _summed(cotangent: Operand, output: Node) -> Operand:
    """A cotangent summed over the plates that its output doesn't vary over."""
    for plate in cotangent.plates if isinstance(cotangent, Node) else ():
        if plate not in output.plates:
            cotangent = plate_sum(cotangent, plate)
    return cotangent


def sampler(graph: Graph, batch: Plate) -> Graph:
    """The outputs of an objective's graph, every choice drawn afresh in each element of `batch`."""
    build = Build(batch)
    regions: dict[Node, Rewritten] = {}

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if has_choices(node):
            found = rewrite_region(node, args, dict.fromkeys(names_in(node)), build)
            regions[found.node] = found
            return found.node
        if node.op == "item" and args[0] in regions:
            return item(args[0], node.attr("index"))  # type: ignore[arg-type]
        return build.drawn(Effect.of(rebuild(node, args))) if node.op == "sample" else None

    plain = strip(graph)
    return strip(Graph(plain.inputs, tuple(substitute(plain.outputs, {}, visit))), ("surrogate",))
