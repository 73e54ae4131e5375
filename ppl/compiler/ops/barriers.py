"""Values whose inside the soundness gate does not look at: a log density, and what a user vouches for.

Both are their first operand; the other operands say what it is a function of. They are taken out (`strip`)
before a graph is run.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ppl.compiler.graph import Graph, Node, rebuild, substitute
from ppl.compiler.ops.batching import Operands, node_of
from ppl.compiler.ops.core import Operand, define, make
from ppl.compiler.ops.effects import Effect

BARRIERS = ("density", "continuous")


def density(log_density: Node, e: Effect, value: Node) -> Node:
    """The log density of a site at a value, known as such."""
    site = replace(e.site, options=())
    return make("density", log_density, value, *e.params, mark=e.node.mark, site=site)


def continuous(x: Node) -> Node:
    """A value the user says is continuous in whatever it is computed from."""
    return make("continuous", x)


def strip(graph: Graph, ops: Collection[str] = BARRIERS) -> Graph:
    """The graph without operators whose value is their first operand, in bodies of regions too."""

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op in ops:
            return args[0] if isinstance(args[0], Node) else None
        if node.op == "scan":
            return rebuild(with_bodies(node, (strip(node.attr("body"), ops),)), args)
        if node.op == "switch":
            return rebuild(with_bodies(node, tuple(strip(b, ops) for b in node.attr("branches"))), args)
        return None

    memo: dict[Node, Node] = {n: n for n in graph.inputs}
    outputs = substitute(graph.outputs, memo, visit)
    effects = substitute(graph.effects, memo, visit)
    return Graph(graph.inputs, tuple(outputs), tuple(effects), graph.names)


def with_bodies(node: Node, bodies: tuple[Graph, ...]) -> Node:
    """A region node with other bodies of the same inputs and outputs."""
    from ppl.compiler.graph import intern_node

    new = {"body": bodies[0], "branches": bodies}
    attrs = tuple((k, new.get(k, v)) for k, v in node.attrs)
    return intern_node(node.op, node.args, attrs, node.type, node.plates, node.outs, node.mark)


def _first(plates: tuple, args: Operands, attrs: dict) -> Node:  # type: ignore[type-arg]
    return node_of(args[0]).aligned(plates, expand=True)


for _name in BARRIERS:
    define(
        _name,
        lambda x, *_, **__: x,
        kind="barrier",
        batch=_first,
        vjp=lambda out, g, x, *others, **__: (g, *(None for _ in others)),
    )
