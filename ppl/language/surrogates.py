"""Derivatives that the user gives, and functions that are not torch's: how an objective records them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ppl.compiler.graph import Node, Type, topological
from ppl.compiler.ops import full, make_input
from ppl.compiler.ops.surrogates import COTANGENT, black_box, surrogate
from ppl.errors import MethodError, user_mark

if TYPE_CHECKING:
    from ppl.language.record import Recorder

_CONSTANT = ("data", "value", "const", "")


def with_jacobian(
    recorder: Recorder,
    function: Callable[..., Tensor],
    vjp: Callable[..., Any],
    args: Sequence[Any],
    number: int,
) -> Tensor:
    """`function(*args)` with the vector–Jacobian product `vjp(g, value, *args)`."""
    name = getattr(function, "__name__", type(function).__name__)
    tensors = [a if isinstance(a, Tensor) else torch.as_tensor(a) for a in args]
    xs = [recorder._node(a) for a in tensors]
    value = recorder._node(function(*tensors))
    if not value.is_float:
        raise MethodError(
            f"'{name}' returns no real numbers, so nothing can be differentiated behind it",
            where=user_mark(3),
            expected="a tensor of floats",
            found=str(value.dtype),
            edit="return the value that the objective goes on with, and not an index",
        )
    _refuse_captured(name, value, xs)
    place = make_input(f"{name} {number}", value.shape, value.dtype, value.plates, COTANGENT)
    lift = recorder.tracer.lift
    found = vjp(lift(place), lift(value), *tensors)
    given = list(found) if isinstance(found, tuple | list) else [found]
    shapes = [None if p is None else tuple(torch.as_tensor(p).shape) for p in given]
    wanted = [x.shape for x in xs]
    if len(shapes) != len(wanted) or any(s not in (None, w) for s, w in zip(shapes, wanted, strict=False)):
        raise MethodError(
            f"the vector–Jacobian product of '{name}' does not fit its arguments",
            where=user_mark(3),
            expected="for each argument a tensor of its shape, or None: "
            + ", ".join(str(list(w)) for w in wanted),
            found=", ".join("None" if s is None else str(list(s)) for s in shapes),
            edit="def vjp(g, value, x): return jacobian.T @ g",
        )
    pulled = [
        full(0.0, x.shape, value.dtype) if p is None else recorder._node(p)
        for p, x in zip(given, xs, strict=True)
    ]
    return lift(surrogate(value, xs, pulled, name, place.attr("name")))


def _refuse_captured(name: str, value: Node, xs: Sequence[Node]) -> None:
    """What a function reads beside its arguments would lose its derivative without a word."""
    for node in topological([value], stop=xs):
        role = node.attr("role")
        moving = node.op == "sample" or (node.op == "input" and role not in _CONSTANT)
        if moving and node.is_float:
            what = node.attr("site").name if node.op == "sample" else node.attr("name")
            raise MethodError(
                f"'{name}' reads '{what}', which is not among its arguments",
                where=user_mark(4),
                expected="everything that is random or a param as an argument",
                found=f"'{what}' read from outside",
                edit=f"give '{what}' as an argument; its cotangent may be None",
            )


def called(
    recorder: Recorder,
    function: Callable[..., Any],
    args: Sequence[Any],
    shape: tuple[int, ...],
    step: float | None,
    number: int,
) -> Tensor:
    """A black box as a node."""
    name = getattr(function, "__name__", type(function).__name__) + (f"@{number}" if number > 1 else "")
    xs = [recorder._node(a) for a in args]
    type_ = Type(shape, recorder.dtype)
    return recorder.tracer.lift(black_box(function, xs, type_, name, step, user_mark(3)))
