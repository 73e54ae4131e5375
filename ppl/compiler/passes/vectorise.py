"""Plates → leading axes: the same graph on physical tensors whose leading axes are the plates, outermost
first.

Chains, draws and particles are plates too: give an input one more plate, vectorise, and the whole program
is batched.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ppl.compiler.graph import Graph, Node, Plate, Scalar, inline, rebuild, substitute
from ppl.compiler.ops import OPERATORS, Batched, Scan, item, make, make_input, scan, switch, vmapped
from ppl.compiler.ops.batching import move_axis, reshape, sizes
from ppl.compiler.ops.effects import EFFECTS, batch_effect

Operands = list["Batched | Scalar"]


def vectorise(graph: Graph, out_plates: tuple[Plate, ...] | None = None) -> Graph:
    """`graph` without plates. An input or output that varied over plates gets them as leading axes;
    with `out_plates`, every
    output gets exactly these (expanded where it doesn't vary)."""
    memo: dict[Node, Batched] = {}
    parts: dict[Node, list[Node]] = {}
    for node in graph.nodes():
        memo[node] = _batched(node, memo, parts)
    inputs = tuple(memo[n].node for n in graph.inputs)
    outputs = []
    for out in graph.outputs:
        b = memo[out]
        outputs.append(b.node if out_plates is None else b.aligned(out_plates, expand=True))
    effects = tuple(memo[e].node for e in graph.effects)
    return Graph(inputs, tuple(outputs), effects, graph.names)


def add_plate(graph: Graph, inputs: Sequence[Node], plate: Plate) -> Graph:
    """`graph` with `inputs` varying over one more plate."""
    memo = {
        n: make_input(n.attr("name"), n.shape, n.dtype, tuple(sorted((*n.plates, plate))), n.attr("role"))
        for n in inputs
    }
    renewed = tuple(memo.get(n, n) for n in graph.inputs)
    outputs = tuple(substitute(graph.outputs, memo))
    effects = tuple(substitute(graph.effects, memo))
    return Graph(renewed, outputs, effects, graph.names)


def _batched(node: Node, memo: dict[Node, Batched], parts: dict[Node, list[Node]]) -> Batched:
    if node.op == "input":
        physical = make_input(
            node.attr("name"), sizes(node.plates) + node.shape, node.dtype, (), node.attr("role")
        )
        return Batched(physical, node.plates, node.shape)
    if not node.args and not node.plates:
        return Batched(node, (), node.shape)
    args: Operands = [memo[a] if isinstance(a, Node) else a for a in node.args]
    if node.op == "item":
        source, index = node.nodes[0], node.attr("index")
        return Batched(parts[source][index], source.plates, node.shape)
    if node.op in ("scan", "switch"):
        parts[node] = _scan(node, args) if node.op == "scan" else _switch(node, args)
        return Batched(parts[node][0], node.plates, ())
    if node.op in EFFECTS:
        return Batched(batch_effect(node, args), node.plates, node.shape)
    plated = bool(node.plates) or any(isinstance(a, Batched) and a.plates for a in args)
    if not plated and OPERATORS[node.op].kind != "plate":
        out = rebuild(node, tuple(a.node if isinstance(a, Batched) else a for a in args))
    else:
        out = _apply(node, args)
    if node.outs is not None:
        parts[node] = [item(out, i) for i in range(len(node.outs))]
        return Batched(out, node.plates, ())
    expected = sizes(node.plates) + node.shape
    if out.shape != expected:
        out = make("expand", out, shape=expected)
    return Batched(out, node.plates, node.shape)


def _apply(node: Node, args: Operands) -> Node:
    operator = OPERATORS[node.op]
    attrs = dict(node.attrs)
    if operator.batch == "pointwise":
        rank = len(node.shape)
        moved = [a.aligned(node.plates, rank) if isinstance(a, Batched) else a for a in args]
        return make(node.op, *moved, mark=node.mark, **attrs)
    if operator.batch == "trailing":
        moved = [a.aligned(node.plates) if isinstance(a, Batched) else a for a in args]
        return make(node.op, *moved, mark=node.mark, **attrs)
    # a plate operator may remove a plate from its operand: then the operand's plates lead, not the node's
    if callable(operator.batch):
        out = operator.batch(node.plates, args, attrs)
        if out is not None:
            return out
    return vmapped(node.op, node.plates, args, attrs)


def _scan(node: Node, args: Operands) -> list[Node]:
    s = Scan.of(node)
    k, m = len(s.init), len(s.xs)
    bs = [a for a in args if isinstance(a, Batched)]
    init = [b.aligned(node.plates, expand=True) for b in bs[:k]]
    xs = [move_axis(b.node, len(b.plates), 0) for b in bs[k : k + m]]
    body = vectorise(s.body, node.plates)
    physical = scan(body, init, xs, [b.node for b in bs[k + m :]], s.length, s.reverse, s.name)
    assert physical.outs is not None
    outs = [item(physical, i) for i in range(len(physical.outs))]
    return [*outs[:k], *(move_axis(o, 0, len(node.plates)) for o in outs[k:])]


def _switch(node: Node, args: Operands) -> list[Node]:
    bs = [a for a in args if isinstance(a, Batched)]
    branches = [vectorise(b, node.plates) for b in node.attr("branches")]
    operands = [b.node for b in bs[1:]]
    if not bs[0].plates:
        physical = switch(branches, bs[0].node, operands, node.attr("name"))
        return [item(physical, i) for i in range(len(physical.outs or ()))]
    return _select(branches, bs[0].aligned(node.plates, expand=True), operands)


def _select(branches: Sequence[Graph], index: Node, operands: Sequence[Node]) -> list[Node]:
    """The index varies over a plate: all branches are evaluated and each element takes its own."""
    index = make("clamp", make("to", index, dtype=torch.int64), low=0, high=len(branches) - 1)
    outs = []
    for column in zip(*[inline(b, operands) for b in branches], strict=True):
        pick = column[-1]
        for b in range(len(branches) - 2, -1, -1):
            extra = len(column[b].shape) - len(index.shape)
            mask = make("eq", reshape(index, index.shape + (1,) * extra), b)
            pick = make("where", mask, column[b], pick)
        outs.append(pick)
    return outs
