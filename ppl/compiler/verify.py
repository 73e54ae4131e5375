"""What holds of every graph: types and plates follow from the arguments, bodies are closed, names unique.

A pass that breaks one of these breaks silently and far from its cause, so tests verify after every pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ppl.compiler.graph import Graph, Node, Plate, Type, bodies, topological, union_plates
from ppl.compiler.ops import OPERATORS, Scan, make, remake
from ppl.compiler.ops.effects import EFFECTS, Effect
from ppl.errors import PplError


class GraphError(PplError):
    """A graph contradicts itself: the fault of a pass, never of the user's program."""

    kind = "graph error"


def verify(graph: Graph) -> Graph:
    """Check `graph` and the bodies of its regions, and return it.

    Args:
        graph: any graph, with plates or vectorised.

    Raises:
        GraphError: names the first node (arguments first) at fault, the rule it breaks and its source line.

    >>> import torch
    >>> from ppl.compiler.graph import Graph
    >>> from ppl.compiler.ops import make, make_input
    >>> x = make_input("x", (3,), torch.float64)
    >>> verify(Graph((x,), (make("exp", x),))).outputs[0]
    <exp f64[3]>
    """
    declared = set(graph.inputs)
    if len(declared) != len(graph.inputs):
        twice = next(n for i, n in enumerate(graph.inputs) if n in graph.inputs[:i])
        raise _error(twice, f"the input '{twice.attr('name')}' is listed twice", "each input once")
    for node in graph.inputs:
        if node.op != "input":
            raise _error(node, "an input of the graph is not an input node", "op 'input'", node.op)
    for node in topological(graph.roots):
        if node.op == "input" and node not in declared:
            raise _error(
                node,
                f"the graph reads '{node.attr('name')}', which is not among its inputs",
                "a closed graph",
                _named(graph.inputs),
            )
        _verify_node(node)
    _verify_effects(graph)
    return graph


def _verify_node(node: Node) -> None:
    if node.op not in OPERATORS and node.op not in ("input", "full", "constant"):
        raise _error(node, f"there is no operator '{node.op}'", "a name of OPERATORS")
    if list(node.plates) != sorted(set(node.plates)):
        raise _error(node, "the plates are not in order", "outermost first, each once", _plates(node.plates))
    if any(n < 0 for t in (node.type, *(node.outs or ())) for n in t.shape):
        raise _error(node, "an axis has a negative size", "sizes ≥ 0", str(node.type))
    if not node.args and node.op not in ("plate_index", "iota", "opaque", "scan"):
        if node.plates and node.op not in ("input", *EFFECTS):
            raise _error(
                node, "a value without arguments varies over plates", "no plates", _plates(node.plates)
            )
        return
    if node.op == "item":
        _verify_item(node)
    elif (check := _CHECKS.get(node.op)) is not None:
        check(node)
    again = _rebuilt(node)
    if again.type != node.type or again.outs != node.outs:
        raise _error(node, "the type does not follow from the arguments", _type(again), _type(node))
    if again.plates != node.plates:
        raise _error(
            node, "the plates do not follow from the arguments", _plates(again.plates), _plates(node.plates)
        )
    for body in bodies(node):
        try:
            verify(body)
        except GraphError as error:
            inside = f"inside {node!r}"
            error.details = f"{error.details}\n{inside}" if error.details else inside
            raise


def _rebuilt(node: Node) -> Node:
    """The node made anew, its types inferred and not copied."""
    operator = OPERATORS[node.op]
    try:
        if operator.kind in ("tensor", "cast") and node.op != "scatter_sum":
            return make(node.op, *node.args, **dict(node.attrs))
        if operator.kind == "pointwise":
            if not node.nodes:
                raise TypeError("a pointwise operator has no tensor among its arguments")
            again = remake(node, node.args)
            # constants fold and uniform tensors become scalars when a node is made; neither changes its type
            return _with_plates(again, union_plates(node.args))
        return remake(node, node.args)
    except GraphError:
        raise
    except Exception as error:
        raise _error(
            node, "the operator does not take these arguments", "arguments it can be made of", str(error)
        ) from error


def _with_plates(node: Node, plates: tuple[Plate, ...]) -> Node:
    if node.plates == plates:
        return node
    copy = Node()
    copy.op, copy.args, copy.attrs, copy.type = node.op, node.args, node.attrs, node.type
    copy.plates, copy.outs, copy.mark = plates, node.outs, node.mark
    return copy


# ---------------------------------------------------------------- rules of single operators


def _verify_item(node: Node) -> None:
    source, index = node.args[0], node.attr("index")
    if not isinstance(source, Node) or source.outs is None:
        raise _error(node, "'item' reads a node that has one result", "a node with several", repr(source))
    if not 0 <= index < len(source.outs):
        raise _error(
            node,
            "'item' reads a result that does not exist",
            f"an index below {len(source.outs)}",
            str(index),
        )


def _verify_scan(node: Node) -> None:
    s = Scan.of(node)
    k = len(s.init)
    _expect_types(
        node,
        "the body of the scan takes",
        s.body.inputs,
        [*s.init, *(_row(node, x, s.length) for x in s.xs), *s.consts],
    )
    if len(s.body.outputs) < k:
        raise _error(node, "the body of the scan returns too few carries", str(k), str(len(s.body.outputs)))
    _expect_types(node, "the body of the scan carries", s.body.outputs[:k], list(s.init))


def _row(node: Node, x: Node, length: int) -> Type:
    if not x.shape or x.shape[0] != length:
        raise _error(node, "an x of the scan has another length", f"{length} rows", str(x.type))
    return Type(x.shape[1:], x.dtype)


def _verify_switch(node: Node) -> None:
    index, operands = node.nodes[0], node.nodes[1:]
    branches = node.attr("branches")
    if index.shape != () or index.is_float:
        raise _error(
            node,
            "the index of the switch is not one integer or boolean",
            "shape [], integer",
            str(index.type),
        )
    if not branches:
        raise _error(node, "the switch has no branches", "one or more")
    for branch in branches:
        _expect_types(node, "a branch of the switch takes", branch.inputs, list(operands))
        _expect_types(node, "a branch of the switch returns", branch.outputs, list(branches[0].outputs))


def _expect_types(node: Node, what: str, found: tuple[Node, ...], expected: list[Any]) -> None:
    types = [e if isinstance(e, Type) else e.type for e in expected]
    if [f.type for f in found] != types:
        raise _error(
            node, f"{what} something else", ", ".join(map(str, types)), ", ".join(str(f.type) for f in found)
        )


def _verify_plate_slice(node: Node) -> None:
    x, plate = node.nodes[0], node.attr("plate")
    if not x.shape or x.shape[0] != plate.size:
        raise _error(node, "the first axis is not the plate's", f"size {plate.size}", str(x.type))
    if plate in x.plates:
        raise _error(
            node, f"the value varies over '{plate.name}' already", "a value that does not", _plates(x.plates)
        )


_CHECKS: dict[str, Callable[[Node], None]] = {
    "scan": _verify_scan,
    "switch": _verify_switch,
    "plate_slice": _verify_plate_slice,
}


def _verify_effects(graph: Graph) -> None:
    seen: dict[str, Node] = {}
    for node in graph.effects:
        if node.op in EFFECTS:
            name = Effect.of(node).name
            if name in seen and node.op != "deterministic":
                raise _error(
                    node,
                    f"two effects are named '{name}'",
                    "one name, one effect",
                    f"{seen[name]!r} and {node!r}",
                )
            seen[name] = node
        elif not any(b.effects for b in bodies(node)) and node.op != "draw":
            raise _error(
                node,
                f"'{node.op}' stands among the effects but has none",
                "sample, observe, factor, deterministic",
            )


# ---------------------------------------------------------------- texts


def _type(node: Node) -> str:
    return str(node.type) if node.outs is None else f"({', '.join(map(str, node.outs))})"


def _plates(plates: tuple[Plate, ...]) -> str:
    return ", ".join(map(str, plates)) or "no plates"


def _named(inputs: tuple[Node, ...]) -> str:
    return ", ".join(repr(n.attr("name")) for n in inputs) or "no inputs"


def _error(node: Node, headline: str, expected: str, found: str | None = None) -> GraphError:
    args = ", ".join(repr(a) for a in node.args)
    shown = f"at {node.op}({args})" if node.args else f"at {node!r}"
    return GraphError(headline, where=node.mark, expected=expected, found=found, details=shown)


__all__ = ["GraphError", "verify"]
