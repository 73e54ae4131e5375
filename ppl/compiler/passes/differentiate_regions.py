"""Reverse rules of the regions: the reverse of a scan is a reverse scan, of a switch a switch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ppl.compiler.graph import Graph, Node, inline
from ppl.compiler.ops import Scan, full, item, make_input, scan, scan_outputs, switch
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import add
from ppl.compiler.passes.differentiate import materialise, vjp


def _typed(g: Operand | None, like: Node) -> Node:
    return materialise(0.0 if g is None else g, like)


def scan_vjp(node: Node, gs: dict[int, Operand], active: set[Node]) -> list[Operand | None]:
    """Carry the adjoints backwards. Each step recomputes its forward values from the carry that entered
    it.
    """
    s = Scan.of(node)
    k = len(s.init)
    outs = node.outs or ()
    n_ys = len(outs) - 2 * k
    finals, ys, entered = scan_outputs(node)
    carries = [i for i in range(k) if s.init[i].is_float]
    moving_xs = [i for i, x in enumerate(s.xs) if x.is_float and x in active]
    moving_consts = [i for i, c in enumerate(s.consts) if c.is_float and c in active]
    used_ys = [i for i in range(n_ys) if k + i in gs and ys[i].is_float]
    used_entered = [
        i for i in carries if k + n_ys + i in gs
    ]  # asked for by the derivative of a reverse sweep

    # the step: (adjoint of carry, running sums for the constants); (carry, x, adjoint of y);
    # constants. All inputs vary over all
    # plates, so that sums over plates are left to the consumer of the result.
    every = node.plates
    c_in = [make_input(f"c{i}", n.shape, n.dtype, every, "rev") for i, n in enumerate(s.init)]
    x_in = [make_input(f"x{i}", n.shape[1:], n.dtype, every, "rev") for i, n in enumerate(s.xs)]
    k_in = [make_input(f"k{i}", n.shape, n.dtype, every, "rev") for i, n in enumerate(s.consts)]
    gc_in = [make_input(f"gc{i}", s.init[i].shape, s.init[i].dtype, every, "rev") for i in carries]
    acc_in = [
        make_input(f"acc{i}", s.consts[i].shape, s.consts[i].dtype, every, "rev") for i in moving_consts
    ]
    gy_in = [make_input(f"gy{i}", ys[i].shape[1:], ys[i].dtype, every, "rev") for i in used_ys]
    ge_in = {i: make_input(f"ge{i}", s.init[i].shape, s.init[i].dtype, every, "rev") for i in used_entered}
    results = inline(s.body, [*c_in, *x_in, *k_in])
    wrt = [*(c_in[i] for i in carries), *(x_in[i] for i in moving_xs), *(k_in[i] for i in moving_consts)]
    grads = vjp([*(results[i] for i in carries), *(results[k + i] for i in used_ys)], [*gc_in, *gy_in], wrt)
    a, b = len(carries), len(carries) + len(moving_xs)
    new_gc = [
        materialise(add(g, ge_in[i]) if i in ge_in else g, c_in[i])
        for g, i in zip(grads[:a], carries, strict=True)
    ]
    gx = [materialise(g, n) for g, n in zip(grads[a:b], wrt[a:b], strict=True)]
    new_acc = [materialise(add(acc, g), acc) for acc, g in zip(acc_in, grads[b:], strict=True)]
    body = Graph((*gc_in, *acc_in, *c_in, *x_in, *gy_in, *ge_in.values(), *k_in), (*new_gc, *new_acc, *gx))
    backward = scan(
        body,
        [
            *(_typed(gs.get(i), finals[i]) for i in carries),
            *(full(0.0, s.consts[i].shape, s.consts[i].dtype) for i in moving_consts),
        ],
        [
            *entered,
            *s.xs,
            *(_typed(gs[k + i], ys[i]) for i in used_ys),
            *(_typed(gs[k + n_ys + i], entered[i]) for i in used_entered),
        ],
        s.consts,
        s.length,
        not s.reverse,
        f"{s.name}.reverse",
    )
    totals, gx_all, _ = scan_outputs(backward)
    result: list[Operand | None] = [None] * len(node.args)
    for slot, i in enumerate(carries):
        result[i] = totals[slot]
    for slot, i in enumerate(moving_xs):
        result[k + i] = gx_all[slot]
    for slot, i in enumerate(moving_consts):
        result[k + len(s.xs) + i] = totals[a + slot]
    return result


def switch_vjp(node: Node, gs: dict[int, Operand], active: set[Node]) -> list[Operand | None]:
    """Each branch's reverse; the branch not taken never touches the result, so its infinities can't leak."""
    index, operands = node.nodes[0], node.nodes[1:]
    every = node.plates
    used = [i for i in sorted(gs) if node.outs is not None and node.outs[i].dtype.is_floating_point]
    moving = [i for i, o in enumerate(operands) if o.is_float and o in active]
    inputs = [make_input(f"a{i}", n.shape, n.dtype, every, "rev") for i, n in enumerate(operands)]
    outs = [item(node, i) for i in used]
    cotangents = [
        make_input(f"g{i}", n.shape, n.dtype, every, "rev") for i, n in zip(used, outs, strict=True)
    ]
    branches = []
    for branch in node.attr("branches"):
        results = inline(branch, inputs)
        grads = vjp([results[i] for i in used], cotangents, [inputs[i] for i in moving])
        full_size = tuple(materialise(g, inputs[i]) for g, i in zip(grads, moving, strict=True))
        branches.append(Graph((*inputs, *cotangents), full_size))
    result: list[Operand | None] = [None] * len(node.args)
    if moving and used:
        seeds = [_typed(gs[i], n) for i, n in zip(used, outs, strict=True)]
        back = switch(branches, index, [*operands, *seeds], f"{node.attr('name')}.reverse")
        for slot, i in enumerate(moving):
            result[1 + i] = item(back, slot)
    return result


REGION_VJP: dict[str, Callable[[Node, dict[int, Operand], set[Node]], Sequence[Operand | None]]] = {
    "scan": scan_vjp,
    "switch": switch_vjp,
}
