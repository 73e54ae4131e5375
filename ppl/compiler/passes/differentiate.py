"""Reverse-mode differentiation, Graph to Graph.

Every operator brings its own reverse rule (`Operator.vjp`); regions have theirs in `differentiate_regions`;
for anything else
torch's formula is recorded once. An adjoint may have fewer axes and plates than its node (it is then
constant along them); where an
operand varies over fewer plates than its consumer, the adjoint is summed over the others. So the reverse of
a plate is a plate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ppl.compiler.graph import Graph, Node, inline, topological
from ppl.compiler.ops import OPERATORS, full, make, make_input, plate_sum
from ppl.compiler.ops.batching import reshape
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import add, mul
from ppl.compiler.tracer import GuardMode, Tracer


def value_and_grad(graph: Graph, wrt: Sequence[Node] | None = None) -> Graph:
    """The graph of `(outputs…, d output₀ / d wrt…)`. The first output must be a float scalar without plates.

    `wrt` defaults to the float inputs. A gradient has its input's shape.
    """
    inputs = [n for n in graph.inputs if n.is_float] if wrt is None else list(wrt)
    grads = vjp(graph.outputs[:1], [1.0], inputs)
    return Graph(
        graph.inputs, (*graph.outputs, *(materialise(g, n) for g, n in zip(grads, inputs, strict=True)))
    )


def vjp(outputs: Sequence[Node], cotangents: Sequence[Operand | None], wrt: Sequence[Node]) -> list[Operand]:
    """Σ cotangentᵢ · ∂outputᵢ/∂w for every w in `wrt`, as nodes (or Python scalars)."""
    order = topological(outputs)
    active = _active(order, wrt)
    adjoints: dict[Node, Operand] = {}
    parts: dict[Node, dict[int, Operand]] = {}
    for node, cotangent in zip(outputs, cotangents, strict=True):
        if node in active and cotangent is not None:
            _accumulate(adjoints, node, cotangent)
    targets = set(wrt)
    for node in reversed(order):
        if node not in active or (node in targets and not node.args):
            continue
        if node.outs is not None:
            if node in parts:
                _push(node, _reverse_tuple(node, parts[node], active), active, adjoints)
            continue
        g = adjoints.get(node)
        if g is None:
            continue
        if node.op == "item":
            parts.setdefault(node.nodes[0], {})[node.attr("index")] = g
        else:
            _push(node, _reverse(node, g), active, adjoints)
    return [adjoints.get(n, 0.0) for n in wrt]


def _active(order: Sequence[Node], wrt: Sequence[Node]) -> set[Node]:
    """Nodes through which a derivative can flow."""
    active = set(wrt)
    for node in order:
        if (
            node not in active
            and any(a in active for a in node.nodes)
            and (node.outs is not None or node.is_float)
        ):
            active.add(node)
    return active


def _accumulate(adjoints: dict[Node, Operand], node: Node, g: Operand) -> None:
    known = adjoints.get(node)
    adjoints[node] = g if known is None else add(known, g)


def _push(
    node: Node, grads: Sequence[Operand | None], active: set[Node], adjoints: dict[Node, Operand]
) -> None:
    operator = OPERATORS[node.op]
    for arg, g in zip(node.args, grads, strict=True):
        if g is None or not isinstance(arg, Node) or arg not in active or not arg.is_float:
            continue
        if operator.kind != "plate":
            for plate in node.plates:
                if plate not in arg.plates:
                    g = plate_sum(g, plate)
        if operator.kind == "pointwise":
            g = unbroadcast(g, node.shape, arg.shape)
        if isinstance(g, Node) and g.dtype != arg.dtype:
            g = make("to", g, dtype=arg.dtype)
        _accumulate(adjoints, arg, g)


def _reverse(node: Node, g: Operand) -> Sequence[Operand | None]:
    operator = OPERATORS[node.op]
    if operator.vjp is None:
        return torch_vjp(node, {0: g})
    if operator.kind != "pointwise":
        g = materialise(g, node)
    return operator.vjp(node, g, *node.args, **dict(node.attrs))


def _reverse_tuple(node: Node, gs: dict[int, Operand], active: set[Node]) -> Sequence[Operand | None]:
    if node.op in ("scan", "switch"):
        from ppl.compiler.passes.differentiate_regions import REGION_VJP

        return REGION_VJP[node.op](node, gs, active)
    return torch_vjp(node, gs)


def materialise(g: Operand, node: Node) -> Node:
    """The adjoint of `node` with its full element shape."""
    if not isinstance(g, Node):
        return full(g, node.shape, node.dtype)
    if g.shape == node.shape:
        return g
    return make("expand", g, shape=node.shape)


def unbroadcast(g: Operand, out: tuple[int, ...], shape: tuple[int, ...]) -> Operand:
    """Sum an adjoint of shape `out` (or broadcastable to it) over the axes along which the operand was
    broadcast.
    """
    if out == shape:
        return g
    extra = len(out) - len(shape)
    reduced = [d for d in range(len(out)) if d < extra or (shape[d - extra] == 1 and out[d] != 1)]
    if not reduced:
        return g
    factor = 1
    own: tuple[int, ...] = g.shape if isinstance(g, Node) else ()
    pad = len(out) - len(own)
    dims = []
    for d in reduced:
        if d >= pad and own[d - pad] == out[d] and out[d] != 1:
            dims.append(d - len(out))
        else:
            factor *= out[d]
    if dims and isinstance(g, Node):
        g = make("sum", g, dims=tuple(dims), keepdim=True)
    if factor != 1:
        g = mul(g, float(factor))
    if isinstance(g, Node) and len(g.shape) > len(shape):
        g = reshape(g, g.shape[len(g.shape) - len(shape) :])
    return g


_FORMULAS: dict[Any, tuple[Graph, tuple[int, ...]]] = {}


def torch_vjp(node: Node, gs: dict[int, Operand]) -> list[Operand | None]:
    """The reverse rule torch itself has for this operator, recorded from its backward."""
    outs = node.outs or (node.type,)
    used = tuple(sorted(i for i in gs if outs[i].dtype.is_floating_point))
    key = (
        node.op,
        tuple(a.type if isinstance(a, Node) else (type(a), a) for a in node.args),
        node.attrs,
        used,
    )
    known = _FORMULAS.get(key)
    if known is None:
        known = _FORMULAS[key] = _record_formula(node, used)
    formula, wanted = known
    cotangents = [gs[i] for i in used]
    full_size = []
    for i, g in zip(used, cotangents, strict=True):
        stand_in = make_input("out", outs[i].shape, outs[i].dtype)
        full_size.append(materialise(g, stand_in))
    results = inline(formula, [*node.nodes, *full_size])
    grads: list[Operand | None] = [None] * len(node.args)
    positions = [i for i, a in enumerate(node.args) if isinstance(a, Node)]
    for w, result in zip(wanted, results, strict=True):
        grads[positions[w]] = result
    return grads


def _record_formula(node: Node, used: tuple[int, ...]) -> tuple[Graph, tuple[int, ...]]:
    outs = node.outs or (node.type,)
    inputs = [make_input(f"a{i}", n.shape, n.dtype) for i, n in enumerate(node.nodes)]
    cotangents = [make_input(f"g{i}", outs[i].shape, outs[i].dtype) for i in used]
    tracer = Tracer()
    tracer.identity_detach = True
    operator = OPERATORS[node.op]
    with torch.enable_grad(), tracer, GuardMode(tracer):
        tensors = [tracer.lift(n) for n in inputs]
        for t in tensors:
            if t.is_floating_point():
                t.requires_grad_(True)
        supply = iter(tensors)
        args = [next(supply) if isinstance(a, Node) else a for a in node.args]
        out = operator.run(*args, **dict(node.attrs))
        results = out if isinstance(out, tuple | list) else (out,)
        wanted = tuple(i for i, t in enumerate(tensors) if t.requires_grad)
        grads = _backward(
            [results[i] for i in used],
            [tracer.lift(c) for c in cotangents],
            [tensors[i] for i in wanted],
        )
        kept = [(w, tracer.node(g)) for w, g in zip(wanted, grads, strict=True) if g is not None]
    return Graph((*inputs, *cotangents), tuple(n for _, n in kept)), tuple(w for w, _ in kept)


def _backward(
    outputs: Sequence[torch.Tensor], cotangents: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]
) -> Sequence[torch.Tensor | None]:
    """`torch.autograd.grad`, without what it does before: that imports sympy, which takes longer than most models."""
    engine = getattr(torch.autograd.Variable, "_execution_engine", None)
    if engine is None:
        return torch.autograd.grad(outputs, inputs, cotangents, allow_unused=True)
    return engine.run_backward(
        tuple(outputs), tuple(cotangents), False, False, tuple(inputs), True, accumulate_grad=False
    )
