"""Checks on what users give: arrays, parameters, values. Every failure says what, where, expected, found
and the edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from ppl.errors import Mark, ParameterError, PplError, StructureError
from ppl.language.arrays import as_tensor as as_tensor
from ppl.language.arrays import is_array as is_array
from ppl.language.handlers import Message
from ppl.language.known import known
from ppl.language.wording import describe, place, short

if TYPE_CHECKING:
    from ppl.language.scopes import ScopedTracer

Loops = Sequence[tuple[str, int]]


def located(error: PplError, message: Message) -> PplError:
    """`error` with the site and the line of a statement, where it has none."""
    error.site = error.site or message.name
    error.where = error.where or (message.mark.locate() if message.mark is not None else None)
    return error


# ---------------------------------------------------------------- structure


def duplicate(name: str, mark: Mark | None, first: Mark | None) -> NoReturn:
    again = first is not None and mark is not None and first.code is mark.code and first.line == mark.line
    short_name = name.rpartition("/")[2]
    raise StructureError(
        f"duplicate site name '{name}'",
        site=name,
        where=mark,
        expected="every site has a name of its own",
        found="the same statement, run twice"
        if again
        else f"'{name}' is also the name of the site at {first.locate() if first else 'an earlier line'}",
        edit=f'for i in ppl.plate("i", n): …, or a name of its own each time: f"{short_name}_{{i}}"'
        if again
        else f"rename one of them, for instance '{short_name}_2'; for repeated sites use ppl.plate",
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
    edit = "a number known before inference: an argument, or x.shape[0] of one"
    if isinstance(size, torch.Tensor) and size.device.type == "meta":
        raise StructureError(
            f"the size of plate '{name}' is a random value",
            expected="a size known from the data",
            found="a value drawn in the program",
            edit=edit,
        )
    array = hasattr(size, "__len__") or bool(getattr(size, "ndim", 0))
    try:
        count = None if array or isinstance(size, bool) else int(size)
    except (TypeError, ValueError):
        count = None
    if count is None or count != size or count < 0:
        if array:
            edit = f'ppl.plate("{name}", {len(size)}), and index the elements in the body: x[i]'
        shown = f"of shape {list(size.shape)}" if isinstance(size, torch.Tensor) else repr(size)
        found = f"{type(size).__name__} {shown}"[:80]
        raise StructureError(
            f"the size of plate '{name}' must be a whole number",
            expected="an int ≥ 0",
            found=found,
            edit=edit,
        )
    return count


def subsample_size(name: str, size: int, subsample: int | None, mark: Mark | None) -> int:
    if subsample is None:
        return size
    whole = isinstance(subsample, int) and not isinstance(subsample, bool)
    if not whole or not 0 < subsample <= size:
        near = max(1, min(size, abs(int(subsample)))) if isinstance(subsample, int | float) else size
        raise StructureError(
            f"plate '{name}' can't draw {subsample!r} of {size} elements",
            where=mark,
            expected=f"1 ≤ subsample ≤ {size}",
            found=f"subsample={subsample!r}",
            edit=f"subsample={near}, or leave it out",
        )
    return subsample


# ---------------------------------------------------------------- parameters


def check_parameters(d: Distribution, message: Message, tracer: ScopedTracer) -> None:
    """Refuse a parameter outside its domain (scale ≤ 0, nan …) wherever its numbers are known before
    inference.
    """
    for name, constraint in d.arg_constraints.items():
        value = d.__dict__.get(name)
        if (
            isinstance(value, torch.Tensor)
            and isinstance(constraint, Constraint)
            and not constraint.is_discrete
        ):
            numbers = known(value, tracer)
            if numbers is not None:
                check_parameter(d, name, constraint, value, numbers, message, tracer)
    for value in d.__dict__.values():
        if isinstance(value, Distribution):
            check_parameters(value, message, tracer)


def check_parameter(
    d: Distribution,
    name: str,
    constraint: Constraint,
    value: torch.Tensor,
    numbers: torch.Tensor,
    message: Message,
    tracer: ScopedTracer,
) -> None:
    """Refuse `value` (whose numbers are known) for parameter `name` of `d` unless it satisfies
    `constraint` and is not nan.
    """
    if constraint is constraints.dependent or isinstance(constraint, type(constraints.dependent)):
        return
    bounds = tensors_of(constraint)
    good = verdict(constraint, value if any(tracer.is_traced(b) for b in bounds) else numbers, tracer)
    if good is None or bool(good.all()):
        return
    index = tuple(int(i) for i in (~good).nonzero()[0]) if good.dim() and good.shape == numbers.shape else ()
    bad = numbers[index] if index else numbers
    other = next((k for k, v in vars(d).items() if k != name and any(v is b for b in bounds)), None)
    limit = describe(constraint)
    if other is not None:
        limit = f"{limit.partition(' ')[0]} {other}"
    comparison = limit.startswith(("<", ">", "≤", "≥", "in "))
    raise ParameterError(
        f"{name} of {type(d).__name__} is outside its domain",
        site=message.name,
        where=message.mark,
        expected=f"{name} {limit}" if comparison else f"{name}: {limit}",
        found=f"{short(bad)}{place(index)}",
        edit=_edit_for(constraint, name, type(d).__name__, limit, bool(torch.isnan(bad).any())),
    )


def verdict(constraint: Any, value: torch.Tensor, tracer: ScopedTracer) -> torch.Tensor | None:
    """Which elements satisfy `constraint` (anything with `check`), where data alone decide it."""
    try:
        good = constraint.check(value)
    except (NotImplementedError, RuntimeError, TypeError, IndexError, AssertionError, PplError):
        return None
    return known(good, tracer)


def _edit_for(constraint: Constraint, name: str, family: str, limit: str, missing: bool) -> str:
    if missing:
        return f"find the nan in what gives {name} its value"
    if getattr(constraint, "lower_bound", None) == 0 and getattr(constraint, "upper_bound", None) is None:
        return f"pass a positive {name}; torch.exp(x) or torch.nn.functional.softplus(x) makes one"
    comparison = limit.startswith(("<", ">", "≤", "≥", "in "))
    return f"give {family} {name} {limit}" if comparison else f"give {family} as its {name} {limit}"


def tensors_of(obj: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for v in vars(obj).values():
        if isinstance(v, torch.Tensor):
            found.append(v)
        elif isinstance(v, Constraint):
            found.extend(tensors_of(v))
    return found
