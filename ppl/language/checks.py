"""Checks on what users give: arrays, parameters, values. Every failure says what, where, expected, found and the edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from ppl.compiler.graph import Node
from ppl.distributions import family_of
from ppl.distributions.bijectors import biject_to
from ppl.errors import DataError, Mark, ParameterError, PplError, StructureError
from ppl.language.handlers import Message

if TYPE_CHECKING:
    from ppl.language.scopes import ScopedTracer


def is_array(value: Any) -> bool:
    """Tensors, NumPy arrays and what carries one (pandas Series); not numbers, lists or modules."""
    return isinstance(value, torch.Tensor | np.ndarray | np.generic) or (hasattr(value, "to_numpy") and hasattr(value, "dtype"))


def as_tensor(value: Any, dtype: torch.dtype) -> torch.Tensor:
    """`value` as a tensor; floating-point data take `dtype`, others keep theirs (bool `dtype` forces bool)."""
    if isinstance(value, torch.Tensor):
        tensor = value
    else:
        array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
        if array.dtype == object or array.dtype.kind in "US":
            raise DataError("an array of objects or text is not numeric data", found=f"dtype {array.dtype}", edit="encode it as numbers")
        tensor = torch.from_numpy(np.ascontiguousarray(array).copy()) if array.ndim else torch.tensor(array.item())
        if not tensor.is_floating_point() and tensor.dtype not in (torch.bool,) and not tensor.is_complex():
            tensor = tensor.to(torch.int64)
    if dtype is torch.bool:
        return tensor.to(torch.bool)
    return tensor.to(dtype) if tensor.is_floating_point() and tensor.dtype != dtype else tensor


# ---------------------------------------------------------------- structure


def duplicate(name: str, mark: Mark | None, first: Mark | None) -> NoReturn:
    raise StructureError(
        f"duplicate site name '{name}'",
        site=name,
        where=mark,
        expected="every site has a name of its own",
        found=f"'{name}' is also the name of the site at {first.locate() if first else 'an earlier line'}",
        edit=f"rename one of them, for instance '{name.rpartition('/')[2]}_2'; for repeated sites use ppl.plate",
    )


def two_sizes(name: str, first: tuple[int, Mark | None], second: tuple[int, Mark | None]) -> NoReturn:
    raise StructureError(
        f"plate '{name}' has two sizes",
        where=second[1],
        expected=f"size {first[0]}, as at {first[1].locate() if first[1] else 'an earlier line'}",
        found=f"size {second[0]}",
        edit=f"give the second plate a name of its own, for instance '{name}_2'",
    )


def plate_size(name: str, size: Any) -> int:
    if isinstance(size, torch.Tensor) and size.device.type == "meta":
        raise StructureError(f"the size of plate '{name}' is a random value", expected="a size known from the data")
    if isinstance(size, bool) or int(size) != size or int(size) < 0:
        raise StructureError(f"the size of plate '{name}' must be a whole number", expected="an int ≥ 0", found=repr(size))
    return int(size)


def subsample_size(name: str, size: int, subsample: int | None, mark: Mark | None) -> int:
    if subsample is None:
        return size
    if not 0 < subsample <= size:
        raise StructureError(
            f"plate '{name}' can't draw {subsample} of {size} elements", where=mark, expected=f"1 ≤ subsample ≤ {size}"
        )
    return int(subsample)


# ---------------------------------------------------------------- parameters


def known_values(value: Any, tracer: ScopedTracer) -> torch.Tensor | None:
    """The numbers behind a parameter where data alone decide them (for an element of a plate: of all elements)."""
    if not isinstance(value, torch.Tensor):
        return None
    entry = tracer.table.get(id(value))
    if entry is None:
        return value
    node: Node = entry.node
    while node.op in ("plate_slice", "reshape", "permute", "expand"):
        node = node.nodes[0]
    for scope_value, inner in tracer.here.captured.items():
        if inner is node:
            node = scope_value
    return tracer.inputs.get(node)


def check_parameters(d: Distribution, message: Message, tracer: ScopedTracer) -> None:
    """Refuse a parameter outside its domain (scale ≤ 0, nan …) wherever its numbers are known before inference."""
    for name, constraint in d.arg_constraints.items():
        value = d.__dict__.get(name)
        if isinstance(value, torch.Tensor) and isinstance(constraint, Constraint) and not constraint.is_discrete:
            numbers = known_values(value, tracer)
            if numbers is not None:
                check_parameter(d, name, constraint, numbers, message)
    for value in d.__dict__.values():
        if isinstance(value, Distribution):
            check_parameters(value, message, tracer)


def check_parameter(d: Distribution, name: str, constraint: Constraint, value: torch.Tensor, message: Message) -> None:
    """Refuse `value` for parameter `name` of `d` unless it satisfies `constraint` (and is not nan)."""
    if constraint is constraints.dependent or isinstance(constraint, type(constraints.dependent)):
        return
    try:
        good = constraint.check(value)
    except (NotImplementedError, RuntimeError):
        return
    if bool(good.all()):
        return
    bad = value
    place = ""
    if value.dim() and good.shape == value.shape:
        index = tuple(int(i) for i in (~good).nonzero()[0])
        bad, place = value[index], f" at {list(index)}"
    raise ParameterError(
        f"{name} of {type(d).__name__} is outside its domain",
        site=message.name,
        where=message.mark,
        expected=f"{name} {describe(constraint)}",
        found=f"{_short(bad)}{place}",
        edit=_edit_for(constraint, name, type(d).__name__),
    )


def describe(constraint: Constraint) -> str:
    """A constraint in words a user types: "> 0", "in [0, 1]", "simplex"."""
    lower, upper = getattr(constraint, "lower_bound", None), getattr(constraint, "upper_bound", None)
    if lower is not None and upper is not None:
        return f"in [{_short(lower)}, {_short(upper)}]"
    if lower is not None:
        strict = "Eq" not in type(constraint).__name__ and "integer" not in type(constraint).__name__
        return f"{'>' if strict else '≥'} {_short(lower)}"
    if upper is not None:
        return f"< {_short(upper)}"
    name = str(constraint).removeprefix("constraints.").partition("(")[0]
    return {"Real": "a real number", "IndependentConstraint": "real numbers"}.get(name, name)


def _short(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        if value.device.type == "meta":
            return "…"
        value = value.tolist() if value.numel() <= 6 else f"array of shape {list(value.shape)}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _edit_for(constraint: Constraint, name: str, family: str) -> str:
    if getattr(constraint, "lower_bound", None) == 0 and getattr(constraint, "upper_bound", None) is None:
        return f"pass a positive {name}; torch.exp(x) or torch.nn.functional.softplus(x) makes one"
    return f"pass {name} that is {describe(constraint)} to {family}"


# ---------------------------------------------------------------- values


def full_value(value: Any, message: Message, loops: Sequence[tuple[str, int]], dtype: torch.dtype) -> torch.Tensor:
    """A value for all elements of a site, checked against its shape: loops (plates, scans) first, then the site's own axes."""
    d = message.distribution
    tensor = as_tensor(value, dtype)
    expected = tuple(n for _, n in loops) + tuple(d.batch_shape) + tuple(d.event_shape)
    if tuple(tensor.shape) != expected:
        names = [f"{name}={n}" for name, n in loops] + [str(n) for n in (*d.batch_shape, *d.event_shape)]
        short = message.name.rpartition("/")[2]
        raise DataError(
            f"the value for '{message.name}' has the wrong shape",
            site=message.name,
            where=message.mark,
            expected=f"shape [{', '.join(names)}]",
            found=f"shape {list(tensor.shape)}",
            edit=_shape_edit(short, tuple(tensor.shape), expected, loops),
        )
    if family_of(d).value_dtype == "int64":
        if tensor.is_floating_point() and not bool((tensor == tensor.round()).all()):
            where = int((tensor != tensor.round()).reshape(-1).nonzero()[0])
            raise DataError(
                f"the value for '{message.name}' must be whole numbers",
                site=message.name,
                where=message.mark,
                expected=f"integers, as {type(d).__name__} draws them",
                found=f"{_short(tensor.reshape(-1)[where])} (element {where})",
                edit=f"{message.name.rpartition('/')[2]}.long(), or another family; missing values of an integer site are not supported",
            )
        return tensor.to(torch.int64)
    return tensor if tensor.is_floating_point() else tensor.to(dtype)


def _shape_edit(name: str, found: tuple[int, ...], expected: tuple[int, ...], loops: Sequence[tuple[str, int]]) -> str:
    if len(found) == len(expected) and sorted(found) == sorted(expected):
        return f"{name}.permute(…): the axes are in another order"
    if len(found) == len(expected) and loops and found[0] != expected[0]:
        return f"give {expected[0]} values, or make plate '{loops[0][0]}' of size {found[0]}"
    return f"{name}.reshape({', '.join(map(str, expected))}), if the elements are the same"


def holes(tensor: torch.Tensor, message: Message) -> torch.Tensor | None:
    """The flat places of missing (nan) elements, or None."""
    if not tensor.is_floating_point():
        return None
    mask = torch.isnan(tensor)
    if not bool(mask.any()):
        return None
    d = message.distribution
    support = d.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if family_of(d).discrete or support.event_dim > 0:
        raise DataError(
            f"missing values of {type(d).__name__} can't be imputed",
            site=message.name,
            where=message.mark,
            expected="nan only where each element is a continuous value by itself",
            found=f"{int(mask.sum())} nan in a site whose support is {describe(support)}",
            edit="leave the incomplete elements out of the data, or mask them: .mask(…)",
        )
    return mask.reshape(-1).nonzero().reshape(-1)


def check_support(d: Distribution, value: torch.Tensor, missing: torch.Tensor | None, message: Message, tracer: Any) -> None:
    """Refuse observed values outside the support, wherever the support's bounds are known before inference."""
    support = d.support
    if any(tracer.is_traced(v) for v in _tensors(support)):
        return
    try:
        good = support.check(torch.where(torch.isnan(value), filler(d, tracer), value) if missing is not None else value)
    except (NotImplementedError, RuntimeError, TypeError):
        return
    if bool(good.all()):
        return
    index = tuple(int(i) for i in (~good).nonzero()[0]) if good.dim() else ()
    short = message.name.rpartition("/")[2]
    raise DataError(
        f"the value for '{message.name}' lies outside the support of {type(d).__name__}",
        site=message.name,
        where=message.mark,
        expected=f"values {describe(support)}",
        found=f"{_short(value[index])}" + (f" at {short}{list(index)}" if index else ""),
        edit="correct the data, or choose a family with that support",
    )


def _tensors(obj: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for v in vars(obj).values():
        if isinstance(v, torch.Tensor):
            found.append(v)
        elif isinstance(v, Constraint):
            found.extend(_tensors(v))
    return found


def filler(d: Distribution, tracer: Any) -> torch.Tensor:
    """Some value inside a univariate support, to stand in the place of a missing one."""
    support = d.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if any(tracer.is_traced(v) for v in _tensors(support)):
        raise DataError("missing values need a support whose bounds are known", found=f"{type(d).__name__}")
    try:
        return biject_to(support)(torch.zeros(())).detach()
    except (PplError, NotImplementedError):
        return torch.zeros(())


def with_nan(tensor: torch.Tensor, missing: torch.Tensor | None) -> torch.Tensor:
    if missing is None:
        return tensor
    flat = tensor.reshape(-1).clone()
    flat[missing] = torch.nan
    return flat.reshape(tensor.shape)
