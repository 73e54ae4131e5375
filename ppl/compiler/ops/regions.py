"""The two regions: `scan` (a loop that carries values) and `switch` (one of several branches). Their bodies
are graphs.

`scan`: arguments are the initial carries, then the xs (explicit leading time axis), then the constants; the
    body maps
(carries, one x each, constants) to (carries, ys). Outputs: the final carries, the ys stacked over time, and
the carries that
entered each step, stacked (the reverse sweep reads those).
`switch`: arguments are the index (an integer or boolean scalar), then the operands of every branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ppl.compiler.graph import Graph, Node, Plate, Type, inline, intern_node, substitute, union_plates
from ppl.compiler.ops.core import OPERATORS, REMAKE, Operand, define, item, make_input


@dataclass(frozen=True)
class Scan:
    """What a `scan` node's attributes and arguments mean."""

    body: Graph
    init: tuple[Node, ...]
    xs: tuple[Node, ...]
    consts: tuple[Node, ...]
    length: int
    reverse: bool
    name: str

    @staticmethod
    def of(node: Node) -> Scan:
        k, m = node.attr("carries"), node.attr("xs")
        a = node.nodes
        return Scan(
            node.attr("body"),
            a[:k],
            a[k : k + m],
            a[k + m :],
            node.attr("length"),
            node.attr("reverse"),
            node.attr("name"),
        )


def body_inputs(init: Sequence[Node], xs: Sequence[Node], consts: Sequence[Node]) -> tuple[Node, ...]:
    """Inputs for a scan body with the element types and plates of these operands (a carry may vary over
    all of them).
    """
    every = union_plates((*init, *xs, *consts))
    carries = [make_input(f"c{i}", n.shape, n.dtype, every, "carry") for i, n in enumerate(init)]
    elements = [make_input(f"x{i}", n.shape[1:], n.dtype, n.plates, "element") for i, n in enumerate(xs)]
    shared = [make_input(f"k{i}", n.shape, n.dtype, n.plates, "const") for i, n in enumerate(consts)]
    return (*carries, *elements, *shared)


def retype(body: Graph, inputs: tuple[Node, ...]) -> Graph:
    """`body` on inputs with other plates (or names)."""
    if inputs == body.inputs:
        return body
    memo = dict(zip(body.inputs, inputs, strict=True))
    effects = substitute(body.effects, memo)
    return Graph(inputs, tuple(substitute(body.outputs, memo)), tuple(effects), body.names)


def scan(
    body: Graph,
    init: Sequence[Node],
    xs: Sequence[Node],
    consts: Sequence[Node],
    length: int,
    reverse: bool = False,
    name: str = "scan",
) -> Node:
    """A scan node. Read its outputs with `scan_outputs`."""
    body = retype(body, body_inputs(init, xs, consts))
    k = len(init)
    outs = (
        *(Type(n.shape, n.dtype) for n in init),
        *(Type((length, *y.shape), y.dtype) for y in body.outputs[k:]),
        *(Type((length, *n.shape), n.dtype) for n in init),
    )
    attrs = (
        ("body", body),
        ("carries", k),
        ("length", length),
        ("name", name),
        ("reverse", reverse),
        ("xs", len(xs)),
    )
    args = (*init, *xs, *consts)
    return intern_node(
        "scan",
        args,
        attrs,
        Type((), init[0].dtype if init else body.outputs[0].dtype),
        union_plates(args),
        outs,
    )


def scan_outputs(node: Node) -> tuple[list[Node], list[Node], list[Node]]:
    """(final carries, ys, carries entering each step)."""
    assert node.outs is not None
    k, every = node.attr("carries"), [item(node, i) for i in range(len(node.outs))]
    n = len(every) - k
    return every[:k], every[k:n], every[n:]


def _remake_scan(node: Node, args: tuple[Operand, ...]) -> Node:
    nodes = tuple(a for a in args if isinstance(a, Node))
    k, m = node.attr("carries"), node.attr("xs")
    return scan(
        node.attr("body"),
        nodes[:k],
        nodes[k : k + m],
        nodes[k + m :],
        node.attr("length"),
        node.attr("reverse"),
        node.attr("name"),
    )


REMAKE["scan"] = _remake_scan


def switch(branches: Sequence[Graph], index: Node, operands: Sequence[Node], name: str = "switch") -> Node:
    """A switch node; `item(node, i)` reads its outputs. A branch with effects sees the index's plates
    on every operand.
    """
    inputs = tuple(make_input(f"a{i}", n.shape, n.dtype, n.plates, "operand") for i, n in enumerate(operands))
    typed = tuple(retype(b, inputs) for b in branches)
    outs = tuple(Type(o.shape, o.dtype) for o in typed[0].outputs)
    args = (index, *operands)
    plates: tuple[Plate, ...] = union_plates(args)
    kind = Type((), outs[0].dtype) if outs else index.type
    return intern_node("switch", args, (("branches", typed), ("name", name)), kind, plates, outs)


REMAKE["switch"] = lambda node, args: switch(node.attr("branches"), args[0], args[1:], node.attr("name"))  # type: ignore[arg-type]


def _region(*_: object, **__: object) -> object:
    raise AssertionError("regions are run by an engine")


define("scan", _region, kind="region", batch=None)
define("switch", _region, kind="region", batch=None)
define("item", lambda x, index: x[index], kind="item", batch=None)

__all__ = ["OPERATORS", "Scan", "body_inputs", "inline", "retype", "scan", "scan_outputs", "switch"]
