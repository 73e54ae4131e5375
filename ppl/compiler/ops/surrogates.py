"""Values with a derivative that is not their own, and functions that have none.

`surrogate(y, x…, p…)` is y; its reverse rule gives the cotangents p of x, which a user wrote as functions of the
cotangent of y: there an input of role "cotangent" stands for it. It is taken out (`barriers.strip`) before a graph is
run. `black_box(x…)` calls a Python function on tensors, one element at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ppl.compiler.graph import Node, Plate, Type, intern_node, substitute, topological, union_plates
from ppl.compiler.ops.batching import Batched, Operands, node_of, sizes
from ppl.compiler.ops.core import REMAKE, Operand, define, make
from ppl.errors import Mark, MethodError

COTANGENT = "cotangent"


def surrogate(value: Node, xs: Sequence[Node], pulled: Sequence[Node], name: str, place: str) -> Node:
    """`value`, with cotangents `pulled` for `xs`, functions of the input named `place`."""
    return make("surrogate", value, *xs, *pulled, count=len(xs), name=name, place=place)


def visible(node: Node) -> tuple[Node, ...]:
    """The operands that a surrogate is a function of."""
    return node.nodes[1 : 1 + node.attr("count")]


def _vjp(
    out: Node, g: Operand, value: Node, *others: Node, count: int, place: str, **_: Any
) -> Sequence[Operand | None]:
    pulled = others[count:]
    places = [n for n in topological(pulled) if n.attr("role") == COTANGENT and n.attr("name") == place]
    assert isinstance(g, Node)
    found = substitute(pulled, dict.fromkeys(places, g))
    return None, *found, *(None for _ in pulled)


def _first(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    return node_of(args[0]).aligned(plates, expand=True)


define("surrogate", lambda value, *_, **__: value, kind="barrier", batch=_first, vjp=_vjp)


# ---------------------------------------------------------------- functions that are not torch's


def black_box(
    function: Callable[..., Any],
    xs: Sequence[Node],
    type_: Type,
    name: str,
    step: float | None,
    mark: Mark | None,
) -> Node:
    """`function` of the elements of `xs`. `step`: of the differences its derivative is estimated by, if it has one."""
    return _build(tuple(xs), function, type_, (), name, step, mark)


def _build(
    xs: tuple[Operand, ...],
    function: Callable[..., Any],
    type_: Type,
    lead: tuple[int, ...],
    name: str,
    step: float | None,
    mark: Mark | None,
) -> Node:
    attrs = (("function", function), ("lead", lead), ("name", name), ("of", type_), ("step", step))
    whole = Type(lead + type_.shape, type_.dtype)
    return intern_node("black_box", xs, attrs, whole, union_plates(xs), None, mark)


def renamed(node: Node, name: str) -> Node:
    """A black box of another name: its perturbations are drawn apart."""
    attrs = tuple((k, name if k == "name" else v) for k, v in node.attrs)
    return intern_node("black_box", node.args, attrs, node.type, node.plates, None, node.mark)


def _remake(node: Node, args: tuple[Operand, ...]) -> Node:
    return intern_node("black_box", args, node.attrs, node.type, union_plates(args), None, node.mark)


def _call(*xs: Any, function: Any, lead: tuple[int, ...], name: str, of: Type, step: float | None) -> Any:
    if any(isinstance(x, torch.Tensor) and x.device.type == "meta" for x in xs):
        return torch.empty(lead + of.shape, dtype=of.dtype, device="meta")
    tensors = [torch.as_tensor(x) for x in xs]
    rows = [t.reshape(-1, *t.shape[len(lead) :]) for t in tensors]
    made = [result(function(*(r[i] for r in rows)), name, of) for i in range(math.prod(lead))]
    return torch.stack(made).reshape(lead + of.shape).to(tensors[0].device if tensors else "cpu")


def result(value: Any, name: str, of: Type) -> torch.Tensor:
    """What a black box returned, as a tensor of its declared type."""
    found = torch.as_tensor(value, dtype=of.dtype)
    if tuple(found.shape) == of.shape:
        return found
    raise MethodError(
        f"the black box '{name}' returned another shape than it declares",
        expected=f"shape {list(of.shape)}",
        found=f"shape {list(found.shape)}",
        edit=f"ppl.black_box({name}, …, shape={tuple(found.shape)})",
    )


def _each(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    xs = tuple(a.aligned(plates, expand=True) if isinstance(a, Batched) else a for a in args)
    return _build(xs, attrs["function"], attrs["of"], sizes(plates), attrs["name"], attrs["step"], None)


def no_derivative(node: Node) -> MethodError:
    return MethodError(
        f"the black box '{node.attr('name')}' has no derivative",
        where=node.mark,
        expected="random choices between the params and it (their scores need no derivative), or a step",
        found="a derivative that goes through it",
        edit="ppl.black_box(…, step=0.01) for simultaneous perturbations, which are biased",
    )


def _refuse(out: Node, g: Operand, *xs: Operand, **_: Any) -> Any:
    raise no_derivative(out)


REMAKE["black_box"] = _remake
define("black_box", _call, batch=_each, vjp=_refuse, smooth="jump")
