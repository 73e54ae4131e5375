"""What an operator is, and how a node of one is made.

An operator is declared in one place: what it computes on torch tensors (`run`), the element type of its
    result, how it acts on
operands with leading batch axes (`batch`) and its reverse rule (`vjp`). Passes and engines look all of
these up by name.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import _disable_current_modes

from ppl.compiler.graph import Node, Plate, Scalar, Type, intern_node, union_plates
from ppl.errors import Mark

Operand = Node | Scalar
Vjp = Callable[..., Sequence["Operand | None"]]


@dataclass(frozen=True)
class Operator:
    """One operator of the Graph.

    `run(*args, **attrs)` computes it with torch, on real or meta tensors. `batch` says what to do with
    leading plate axes:
    "pointwise" (broadcast), "trailing" (all axes in the attributes are negative, so leading ones pass
    through), a function
    `(args, attrs, sizes) -> Node` building the batched node from aligned operands, or None (one
    `torch.vmap` per plate).
    `vjp(out, g, *args, **attrs)` returns one adjoint (or None) per argument; None: torch's own formula
    is recorded.
    `dtype` for pointwise operators: "promote", "float", "bool" or "same".
    """

    name: str
    run: Callable[..., Any]
    kind: str = "tensor"
    dtype: str = "promote"
    batch: str | Callable[..., Node] | None = "trailing"
    vjp: Vjp | None = None
    smooth: str = "smooth"  # "smooth", "kinked" (continuous) or "jump": what the soundness gate may rely on
    home: str = ""  # the module that declares it


OPERATORS: dict[str, Operator] = {}


def define(name: str, run: Callable[..., Any], **fields: Any) -> Operator:
    """Declare an operator. Called at import time by the files of this folder."""
    if name in OPERATORS:
        raise ValueError(f"operator '{name}' is declared twice")
    fields.setdefault("home", sys._getframe(1).f_globals["__name__"])
    OPERATORS[name] = operator = Operator(name, run, **fields)
    return operator


def smooth_kind(name: str) -> str:
    return OPERATORS[name].smooth if name in OPERATORS else "smooth"


# ---------------------------------------------------------------- leaves


def make_input(
    name: str, shape: Sequence[int], dtype: torch.dtype, plates: tuple[Plate, ...] = (), role: str = ""
) -> Node:
    """A graph input. `role` tells inputs of one name in different graphs apart (data, value, parameter …)."""
    return intern_node("input", (), (("name", name), ("role", role)), Type(tuple(shape), dtype), plates)


def full(value: Scalar, shape: Sequence[int], dtype: torch.dtype) -> Node:
    """A tensor all of whose elements are `value`."""
    if dtype.is_floating_point:
        value = float(value)
    elif dtype is torch.bool:
        value = bool(value)
    else:
        value = int(value)
    return intern_node("full", (), (("value", value),), Type(tuple(shape), dtype), ())


# ---------------------------------------------------------------- making nodes


def make(op: str, /, *args: Operand, mark: Mark | None = None, **attrs: Any) -> Node:
    """The node `op(*args, **attrs)`, its type inferred, constants folded."""
    operator = OPERATORS[op]
    if operator.kind == "pointwise":
        return _make_pointwise(operator, args, tuple(sorted(attrs.items())), mark)
    items = tuple(sorted(attrs.items()))
    types = tuple(a.type if isinstance(a, Node) else (type(a), a) for a in args)
    key = (op, types, items, torch.get_default_dtype())
    out = _infer(key, operator, args, attrs)
    if isinstance(out, tuple):
        return intern_node(op, args, items, Type((), torch.int64), union_plates(args), out, mark)
    return intern_node(op, args, items, out, union_plates(args), None, mark)


def remake(node: Node, args: tuple[Operand, ...]) -> Node:
    """`node` with new arguments: plates follow, types too where the argument types changed."""
    operator = OPERATORS.get(node.op)
    if operator is not None and operator.kind == "pointwise":
        return _make_pointwise(operator, args, node.attrs, node.mark)
    special = REMAKE.get(node.op)
    if special is not None:
        return special(node, args)
    same = all(
        not isinstance(b, Node) or (isinstance(a, Node) and a.type == b.type)
        for a, b in zip(args, node.args, strict=True)
    )
    if same:
        return intern_node(node.op, args, node.attrs, node.type, union_plates(args), node.outs, node.mark)
    return make(node.op, *args, mark=node.mark, **dict(node.attrs))


REMAKE: dict[str, Callable[[Node, tuple[Operand, ...]], Node]] = {}
"""Operators whose plates or types don't follow the common rule (plate operators, regions, effects) say here
how to rebuild.
"""


def item(node: Node, index: int) -> Node:
    """Output `index` of a node with several outputs."""
    assert node.outs is not None
    return intern_node("item", (node,), (("index", index),), node.outs[index], node.plates, None, node.mark)


REMAKE["item"] = lambda node, args: item(args[0], node.attr("index"))  # type: ignore[arg-type]

_TYPES: dict[Any, Any] = {}


def _infer(
    key: Any, operator: Operator, args: Sequence[Operand], attrs: dict[str, Any]
) -> Type | tuple[Type, ...]:
    known = _TYPES.get(key)
    if known is None:
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            out = _run_once(operator, args, attrs)
        if isinstance(out, tuple | list):
            known = tuple(Type(tuple(o.shape), o.dtype) for o in out)
        else:
            known = Type(tuple(out.shape), out.dtype)
        _TYPES[key] = known
    return known


_LARGE = 10**7


def _run_once(operator: Operator, args: Sequence[Operand], attrs: dict[str, Any]) -> Any:
    """The operator on zeros that take no memory, or on meta tensors where that is too large or impossible.

    Zeros first: torch's meta functions are written in Python and load sympy and the whole of torch.compile
    on their first use, which takes seconds. An operator of torch's is tried on other numbers too: where the size
    of its result depends on the values (`unique`), only meta functions refuse it.
    """
    types = [a.type for a in args if isinstance(a, Node)]
    ours = operator.name not in ("opaque", "vmapped")

    def run(make: Callable[[Type], torch.Tensor]) -> Any:
        return operator.run(*[make(a.type) if isinstance(a, Node) else a for a in args], **attrs)

    if sum(math.prod(t.shape) for t in types) <= (_LARGE if ours else _SMALL):
        try:
            if ours:
                return run(zeros)
            found, other = run(_zeros_in_memory), run(_counted)
            if _types(found) == _types(other):
                return found
        except (RuntimeError, IndexError, ValueError):  # these numbers may lie outside the operator's domain
            pass
    return run(meta)


_SMALL = 10**6


def _types(out: Any) -> list[tuple[torch.Size, torch.dtype]]:
    return [(o.shape, o.dtype) for o in (out if isinstance(out, tuple | list) else [out])]


def _zeros_in_memory(type_: Type) -> torch.Tensor:
    return torch.zeros(type_.shape, dtype=type_.dtype)


def _counted(type_: Type) -> torch.Tensor:
    """1, 2, 3 …, so that no two are equal and none is zero; of whole numbers and truth values, which may be places,
    1 and 0 in turn.
    """
    numbers = torch.arange(1, math.prod(type_.shape) + 1).reshape(type_.shape)
    return (numbers if type_.dtype.is_floating_point else numbers % 2).to(type_.dtype)


def zeros(type_: Type) -> torch.Tensor:
    """Zeros of this type, one number in memory."""
    return torch.zeros((), dtype=type_.dtype).expand(type_.shape)


def meta(type_: Type) -> torch.Tensor:
    return torch.empty(type_.shape, dtype=type_.dtype, device="meta")


# ---------------------------------------------------------------- pointwise operators


def _make_pointwise(
    op: Operator, args: Sequence[Operand], attrs: tuple[tuple[str, Any], ...], mark: Mark | None
) -> Node:
    if all(not isinstance(a, Node) or a.op == "full" for a in args):
        return _fold(op, args, attrs)
    condition = 0 if op.name == "where" else -1
    folded = [a if i == condition else _scalar_if_uniform(a, args) for i, a in enumerate(args)]
    shape = broadcast([a.shape for a in folded if isinstance(a, Node)])
    out, operand = pointwise_dtype(op, folded)
    if operand is not None:
        folded = [
            _cast(a, operand) if isinstance(a, Node) and _takes_cast(op, i) else a
            for i, a in enumerate(folded)
        ]
    if op.name == "where" and not any(isinstance(a, Node) for a in folded[1:]):
        folded[1] = full(folded[1], (), out)  # type: ignore[arg-type]  # else each engine would pick a dtype
    return intern_node(op.name, tuple(folded), attrs, Type(shape, out), union_plates(folded), None, mark)


def _takes_cast(op: Operator, position: int) -> bool:
    return not (op.name == "where" and position == 0)


def _cast(a: Node, dtype: torch.dtype) -> Node:
    if a.op == "full":
        return full(a.attr("value"), a.shape, dtype)
    return a if a.dtype == dtype else make("to", a, dtype=dtype)


def _scalar_if_uniform(a: Operand, args: Sequence[Operand]) -> Operand:
    """A `full` operand acts as a scalar where that leaves shape and dtype of the result alone."""
    if not isinstance(a, Node) or a.op != "full":
        return a
    others = [b for b in args if isinstance(b, Node) and b.op != "full"]
    shape = broadcast([b.shape for b in others])
    fits = broadcast([shape, a.shape]) == shape and any(
        b.dtype == a.dtype or (b.is_float and not a.is_float) for b in others
    )
    return a.attr("value") if fits else a


def _fold(op: Operator, args: Sequence[Operand], attrs: tuple[tuple[str, Any], ...]) -> Node:
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        reals = [torch.tensor(a.attr("value"), dtype=a.dtype) if isinstance(a, Node) else a for a in args]
        if not any(isinstance(r, torch.Tensor) for r in reals):
            reals = [torch.tensor(r) for r in reals]
        else:
            operand = pointwise_dtype(op, args)[1]
            if operand is not None:
                reals = [
                    r.to(operand) if isinstance(r, torch.Tensor) and _takes_cast(op, i) else r
                    for i, r in enumerate(reals)
                ]
        out = op.run(*reals, **dict(attrs))
    shapes = [a.shape for a in args if isinstance(a, Node)]
    return full(out.item(), broadcast(shapes) if shapes else (), out.dtype)


def broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """NumPy's broadcasting of shapes."""
    result = shapes[0]
    for shape in shapes[1:]:
        if shape != result:
            try:
                result = np.broadcast_shapes(result, shape)
            except ValueError:  # torch's words for it; torch first would load sympy
                result = tuple(torch.broadcast_shapes(result, shape))
    return result


def pointwise_dtype(op: Operator, args: Sequence[Operand]) -> tuple[torch.dtype, torch.dtype | None]:
    """The dtype of the result, and the one to which tensor operands are cast first (None: leave them)."""
    valued = args[1:] if op.name == "where" else args
    nodes = [a for a in valued if isinstance(a, Node)]
    if op.dtype == "same" or (op.name != "where" and not nodes):
        return nodes[0].dtype, None
    common = _promote(valued)
    if op.dtype == "float" and not common.is_floating_point:
        common = torch.get_default_dtype()
    mixed = any(n.dtype != common for n in nodes)
    return (torch.bool if op.dtype == "bool" else common), (common if mixed else None)


def _promote(args: Sequence[Operand]) -> torch.dtype:
    """torch's promotion: dimensioned tensors, then 0-d tensors, then Python scalars, a lower rank only
    counting by category.
    """
    ranks: list[torch.dtype | None] = [None, None, None]
    for a in args:
        rank = 2 if not isinstance(a, Node) else (0 if a.shape else 1)
        dtype = a.dtype if isinstance(a, Node) else _scalar_dtype(a)
        known = ranks[rank]
        ranks[rank] = dtype if known is None else torch.promote_types(known, dtype)
    result: torch.dtype | None = None
    for dtype_ in ranks:
        if dtype_ is None:
            continue
        if result is None:
            result = dtype_
        elif _category(dtype_) > _category(result):
            result = torch.promote_types(result, dtype_) if _category(dtype_) < 2 else dtype_
    assert result is not None
    return result


def _scalar_dtype(value: Scalar) -> torch.dtype:
    if isinstance(value, bool):
        return torch.bool
    return torch.int64 if isinstance(value, int) else torch.get_default_dtype()


def _category(dtype: torch.dtype) -> int:
    return 2 if dtype.is_floating_point else (0 if dtype is torch.bool else 1)
